"""Exercises of notebook 05: mIoU, δ, PSNR and a bootstrap, each by hand."""

import math

import torch

from ...evaluation import bootstrap
from ...metrics import iou
from ...modalities import RGB, SEGMENTATION
from . import checker, generator, number, tensor


def _images(*rows: list, dtype: torch.dtype | None = None) -> torch.Tensor:
    """One image (1, 1, W) per row of numbers, stacked to (N, 1, 1, W)."""
    return torch.tensor(rows, dtype=dtype)[:, None, None]


# ── mIoU ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _confusion(prediction: torch.Tensor, target: torch.Tensor, mask: bool = True) -> torch.Tensor:
    """Confusion (14, 14), `[target, prediction]`; without a mask, Unknown targets are in row 0."""
    pairs = (target * 14 + prediction)[target > 0] if mask else target * 14 + prediction
    return torch.bincount(pairs.flatten(), minlength=196).view(14, 14)


def _miou(prediction: torch.Tensor, target: torch.Tensor) -> float:
    metrics = SEGMENTATION.metric()
    metrics.update(prediction, target)
    return metrics.compute()["miou"]


def _from_counts(score, mask: bool = True):
    """A wrong mIoU: `score(right, true, predicted)` of the confusion's diagonal, rows and columns (14,)."""

    def wrong(prediction, target):
        confusion = _confusion(prediction, target, mask).double()
        return score(confusion.diagonal(), confusion.sum(1), confusion.sum(0))

    return wrong


def _iou(right, true, predicted):
    return right / (true + predicted - right)


MIOU = [
    ("The result is not a number: a class that neither image has gives 0 / 0. Leave it out of the mean.",
     _from_counts(lambda *counts: _iou(*counts)[1:].mean())),
    ("You divide by 14 classes, but Unknown is none: 13 count.",
     _from_counts(lambda *counts: _iou(*counts).nan_to_num(0).mean())),
    ("That is in percent: return a share from 0 to 1.", lambda *inputs: 100 * _miou(*inputs)),
    ("That is the share of pixels that are right, the global score: IoU is taken class by class, and then averaged.",
     _from_counts(lambda right, true, predicted: right.sum() / true.sum())),
    ("You divide by the row's or the column's sum alone, which gives recall or precision. The union is all "
     "pixels of the class and all that are predicted as it.",
     _from_counts(lambda right, true, predicted: (right / true)[1:].nanmean()),
     _from_counts(lambda right, true, predicted: (right / predicted)[1:].nanmean())),
    ("Row plus column holds the right pixels twice: the union counts them once.",
     _from_counts(lambda right, true, predicted: (right / (true + predicted))[1:].nanmean()),
     _from_counts(lambda right, true, predicted: (2 * right / (true + predicted))[1:].nanmean())),
    ("Here only Bed, Floor and Wall occur. A class that neither image has is neither right nor wrong: leave it out "
     "of the mean.",
     _from_counts(lambda *counts: _iou(*counts)[1:].nan_to_num(0).mean())),
    ("Here one pixel is called Sofa, and there is none. Such a class counts: its IoU is 0.",
     _from_counts(lambda right, true, predicted: _iou(right, true, predicted)[1:][true[1:] > 0].mean())),
    ("Two images: count the pixels of all images first, in one confusion matrix, and take IoU and mean once. You "
     "average over images.",
     lambda prediction, target: sum(map(_miou, prediction.split(1), target.split(1))) / len(target)),
    ("What was called Bed or Floor where the target is Unknown made your unions larger. Nobody knows what is right "
     "there: take these pixels out of target and prediction.",
     _from_counts(lambda *counts: _iou(*counts)[1:].nanmean(), mask=False)),
    ("With Unknown pixels in the target the result is wrong: class 0 is no class, it has no IoU, and its pixels "
     "count nowhere.",
     _from_counts(lambda *counts: _iou(*counts).nanmean(), mask=False)),
]  # fmt: skip


