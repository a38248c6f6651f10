"""Experiments: what is declared is trained and measured; each run leaves one JSON in `data/results/`.

Single experiments (`course`, `oracle`, `consistency_*`) are declared here, the paper's tables and figures in
`mmlib.evidence.grids`.
"""

import dataclasses
import functools
import json
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from .. import checkpoints
from ..checkpoints import saved_run
from ..data.domains import Domain, shipped_colours
from ..data.sets import OraclePairs, Rooms
from ..data.shipped import CHECKPOINTS, RESULTS, SHIPPED, open_split, shipped
from ..evaluation import evaluate
from ..files import write_json
from ..hardware.compute import choose_device
from ..methods.cyclegan import CycleGAN
from ..methods.mixed_cycles import MixedCycles
from ..methods.pix2pix import Pix2Pix
from ..methods.plug_in import PlugIn
from ..methods.student import Student
from ..methods.styles import PHOTO, style_domains
from ..methods.supervised import Supervised
from ..objectives import Objective, ZeroPair
from ..recipes import PRESETS, Phase, Recipe, from_dict, preset
from ..training import fit
from .grids import GRIDS
from .measure import measure, measured_on, select, selection_pairs, sha256_of
from .results import curve
from .runs import FIVE, runs

RGB_ENCODER = CHECKPOINTS / "rgb_encoder.safetensors"  # distilled from VGG-16 by `distil`
ORACLE_ROOMS = 5  # the seed of the rooms that are rendered for the oracles alone

COURSE = preset("course")
# what `distil` trains: the RGB encoder of `course`, whose first stages are that of `ablation`
DISTILLATION = preset("ablation", widths=COURSE.widths, convolutions=COURSE.convolutions, size=64, learning_rate=2e-3)

# ── Single experiments ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Experiment:
    """A training run and what is reported of it.

    `translations` are evaluated on the test split, once, when the run has ended. `ship` copies the trained network, in
    half precision, to `data/checkpoints`. `objective` is what it minimises. `selects` marks a run that a choice in a
    recipe rests on: it is measured on `selection_pairs`, never on the test.
    `points`: how often, at even distances, it is measured while it trains, to show how good it is after how many
    seconds; nothing is chosen by that.
    """

    recipe: Recipe
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    ship: bool = False
    selects: bool = False
    points: int = 1
    objective: str = "zero_pair"


LARGE = COURSE.replace(
    widths=(32, 64, 128), convolutions=(2, 2, 3), batch=16, side_information="none", consistency="latent",
    learning_rate=4e-3, windows=(1.0, 1.0), optimizer="muon", anchor_gradient=False, mirrored_rgb_decoder=True,
    phases=(Phase(steps=2_000, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.0),),
)  # fmt: skip
"""What `make gpu` trains: three stages, which keep the detail that RGB → RGB and small things need, and the paper's
method without pooling indices, GAN or pseudo-pairs. All choices were made by seen translations."""
FIRST_PHASE = COURSE.replace(phases=COURSE.phases[:1]).with_steps(2_000)
TAUGHT = COURSE.replace(
    teacher="average",
    phases=(dataclasses.replace(COURSE.phases[0], steps=250), dataclasses.replace(COURSE.phases[1], steps=750)),
)
CHOICES = {
    "all_stages": TAUGHT,
    "latent": TAUGHT.replace(consistency="latent"),
    "three_stages": TAUGHT.replace(
        consistency="latent", widths=COURSE.widths[:3], convolutions=COURSE.convolutions[:3]
    ),
    "long": TAUGHT.replace(consistency="latent").with_steps(6_000),
}
TO_SEGMENTATION = (("rgb", "depth"), ("segmentation",))
EXPERIMENTS = {
    # which consistency the preset course has: the paper's, of the last latent, or that of every pooled stage; measured
    # at the end of a first phase, before any pseudo-pair, twice
    **{
        f"consistency_{kind}_{seed}": Experiment(FIRST_PHASE.replace(consistency=kind, seed=seed), selects=True)
        for seed in range(2)
        for kind in ("latent", "all_stages")
    },
    # what was tried in place of the recipe of `course`: pseudo-pairs by an averaged teacher, from a quarter on
    **{f"choice_{choice}": Experiment(recipe, selects=True) for choice, recipe in CHOICES.items()},
    # the shipped network of notebooks 01 to 07: preset course, four times as long as `make run` trains
    "course": Experiment(COURSE.with_steps(6_000), ship=True),
    # its upper reference: the same f_D and g_S on true depth–segmentation pairs of 1,200 other rooms
    "oracle": Experiment(COURSE.with_steps(6_000), ("depth",), ("segmentation",), objective="oracle"),
    # how far ten minutes on two cores go: the recipe of `make run`, shortened, and that of the tables' best row
    "ten_minutes_course": Experiment(COURSE.with_steps(1_000), *TO_SEGMENTATION, points=10),
    "ten_minutes_ablation": Experiment(runs("ablation")["pseudo_pairs_long"].recipe, *TO_SEGMENTATION, points=12),
}


