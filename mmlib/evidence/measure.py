"""What is measured of a trained network: on the test split, once, and on validation, for choices."""

import base64
import functools
import io
import itertools
from collections.abc import Collection
from typing import cast

import torch
from PIL import Image

from ..alignment import agreement, alignment, fusion
from ..data.domains import COLOURS
from ..data.sets import DepthPairs, Rooms, SegmentationPairs, joined
from ..data.shipped import SHIPPED, shipped
from ..evaluation import evaluate
from ..methods.cascade import Cascade
from ..methods.colours import measure_colours, shipped_scenes
from ..methods.mixed_cycles import MixedCycles
from ..methods.styles import PHOTO, measure_styles
from ..methods.supervised import Supervised
from ..modalities import GREY_8, GREY_16
from ..objectives import Objective
from .grids import ALPHA, SHARE, Row
from .ingredients import FIVE
from .runs import Run


def selection_pairs(size: int) -> tuple[SegmentationPairs, DepthPairs]:
    """The validation split as choices may see it: RGB and segmentation of its first half, RGB and depth of the other.

    Depth and segmentation of one room never meet here either, so nothing can be tuned on the unseen pair.
    """
    segmentation, depth = (pairs(SHIPPED / "validation.zip", size) for pairs in (SegmentationPairs, DepthPairs))
    half = len(segmentation) // 2
    return segmentation.subset(0, half), depth.subset(half)


def translations_of(parts: list[dict]) -> dict[str, dict]:
    """The translations of several results of `evaluate` as one table."""
    return {name: row for part in parts for name, row in part["translations"].items()}


def select(model, *sets: Rooms, pairs: Collection[tuple[str, str]] | None = None) -> dict:
    """What a choice may rest on, without a true pair that training must not see: seen translations (RGB → RGB: the last
    set's), alignment, and the agreement of unseen translations with the seen ones of the same rooms.

    Where a model has but some translations, `pairs`, only those of them that a set holds; {} if none does.
    """
    parts = [
        evaluate(model, rooms, sources=[source], targets=targets)
        for rooms in sets
        for source in rooms.modalities
        if (targets := [target for target in rooms.modalities if not pairs or (source, target) in pairs])
    ]
    if not parts:
        return {}
    measured = {**parts[0], "rooms": sum(len(rooms) for rooms in sets), "translations": translations_of(parts)}
    if not pairs:
        measured["alignment"] = {
            " – ".join(rooms.modalities): alignment(model, rooms, *rooms.modalities) for rooms in sets
        }
        measured["agreement"] = {
            f"{source}_to_{target}": agreement(model, rooms, source, target)
            for rooms in sets
            for _, source in [rooms.modalities]
            for target in ({"depth", "segmentation"} - {source})
        }
    return measured


UNSEEN = (("depth", "segmentation"), ("segmentation", "depth"))
ALPHAS = tuple(k / 10 for k in range(11))
EXAMPLES = (0, 1, 2, 3)  # the test rooms of the qualitative figures
PICTURED = {
    "translations": "examples", "through_rgb": "examples_through_rgb", "fused": "examples_fused",
    "lent": "examples_lent",
}  # fmt: skip
"""By the part of a result that a row measures, the part that keeps pictures of it."""


def measured_on(run: Run) -> str:
    """What a run is measured on, a key of `TEST`."""
    names = set(run.recipe.modalities)
    if run.selects:
        return "validation"
    if names <= set(COLOURS):
        return "colours"
    return "styles" if PHOTO in names else "five" if names > set(FIVE[:3]) else "three"


TEST = {
    "validation": lambda size=None: shipped("validation", size),
    "three": lambda size=None: shipped("test", size),
    "five": lambda size=None: joined(shipped("test", size), shipped("test_surfaces", size)),
    "colours": shipped_scenes,
    "styles": lambda size=None: shipped("test", size).subset(0, 100),
}
"""What runs are measured on: rooms at their own size, or at another."""