@checker(_miou, MIOU)
def your_miou(answer):
    random = generator(5)
    target = (torch.arange(160) % 13 + 1).view(1, 1, 10, 16)
    other = torch.randint(1, 14, target.shape, generator=random)
    prediction = torch.where(torch.rand(target.shape, generator=random) < 0.6, target, other)
    for images, otherwise in (
        (
            (prediction, target),
            "Where all 13 classes are there and every pixel is known, {right:.4f} was expected, but you return "
            "{found:.4f}: for each class, divide the right pixels by those that are of it or are predicted as it.",
        ),
        (
            (_images([1, 1, 5, 5, 12]), _images([1, 1, 1, 5, 12])),
            "Where only Bed, Floor and Wall occur, {right:.4f} was expected, but you return {found:.4f}: a class that "
            "neither image has is left out of the mean.",
        ),
        (
            (_images([1, 1, 9, 5]), _images([1, 1, 1, 5])),
            "Where one pixel is called Sofa and there is none, {right:.4f} was expected, but you return {found:.4f}: "
            "such a class counts, its IoU is 0.",
        ),
        (
            (_images([1, 1, 5, 5], [1, 12, 12, 12]), _images([1, 5, 5, 5], [12, 12, 12, 12])),
            "For two images {right:.4f} was expected, but you return {found:.4f}: count the pixels of all images "
            "first, in one confusion matrix, and take IoU and mean once.",
        ),
        (
            (_images([1, 1, 5, 5, 5, 1]), _images([1, 1, 5, 1, 0, 0])),
            "With Unknown pixels in the target {right:.4f} was expected, but you return {found:.4f}: class 0 is no "
            "class, it has no IoU, and its pixels count nowhere.",
        ),
    ):
        answer.expect(lambda f, images=images: number(f(*images)), otherwise)
    return (
        "That is mIoU as the paper's tables have it: the mean is over those of 13 classes that occur, each pixel of "
        "all images counts once, and Unknown nowhere."
    )


# ── δ ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _larger_ratio(prediction, target):
    return torch.maximum(prediction / target, target / prediction)


def _delta(prediction, target, k=1, ratio=_larger_ratio, bound=lambda k: 1.25**k, mask=lambda p, t: t > 0):
    hit = mask(prediction, target)
    return (ratio(prediction[hit], target[hit]) < bound(k)).double().mean()


def _wrong(**changes):
    return lambda prediction, target, k=1: _delta(prediction, target, k, **changes)


DELTA = [
    ("Return the share of pixels, not their number.", lambda p, t, k: _delta(p, t, k) * (t > 0).sum()),
    ("That is in percent: return a share from 0 to 1.", lambda *inputs: 100 * _delta(*inputs)),
    ("A difference of 1.25 m is not meant: divide prediction and target, and compare the ratio with 1.25 ** k.",
     _wrong(ratio=lambda p, t: (p - t).abs())),
    ("The ratio of prediction and target is taken one way only: a pixel that is twice too near is as wrong as "
     "one twice too far. Take the larger one of p / t and t / p.",
     _wrong(ratio=lambda p, t: p / t), _wrong(ratio=lambda p, t: t / p)),
    ("A ratio of exactly 1.25 is not within: the definition says smaller than. (Compare the ratios themselves, "
     "because logarithms round.)",
     _wrong(bound=lambda k: 1.25**k + 1e-6)),
    ("For k = 2 the bound is 1.25 to the power of 2, which is 1.5625, not 1.25 times 2.",
     _wrong(bound=lambda k: 1.25 * k)),
    ("For k = 2 the bound is 1.25 ** 2: yours is 1.25 for every k.", _wrong(bound=lambda k: 1.25)),
    ("A pixel without a hit (target 0) counts as wrong here. It has no true depth: divide by the number of hits, "
     "not by that of all pixels.",
     _wrong(mask=lambda p, t: torch.ones_like(t, dtype=torch.bool))),
    ("A pixel without a hit (target 0) must not count, but one whose prediction is 0 must: mask by the target "
     "alone.",
     _wrong(mask=lambda p, t: (p > 0) & (t > 0)), _wrong(mask=lambda p, t: p > 0)),
    ("Two images, with four hits and one: each hit counts once, so do not average the images' shares.",
     lambda p, t, k: sum(_delta(*images, k) for images in zip(p, t)) / len(t)),
]  # fmt: skip


