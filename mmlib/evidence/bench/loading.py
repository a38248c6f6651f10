"""Samples a second that data sets give, beside those that training consumes."""

import dataclasses
import time
from pathlib import Path

import torch

from ...data.batches import Steps, ahead, as_needed
from ...data.shipped import open_split
from ...objectives import ZeroPair
from ...recipes import Recipe
from ...training import Trainer, probe
from .timing import step_seconds, where

WORKERS = (0, 1, 2)


def bench_loading(source: str | Path, recipe: Recipe, steps: int = 10, device: str = "auto") -> dict:
    """Samples a second that D1 and D2 give to 0, 1 and 2 workers, and that training steps of the recipe consume.

    A sample is a view with its modalities, cropped and mirrored as the recipe says. `steps` of the recipe's first phase
    are timed with batches that lie ready, and as many batches without a step: where both need the same cores, training
    gets less of each. Files that were read lately come from the system's memory, not from the disk.
    """
    sets = [open_split(source, "d1"), open_split(source, "d2")]
    machine = probe(device, recipe.precision)
    recipe = recipe.replace(phases=(dataclasses.replace(recipe.phases[0], steps=steps + 2 * AHEAD),))
    sets = [as_needed(rooms, recipe) for rooms in sets]
    samples = sum(min(recipe.batch, len(rooms)) for rooms in sets)
    trainer = Trainer(recipe, ZeroPair(*sets), machine)
    ready = trainer.batches(0)
    trainer.batches = lambda step: ready
    seconds = step_seconds({"step": trainer}, steps)["step"]
    loading = {count: _loading_seconds(Steps(sets, recipe), count, machine.device) / steps for count in WORKERS}
    return {
        "recipe": recipe.name,
        "size": recipe.size,
        "batch": recipe.batch,
        "data": Path(source).name,
        "steps": steps,
        "seconds_per_step": seconds,
        "seconds_per_batch": {f"workers_{count}": value for count, value in loading.items()},
        "consumed_per_second": samples / seconds,
        "given_per_second": {f"workers_{count}": samples / value for count, value in loading.items()},
        **where(machine.device),
    }


AHEAD = 2 * max(WORKERS) + 1
"""Batches before and after the timed ones: each worker prepares two before it is asked for them."""


def _loading_seconds(steps: Steps, workers: int, device: torch.device) -> float:
    """Seconds of all batches but the first and last `AHEAD`."""
    batches = ahead(steps, 0, workers, device)
    for _ in range(AHEAD):
        next(batches)
    start = time.perf_counter()
    for _ in range(len(steps) - 2 * AHEAD):
        next(batches)
    return time.perf_counter() - start


def describe_loading(result: dict) -> str:
    """The result of `bench_loading` for people."""
    consumed = result["consumed_per_second"]
    lines = [f"{result['recipe']} on {result['device']}: a step consumes {consumed:.1f} samples/s"]
    for name, given in result["given_per_second"].items():
        lines.append(f"  {name.replace('_', ' ')}: {given:8.1f} samples/s, {given / consumed:.2f} of it")
    return "\n".join(lines)
