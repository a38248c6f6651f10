"""Experiments: what `runs` declares is trained and measured; each run leaves one JSON in `data/results/`."""

import functools
import json
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import torch

from .. import checkpoints
from ..data.shipped import CHECKPOINTS, RESULTS, SHIPPED, WITHOUT_REPOSITORY
from ..hardware.compute import choose_device
from ..hardware.files import write_json
from ..objectives import ZeroPair
from ..recipes import PRESETS, from_dict, preset
from ..resuming.state import saved_run
from ..training import fit
from .grids import GRIDS
from .ingredients import Ingredients
from .measure import measure, measured_on, selection_pairs, sha256_of
from .results import curve
from .runs import runs

RGB_ENCODER = CHECKPOINTS / "rgb_encoder.safetensors"  # distilled from VGG-16 by `distil`

# what `distil` trains: an RGB encoder whose first stages are that of `ablation`
DISTILLATION = preset(
    "ablation", widths=(16, 32, 64, 128), convolutions=(2, 2, 3, 3), size=64, batch=8, learning_rate=2e-3,
    optimizer="adam", windows=(0.6, 1.0), steps=1500,
)  # fmt: skip


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


# ── Grids: the paper's tables and figures ──────────────────────────────────────────────────────────────────────────


def result_path(preset_name: str, run: str, seed: int) -> Path:
    """Where the result of a run stands."""
    return RESULTS / preset_name / f"{run}_{seed}.json"


def stored(preset_name: str, run: str, seed: int) -> dict | None:
    """The result of a run, if there is one of the recipe as declared now."""
    path = result_path(preset_name, run, seed)
    if not SHIPPED.exists():
        raise FileNotFoundError(WITHOUT_REPOSITORY)
    if not path.exists():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    declared = runs(preset_name).get(run) if preset_name in PRESETS else None
    if declared and from_dict(result["recipe"]) != declared.recipe.replace(seed=seed):
        return None
    return result


def run_grid(
    name: str, seeds: int = 3, preset_name: str = "ablation", folder: str | Path = "runs", device: str = "auto",
    processes: int = 1, data: str | Path = SHIPPED, progress=print,
) -> None:  # fmt: skip
    """Train on the sets of `data` and measure what a grid's rows need and `data/results/` lacks, several runs at once
    where `processes` says.

    `folder` keeps states, so that a killed grid goes on where it was saved last. `ValueError` names the known grids.
    """
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}: known are {', '.join(GRIDS)}")
    declared = runs(preset_name)
    named = list(dict.fromkeys(row.run for row in GRIDS[name].rows))
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
                going[pool.submit(train_run, preset_name, *task, folder, device, data)] = task
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


def train_run(
    preset_name: str, name: str, seed: int, folder: str | Path, device: str = "auto", data: str | Path = SHIPPED
) -> dict:
    """Train one run of one seed on the sets of `data`, its teacher before it if that has left no network in `folder`,
    measure it on the test split, and write its result; returns that."""
    run = runs(preset_name)[name]
    recipe, folder = run.recipe.replace(seed=seed), Path(folder)
    place = folder / preset_name / f"{name}_{seed}"
    teacher = None
    if run.teacher:
        network = folder / preset_name / f"{run.teacher}_{seed}" / "checkpoint.safetensors"
        if not network.exists():
            train_run(preset_name, run.teacher, seed, folder, device, data)
        teacher = checkpoints.load(network)
    objective = run.objective(Ingredients(recipe, Path(data), teacher, folder / "oracle_rooms"))
    weights = RGB_ENCODER if run.pretrained else None
    state = place / "state.safetensors"
    if state.exists() and saved_run(state)[0] != recipe:
        shutil.rmtree(place)  # of an earlier declaration
    ship = run.ship and seed == 0
    tuned_on = selection_pairs(recipe.size) if ship and isinstance(objective, ZeroPair) else ()
    model = fit(
        recipe, objective, place, device=device, resume=True, progress=False, half=bool(ship), rgb_weights=weights,
        tuned_on=tuned_on,
    )  # fmt: skip
    if ship:  # what is measured is what is on disk
        model = checkpoints.load(place / "checkpoint.safetensors").to(choose_device(device))
    pictured = [row for grid in GRIDS.values() for row in grid.rows if row.run == name and seed == 0]
    measured = measure(model, run, objective, pictured)
    result = _report(name, {"preset": preset_name, **measured}, model.record, place)
    result["parameters"] = sum(weight.numel() for weight in model.parameters())
    write_json(result, result_path(preset_name, name, seed))
    if ship:
        _ship(place, run.ship)
    return result