def _objective(experiment: Experiment, name: str, folder: Path, data: Path) -> Objective:
    """What an experiment minimises on the training sets of `data`."""
    if experiment.objective == "oracle":
        known = data / "oracle.zip"
        rooms = (
            OraclePairs(known, ("depth", "segmentation")) if known.exists() else _oracle_rooms(folder / "rooms", name)
        )
        return Supervised(rooms, "depth", "segmentation")
    return ZeroPair(*(open_split(data, split) for split in ("d1", "d2")))


def run(name: str, folder: str | Path, device: str = "auto", resume: bool = False, data: str | Path = SHIPPED) -> dict:
    """Train on the sets of `data`, measure and write `data/results/NAME.json`; `folder` keeps state, log, checkpoint.

    An oracle reads `data/oracle.zip`, or renders 1,200 rooms into `folder/rooms`. `ValueError` names the known
    experiments.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: known are {', '.join([*EXPERIMENTS, *GRIDS])}")
    experiment, folder = EXPERIMENTS[name], Path(folder)
    objective = _objective(experiment, name, folder, Path(data))
    tuned_on = selection_pairs(experiment.recipe.size) if experiment.ship else ()
    train = functools.partial(fit, experiment.recipe, objective, folder, device=device, half=True, tuned_on=tuned_on)
    if experiment.points > 1:
        progress = _measured_on_the_way(experiment, train, folder / "progress.json", resume)
    else:
        train(resume=resume)
    model = checkpoints.load(folder / "checkpoint.safetensors")  # what is measured is what is on disk
    model.to(choose_device(device))
    if experiment.selects:
        result = select(model, *selection_pairs(model.recipe.size))
    else:
        test = shipped("test", model.recipe.size)
        result = evaluate(model, test, sources=experiment.sources, targets=experiment.targets)
        if experiment.objective == "oracle":
            for row in result["translations"].values():
                row["seen"] = True  # by the oracle, on its own rooms
    result = _report(name, result, model.record, folder)
    if experiment.points > 1:
        result["progress"] = progress
    write_json(result, RESULTS / f"{name}.json")
    if experiment.ship:
        _ship(folder, name)
    return result


def _measured_on_the_way(experiment: Experiment, train, kept: Path, resume: bool) -> list[dict]:
    """Train piece by piece; after each: step, seconds of training so far, and mIoU on the test split by translation."""
    points = json.loads(kept.read_text()) if resume and kept.exists() else []
    test = shipped("test", experiment.recipe.size)
    for number in range(len(points) + 1, experiment.points + 1):
        model = train(resume=resume or number > 1, stop_after=experiment.recipe.steps * number // experiment.points)
        measured = evaluate(model, test, sources=experiment.sources, targets=experiment.targets)
        ious = {name: row["miou"] for name, row in measured["translations"].items()}
        points.append({"step": model.record["step"], "seconds": model.record["seconds"], **ious})
        write_json(points, kept)
    return points


def _ship(folder: Path, name: str) -> None:
    """Copy a run's checkpoint to `data/checkpoints`, under a name of its own."""
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(folder / f"checkpoint{suffix}", CHECKPOINTS / f".{name}{suffix}")
        (CHECKPOINTS / f".{name}{suffix}").replace(CHECKPOINTS / f"{name}{suffix}")


