"""Metrics: accumulators of what is right and wrong, over all pixels that have a target.

Metrics take *raw* images: class ids, metres, 0–255, unit vectors. Pixels without a target (class 0, depth 0, a vector
of zeros) count nowhere. `headline` names the measure that stands for all. Paper: tables 1 to 3 (mIoU, global), table 4
(δ < 1.25^k, RMSE).
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch


class Metric(Protocol):
    """What accumulates over `update`s of predictions and targets, raw images of one shape, and `compute`s measures."""

    headline: str

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None: ...

    def compute(self) -> dict[str, Any]: ...


class SegmentationMetrics:
    """Intersection over union from one confusion matrix over all pixels whose target is a named class.

    `classes`: the names of all K classes, Unknown first. `confusion[target, prediction]` int64 (K, K), row 0 stays
    empty. `compute()`: `iou` by class (None where neither target nor prediction has it), `miou` their mean, `global`
    the share of pixels that are right.
    """

    headline = "miou"

    def __init__(self, classes: Sequence[str]):
        self.classes = tuple(classes)
        self.confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        valid = target > 0
        pairs = target[valid].long() * len(self.classes) + prediction[valid].long()
        self.confusion += torch.bincount(pairs, minlength=len(self.classes) ** 2).view_as(self.confusion)

    def compute(self) -> dict[str, Any]:
        shares = {name: None if math.isnan(s) else s for name, s in zip(self.classes[1:], iou(self.confusion).tolist())}
        present = [share for share in shares.values() if share is not None]
        return {
            "miou": _ratio(sum(present), len(present)),
            "global": _ratio(self.confusion.diagonal().sum().item(), self.confusion.sum().item()),
            "iou": shares,
        }


def iou(confusion: torch.Tensor) -> torch.Tensor:
    """Intersection over union by class, float64 (…, K − 1), of confusion matrices (…, K, K), `[target, prediction]`.

    Unknown is left out; a class that neither target nor prediction has is NaN, so that mIoU is `iou(…).nanmean(-1)`.
    """
    right = confusion.diagonal(dim1=-2, dim2=-1)
    union = confusion.sum(-2) + confusion.sum(-1) - right
    return (right.double() / union.double())[..., 1:]


class DepthMetrics:
    """Depth in metres where the target is a hit: `delta1..3`, `rmse` (metres) and `rmse_log` (natural logarithm).

    `delta_k` is the share of pixels with max(p/t, t/p) < 1.25^k; for ratios and logarithms, p is at least 1 mm.
    """

    headline = "delta1"

    def __init__(self) -> None:
        self.pixels = 0
        self.sums = torch.zeros(5, dtype=torch.float64)  # within 1.25, 1.25², 1.25³; squared error; squared log error

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        valid = target > 0
        p, t = prediction[valid].double(), target[valid].double()
        positive = p.clamp_min(0.001)
        ratio = torch.maximum(positive / t, t / positive)
        within = [(ratio < 1.25**k).sum() for k in (1, 2, 3)]
        self.sums += torch.stack([*within, ((p - t) ** 2).sum(), ((positive / t).log() ** 2).sum()])
        self.pixels += len(t)

    def compute(self) -> dict[str, Any]:
        delta1, delta2, delta3, square, square_log = (_ratio(total, self.pixels) for total in self.sums.tolist())
        deltas = {"delta1": delta1, "delta2": delta2, "delta3": delta3}
        return deltas | {"rmse": _root(square), "rmse_log": _root(square_log)}


class RGBMetrics:
    """Colour over all pixels and channels: `rmse` on the 0–255 scale and `psnr` in decibels (None when exact)."""

    headline = "psnr"

    def __init__(self) -> None:
        self.values = 0
        self.square = 0.0

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        self.square += ((prediction.double() - target.double()) ** 2).sum().item()
        self.values += target.numel()

    def compute(self) -> dict[str, Any]:
        rmse = _root(_ratio(self.square, self.values))
        return {"psnr": 20 * math.log10(255 / rmse) if rmse else None, "rmse": rmse}


class NumberMetrics:
    """Maps of numbers in which all pixels count: `mae`, the mean absolute error, and `rmse`, in the map's own unit."""

    headline = "mae"

    def __init__(self) -> None:
        self.values = 0
        self.absolute = self.square = 0.0

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        error = prediction.double() - target.double()
        self.absolute += error.abs().sum().item()
        self.square += (error**2).sum().item()
        self.values += error.numel()

    def compute(self) -> dict[str, Any]:
        return {"mae": _ratio(self.absolute, self.values), "rmse": _root(_ratio(self.square, self.values))}


class NormalsMetrics:
    """The angle between unit vectors, in degrees, where the target is a hit: `mean`, `median`, and `within11`,
    `within22`, `within30`, the shares of pixels within 11.25°, 22.5° and 30° (Fouhey et al. 2013)."""

    headline = "mean"

    def __init__(self) -> None:
        self.counts = torch.zeros(1801, dtype=torch.int64)  # in tenths of a degree, from 0 to 180

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        valid = target.square().sum(1) > 0.25
        p, t = prediction.movedim(1, -1)[valid].double(), target.movedim(1, -1)[valid].double()
        degrees = torch.rad2deg(torch.atan2(torch.linalg.cross(p, t).norm(dim=-1), (p * t).sum(-1)))
        self.counts += torch.bincount((10 * degrees).round().long(), minlength=1801)

    def compute(self) -> dict[str, Any]:
        pixels = self.counts.sum().item()
        degrees = torch.arange(1801, dtype=torch.float64) / 10
        share = self.counts.cumsum(0) / max(pixels, 1)
        mean = _ratio((self.counts * degrees).sum().item(), pixels)
        median = degrees[torch.searchsorted(share, 0.5)].item() if pixels else None
        limits = {"within11": 112, "within22": 225, "within30": 300}
        within = {name: share[tenths].item() if pixels else None for name, tenths in limits.items()}
        return {"mean": mean, "median": median, **within}


def _same_shape(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {tuple(prediction.shape)}, but the target is {tuple(target.shape)}")
    return prediction.cpu(), target.cpu()


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _root(square: float | None) -> float | None:
    return None if square is None else math.sqrt(square)