@checker(_delta, DELTA)
def your_delta(answer):
    for prediction, target, k, otherwise in (
        (
            [[2.0, 2.2, 2.7, 4.0]],
            [[2.0] * 4],
            1,
            "Of depths 2, 2.2, 2.7 and 4 m, where 2 m is true, 2 of 4 are within",
        ),
        (
            [[1.0, 1.9, 2.0, 1.5]],
            [[2.0] * 4],
            1,
            "Of depths 1, 1.9, 2 and 1.5 m, where 2 m is true, 2 of 4 are within",
        ),
        ([[2.5, 2.0]], [[2.0, 2.5]], 1, "Where both ratios are exactly 1.25, none is within"),
        ([[3.0, 4.0]], [[2.0, 2.0]], 2, "For k = 2 a ratio of 1.5 is within, one of 2 is not"),
        (
            [[2.0, 3.0, 3.0, 3.0, 0.0]],
            [[2.0, 2.0, 0.0, 0.0, 2.0]],
            1,
            "Pixels without a hit (target 0) must count nowhere; of three hits one is within",
        ),
        (
            [[2.0, 2.0, 2.0, 2.0], [2.0, 0.0, 0.0, 0.0]],
            [[2.0, 2.0, 2.0, 4.0], [4.0, 0.0, 0.0, 0.0]],
            1,
            "Of two images, with four hits and one, 3 of 5 hits are within",
        ),
    ):
        images = _images(*prediction), _images(*target)
        answer.expect(
            lambda f, images=images, k=k: number(f(*images, k)),
            otherwise + ": {right:.3f}, not {found:.3f}.",
        )
    return "Ratios in both directions, over hits alone, strictly smaller: Table 4 counts in the same way."


# ── PSNR ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _psnr(prediction: torch.Tensor, target: torch.Tensor) -> float:
    metrics = RGB.metric()
    metrics.update(prediction, target)
    return metrics.compute()["psnr"]


def _rmse(prediction, target):
    return (prediction.double() - target.double()).square().mean().sqrt()


def _decibels(peak, rmse=_rmse):
    return lambda p, t: 20 * torch.log10(torch.as_tensor(peak(p, t) / rmse(p, t)))


PSNR = [
    ("That is the RMSE: PSNR compares it with 255, on a logarithmic scale.", _rmse),
    ("Mind the square: PSNR is 10 · log10(255² / MSE), or 20 · log10(255 / RMSE).",
     lambda *images: _psnr(*images) / 2,
     _decibels(lambda p, t: 255, lambda p, t: _rmse(p, t) ** 2),
     lambda *images: 10 * torch.log10(255 / _rmse(*images) ** 2)),
    ("Decibels are made with the logarithm to base 10, not the natural one.",
     lambda *images: math.log(10) * _psnr(*images)),
    ("The peak is 255, the largest value that a pixel can have: neither 1 nor the largest of this image.",
     _decibels(lambda p, t: 1),
     _decibels(lambda p, t: t.max()),
     _decibels(lambda p, t: p.max())),
    ("The sign is turned round: a smaller error must give a larger PSNR.", lambda *images: -_psnr(*images)),
    ("Where the prediction is darker than the target, the result is wrong. Images are uint8, and uint8 has no "
     "negative numbers: 10 − 40 is 226 there. Convert before you subtract.",
     _decibels(lambda p, t: 255, lambda p, t: (p - t).double().square().mean().sqrt())),
    ("Two images: take the mean squared error over all of them, then one logarithm. You average over images.",
     lambda prediction, target: sum(map(_psnr, prediction, target)) / len(target)),
]  # fmt: skip


@checker(_psnr, PSNR)
def your_psnr(answer):
    for prediction, target, otherwise in (
        ([[20, 110, 210, 60]], [[10, 100, 200, 50]], "Where every value is off by 10,"),
        ([[10, 100, 200, 50]], [[40, 130, 230, 80]], "Where the prediction is darker by 30,"),
        ([[100, 100], [100, 100]], [[110, 110], [140, 140]], "Of two images that are off by 10 and by 40,"),
    ):
        images = [_images(*rows, dtype=torch.uint8).repeat(1, 3, 1, 1) for rows in (prediction, target)]
        answer.expect(
            lambda f, images=images: number(f(*images)),
            otherwise + " PSNR is {right:.2f} dB, not {found:.2f}.",
        )
    return "One mean squared error over all pixels, colours and images, then one logarithm."


