"""Pages of tables made from results, and the tables that stand between the markers of other pages."""

import functools
from pathlib import Path

from ..data.shipped import RESULTS, SHIPPED, shipped
from ..files import put, written_whole
from ..objectives import ZeroPair
from ..recipes import preset
from .costs import cost, parallel
from .grids import GRIDS
from .results import headline_table, shapes_table
from .speedrun import records_table
from .tables import class_table, render

PICTURE = RESULTS / "zero_pair.png"
TABLES = RESULTS / "tables.md"
README = SHIPPED.parents[1] / "README.md"
BEGIN, END = "<!-- headline:begin -->", "<!-- headline:end -->"
EVIDENCE_BEGIN, EVIDENCE_END = "<!-- evidence:begin -->", "<!-- evidence:end -->"
MANY_BEGIN, MANY_END = "<!-- many-domains:begin -->", "<!-- many-domains:end -->"
RECORDS_BEGIN, RECORDS_END = "<!-- records:begin -->", "<!-- records:end -->"
SHAPES_BEGIN, SHAPES_END = "<!-- shapes:begin -->", "<!-- shapes:end -->"
MACHINES = SHIPPED.parents[1] / "notebooks" / "several_machines.md"
GPUS_BEGIN, GPUS_END = "<!-- gpus:begin -->", "<!-- gpus:end -->"


EVIDENCE = ("table1", "table2", "table3", "table4", "figure7", "ideas", "rivals")
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
        "## From nothing to 0.40",
        records_table(),
        "## Trials of shapes, on validation's seen pairs",
        shapes_table(),
    )
    return "\n\n".join(parts) + "\n"


def write_tables(page: str | Path = TABLES) -> bool:
    """Write `tables_page`; whether anything changed."""
    page, text = Path(page), tables_page()
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return False
    with written_whole(page) as stream:
        stream.write(text.encode())
    return True


def update_readme(readme: str | Path = README, results: str | Path = RESULTS) -> bool:
    """Put the headline table of `results` between the README's markers, and the other tables where the README has
    markers of theirs; whether anything changed."""
    text = Path(readme).read_text(encoding="utf-8")
    others = (
        (EVIDENCE_BEGIN, EVIDENCE_END, lambda: shown(*EVIDENCE)), (MANY_BEGIN, MANY_END, lambda: shown(*MANY)),
        (RECORDS_BEGIN, RECORDS_END, records_table), (SHAPES_BEGIN, SHAPES_END, shapes_table),
    )  # fmt: skip
    changed = [put(readme, BEGIN, END, headline_table(results))]
    changed += [put(readme, begin, end, table()) for begin, end, table in others if begin in text]
    return any(changed)


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
