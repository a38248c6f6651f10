"""Notebook 05: mIoU, δ, PSNR and a bootstrap, each by hand."""

import math

import torch

from ...evaluation import bootstrap
from ...metrics import iou
from ...modalities import CLASSES, modality
from . import checker, close, number, require, tensor


def _images(*rows: list) -> torch.Tensor:
    """One image (1, 1, W) a row of numbers, stacked to (N, 1, 1, W)."""
    return torch.tensor(rows)[:, None, None]


def _measured(name: str, key: str, prediction: torch.Tensor, target: torch.Tensor) -> float:
    metrics = modality(name).metric()
    metrics.update(prediction, target)
    return metrics.compute()[key]


# ── mIoU ──


@checker
def your_miou(answer):
    def score(prediction: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
        value = number(answer(prediction, target))
        nothing = "The result is not a number: a class that neither image has gives 0 / 0. Leave it out of the mean."
        require(not math.isnan(value), nothing)
        return value, _measured("segmentation", "miou", prediction, target)

    # all 13 classes are there, every pixel is known, one image
    random = torch.Generator().manual_seed(5)
    target = (torch.arange(160) % 13 + 1).view(1, 1, 10, 16)
    other = torch.randint(1, 14, target.shape, generator=random)
    prediction = torch.where(torch.rand(target.shape, generator=random) < 0.6, target, other)
    value, expected = score(prediction, target)
    matrix = _confusion(prediction, target)[1:, 1:].double()
    right, true, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    require(not close(value, expected * 13 / 14), "You divide by 14 classes, but Unknown is none: 13 count.")
    require(not close(value, 100 * expected), "That is in percent: return a share from 0 to 1.")
    require(
        not close(value, right.sum() / true.sum()),
        "That is the share of pixels that are right, the global score: IoU is taken class by class, and then averaged.",
    )
    for total in (true, said):
        require(
            not close(value, (right / total).mean()),
            "You divide by the row's or the column's sum alone, which gives recall or precision. The union is all "
            "pixels that are of the class or are said to be.",
        )
    require(
        not any(close(value, (times * right / (true + said)).mean()) for times in (1, 2)),
        "Row plus column holds the right pixels twice: the union counts them once.",
    )
    require(
        close(value, expected),
        f"Where all 13 classes are there and every pixel is known, I expected {expected:.4f}, but got {value:.4f}: "
        "divide, for each class, the pixels that are right by those that are of it or are said to be.",
    )

    value, expected = score(_images([1, 1, 5, 5, 12]), _images([1, 1, 1, 5, 12]))
    require(
        close(value, expected),
        "Here only Bed, Floor and Wall occur. A class that neither image has is neither right nor wrong: leave it out "
        "of the mean.",
    )
    value, expected = score(_images([1, 1, 9, 5]), _images([1, 1, 1, 5]))
    require(
        close(value, expected),
        "Here one pixel is called Sofa, and there is none. Such a class counts: its IoU is 0.",
    )
    value, expected = score(_images([1, 1, 5, 5], [1, 12, 12, 12]), _images([1, 5, 5, 5], [12, 12, 12, 12]))
    require(
        close(value, expected),
        "Two images: count the pixels of all images first, in one confusion matrix, and take IoU and mean once. You "
        "seem to average over images.",
    )

    prediction, target = _images([1, 1, 5, 5, 5, 1]), _images([1, 1, 5, 1, 0, 0])
    value, expected = score(prediction, target)
    unmasked = iou(_confusion(prediction, target))
    require(
        not close(value, unmasked.nanmean()),
        "What was called Bed or Floor where the target is Unknown made your unions larger. Nobody knows what is right "
        "there: take these pixels out of target and prediction.",
    )
    require(
        close(value, expected),
        "With Unknown pixels in the target the result is wrong: class 0 is no class, it has no IoU, and its pixels "
        "count nowhere.",
    )
    everywhere = (
        f"the mean is over those of {len(CLASSES) - 1} classes that occur, each pixel of all images counts once"
    )
    return f"That is mIoU as the paper's tables have it: {everywhere}, and Unknown nowhere."


def _confusion(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Confusion (14, 14) with Unknown targets in row 0, as one gets it without a mask."""
    return torch.bincount((target * 14 + prediction).flatten(), minlength=196).view(14, 14)


# ── δ ──


@checker
def your_delta(answer):
    def share(prediction: list, target: list, k: int = 1) -> float:
        return number(answer(_images(*prediction), _images(*target), k))

    value = share([[2.0, 2.2, 2.7, 4.0]], [[2.0, 2.0, 2.0, 2.0]])
    require(not close(value, 2), "Return the share of pixels, not their number.")
    require(not close(value, 50), "That is in percent: return a share from 0 to 1.")
    require(
        not close(value, 3 / 4),
        "A difference of 1.25 m is not meant: divide prediction and target, and compare the ratio with 1.25 ** k.",
    )
    one_sided = (
        "The ratio of prediction and target is taken one way only: a pixel that is twice too near is as wrong as one "
        "twice too far. Take the larger one of p / t and t / p."
    )
    require(not close(value, 1), one_sided)
    require(close(value, 1 / 2), f"Depths 2, 2.2, 2.7 and 4 m, where 2 m is true: 2 of 4 are within, got {value:.3f}.")
    value = share([[1.0, 1.9, 2.0, 1.5]], [[2.0, 2.0, 2.0, 2.0]])
    require(close(value, 1 / 2), one_sided)
    value = share([[2.5, 2.0]], [[2.0, 2.5]])
    require(
        close(value, 0),
        "A ratio of exactly 1.25 is not within: the definition says smaller than. (Compare the ratios themselves, for "
        "logarithms round.)",
    )
    value = share([[3.0, 4.0]], [[2.0, 2.0]], 2)
    require(not close(value, 1), "For k = 2 the bound is 1.25 to the power of 2, which is 1.5625, not 1.25 times 2.")
    require(close(value, 1 / 2), "For k = 2 the bound is 1.25 ** 2: a ratio of 1.5 is within, one of 2 is not.")
    value = share([[2.0, 3.0, 3.0, 3.0, 0.0]], [[2.0, 2.0, 0.0, 0.0, 2.0]])
    require(
        not close(value, 1 / 5),
        "A pixel without a hit (target 0) counts as wrong here. It has no true depth: divide by the number of hits, "
        "not by that of all pixels.",
    )
    require(
        not (close(value, 1 / 2) or close(value, 1 / 4)),
        "A pixel without a hit (target 0) must not count, but one whose prediction is 0 must: mask by the target "
        "alone.",
    )
    require(close(value, 1 / 3), "With pixels without a hit (target 0) the result is wrong: they must count nowhere.")
    value = share([[2.0, 2.0, 2.0, 2.0], [2.0, 0.0, 0.0, 0.0]], [[2.0, 2.0, 2.0, 4.0], [4.0, 0.0, 0.0, 0.0]])
    require(
        close(value, 3 / 5),
        "Two images, with four hits and one: each hit counts once, so do not average the images' shares.",
    )
    return "Ratios in both directions, over hits alone, strictly smaller: so Table 4 counts."


# ── PSNR ──


@checker
def your_psnr(answer):
    def ask(prediction: list, target: list) -> tuple[float, float]:
        images = [
            torch.tensor(rows, dtype=torch.uint8)[:, None, None].repeat(1, 3, 1, 1) for rows in (prediction, target)
        ]
        return number(answer(*images)), _measured("rgb", "psnr", *images)

    value, expected = ask([[20, 110, 210, 60]], [[10, 100, 200, 50]])
    require(not close(value, 10.0), "That is the RMSE: PSNR compares it with 255, on a logarithmic scale.")
    require(
        not any(close(value, wrong) for wrong in (expected / 2, 20 * math.log10(2.55), 10 * math.log10(2.55))),
        "Mind the square: PSNR is 10 · log10(255² / MSE), or 20 · log10(255 / RMSE).",
    )
    require(
        not close(value, expected * math.log(10)),
        "Decibels are made with the logarithm to base 10, not the natural one.",
    )
    peak = [20 * math.log10(largest / 10) for largest in (1, 200, 210)]
    require(
        not any(close(value, wrong) for wrong in peak),
        "The peak is 255, the largest value that a pixel can have: neither 1 nor the largest of this image.",
    )
    require(not close(value, -expected), "The sign is turned round: a smaller error must give a larger PSNR.")
    require(
        close(value, expected), f"Every value is off by 10: PSNR is {expected:.2f} dB, but your answer is {value:.2f}."
    )
    value, expected = ask([[10, 100, 200, 50]], [[40, 130, 230, 80]])
    require(
        close(value, expected),
        "Where the prediction is darker than the target, the result is wrong. Images are uint8, and uint8 has no "
        "negative numbers: 10 − 40 is 226 there. Convert before you subtract.",
    )
    value, expected = ask([[100, 100], [100, 100]], [[110, 110], [140, 140]])
    require(
        close(value, expected),
        "Two images: take the mean squared error over all of them, then one logarithm. You seem to average over "
        "images.",
    )
    return "One mean squared error over all pixels, colours and images, then one logarithm."


# ── Bootstrap ──


@checker
def your_bootstrap(answer):
    random = torch.Generator().manual_seed(7)
    first, second = (_rooms(share, random) for share in (0.5, 0.6))
    drawn = torch.randint(30, (60, 30), generator=random)

    def ask(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return tensor(answer(a, b, drawn), (2,)).double()

    require(
        close(ask(first, first), torch.zeros(2)),
        "A network compared with itself must differ by 0 in every draw: use the same drawn rooms for both.",
    )
    value = ask(first, second)
    differences = bootstrap(second, drawn) - bootstrap(first, drawn)
    expected = _quantiles(differences)
    require(not close(value, expected.flip(0)), "The lower end comes first.")
    require(
        not close(value, -expected.flip(0)),
        "The sign is turned round: subtract the first network's mIoU from the second's.",
    )
    require(not close(value, 100 * expected), "That is in percent points: return shares from 0 to 1.")
    by_room = iou(second).nanmean(-1) - iou(first).nanmean(-1)
    require(
        not close(value, _quantiles(by_room[drawn].mean(1))),
        "You average the rooms' own mIoU. mIoU belongs to a set of rooms: add up the matrices of the drawn rooms "
        "first.",
    )
    require(
        not close(value, _quantiles(by_room)),
        "These are quantiles over single rooms: they say how different rooms are, not how sure the mean of all is.",
    )
    once = torch.stack([iou(second[r].sum(0)).nanmean() - iou(first[r].sum(0)).nanmean() for r in _unique(drawn)])
    require(
        not close(value, _quantiles(once)),
        "A room that was drawn twice must count twice: drawing with replacement is what makes the draws differ.",
    )
    require(
        not close(value, _quantiles(bootstrap(second, drawn)) - _quantiles(bootstrap(first, drawn))),
        "You subtract the ends of two intervals. Subtract in each draw, and take the quantiles of the differences.",
    )
    require(
        not any(close(value, _quantiles(differences, tail)) for tail in (0.05, 0.005, 0.0)),
        "An interval that holds 95 % of the draws leaves out 2.5 % at either end.",
    )
    require(
        close(value, expected),
        f"I expected {expected[0]:.4f} to {expected[1]:.4f}, but got {value[0]:.4f} to {value[1]:.4f}: for each draw "
        "add up the drawn rooms' matrices, take both mIoUs and their difference; then the 2.5 % and 97.5 % quantiles.",
    )
    return "Rooms are drawn in pairs, so what makes a room hard for both networks cancels."


def _quantiles(values: torch.Tensor, tail: float = 0.025) -> torch.Tensor:
    return values.double().quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))


def _unique(drawn: torch.Tensor) -> list[torch.Tensor]:
    return [rows.unique() for rows in drawn]


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
