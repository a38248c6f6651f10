"""`python -m mmlib speedrun`: from nothing to a depth → segmentation mIoU of 0.40, zero-pair, as fast as we know how.

The rules are fixed. The clock runs from before the data is read, through choosing the arithmetic, to the last step; it
stands still while the test rooms are measured. Nothing but D1 and D2 is trained on, no weights are loaded, and the
network makes all nine translations. A record is the mean time of three seeds, each of which must reach the target.
What goes into a recipe is chosen by seen translations of validation rooms; the test rooms only confirm it.
"""

import datetime
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from torch import nn

from ..data.batches import as_needed
from ..data.shipped import RESULTS, shipped
from ..evaluation import evaluate
from ..hardware.compute import choose_device
from ..hardware.files import markdown, write_json
from ..objectives import ZeroPair
from ..recipes import Recipe
from ..training import Trainer, probe
from .bench.timing import where

TARGET = 0.40
"""mIoU of depth → segmentation on the 400 test rooms."""
RECORDS = RESULTS / "records"
CURVE = ("rgb_to_segmentation", "depth_to_segmentation", "rgb_to_depth", "segmentation_to_depth")


def yardstick(device: torch.device, steps: int = 20) -> float:
    """Seconds of a fixed piece of work, so that machines compare: a step of a fixed stack of convolutions in float32,
    forward and backward, 16 images of 48×48, the median of `steps`. No part of the library can make it faster."""
    layers: list[nn.Module] = []
    for inputs in (3, *[32] * 5):
        layers += [nn.Conv2d(inputs, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stack, images = nn.Sequential(*layers).to(device), torch.randn(16, 3, 48, 48).to(device)
    seconds = []
    for _ in range(steps + 5):
        start = time.perf_counter()
        stack(images).square().mean().backward()
        if device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[5:])


def run(recipe: Recipe, device: str = "auto", points: int = 6) -> dict:
    """Train one seed from nothing: `seconds` on the clock, the `curve` at `points` even distances, and all nine
    translations on the test rooms at the end."""
    seconds, start = 0.0, time.perf_counter()
    sets = [shipped(split) for split in ("d1", "d2")]
    machine = probe(device, recipe.precision, recipe)
    trainer = Trainer(recipe, ZeroPair(*(as_needed(rooms, recipe) for rooms in sets)), machine)
    test, curve = None, []
    for point in range(1, points + 1):
        while trainer.next_step < recipe.steps * point // points:
            trainer.step()
        if trainer.next_step == recipe.steps and recipe.precise_statistics:
            trainer.settle()
        trainer.check()  # and with it a GPU has done what it was given
        seconds += time.perf_counter() - start
        test = test or shipped("test", recipe.size)
        measured = evaluate(trainer.model, test)
        rows = measured["translations"]
        scores = {name: rows[name].get("miou", rows[name].get("delta1")) for name in CURVE}
        curve.append({"step": trainer.next_step, "seconds": seconds, **scores})
        start = time.perf_counter()
    data = [rooms.describe() for rooms in sets]
    return {"seed": recipe.seed, "seconds": seconds, "curve": curve, **measured, "data": data, "form": machine.form()}


def speedrun(recipe: Recipe, seeds: int = 3, device: str = "auto") -> dict:
    """The record that a recipe would set: its mean seconds, their ratio to the yardstick's, and each seed's curve.

    `reached`: whether every seed reached `TARGET` with all nine translations.
    """
    unit = yardstick(choose_device(device))
    runs = [run(recipe.replace(seed=seed), device) for seed in range(seeds)]
    mean = statistics.mean(one["seconds"] for one in runs)
    finals = [one["translations"]["depth_to_segmentation"]["miou"] for one in runs]
    whole = all(len(one["translations"]) == 9 for one in runs)
    return {
        "target": TARGET,
        "reached": whole and min(finals) >= TARGET,
        "seconds": mean,
        "ratio": mean / unit,
        "yardstick_seconds": unit,
        "depth_to_segmentation": finals,
        "recipe": recipe.to_dict(),
        "runs": runs,
        **where(choose_device(device)),
    }


def describe(result: dict) -> str:
    """The result for people: the curve of each seed, and what it comes to."""
    lines = []
    for one in result["runs"]:
        lines.append(f"seed {one['seed']}:")
        for point in one["curve"]:
            shares = "  ".join(f"{name.replace('_to_', ' → ')} {100 * point[name]:.1f} %" for name in CURVE)
            lines.append(f"  step {point['step']:>5}  {point['seconds']:6.1f} s  {shares}")
    finals = ", ".join(f"{100 * value:.1f} %" for value in result["depth_to_segmentation"])
    verdict = "reached" if result["reached"] else "MISSED: no record"
    lines.append(f"depth → segmentation {finals}; target {100 * result['target']:.0f} %: {verdict}")
    lines.append(
        f"{result['seconds'] / 60:.2f} minutes, the mean of {len(result['runs'])} seeds, on {result['processor']}; "
        f"{result['ratio']:,.0f} × the yardstick of {1000 * result['yardstick_seconds']:.1f} ms"
    )
    return "\n".join(lines)


def keep(result: dict, name: str, change: str, records: str | Path = RECORDS) -> Path:
    """Write a record: what changed since the last one, the date, the commit, and the library's lines.

    `ValueError` where a seed missed the target, or the name is taken.
    """
    path = Path(records) / f"{name}.json"
    if not result["reached"] or len(result["runs"]) < 3:
        raise ValueError(
            f"no record: three seeds must each reach {TARGET:.2f}, and these are {result['depth_to_segmentation']}"
        )
    if path.exists():
        raise ValueError(f"{path} exists: records are not overwritten, choose another name")
    package = Path(__file__).parents[1]
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=package, capture_output=True, text=True)
    made = {
        "name": name,
        "date": datetime.date.today().isoformat(),
        "change": change,
        "commit": head.stdout.strip() or "unknown",
        "lines": sum(len(file.read_text(encoding="utf-8").splitlines()) for file in package.rglob("*.py")),
    }
    write_json({**made, **result}, path)
    return path


def records(folder: str | Path = RECORDS) -> list[dict]:
    """All records by date, those of CPUs first; of one date the slowest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.json")]
    return sorted(found, key=lambda record: (record["device"] != "cpu", record["date"], -record["seconds"]))


def records_table(folder: str | Path = RECORDS) -> str:
    """The records as a Markdown table; *lines* are those of the whole library, and what the change added to them."""
    rows, before = [], None
    for record in records(folder):
        finals = ", ".join(f"{100 * value:.1f} %" for value in record["depth_to_segmentation"])
        added = "" if before is None else f" ({record['lines'] - before:+,})"
        before = record["lines"]
        ratio = "–" if record["ratio"] is None else f"{record['ratio']:,.0f}"  # the first was made without a yardstick
        lines, minutes = f"{record['lines']:,}{added}", f"{record['seconds'] / 60:.2f}"
        rows.append((record["date"], record["change"], lines, record["processor"], minutes, ratio, finals))
    head = "date", "what changed", "lines", "device", "minutes", "× yardstick", "depth → segmentation, by seed"
    return markdown(head, rows)
