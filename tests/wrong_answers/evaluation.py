"""Plausible mistakes of notebook 05, each with a fragment of the hint meant for it."""

import torch

from mmlib.evaluation import bootstrap
from mmlib.metrics import iou


def _confusion(prediction, target, valid):
    pairs = target[valid] * 14 + prediction[valid]
    return torch.bincount(pairs, minlength=196).view(14, 14)


def _unions(confusion):
    right = confusion.diagonal()
    return right, confusion.sum(0) + confusion.sum(1) - right


# ── mIoU ──


def _miou(kind: str):
    def your_miou(prediction, target):
        valid = target > 0
        if kind in ("mask forgotten", "background counted"):
            valid = torch.ones_like(valid)
        if kind == "per image":
            return torch.stack([iou(_confusion(p, t, t > 0)).nanmean() for p, t in zip(prediction, target)]).mean()
        confusion = _confusion(prediction, target, valid)
        right, union = _unions(confusion)
        if kind == "global":
            return right.sum() / confusion.sum()
        if kind == "recall":
            return (right / confusion.sum(1))[1:].nanmean()
        if kind == "no minus":
            return (right / (confusion.sum(0) + confusion.sum(1)))[1:].nanmean()
        if kind == "background counted":
            return (right / union).nanmean()
        if kind == "fourteen":
            return (right / union.clamp_min(1)).mean()
        if kind == "absent is zero":
            return (right / union.clamp_min(1))[1:].mean()
        if kind == "nan":
            return (right / union)[1:].mean()
        if kind == "classes of the target":
            return (right / union)[1:][confusion.sum(1)[1:] > 0].mean()
        return (right / union)[1:].nanmean()

    return your_miou


# ── δ ──


def _delta(kind: str):
    def your_delta(prediction, target, k=1):
        valid = target > 0
        if kind == "mask of both":
            valid = valid & (prediction > 0)
        if kind == "mask of the prediction":
            valid = prediction > 0
        if kind == "mask forgotten":
            valid = torch.ones_like(valid)
        p, t = prediction[valid], target[valid]
        ratio = torch.maximum(p / t, t / p)
        if kind == "difference":
            ratio = (p - t).abs()
        if kind == "too far only":
            ratio = p / t
        if kind == "too near only":
            ratio = t / p
        bound = 1.25 * k if kind == "times" else 1.25 if kind == "k forgotten" else 1.25**k
        within = ratio <= bound if kind == "not strict" else ratio < bound
        if kind == "per image":
            shares = [within[image].float().mean() for image in _by_image(valid)]
            return torch.stack(shares).mean()
        return within.sum() if kind == "number" else within.float().mean()

    return your_delta


def _by_image(valid):
    image = torch.arange(len(valid)).view(-1, 1, 1, 1).expand_as(valid)[valid]
    return [image == number for number in range(len(valid))]


# ── PSNR ──


def _psnr(kind: str):
    def your_psnr(prediction, target):
        difference = prediction.double() - target.double()
        if kind == "uint8":
            difference = (prediction - target).double()
        mse = (difference**2).mean()
        if kind == "no square":
            return 10 * torch.log10(255 / mse.sqrt())
        if kind == "mse for rmse":
            return 20 * torch.log10(255 / mse)
        if kind == "natural":
            return 20 * torch.log(255 / mse.sqrt())
        if kind == "largest value":
            return 20 * torch.log10(target.max() / mse.sqrt())
        if kind == "rmse":
            return mse.sqrt()
        if kind == "per image":
            return (10 * torch.log10(255**2 / (difference**2).flatten(1).mean(1))).mean()
        return 20 * torch.log10(255 / mse.sqrt())

    return your_psnr


# ── Bootstrap ──


def _interval(values, tail=0.025):
    return values.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))


def _bootstrap(kind: str):
    def your_bootstrap(first, second, drawn):
        by_room = iou(second).nanmean(-1) - iou(first).nanmean(-1)
        if kind == "mean of rooms":
            return _interval(by_room[drawn].mean(1))
        if kind == "single rooms":
            return _interval(by_room)
        if kind == "each drawn once":
            sums = [(second[r.unique()].sum(0), first[r.unique()].sum(0)) for r in drawn]
            return _interval(torch.stack([iou(b).nanmean() - iou(a).nanmean() for b, a in sums]))
        a, b = bootstrap(first, drawn), bootstrap(second, drawn)
        if kind == "other rooms":
            return _interval(b - bootstrap(first, drawn.flip(0)))
        if kind == "sign":
            return _interval(a - b)
        if kind == "ends":
            return _interval(b) - _interval(a)
        if kind == "90 %":
            return _interval(b - a, 0.05)
        if kind == "upper first":
            return _interval(b - a).flip(0)
        if kind == "differences":
            return b - a
        return _interval(b - a)

    return your_bootstrap


WRONG_ANSWERS = [
    (_miou("mask forgotten"), "made your unions larger"),
    (_miou("background counted"), "class 0 is no class"),
    (_miou("fourteen"), "You divide by 14 classes"),
    (_miou("absent is zero"), "only Bed, Floor and Wall occur"),
    (_miou("nan"), "gives 0 / 0"),
    (_miou("classes of the target"), "one pixel is called Sofa"),
    (_miou("per image"), "average over images"),
    (_miou("global"), "the global score"),
    (_miou("recall"), "gives recall or precision"),
    (_miou("no minus"), "the union counts them once"),
    (_delta("mask forgotten"), "divide by the number of hits"),
    (_delta("mask of both"), "one whose prediction is 0 must"),
    (_delta("mask of the prediction"), "one whose prediction is 0 must"),
    (_delta("difference"), "A difference of 1.25 m is not meant"),
    (_delta("too far only"), "taken one way only"),
    (_delta("too near only"), "taken one way only"),
    (_delta("not strict"), "the definition says smaller than"),
    (_delta("times"), "not 1.25 times 2"),
    (_delta("k forgotten"), "For k = 2 the bound is 1.25 ** 2"),
    (_delta("number"), "not their number"),
    (_delta("per image"), "do not average the images' shares"),
    (_psnr("uint8"), "uint8 has no negative numbers"),
    (_psnr("no square"), "Mind the square"),
    (_psnr("mse for rmse"), "Mind the square"),
    (_psnr("natural"), "not the natural one"),
    (_psnr("largest value"), "The peak is 255"),
    (_psnr("rmse"), "That is the RMSE"),
    (_psnr("per image"), "You seem to average over images"),
    (_bootstrap("mean of rooms"), "You average the rooms' own mIoU"),
    (_bootstrap("single rooms"), "how different rooms are"),
    (_bootstrap("each drawn once"), "must count twice"),
    (_bootstrap("other rooms"), "use the same drawn rooms for both"),
    (_bootstrap("sign"), "The sign is turned round"),
    (_bootstrap("ends"), "You subtract the ends of two intervals"),
    (_bootstrap("90 %"), "leaves out 2.5 % at either end"),
    (_bootstrap("upper first"), "The lower end comes first"),
    (_bootstrap("differences"), "it should be (2,)"),
]
