"""Experiments: what is trained and measured, declared; each leaves one JSON in `data/results/`."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import checkpoints, evaluation
from .baselines.supervised import Supervised
from .data import SHIPPED, DepthPairs, LabelledDepth, Rooms, SegmentationPairs, shipped
from .recipes import CONSISTENCY, Recipe, preset
from .training import ZeroPair, choose_device, fit

RESULTS = SHIPPED.parent / "results"
CHECKPOINTS = SHIPPED.parent / "checkpoints"


@dataclass(frozen=True)
class Experiment:
    """A training run and what is reported of it.

    `translations` are evaluated on the test split, once, when the run has ended. `ship` copies the trained network, in
    half precision, to `data/checkpoints`. `rooms` is the seed of rooms that are rendered for it alone (the oracle).
    `selects` marks a run that a choice in a recipe rests on: it is measured on `selection_pairs`, never on the test.
    """

    recipe: Recipe
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    ship: bool = False
    rooms: int | None = None
    selects: bool = False


COURSE = preset("course")
FIRST_PHASE = COURSE.replace(phases=COURSE.phases[:1]).with_steps(2_000)
EXPERIMENTS = {
    # which consistency the preset course has: the paper's, of the last latent, or that of every pooled stage; measured
    # at the end of a first phase, before any pseudo-pair, twice
    **{
        f"consistency_{kind}_{seed}": Experiment(FIRST_PHASE.replace(consistency=kind, seed=seed), selects=True)
        for seed in range(2)
        for kind in CONSISTENCY
    },
    # the shipped network: the course preset, four times as long as `make run` trains
    "course": Experiment(COURSE.with_steps(6_000), ship=True),
    # its upper reference: the same f_D and g_S on true depth–segmentation pairs of 1,200 other rooms
    "oracle": Experiment(COURSE.with_steps(6_000), ("depth",), ("segmentation",), rooms=5),
}


def selection_pairs(size: int) -> tuple[SegmentationPairs, DepthPairs]:
    """The validation split as choices may see it: RGB and segmentation of its first half, RGB and depth of the other.

    Depth and segmentation of one room never meet here either, so nothing can be tuned on the unseen pair.
    """
    segmentation, depth = (pairs(SHIPPED / "validation.zip", size) for pairs in (SegmentationPairs, DepthPairs))
    half = len(segmentation) // 2
    return segmentation.subset(0, half), depth.subset(half)


def run(name: str, folder: str | Path, device: str = "auto", resume: bool = False) -> dict:
    """Train, measure and write `data/results/NAME.json`; `folder` keeps state, log and checkpoint.

    The oracle renders its rooms into `folder/rooms` first. `ValueError` names the known experiments.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: known are {', '.join(EXPERIMENTS)}")
    experiment, folder = EXPERIMENTS[name], Path(folder)
    if experiment.rooms is None:
        objective = ZeroPair(shipped("d1"), shipped("d2"))
    else:
        from .rooms.render import render

        render(1200, experiment.rooms, 96, folder / "rooms", ("depth", "segmentation"))
        pairs = LabelledDepth(folder / "rooms")
        pairs.split = name
        objective = Supervised(pairs, "depth", "segmentation")
    tuned_on = selection_pairs(experiment.recipe.size) if experiment.ship else ()
    fit(experiment.recipe, objective, folder, device=device, resume=resume, half=True, tuned_on=tuned_on)
    model = checkpoints.load(folder / "checkpoint.safetensors")  # what is measured is what is on disk
    model.to(choose_device(device))
    if experiment.selects:
        result = select(model, *selection_pairs(model.recipe.size))
    else:
        test = shipped("test", model.recipe.size)
        result = evaluation.evaluate(model, test, sources=experiment.sources, targets=experiment.targets)
        if experiment.rooms is not None:
            for row in result["translations"].values():
                row["seen"] = True  # by the oracle, on its own rooms
    keys = ("recipe", "step", "objective", "data", "selection", "device", "machine", "versions", "seconds")
    result = {"experiment": name, **result, **{key: model.record[key] for key in keys}}
    result["curve"] = curve(folder / "log.jsonl")
    evaluation.write_json(result, RESULTS / f"{name}.json")
    if experiment.ship:
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        for suffix in (".safetensors", ".json"):
            shutil.copyfile(folder / f"checkpoint{suffix}", CHECKPOINTS / f".{name}{suffix}")
            (CHECKPOINTS / f".{name}{suffix}").replace(CHECKPOINTS / f"{name}{suffix}")
    return result


def curve(log: str | Path, points: int = 100) -> list[dict]:
    """The training curve that `fit` wrote, thinned to about so many lines: step, learning rate and loss terms."""
    lines = Path(log).read_text().splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // points)]]


def select(model, *pairs: Rooms) -> dict:
    """What a choice may rest on: seen translations (RGB → RGB: the last set's) and alignment, on sets of pairs."""
    parts = [evaluation.evaluate(model, rooms, sources=rooms.modalities, targets=rooms.modalities) for rooms in pairs]
    translations = {name: row for part in parts for name, row in part["translations"].items()}
    alignment = {" – ".join(rooms.modalities): evaluation.alignment(model, rooms, *rooms.modalities) for rooms in pairs}
    rooms = sum(part["rooms"] for part in parts)
    return {**parts[0], "rooms": rooms, "translations": translations, "alignment": alignment}
