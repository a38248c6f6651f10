"""Measuring: the paper's metrics, all nine translations as one table, latent alignment, and the zero-pair audit.

Metrics take *raw* images (see `mmlib.modalities`): class ids, metres, 0–255. Pixels without a target (class 0, depth 0)
count nowhere. Paper: tables 1 to 3 (mIoU, global), table 4 (δ < 1.25^k, RMSE), section 5.1.
"""

import contextlib
import functools
import itertools
import json
import math
import sys
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import torch

from mmlib.data import SHIPPED, Rooms, ranges, written_whole
from mmlib.modalities import CLASSES, SEGMENTATION, known_modalities, modality
from mmlib.networks import Encoding

# ── Metrics ────────────────────────────────────────────────────────────────────────────────────────────────────────


class SegmentationMetrics:
    """Intersection over union from one confusion matrix over all pixels whose target is a named class.

    `confusion[target, prediction]` int64 (14, 14), row 0 stays empty. `compute()`: `iou` by class (None where neither
    target nor prediction has it), `miou` their mean, `global` the share of pixels that are right.
    """

    def __init__(self):
        self.confusion = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.int64)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        valid = target > 0
        pairs = target[valid].long() * len(CLASSES) + prediction[valid].long()
        self.confusion += torch.bincount(pairs, minlength=len(CLASSES) ** 2).view_as(self.confusion)

    def compute(self) -> dict:
        shares = {name: None if math.isnan(s) else s for name, s in zip(CLASSES[1:], iou(self.confusion).tolist())}
        present = [share for share in shares.values() if share is not None]
        return {
            "miou": _ratio(sum(present), len(present)),
            "global": _ratio(self.confusion.diagonal().sum().item(), self.confusion.sum().item()),
            "iou": shares,
        }


def iou(confusion: torch.Tensor) -> torch.Tensor:
    """Intersection over union by class, float64 (…, 13), of confusion matrices (…, 14, 14), `[target, prediction]`.

    Unknown is left out; a class that neither target nor prediction has is NaN, so that mIoU is `iou(…).nanmean(-1)`.
    """
    right = confusion.diagonal(dim1=-2, dim2=-1)
    union = confusion.sum(-2) + confusion.sum(-1) - right
    return (right.double() / union.double())[..., 1:]


class DepthMetrics:
    """Depth in metres where the target is a hit: `delta1..3`, `rmse` (metres) and `rmse_log` (natural logarithm).

    `delta_k` is the share of pixels with max(p/t, t/p) < 1.25^k; for ratios and logarithms, p is at least 1 mm.
    """

    def __init__(self):
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

    def compute(self) -> dict:
        delta1, delta2, delta3, square, square_log = (_ratio(total, self.pixels) for total in self.sums.tolist())
        deltas = {"delta1": delta1, "delta2": delta2, "delta3": delta3}
        return deltas | {"rmse": _root(square), "rmse_log": _root(square_log)}


class RGBMetrics:
    """Colour over all pixels and channels: `rmse` on the 0–255 scale and `psnr` in decibels (None when exact)."""

    def __init__(self):
        self.values = 0
        self.square = 0.0

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        self.square += ((prediction.double() - target.double()) ** 2).sum().item()
        self.values += target.numel()

    def compute(self) -> dict:
        rmse = _root(_ratio(self.square, self.values))
        return {"psnr": 20 * math.log10(255 / rmse) if rmse else None, "rmse": rmse}


class NormalsMetrics:
    """The angle between unit vectors, in degrees, where the target is a hit: `mean`, `median`, and `within11`,
    `within22`, `within30`, the shares of pixels within 11.25°, 22.5° and 30° (Fouhey et al. 2013)."""

    def __init__(self):
        self.counts = torch.zeros(1801, dtype=torch.int64)  # in tenths of a degree, from 0 to 180

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        prediction, target = _same_shape(prediction, target)
        valid = modality("normals").valid(target)[:, 0]
        p, t = prediction.movedim(1, -1)[valid].double(), target.movedim(1, -1)[valid].double()
        degrees = torch.rad2deg(torch.atan2(torch.linalg.cross(p, t).norm(dim=-1), (p * t).sum(-1)))
        self.counts += torch.bincount((10 * degrees).round().long(), minlength=1801)

    def compute(self) -> dict:
        pixels = self.counts.sum().item()
        degrees = torch.arange(1801, dtype=torch.float64) / 10
        share = self.counts.cumsum(0) / max(pixels, 1)
        mean = _ratio((self.counts * degrees).sum().item(), pixels)
        median = degrees[torch.searchsorted(share, 0.5)].item() if pixels else None
        limits = {"within11": 112, "within22": 225, "within30": 300}
        within = {name: share[tenths].item() if pixels else None for name, tenths in limits.items()}
        return {"mean": mean, "median": median, **within}


