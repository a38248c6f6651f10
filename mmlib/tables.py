"""The tables of `experiments.GRIDS`, rendered from the files of `data/results/` alone."""

import json
from statistics import mean, stdev

from .experiments import (
    DEPTH_MEASURES,
    GRIDS,
    SEGMENTATION_MEASURES,
    Row,
    result_path,
)

ALPHA = 0.2  # of fused rows, with RGB's indices: fixed beforehand, the paper's (section 5.4)
TITLES = {
    "miou": "mIoU",
    "global": "global",
    "delta1": "δ < 1.25",
    "delta2": "δ < 1.25²",
    "delta3": "δ < 1.25³",
    "rmse": "RMSE (m)",
    "rmse_log": "RMSE (log)",
}
MISSING = "–"


def results(row: Row, preset: str, seeds: int) -> list[dict]:
    """What the runs of a row measured of its translation, one for each seed that is there."""
    found = []
    for seed in range(seeds):
        path = result_path(preset, row.run, seed)
        if path.exists() and row.measured in (result := json.loads(path.read_text())):
            found.append(_pick(result, row))
    return found


def _pick(result: dict, row: Row) -> dict:
    if row.measured != "fused":
        return result[row.measured][row.translation]
    return next(point for point in result["fused"][row.translation]["rgb"] if point["alpha"] == ALPHA)


def measures(name: str) -> tuple[str, ...]:
    """The measures of a grid's columns."""
    return DEPTH_MEASURES if name == "table4" else SEGMENTATION_MEASURES


def value(row: Row, measure: str, preset: str, seeds: int) -> tuple[float, float, int] | None:
    """Mean, standard deviation (0 for one seed) and number of seeds; None where there is no result."""
    return _summary([result[measure] for result in results(row, preset, seeds)])


def gap_closed(row: Row, grid: tuple[Row, ...], measure: str, preset: str, seeds: int) -> float | None:
    """(this row − best baseline) / (oracle − best baseline), best of the paper's own; None where one lacks."""
    baselines = [value(other, measure, preset, seeds) for other in grid if other.role == "baseline"]
    oracle = next((value(other, measure, preset, seeds) for other in grid if other.role == "oracle"), None)
    mine = value(row, measure, preset, seeds)
    if mine is None or oracle is None or not baselines or None in baselines:
        return None
    best = max(baseline[0] for baseline in baselines)
    return (mine[0] - best) / (oracle[0] - best)


def grid_table(name: str, preset: str = "ablation", seeds: int = 3) -> str:
    """A grid as a Markdown table: mean ± standard deviation over the seeds, the paper's figures, and the gap closed.

    What has not been run is a dash; fewer seeds are said in the row.
    """
    grid, columns = GRIDS[name], measures(name)
    gaps = any(row.role == "oracle" for row in grid)
    head = ["", *(TITLES[m] for m in columns)]
    head += [f"{TITLES[m]} in the paper" for m in columns[:1]] if any(row.paper for row in grid) else []
    head += ["gap closed"] if gaps else []
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for row in grid:
        found = [value(row, measure, preset, seeds) for measure in columns]
        count = found[0][2] if found[0] else 0
        cells = [_title(row, count, seeds), *(written(measure, one) for measure, one in zip(columns, found))]
        if any(other.paper for other in grid):
            cells.append(_papers(columns[0], row))
        if gaps:
            gap = None if row.role in ("baseline", "reference") else gap_closed(row, grid, columns[0], preset, seeds)
            cells.append(MISSING if gap is None else f"{100 * gap:.0f} %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


SEEN = (("rgb_to_segmentation", "miou"), ("segmentation_to_segmentation", "miou"), ("rgb_to_depth", "delta1"),
        ("depth_to_depth", "delta1"))  # fmt: skip


def choice_table(preset: str = "ablation", seeds: int = 3) -> str:
    """The grid `ideas`: seen translations and retrieval@1 on validation's seen pairs, for choosing between recipes."""
    head = [f"{name.replace('_to_', ' → ')}: {TITLES[measure]}" for name, measure in SEEN]
    head += [f"retrieval@1, {pair}" for pair in ("rgb – segmentation", "rgb – depth")]
    lines = [f"| on validation | {' | '.join(head)} |", "| --- " * (1 + len(head)) + "|"]
    for row in GRIDS["ideas"]:
        paths = [result_path(preset, row.run, seed) for seed in range(seeds)]
        found = [json.loads(path.read_text()) for path in paths if path.exists()]
        found = [result.get("validation", result) for result in found]  # runs of the tables were measured on both
        columns = [[result["translations"][name][measure] for result in found] for name, measure in SEEN]
        for pair in ("rgb – segmentation", "rgb – depth"):
            columns.append([result["alignment"][pair]["retrieval_at_1"] for result in found])
        cells = [_title(row, len(found), seeds), *(written("share", _summary(values)) for values in columns)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _title(row: Row, count: int, seeds: int) -> str:
    """A row's title; where only some of the seeds are there, with their number."""
    return row.title if count in (0, seeds) else f"{row.title} ({count} seed{'s' * (count > 1)})"


def _summary(values: list[float]) -> tuple[float, float, int] | None:
    """Mean, standard deviation (0 for one value) and number of values; None for none."""
    return (mean(values), stdev(values) if len(values) > 1 else 0.0, len(values)) if values else None


def written(measure: str, one: tuple[float, float, int] | None) -> str:
    """A mean with its standard deviation: shares in per cent, RMSE as it is."""
    if one is None:
        return MISSING
    middle, spread, count = one
    factor, digits = (1, 2) if measure.startswith("rmse") else (100, 1)
    unit = "" if factor == 1 else " %"
    around = f" ± {factor * spread:.{digits}f}" if count > 1 else ""
    return f"{factor * middle:.{digits}f}{around}{unit}"


def _papers(measure: str, row: Row) -> str:
    if not row.paper:
        return MISSING
    return f"{row.paper[0]:.1f} %" if measure == "miou" else f"{100 * row.paper[0]:.0f} %"