def _report(name: str, measured: dict, record: dict, folder: Path) -> dict:
    """What was measured, with how it was made and its training curve."""
    keys = ("recipe", "step", "objective", "data", "selection", "device", "machine", "versions", "seconds")
    made = {key: record[key] for key in keys}
    return {"experiment": name, **measured, **made, "curve": curve(folder / "log.jsonl")}


def _oracle_rooms(folder: Path, split: str, modalities: tuple[str, ...] = ("depth", "segmentation")) -> OraclePairs:
    from ..rooms.render import render

    render(1200, ORACLE_ROOMS, 96, folder, modalities)
    pairs = OraclePairs(folder, modalities)
    pairs.split = split
    return pairs


def _pairs(pair: tuple[str, str], folder: Path) -> Rooms:
    """True pairs of two modalities: a training set's where one is RGB, else of the oracles' rooms."""
    if "rgb" in pair:
        (other,) = set(pair) - {"rgb"}
        return shipped(ANCHORED[other])
    rooms = _oracle_rooms(folder.with_name("surface_rooms"), "oracle", tuple(name for name in FIVE if name != "rgb"))
    return rooms.narrowed(pair)


def _domains(recipe: Recipe) -> list[Domain]:
    """The recipe's colours or styles."""
    sets = (style_domains if PHOTO in recipe.modalities else shipped_colours)(recipe.size)
    return [rooms for rooms in sets if rooms.modalities[0] in recipe.modalities]


# ── Grids: the paper's tables and figures ──────────────────────────────────────────────────────────────────────────

OBJECTIVES = {
    "zero_pair": lambda run, teacher, rooms: ZeroPair(shipped("d1"), shipped("d2")),
    "rgb_to_segmentation": lambda run, teacher, rooms: Supervised(shipped("d1"), "rgb", "segmentation"),
    "rgb_to_depth": lambda run, teacher, rooms: Supervised(shipped("d2"), "rgb", "depth"),
    "depth_student": lambda run, teacher, rooms: Student(shipped("d2"), teacher, "depth", "segmentation"),
    "segmentation_student": lambda run, teacher, rooms: Student(shipped("d1"), teacher, "segmentation", "depth"),
    "depth_oracle": lambda run, teacher, rooms: Supervised(_oracle_rooms(rooms, "oracle"), "depth", "segmentation"),
    "segmentation_oracle": lambda run, teacher, rooms: Supervised(
        _oracle_rooms(rooms, "oracle"), "segmentation", "depth"
    ),
    "cyclegan": lambda run, teacher, rooms: CycleGAN(shipped("d1"), shipped("d2")),
    "pix2pix": lambda run, teacher, rooms: Pix2Pix(shipped("d1"), shipped("d2")),
    "five_jointly": lambda run, teacher, rooms: ZeroPair(*(shipped(split) for split in ANCHORED.values())),
    "plug_in": lambda run, teacher, rooms: PlugIn(shipped(ANCHORED[run.pair[1]]), teacher),
    "alone": lambda run, teacher, rooms: Supervised(_pairs(run.pair, rooms), *run.pair),
    "mixed_cycles": lambda run, teacher, rooms: MixedCycles(_domains(run.recipe)),
    "combogan": lambda run, teacher, rooms: MixedCycles(_domains(run.recipe), "all"),
}
"""By name, what makes an objective of a run, its trained teacher, or None, and a folder for the oracles' rooms."""

ANCHORED = {"segmentation": "d1", "depth": "d2", "normals": "normals", "albedo": "albedo"}
"""The split that pairs a modality with RGB."""


def result_path(preset_name: str, run: str, seed: int) -> Path:
    """Where the result of a run stands."""
    return RESULTS / preset_name / f"{run}_{seed}.json"


def stored(preset_name: str, run: str, seed: int) -> dict | None:
    """The result of a run, if there is one of the recipe as declared now."""
    path = result_path(preset_name, run, seed)
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    declared = runs(preset_name).get(run) if preset_name in PRESETS else None
    if declared and from_dict(result["recipe"]) != declared.recipe.replace(seed=seed):
        return None
    return result


