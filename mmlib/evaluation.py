"""Measuring: all translations of a network as one table, room by room, and how sure a number is (section 5.1)."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from .data.indices import require_classes
from .data.sets import Rooms
from .data.sources import require
from .metrics import SegmentationMetrics, iou
from .networks import Translator


def seen(source: str, target: str, anchor: str = "rgb") -> bool:
    """Whether training had pairs of these: each is paired with the anchor alone, so depth ↔ segmentation never is."""
    return source == target or anchor in (source, target)


@contextlib.contextmanager
def eval_mode(model: Translator) -> Iterator[None]:
    """A module in eval mode, and at the end each part of it in the mode that it had."""
    modes = [(part, part.training) for part in model.modules()] if isinstance(model, torch.nn.Module) else []
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def in_batches(
    model: Translator, rooms: Rooms, batch_size: int, device: torch.device | str | None = None
) -> Iterator[tuple[range, dict[str, torch.Tensor]]]:
    """Positions and raw images of all rooms, batch by batch, on a device, or where the model is."""
    if device is None and isinstance(model, torch.nn.Module):
        device = next((weight.device for weight in model.parameters()), None)
    for start in range(0, len(rooms), batch_size):
        positions = range(start, min(start + batch_size, len(rooms)))
        yield positions, {name: raw.to(device) for name, raw in rooms.batch(positions).items()}


@torch.inference_mode()
def evaluate(
    model: Translator,
    rooms: Rooms,
    batch_size: int = 25,
    device: torch.device | str | None = None,
    sources: Sequence[str] = (),
    targets: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure every translation of a model on `Triplets`, or some of them on any rooms that hold what they need.

    `model` has what a `Translator` has; a module is put in eval mode, and each part of it back in the mode it had.
    Images go to `device`, or to where the module is. Each input is encoded once and decoded into every target.
    `sources` and `targets` narrow the table. Returns {"rooms", "size", "split",
    "data_sha256", "translations": {"depth_to_segmentation": {…, "seen": False}, …}}.
    """
    sources = tuple(sources or model.modalities)
    targets = tuple(targets or model.modalities)
    require(rooms.split, rooms.modalities, dict.fromkeys(sources + targets))
    require_classes(rooms.split, rooms.records, getattr(model, "records", {}))
    anchor = "rgb" if "rgb" in rooms.modalities else model.modalities[0]
    metrics = {(source, target): rooms.records[target].metric() for source in sources for target in targets}
    with eval_mode(model):
        for _, batch in in_batches(model, rooms, batch_size, device):
            for source in sources:
                encoding = model.encode(rooms.records[source].to_input(batch[source]), source)
                for target in targets:
                    prediction = rooms.records[target].to_raw(model.decode(encoding, target))
                    metrics[source, target].update(prediction, batch[target])
    return {
        "rooms": len(rooms),
        "size": rooms.size,
        "split": rooms.split,
        "data_sha256": rooms.sha256,
        "translations": {
            f"{source}_to_{target}": {**metric.compute(), "seen": seen(source, target, anchor)}
            for (source, target), metric in metrics.items()
        },
    }


@torch.inference_mode()
def confusion_by_room(
    model: Translator, rooms: Rooms, source: str, batch_size: int = 25, device: torch.device | str | None = None
) -> torch.Tensor:
    """`source` → segmentation room by room: confusion matrices, int64 (rooms, K, K); `evaluate` measures their sum.

    `model` as in `evaluate`, in eval mode.
    """
    record = rooms.records["segmentation"]
    metrics = [SegmentationMetrics(record.classes) for _ in rooms.rooms]
    for positions, batch in in_batches(model, rooms, batch_size, device):
        encoding = model.encode(rooms.records[source].to_input(batch[source]), source)
        prediction = record.to_raw(model.decode(encoding, "segmentation"))
        for position, p, t in zip(positions, prediction, batch["segmentation"]):
            metrics[position].update(p, t)
    return torch.stack([metric.confusion for metric in metrics])


def rooms_by_rank(confusions: torch.Tensor, shares: Sequence[float] = (0.9, 0.5, 0.1)) -> list[int]:
    """Rooms to show by a rule: for each share, the position of the room that this share of the rooms is worse than.

    Rooms are in the order of their own mIoU; `confusions` (rooms, K, K) as from `confusion_by_room`.
    """
    order = iou(confusions).nanmean(-1).argsort(stable=True)
    return [int(order[min(int(share * len(order)), len(order) - 1)]) for share in shares]


def bootstrap(confusions: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """mIoU, float64 (draws,), of rooms drawn with replacement: how much a result depends on the rooms that were there.

    `confusions` (rooms, K, K) as from `confusion_by_room`; `drawn` int64 (draws, rooms), positions of rooms. Two
    networks are compared on the same `drawn`.
    """
    times = torch.zeros(len(drawn), len(confusions), dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    summed = times @ confusions.flatten(1).double()
    return iou(summed.view(-1, *confusions.shape[1:])).nanmean(-1)


def table(result: dict[str, Any]) -> str:
    """The result of `evaluate` for people: one row per translation, * where training had no pairs of its modalities."""
    rows = []
    for name, row in result["translations"].items():
        source, target = name.split("_to_")
        cells = [f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float)]
        rows.append((f"{source} → {target}", "" if row["seen"] else "*", "  ".join(cells)))
    head = f"{result['rooms']} rooms of {result['split']}, {result['size']} × {result['size']} (* unseen pair)"
    return f"{head}\n{aligned(rows)}"


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
