"""The share of Muon in a training step."""

import statistics
import subprocess
import sys

from ...data.batches import as_needed
from ...data.shipped import shipped
from ...objectives import ZeroPair
from ...recipes import Recipe
from ...training import Trainer, probe
from .timing import timed, where


def bench_optimizer(recipe: Recipe, steps: int = 20, device: str = "auto") -> dict:
    """The share of Muon in a step of a recipe, with the other cores idle and with one of them busy.

    Seconds are medians of `steps`; a step and Muon's part of it, repeated on the same gradients, take turns.
    """
    rooms = [as_needed(shipped(split).subset(0, 100), recipe) for split in ("d1", "d2")]
    trainer = Trainer(recipe.replace(optimizer="muon"), ZeroPair(*rooms), probe(device, recipe.precision))
    seconds: dict[str, dict[str, float]] = {}
    for load in ("idle", "busy"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if load == "busy" else None
        try:
            taken: dict[str, list[float]] = {"step": [], "muon": []}
            for repeat in range(steps + 2):
                for name, part in (("step", trainer.step), ("muon", trainer.optimizers["muon"].step)):
                    elapsed = timed(part, trainer.machine.device)
                    if repeat >= 2:  # the first two warm up
                        taken[name].append(elapsed)
        finally:
            if busy:
                busy.kill()
                busy.wait()
        seconds[load] = {name: statistics.median(values) for name, values in taken.items()}
    share = {load: times["muon"] / times["step"] for load, times in seconds.items()}
    return {
        "recipe": recipe.to_dict(),
        "steps": steps,
        "seconds": seconds,
        "muon_share": share,
        **where(trainer.machine.device),
    }
