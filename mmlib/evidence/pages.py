"""The README's tables, and the table of several GPUs, made from results and put between their pages' markers."""

import functools
from pathlib import Path

from ..data.shipped import RESULTS, SHIPPED, shipped
from ..files import put
from ..objectives import ZeroPair
from ..recipes import preset
from .costs import cost, parallel
from .grids import GRIDS
from .results import headline_table, shapes_table
from .speedrun import records_table
from .tables import render

PICTURE = RESULTS / "zero_pair.png"
README = SHIPPED.parents[1] / "README.md"
BEGIN, END = "<!-- headline:begin -->", "<!-- headline:end -->"
EVIDENCE_BEGIN, EVIDENCE_END = "<!-- evidence:begin -->", "<!-- evidence:end -->"
MANY_BEGIN, MANY_END = "<!-- many-domains:begin -->", "<!-- many-domains:end -->"
RECORDS_BEGIN, RECORDS_END = "<!-- records:begin -->", "<!-- records:end -->"
SHAPES_BEGIN, SHAPES_END = "<!-- shapes:begin -->", "<!-- shapes:end -->"
MACHINES = SHIPPED.parents[1] / "notebooks" / "several_machines.md"
GPUS_BEGIN, GPUS_END = "<!-- gpus:begin -->", "<!-- gpus:end -->"


EVIDENCE = ("ideas", "table1", "table2", "table3", "table4")
MANY = ("five", "colours", "styles")
"""The grids that the README shows: the paper's tables, and those of many domains (sections 3.3 and 5.5)."""


def shown(*names: str) -> str:
    """Grids with their captions, as Markdown."""
    return "\n\n".join(
        f"{GRIDS[name].caption}\n\n{render(name, GRIDS[name].preset, GRIDS[name].seeds)}" for name in names
    )


def update_readme(readme: str | Path = README, results: str | Path = RESULTS) -> bool:
    """Put the headline table of `results`, the evidence, and the tables of many domains, of records and of shapes
    between the README's markers; whether anything changed."""
    tables = ((BEGIN, END, headline_table(results)), (EVIDENCE_BEGIN, EVIDENCE_END, shown(*EVIDENCE)),
              (MANY_BEGIN, MANY_END, shown(*MANY)),
              (RECORDS_BEGIN, RECORDS_END, records_table()), (SHAPES_BEGIN, SHAPES_END, shapes_table()))  # fmt: skip
    return any([put(readme, *table) for table in tables])


PEAK, SHARES = 990e12, (0.2, 0.5)  # FLOP/s of an H100 in dense bf16, by its data sheet; the share reached is assumed
LINKS = {"NVLink, 450 GB/s": 450e9, "a network of 50 GB/s for each GPU": 50e9}
"""Bytes a second that a GPU sends while it receives as many, by link: the H100's data sheet; 400 Gbit/s."""


@functools.cache
def gpus_table() -> str:
    """What several GPUs would give the paper's training, computed, as a Markdown table."""
    recipe, rooms = preset("paper"), ZeroPair(shipped("d1").subset(0, 2), shipped("d2").subset(0, 2))
    phases = [(phase.steps, cost(recipe, rooms, number)) for number, phase in enumerate(recipe.phases)]
    lines = [
        f"| GPUs | each sends in a step | {' | '.join(f'times as fast over {link}' for link in LINKS)} | hours |",
        "| --- " * (3 + len(LINKS)) + "|",
    ]
    for gpus in (1, 2, 4, 8, 32):
        cells = []
        for bandwidth in LINKS.values():
            speeds = [parallel(phases[0][1], gpus, PEAK * share, bandwidth).speed for share in SHARES]
            cells.append(f"{min(map(min, speeds)):.1f} to {max(map(max, speeds)):.1f}")
        hours = [sum(steps * one.flops for steps, one in phases) / (gpus * PEAK * share) / 3600 for share in SHARES]
        sent = f"{parallel(phases[0][1], gpus, PEAK, 1.0).exchanged / 1e9:.2f} GB"
        lines.append(f"| {gpus} | {sent} | {' | '.join(cells)} | {min(hours):.2f} to {max(hours):.2f} |")
    return "\n".join(lines)


def update_machines(page: str | Path = MACHINES) -> bool:
    """Put the arithmetic of several GPUs between the markers of their page; whether anything changed."""
    return put(page, GPUS_BEGIN, GPUS_END, f"\n{gpus_table()}\n")