def run_grid(
    name: str, seeds: int = 3, preset_name: str = "ablation", folder: str | Path = "runs", device: str = "auto",
    processes: int = 1, progress=print,
) -> None:  # fmt: skip
    """Train and measure what a grid's rows need and `data/results/` lacks, several runs at once where `processes` says.

    `folder` keeps states, so that a killed grid goes on where it was saved last. `ValueError` names the known grids.
    """
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}: known are {', '.join(GRIDS)}")
    declared = runs(preset_name)
    named = list(dict.fromkeys(row.run for row in GRIDS[name]))
    named = list(dict.fromkeys([*(t for r in named if (t := declared[r].teacher)), *named]))  # teachers first
    waiting = [(run, seed) for seed in range(seeds) for run in named if not _is_done(preset_name, run, seed)]
    progress(f"{name}: {len(named) * seeds - len(waiting)} of {len(named) * seeds} results are there already")
    start, count, done = time.perf_counter(), len(waiting), 0
    threads = max(1, torch.get_num_threads() // processes)
    many = functools.partial(ProcessPoolExecutor, processes, get_context("spawn"), torch.set_num_threads, (threads,))
    with many() if processes > 1 else _Here() as pool:
        going = {}
        while waiting or going:
            ready = [
                task for task in waiting if (t := declared[task[0]].teacher) == "" or _is_done(preset_name, t, task[1])
            ]
            for task in ready[: processes - len(going)]:
                waiting.remove(task)
                going[pool.submit(train_run, preset_name, *task, folder, device)] = task
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                run, seed = going.pop(future)
                seconds, done = future.result()["seconds"], done + 1
                left = (time.perf_counter() - start) / done * (count - done)
                progress(f"{done}/{count}  {run}, seed {seed}: {seconds:.0f} s; about {left / 60:.0f} minutes left")


class _Here(Executor):
    """Runs in this process what is submitted, at once."""

    def submit(self, function, /, *arguments):
        future: Future = Future()
        future.set_result(function(*arguments))
        return future


def _is_done(preset_name: str, run: str, seed: int) -> bool:
    """Whether the result is there, of the recipe as declared now and of the test split as shipped."""
    result = stored(preset_name, run, seed)
    return result is not None and result["data_sha256"] == sha256_of(measured_on(runs(preset_name)[run]))


def train_run(preset_name: str, name: str, seed: int, folder: str | Path, device: str = "auto") -> dict:
    """Train one run of one seed, its teacher before it if that has left no network in `folder`, measure it on the test
    split, and write its result; returns that."""
    run = runs(preset_name)[name]
    recipe, folder = run.recipe.replace(seed=seed), Path(folder)
    place = folder / preset_name / f"{name}_{seed}"
    teacher = None
    if run.teacher:
        network = folder / preset_name / f"{run.teacher}_{seed}" / "checkpoint.safetensors"
        if not network.exists():
            train_run(preset_name, run.teacher, seed, folder, device)
        teacher = checkpoints.load(network)
    objective = OBJECTIVES[run.objective](run, teacher, folder / "oracle_rooms")
    weights = RGB_ENCODER if run.pretrained else None
    state = place / "state.safetensors"
    if state.exists() and saved_run(state)[0] != recipe:
        shutil.rmtree(place)  # of an earlier declaration
    ship = run.ship and seed == 0
    model = fit(recipe, objective, place, device=device, resume=True, progress=False, half=ship, rgb_weights=weights)
    if ship:  # what is measured is what is on disk
        model = checkpoints.load(place / "checkpoint.safetensors").to(choose_device(device))
    pictured = [row for grid in GRIDS.values() for row in grid if row.run == name and seed == 0]
    measured = measure(model, run, objective, pictured)
    result = _report(name, {"preset": preset_name, **measured}, model.record, place)
    result["parameters"] = sum(weight.numel() for weight in model.parameters())
    write_json(result, result_path(preset_name, name, seed))
    if ship:
        _ship(place, run.ship)
    return result