@functools.cache
def sha256_of(name: str) -> str:
    return TEST[name]().sha256


def measure(model, run: Run, objective: Objective, pictured: Collection[Row]) -> dict:
    """All that tables and figures ask of a run's networks, on the test split, and pictures of what `pictured` show."""
    kind, size = measured_on(run), model.recipe.size
    if run.selects:
        return select(model, *selection_pairs(size), pairs=objective.translations)
    test = TEST[kind](size)
    if kind == "styles":
        return measure_styles(model, test)
    if kind == "colours":
        pairs = cast(MixedCycles, objective).pairs
        return measure_colours(model, test, {frozenset(pair) for pair in pairs}, COLOURS[0])
    result = _translated(model, test, objective.translations)
    if isinstance(objective, Supervised):
        for row in result["translations"].values():
            row["seen"] = True  # an oracle's, too, on rooms of its own
    if kind == "five":
        return result
    if not objective.translations:
        hundred = test.subset(0, 100)
        result["alignment"] = {
            f"{first} – {second}": alignment(model, hundred, first, second)
            for first, second in (("rgb", "segmentation"), ("rgb", "depth"), ("depth", "segmentation"))
        }
    if validation := select(model, *selection_pairs(size), pairs=objective.translations):
        result["validation"] = validation
    known = objective.translations or tuple(itertools.permutations(model.modalities, 2))
    ways = [(s, t) for s, t in UNSEEN if {(s, "rgb"), ("rgb", t)} <= set(known)]
    if ways:
        result["through_rgb"] = _translated(Cascade(model), test, ways)["translations"]
    if run.fuses:
        result["fused"] = {
            f"rgb+{second}_to_{target}": {
                lender: fusion(model, test, "rgb", second, target, ALPHAS, lender) for lender in ("rgb", second)
            }
            for second, target in UNSEEN
        }
    for part, kept in PICTURED.items():
        if pairs := {tuple(row.translation.split("_to_")) for row in pictured if row.measured == part}:
            shown = Cascade(model) if part == "through_rgb" else model
            result[kept] = examples(shown, test, sorted(pairs), SHARE.get(part, ALPHA))
    return result


def _translated(model, rooms: Rooms, translations: Collection[tuple[str, str]]) -> dict:
    """`evaluate` of these translations, or of all where there are none."""
    if not translations:
        return evaluate(model, rooms)
    parts = [evaluate(model, rooms, sources=[source], targets=[target]) for source, target in translations]
    return {**parts[0], "translations": translations_of(parts)}


def examples(model, rooms: Rooms, pairs, alpha: float = ALPHA) -> dict[str, str]:
    """What a model makes of the rooms of the qualitative figures, by translation: PNGs in base64, rooms side by side.

    Only of targets that are stored as grey pixels: class ids, and millimetres. A source `rgb+depth` is fused with
    weight `alpha` on the second, and has the first one's indices.
    """
    batch, made, device = rooms.batch(EXAMPLES[: len(rooms)]), {}, next(model.parameters()).device
    for source, target in pairs:
        kind = {GREY_8: (1, torch.uint8), GREY_16: (1000, torch.uint16)}.get(rooms.records[target].pixels)
        if kind:
            with torch.inference_mode():
                first, *second = (
                    model.encode(rooms.records[name].to_input(batch[name].to(device)), name)
                    for name in source.split("+")
                )
                encoding = first.fuse(second[0], alpha) if second else first
                raw = rooms.records[target].to_raw(model.decode(encoding, target)).cpu()
            stored = (raw * kind[0]).round().to(torch.int64).clamp(0, 65535).to(kind[1])
            stream = io.BytesIO()
            Image.fromarray(torch.cat(list(stored[:, 0]), 1).numpy()).save(stream, "PNG", optimize=True)
            made[f"{source}_to_{target}"] = base64.b64encode(stream.getvalue()).decode()
    return made
