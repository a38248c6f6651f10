"""The page of all tables, made from results, and the tables that stand between the markers of other pages."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import torch

from ..data.shipped import RESULTS, SHIPPED, read, shipped
from ..hardware.files import markdown, put, write
from ..modalities import MODALITIES
from ..networks import MixAndMatch
from ..objectives import ZeroPair
from ..recipes import preset
from .bench import describe, describe_loading
from .costs import cost, layers, parallel, shapes_only
from .grids import GRIDS
from .results import headline_table, trials_table
from .speedrun import records_table
from .tables import class_table, render

ROOT = SHIPPED.parents[1]
PICTURE = RESULTS / "zero_pair.png"
TABLES = RESULTS / "tables.md"


EVIDENCE = ("table1", "table2", "table3", "table4", "figure7", "ideas")
MANY = ("five", "colours", "styles")
"""The grids of the pages: the paper's tables with what choices rest on, and many domains (sections 3.3 and 5.5)."""


def shown(*names: str) -> str:
    """Grids with their captions, as Markdown; one without any result says so."""
    tables = {name: render(name, GRIDS[name].preset, GRIDS[name].seeds) for name in names}
    return "\n\n".join(
        f"{GRIDS[name].caption}\n\n{table if len(table.splitlines()) > 2 else '*No result yet.*'}"
        for name, table in tables.items()
    )


def tables_page() -> str:
    """All tables from results, as a page."""
    parts = (
        "# Results: all tables",
        "*Made by `python -m mmlib readme` from the files beside this page. A row that has no result yet is left out. "
        "mIoU and δ are in per cent, mean ± standard deviation over the seeds that are there.*",
        "## The network that ships",
        headline_table(),
        "## The paper's tables and figures",
        "Small networks (preset `ablation`) that share rooms and training loop: compare these numbers with each other "
        "alone. Notebook [05b](../../notebooks/05b_evidence.ipynb) reads them.",
        shown(*EVIDENCE),
        f"**Class by class**: the rows of Table 3.\n\n{class_table()}",
        "## Many domains",
        shown(*MANY),
    )
    return "\n\n".join(parts) + "\n"


def write_tables(page: str | Path = TABLES) -> bool:
    """Write `tables_page`; whether anything changed."""
    page, text = Path(page), tables_page()
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return False
    write(page, text.encode())
    return True


def measured(*names: str) -> str:
    """Benchmarks of `data/results/bench`, as Markdown that keeps their columns."""
    return "\n\n".join(f"```text\n{describe(read(f'bench/{name}'))}\n```" for name in names)


PEAK, SHARES = 990e12, (0.2, 0.5)  # FLOP/s of an H100 in dense bf16, by its data sheet; the share reached is assumed
LINKS = {"NVLink, 450 GB/s": 450e9, "a network of 50 GB/s for each GPU": 50e9}
"""Bytes a second that a GPU sends while it receives as many, by link: the H100's data sheet; 400 Gbit/s."""


@functools.cache
def gpus_table() -> str:
    """What several GPUs would give the paper's training, computed, as a Markdown table."""
    recipe, rooms = preset("paper"), ZeroPair(shipped("d1").subset(0, 2), shipped("d2").subset(0, 2))
    phases = [(phase.steps, cost(recipe, rooms, number)) for number, phase in enumerate(recipe.phases)]
    rows = []
    for gpus in (1, 2, 4, 8, 32):
        cells = []
        for bandwidth in LINKS.values():
            speeds = [parallel(phases[0][1], gpus, PEAK * share, bandwidth).speed for share in SHARES]
            cells.append(f"{min(map(min, speeds)):.1f} to {max(map(max, speeds)):.1f}")
        hours = [sum(steps * one.flops for steps, one in phases) / (gpus * PEAK * share) / 3600 for share in SHARES]
        sent = f"{parallel(phases[0][1], gpus, PEAK, 1.0).exchanged / 1e9:.2f} GB"
        rows.append([str(gpus), sent, *cells, f"{min(hours):.2f} to {max(hours):.2f}"])
    return markdown(["GPUs", "each sends in a step", *(f"times as fast over {link}" for link in LINKS), "hours"], rows)


MEMORY = 3.35e12  # bytes a second that an H100 reads or writes, by its data sheet
WAYS = {"one operation after the other": (19, 120), "compiled, with window codes": (14, 44)}
"""How often an array as large as a convolution's output is read or written, and bytes moved for a pooled value."""


@functools.cache
def moving_table() -> str:
    """What a step of the paper's takes on an H100 by arithmetic and memory alone, computed, as a Markdown table."""
    recipe, rooms = preset("paper"), ZeroPair(shipped("d1").subset(0, 2), shipped("d2").subset(0, 2))
    step = cost(recipe, rooms)
    with shapes_only():
        model = MixAndMatch.from_recipe(recipe)
        images = {
            name: torch.zeros(1, record.channels, recipe.size, recipe.size) for name, record in MODALITIES.items()
        }
        encoding = model.encode(images["depth"], "depth")
        parts = {f"{name} encoder": (model.encoders[name], image) for name, image in images.items()}
        parts |= {f"{name} decoder": (model.decoders[name], encoding) for name in images}
        values = sum(
            step.images[name] * sum(math.prod(row.output) for row in layers(*part) if row.kind == "conv")
            for name, part in parts.items()
        )
    encoded = sum(count for name, count in step.images.items() if name.endswith("encoder"))
    pooled = encoded * sum(math.prod(stage.shape[1:]) for stage in encoding.pooled)
    rows = []
    for way, (travels, index_bytes) in WAYS.items():
        moved = (2 * travels * values, index_bytes * pooled, 8 * 4 * sum(step.parameters.values()))
        times = [step.flops / PEAK, *(amount / MEMORY for amount in moved)]
        cells = (f"{1000 * seconds:.1f} ms" for seconds in (*times, sum(times)))
        rows.append([way, *cells, f"{times[0] / sum(times):.0%}"])
    return markdown(("way", "arithmetic", "blocks", "pooling", "Adam", "in all", "share of the peak"), rows)


MARKED: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"headline": headline_table},
    "notebooks/speedrun.md": {"records": records_table, "levers": lambda: trials_table("levers")},
    "notebooks/evidence.md": {
        "anchor": lambda: trials_table("anchor"),
        "self-training": lambda: trials_table("self_training"),
    },
    "notebooks/one_gpu.md": {
        "bench": lambda: measured("course_amx", "course", "paper_small"),
        "moving": moving_table,
        "shapes": lambda: trials_table("gpu/shapes"),
    },
    "notebooks/scenenet.md": {"loading": lambda: f"```text\n{describe_loading(read('bench/loading'))}\n```"},
    "notebooks/several_machines.md": {"gpus": gpus_table},
}
"""By page: what stands between its markers `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""


def update(root: str | Path = ROOT) -> list[str]:
    """Put each of `MARKED` between the markers of its page under `root`; return the pages that changed."""
    changed = []
    for page, tables in MARKED.items():
        marks = [(f"<!-- {name}:begin -->", f"<!-- {name}:end -->", f"\n{table()}\n") for name, table in tables.items()]
        if any([put(Path(root) / page, *mark) for mark in marks]):
            changed.append(page)
    return changed