# ── Bootstrap ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _interval(values: torch.Tensor, tail: float = 0.025) -> torch.Tensor:
    return values.double().quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))


def _by_draw(first, second, drawn):
    return bootstrap(second, drawn) - bootstrap(first, drawn)


def _by_room(first, second, drawn):
    return iou(second).nanmean(-1) - iou(first).nanmean(-1)


def _each_room_once(first, second, drawn):
    rows = [row.unique() for row in drawn]
    return _interval(torch.stack([iou(second[r].sum(0)).nanmean() - iou(first[r].sum(0)).nanmean() for r in rows]))


BOOTSTRAP = [
    ("A network compared with itself must differ by 0 in every draw: use the same drawn rooms for both.",
     lambda first, second, drawn: _interval(bootstrap(second, drawn) - bootstrap(first, drawn.flip(0)))),
    ("The lower end comes first.", lambda *inputs: _interval(_by_draw(*inputs)).flip(0)),
    ("The sign is turned round: subtract the first network's mIoU from the second's.",
     lambda *inputs: _interval(-_by_draw(*inputs))),
    ("That is in percent points: return shares from 0 to 1.", lambda *inputs: 100 * _interval(_by_draw(*inputs))),
    ("You average the rooms' own mIoU. mIoU belongs to a set of rooms: add up the drawn rooms' matrices first.",
     lambda *inputs: _interval(_by_room(*inputs)[inputs[2]].mean(1))),
    ("These are quantiles over single rooms: they say how different rooms are, not how sure the mean of all is.",
     lambda *inputs: _interval(_by_room(*inputs))),
    ("A room that was drawn twice must count twice: drawing with replacement is what makes the draws differ.",
     _each_room_once),
    ("You subtract the ends of two intervals. Subtract in each draw, and take the quantiles of the differences.",
     lambda first, second, drawn: _interval(bootstrap(second, drawn)) - _interval(bootstrap(first, drawn))),
    ("An interval that holds 95 % of the draws leaves out 2.5 % at either end.",
     *(lambda *inputs, tail=tail: _interval(_by_draw(*inputs), tail) for tail in (0.05, 0.005, 0.0))),
]  # fmt: skip


@checker(lambda *inputs: _interval(_by_draw(*inputs)), BOOTSTRAP)
def your_bootstrap(answer):
    random = generator(7)
    first, second = (_rooms(share, random) for share in (0.5, 0.6))
    drawn = torch.randint(30, (60, 30), generator=random)

    def ends(f, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return tensor(f(a, b, drawn), (2,)).double()

    answer.expect(
        lambda f: ends(f, first, first),
        "A network compared with itself must differ by 0 in every draw; you return {found[0]:.4f} to {found[1]:.4f}.",
    )
    answer.expect(
        lambda f: ends(f, first, second),
        "{right[0]:.4f} to {right[1]:.4f} was expected, but you return {found[0]:.4f} to {found[1]:.4f}: for each draw "
        "add up the drawn rooms' matrices, take both mIoUs and their difference; then the 2.5 % and 97.5 % quantiles.",
    )
    return "Rooms are drawn in pairs, so what makes a room hard for both networks cancels."


def _rooms(share: float, random: torch.Generator) -> torch.Tensor:
    """Confusion matrices (30, 14, 14) of rooms in which about this share of the pixels is right."""
    matrices = []
    for _ in range(30):
        target = torch.randint(1, 14, (1, 1, 8, 8), generator=random)
        target = torch.where(torch.rand(target.shape, generator=random) < 0.6, 12, target)
        other = torch.randint(1, 14, target.shape, generator=random)
        prediction = torch.where(torch.rand(target.shape, generator=random) < share, target, other)
        matrices.append(_confusion(prediction, target))
    return torch.stack(matrices)
