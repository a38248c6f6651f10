"""Experiments: what is trained and measured, declared; each leaves one JSON in `data/results/`."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import checkpoints, evaluation
from .baselines.supervised import Supervised
from .data import SHIPPED, LabelledDepth, shipped
from .recipes import Recipe, preset
from .training import ZeroPair, fit

RESULTS = SHIPPED.parent / "results"
CHECKPOINTS = SHIPPED.parent / "checkpoints"


@dataclass(frozen=True)
class Experiment:
    """A training run and what is reported of it.

    `translations` are evaluated on the test split, once, when the run has ended. `ship` copies the trained network, in
    half precision, to `data/checkpoints`. `rooms` is the seed of rooms that are rendered for it alone (the oracle).
    """

    recipe: Recipe
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    ship: bool = False
    rooms: int | None = None


COURSE = preset("course")
EXPERIMENTS = {
    # the shipped network: the course preset, four times as long as the notebook's live run
    "course": Experiment(COURSE.with_steps(10_000), ship=True),
    # its upper reference: the same f_D and g_S on true depth–segmentation pairs of 1,200 other rooms
    "oracle": Experiment(COURSE.with_steps(10_000), ("depth",), ("segmentation",), rooms=5),
}


def run(name: str, folder: str | Path, device: str = "auto", resume: bool = False) -> dict:
    """Train, evaluate on the test split and write `data/results/NAME.json`; `folder` keeps state, log and checkpoint.

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
    fit(experiment.recipe, objective, folder, device=device, resume=resume, half=True)
    model = checkpoints.load(folder / "checkpoint.safetensors")  # what is measured is what is on disk
    test = shipped("test", model.recipe.size)
    result = evaluation.evaluate(model, test, sources=experiment.sources, targets=experiment.targets)
    keys = ("recipe", "step", "objective", "data", "selection", "device", "machine", "versions", "seconds")
    result = {"experiment": name, **result, **{key: model.record[key] for key in keys}}
    evaluation.write_json(result, RESULTS / f"{name}.json")
    if experiment.ship:
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        for suffix in (".safetensors", ".json"):
            shutil.copyfile(folder / f"checkpoint{suffix}", CHECKPOINTS / f".{name}{suffix}")
            (CHECKPOINTS / f".{name}{suffix}").replace(CHECKPOINTS / f"{name}{suffix}")
    return result
