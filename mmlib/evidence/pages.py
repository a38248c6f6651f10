"""The README's tables, and the table of several GPUs, made from results and put between their pages' markers."""

import functools
from pathlib import Path

from ..data.shipped import RESULTS, SHIPPED, shipped
from ..files import put
from ..objectives import ZeroPair
from ..recipes import preset
from .costs import cost, parallel
from .grids import PRESET
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


EVIDENCE = {
    "ideas": "**What each choice is worth**: one change at a time to the tables' recipe without indices, on seen pairs "
    "of validation alone.",
    "table1": "**Side information** (the paper's Table 1): depth → segmentation, zero-pair. The paper's figures are of "
    "its own data and scale, and of its own ablation. With *the photograph's* indices the translation needs RGB, too.",
    "table2": "**What each part adds** (Table 2): depth → segmentation, zero-pair, with pooling indices.",
    "table3": "**Depth → segmentation by all methods** (Table 3). *Gap closed*: 0 % is the best of the paper's own "
    "baselines, 100 % the oracle.",
    "table4": "**Segmentation → depth by all methods** (Table 4).",
}
"""The grids that the README shows, with their captions."""


def evidence(preset: str = "ablation") -> str:
    """The paper's tables, measured, as Markdown."""
    return "\n\n".join(f"{caption}\n\n{render(name, preset)}" for name, caption in EVIDENCE.items())


MANY = {
    "five": "**Five modalities**: each cell says trained jointly / plugged in one after the other / alone on pairs of "
    "its own (one seed). Bold: no pair was seen, but by *alone*.",
    "colours": "**Eleven colours**: furniture recoloured, on 60 scenes rendered in all colours; one training a row. "
    "Errors (CIEDE2000) within the object and, against the source, outside it.",
    "styles": "**Four styles and photos**: against the exact stylisation of 100 test rooms; one training a row.",
}
"""The grids of many domains (sections 3.3 and 5.5), with their captions."""


def many_domains() -> str:
    """What was measured of many domains, as Markdown."""
    return "\n\n".join(
        f"{caption}\n\n{render(name, PRESET.get(name, 'ablation'), 1 if name in PRESET else 3)}"
        for name, caption in MANY.items()
    )


def update_readme(readme: str | Path = README, results: str | Path = RESULTS) -> bool:
    """Put the headline table of `results`, the evidence, and the tables of many domains, of records and of shapes
    between the README's markers; whether anything changed."""
    tables = ((BEGIN, END, headline_table(results)), (EVIDENCE_BEGIN, EVIDENCE_END, evidence()),
              (MANY_BEGIN, MANY_END, many_domains()),
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