METRICS = {"segmentation": SegmentationMetrics, "depth": DepthMetrics, "rgb": RGBMetrics, "normals": NormalsMetrics}
"""The accumulator that a `Modality.metric` names."""


def _same_shape(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {tuple(prediction.shape)}, but the target is {tuple(target.shape)}")
    return prediction.cpu(), target.cpu()


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _root(square: float | None) -> float | None:
    return None if square is None else math.sqrt(square)


# ── All translations ───────────────────────────────────────────────────────────────────────────────────────────────


def seen(source: str, target: str, anchor: str = "rgb") -> bool:
    """Whether training had pairs of these: each is paired with the anchor alone, so depth ↔ segmentation never is."""
    return source == target or anchor in (source, target)


def _device(model) -> torch.device | None:
    return next((p.device for p in model.parameters()), None) if isinstance(model, torch.nn.Module) else None


@contextlib.contextmanager
def _eval_mode(model) -> Iterator[None]:
    """A module in eval mode, and at the end each part of it in the mode that it had."""
    modes = [(part, part.training) for part in model.modules()] if isinstance(model, torch.nn.Module) else []
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.inference_mode()
def evaluate(
    model,
    rooms: Rooms,
    batch_size: int = 25,
    device: torch.device | str | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
) -> dict:
    """Measure every translation of a model on `Triplets`, or some of them on any rooms that hold what they need.

    `model` has `.encode(x, name)`, `.decode(encoding, name)` and `.modalities` (names); a module is put in eval mode,
    and each part of it back in the mode it had. Images go to `device`, or to where the module is. Each input is encoded
    once and decoded into every target. `sources` and `targets` narrow the table. Returns {"rooms", "size", "split",
    "data_sha256", "translations": {"depth_to_segmentation": {…, "seen": False}, …}}.
    """
    sources = tuple(sources or model.modalities)
    targets = tuple(targets or model.modalities)
    if absent := [name for name in dict.fromkeys(sources + targets) if name not in rooms.modalities]:
        raise ValueError(f"{rooms.split} holds {', '.join(rooms.modalities)}; {', '.join(absent)} was asked for")
    metrics = {(source, target): METRICS[modality(target).metric]() for source in sources for target in targets}
    device = device or _device(model)
    with _eval_mode(model):
        for start in range(0, len(rooms), batch_size):
            batch = rooms.batch(range(start, min(start + batch_size, len(rooms))))
            batch = {name: raw.to(device) for name, raw in batch.items()}
            for source in sources:
                encoding = model.encode(modality(source).to_input(batch[source]), source)
                for target in targets:
                    prediction = modality(target).to_raw(model.decode(encoding, target))
                    metrics[source, target].update(prediction, batch[target])
    return {
        "rooms": len(rooms),
        "size": rooms.size,
        "split": rooms.split,
        "data_sha256": rooms.sha256,
        "translations": {f"{s}_to_{t}": {**metric.compute(), "seen": seen(s, t)} for (s, t), metric in metrics.items()},
    }


@torch.inference_mode()
def confusion_by_room(
    model, rooms: Rooms, source: str, batch_size: int = 25, device: torch.device | str | None = None
) -> torch.Tensor:
    """`source` → segmentation room by room: confusion matrices, int64 (rooms, 14, 14); `evaluate` measures their sum.

    `model` as in `evaluate`, in eval mode.
    """
    metrics = [SegmentationMetrics() for _ in rooms.rooms]
    for start in range(0, len(rooms), batch_size):
        places = range(start, min(start + batch_size, len(rooms)))
        batch = rooms.batch(places)
        image = modality(source).to_input(batch[source].to(device or _device(model)))
        prediction = SEGMENTATION.to_raw(model.decode(model.encode(image, source), "segmentation"))
        for place, p, t in zip(places, prediction, batch["segmentation"]):
            metrics[place].update(p, t)
    return torch.stack([metric.confusion for metric in metrics])


def bootstrap(confusions: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """mIoU, float64 (draws,), of rooms drawn with replacement: how much a result depends on the rooms that were there.

    `confusions` (rooms, 14, 14) as from `confusion_by_room`; `drawn` int64 (draws, rooms), positions of rooms. Two
    networks are compared on the same `drawn`.
    """
    times = torch.zeros(len(drawn), len(confusions), dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    summed = times @ confusions.flatten(1).double()
    return iou(summed.view(-1, *confusions.shape[1:])).nanmean(-1)


@torch.inference_mode()
def fusion(
    model,
    rooms: Rooms,
    first: str,
    second: str,
    target: str,
    alphas: Sequence[float],
    indices: str = "",
    batch_size: int = 25,
) -> list[dict]:
    """(`first`, `second`) → `target` for each α, the weight of the latent of `second` (section 5.4, Figure 7).

    `indices` names the source whose side information the decoder gets, `first` by default. A module is put in eval
    mode, and back. Each input is encoded once. Returns what the target's metric computes, with its `alpha`, for each
    α. `ValueError` where `rooms` lack a modality, or `indices` names neither source.
    """
    if absent := [name for name in dict.fromkeys((first, second, target)) if name not in rooms.modalities]:
        raise ValueError(f"{rooms.split} holds {', '.join(rooms.modalities)}; {', '.join(absent)} was asked for")
    if indices not in ("", first, second):
        raise ValueError(f"indices of {indices!r} were asked for, but the sources are {first} and {second}")
    metrics = [METRICS[modality(target).metric]() for _ in alphas]
    device = _device(model)
    with _eval_mode(model):
        for start in range(0, len(rooms), batch_size):
            batch = rooms.batch(range(start, min(start + batch_size, len(rooms))))
            f, g = (model.encode(modality(name).to_input(batch[name].to(device)), name) for name in (first, second))
            for alpha, metric in zip(alphas, metrics, strict=True):
                fused = f.fuse(g, alpha) if indices in ("", first) else g.fuse(f, 1 - alpha)
                metric.update(modality(target).to_raw(model.decode(fused, target)), batch[target])
    return [{"alpha": alpha, **metric.compute()} for alpha, metric in zip(alphas, metrics)]


@torch.inference_mode()
def agreement(model, rooms: Rooms, source: str, target: str, batch_size: int = 50) -> dict:
    """How far the unseen translation says of a room what the seen one says, by the target's metric.

    The answer of RGB → `target` stands for the truth, so `rooms` need RGB and `source` alone: of the unseen pair this
    is all that can be measured without a true pair. High where one is right and where both are wrong alike.
    """
    metric, device = METRICS[modality(target).metric](), _device(model)
    with _eval_mode(model):
        for start in range(0, len(rooms), batch_size):
            batch = rooms.batch(range(start, min(start + batch_size, len(rooms))))
            said = [
                modality(target).to_raw(model.translate(modality(name).to_input(batch[name].to(device)), name, target))
                for name in (source, "rgb")
            ]
            metric.update(*(raw.cpu() for raw in said))
    return metric.compute()


@torch.inference_mode()
def alignment(model, rooms: Rooms, first: str, second: str) -> dict:
    """How well what two encoders say of one room agrees, over `rooms` (at least 4), all of them in one batch.

    `retrieval_at_1`: the share of rooms whose latent of `first` is nearer (Euclidean) to their own room's latent of
    `second` than to any other room's. `distance`: for each pooled stage, the last being the latent, the mean distance
    between features of one room over that between features of different rooms; 0 is perfect, 1 says that the room makes
    no difference. `cka`: for each stage, centred kernel alignment with a linear kernel (Kornblith et al. 2019), without
    the bias of few rooms; 1 says that rooms resemble each other alike in both, whatever the axes, 0 that nothing is
    shared. `index_agreement`: for each stage, the share of equal pooling indices; chance is a quarter.
    """
    if len(rooms) < 4:
        raise ValueError(f"split {rooms.split}: alignment compares rooms, at least 4, and has only {len(rooms)}")
    batch = {name: raw.to(_device(model)) for name, raw in rooms.batch(range(len(rooms))).items()}
    f, g = (model.encode(modality(name).to_input(batch[name]), name) for name in (first, second))
    distances = [
        torch.cdist(a.flatten(1).double().cpu(), b.flatten(1).double().cpu()) for a, b in zip(f.pooled, g.pooled)
    ]
    right = distances[-1].argmin(1) == torch.arange(len(rooms))
    return {
        "retrieval_at_1": right.double().mean().item(),
        "distance": [_own_over_others(stage) for stage in distances],
        "cka": [cka(a.flatten(1), b.flatten(1)) for a, b in zip(f.pooled, g.pooled)],
        "index_agreement": index_agreement(f, g),
    }


def cka(first: torch.Tensor, second: torch.Tensor) -> float:
    """Linear centred kernel alignment of features (rooms, …) of the same rooms in order; at least 4 rooms.

    From unbiased estimates of the Hilbert–Schmidt independence criterion (Song et al. 2012), so that few rooms with
    many features do not look alike by themselves; it can fall a little below 0.
    """
    if len(first) < 4 or len(first) != len(second):
        raise ValueError(f"CKA compares at least 4 rooms, the same in both: got {len(first)} and {len(second)}")
    grams = []
    for features in (first, second):
        features = features.flatten(1).double().cpu()
        gram = features @ features.T
        grams.append(gram.fill_diagonal_(0))

    def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        n = len(a)
        mean = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * a.sum(0) @ b.sum(0)
        return (a * b).sum() + mean

    own = hsic(grams[0], grams[0]) * hsic(grams[1], grams[1])
    return (hsic(*grams) / own.clamp_min(1e-30).sqrt()).item()


def index_agreement(first: Encoding, second: Encoding, alive: bool = False) -> list[float]:
    """For each stage, the share of equal pooling indices in two encodings of the same rooms (section 4.2).

    Chance is a quarter where all four pixels of a window are as likely to hold its maximum. In a window whose pixels
    are all 0 after ReLU the index is the upper left one, in any encoder: `alive` leaves out the windows whose maximum
    is 0 in either encoding (NaN where none is left).
    """
    shares = []
    for a, b, p, q in zip(first.indices, second.indices, first.pooled, second.pooled):
        equal = a == b
        counted = equal[(p > 0) & (q > 0)] if alive else equal
        shares.append(counted.double().mean().item())
    return shares


def statistics_shift(reference: torch.Tensor, other: torch.Tensor) -> float:
    """How far the features of another encoder lie from those that a decoder knows; both (N, C, H, W).

    The distance of the two means of a channel (over rooms and pixels) in standard deviations of the reference, averaged
    over the channels; channels that are constant in the reference are left out. 0 says that the means agree.
    """
    mean, deviation = (statistic(reference.float(), (0, 2, 3)) for statistic in (torch.mean, torch.std))
    varies = deviation > 1e-6
    return ((other.float().mean((0, 2, 3)) - mean).abs() / deviation)[varies].mean().item()


def _own_over_others(distances: torch.Tensor) -> float:
    own, count = distances.diagonal(), len(distances)
    return (own.mean() / ((distances.sum() - own.sum()) / (count * (count - 1)))).item()


def table(result: dict) -> str:
    """The result of `evaluate` for people: a row a translation, * where training had no pairs of its modalities."""
    rows = []
    for name, row in result["translations"].items():
        source, target = name.split("_to_")
        measures = {key: value for key, value in row.items() if isinstance(value, float)}
        cells = [f"{key} {value:.3f}" for key, value in measures.items()]
        rows.append((f"{source} → {target}", "" if row["seen"] else "*", "  ".join(cells)))
    head = f"{result['rooms']} rooms of {result['split']}, {result['size']} × {result['size']} (* unseen pair)"
    return f"{head}\n{_aligned(rows)}"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def write_json(result: dict, path: str | Path) -> None:
    """Write a result with floats of six digits, not-a-number as null; path "-" is standard output."""
    text = json.dumps(_rounded(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with written_whole(path) as stream:
        stream.write(text.encode())


def _rounded(value):
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


# ── Audit ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def audit(record: dict) -> list[str]:
    """Problems of a checkpoint's claim to be zero-pair, one sentence each; an empty list is a clean record.

    The record lists every data set that training or model selection was given: its modalities, rooms and hash. A clean
    audit proves that, as recorded, no room gave two modalities besides RGB, in one data set or across two, and that
    the test split was not touched. It cannot prove that the record is honest: for that, compare the hashes with the
    files and train again from the recipe.
    """
    entries = record.get("data") if isinstance(record, dict) else None
    if not isinstance(entries, list) or not entries:
        return ["the record lists no data: what this checkpoint was trained on cannot be told"]
    names = _names(record)
    if bad := [number for number, entry in enumerate(entries) if not _well_formed(entry, names)]:
        return [f"entry {number} of the record's data is incomplete or malformed" for number in bad]
    problems = [
        f"the test split was used for {entry['role']}"
        for entry in entries
        if entry["split"] == "test" or _shared(entry["rooms"], _test_rooms())
    ]
    if not any(entry["role"] == "training" for entry in entries):
        problems.append("the record lists no training data: what this checkpoint was trained on cannot be told")
    held = dict.fromkeys(name for entry in entries for name in entry["modalities"] if name != "rgb")
    for one, other in itertools.combinations(sorted(held), 2):
        for first in (entry for entry in entries if one in entry["modalities"]):
            for second in (entry for entry in entries if other in entry["modalities"]):
                if shared := _shared(first["rooms"], second["rooms"]):
                    where = " and ".join(dict.fromkeys(f"{e['split']} ({e['role']})" for e in (first, second)))
                    count = sum(last - first + 1 for first, last in shared)
                    many = f"{count} room{'s' * (count > 1)} from {shared[0][0]} on"
                    problems.append(f"{many} gave both {one} and {other}, in {where}")
    return problems


def _names(record: dict) -> set[str]:
    """The modalities that a record may list: those that are known, and those that its recipe declares (domains)."""
    recipe = record.get("recipe")
    declared = recipe.get("modalities") if isinstance(recipe, dict) else None
    named = (name for name in declared if isinstance(name, str)) if isinstance(declared, list) else ()
    return {*known_modalities(), *named}


def _well_formed(entry, names: Collection[str]) -> bool:
    fields = {"role": str, "split": str, "sha256": str, "modalities": list, "rooms": list}
    if not isinstance(entry, dict) or not all(entry.get(f) and isinstance(entry[f], t) for f, t in fields.items()):
        return False
    if not all(isinstance(name, str) and name in names for name in entry["modalities"]):
        return False
    runs = [run for run in entry["rooms"] if isinstance(run, list | tuple) and [type(n) for n in run] == [int, int]]
    return len(runs) == len(entry["rooms"]) and all(first <= last for first, last in runs)


@functools.cache
def _test_rooms() -> list[list[int]]:
    """The rooms of the shipped test split, whatever name a record gives them."""
    with zipfile.ZipFile(SHIPPED / "test.zip") as archive:
        return ranges(entry["room"] for entry in json.loads(archive.read("index.json"))["rooms"])


def _shared(left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """The runs that two lists of runs have in common."""
    both = ([max(a[0], b[0]), min(a[1], b[1])] for a in left for b in right)
    return sorted([first, last] for first, last in both if first <= last)


def describe_audit(record: dict) -> str:
    """The data that a record lists as a table for people, and under it the verdict."""
    verdict = audit(record)
    rows = [("role", "split", "modalities", "rooms", "sha256")]
    entries, names = (record.get("data") or [], _names(record)) if isinstance(record, dict) else ([], set())
    for entry in (entry for entry in entries if _well_formed(entry, names)):
        runs = entry["rooms"]
        span = f"{sum(last - first + 1 for first, last in runs)} ({runs[0][0]}–{runs[-1][1]})"
        rows.append((entry["role"], entry["split"], " + ".join(entry["modalities"]), span, entry["sha256"][:12]))
    held = sorted({name for row in rows[1:] for name in row[2].split(" + ")} - {"rgb"})
    gave = f"both {' and '.join(held)}" if len(held) < 3 else f"two of {', '.join(held)}"
    clean = f"clean: no room gave {gave}, and the test split was not touched"
    return "\n".join([_aligned(rows), "", *(verdict or [clean])])
