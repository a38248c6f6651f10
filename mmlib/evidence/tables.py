"""The tables of `grids.GRIDS`, rendered from the files of `data/results/` alone."""

import dataclasses
from collections.abc import Collection
from statistics import mean, stdev

from ..data.shipped import read
from ..evaluation import seen
from ..hardware.files import markdown
from ..modalities import modality
from .experiments import stored
from .grids import DEPTH_MEASURES, GRIDS, GROUPS, SEGMENTATION_MEASURES, SHARE, Row
from .ingredients import FIVE
from .measure import PICTURED

TITLES = {
    "miou": "mIoU",
    "global": "global",
    "delta1": "δ < 1.25",
    "delta2": "δ < 1.25²",
    "delta3": "δ < 1.25³",
    "rmse": "RMSE (m)",
    "rmse_log": "RMSE (log)",
    "mean": "mean angle",
    "colour_error": "CIEDE2000",
    "named": "right name",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "background": "background, CIEDE2000",
}
WRITTEN = {
    "rmse": (1, 2, ""), "rmse_log": (1, 2, ""), "psnr": (1, 1, " dB"), "mean": (1, 1, "°"), "colour_error": (1, 1, ""),
    "ssim": (1, 3, ""), "background": (1, 1, ""),
}  # fmt: skip
"""Factor, digits and unit; of all other measures per cent."""
MISSING = "–"


def load(preset: str, run: str, seeds: int) -> list[dict]:
    """The results of a run, one for each seed that is there; not those of another recipe than is declared now."""
    return [result for seed in range(seeds) if (result := stored(preset, run, seed))]


def results(row: Row, preset: str, seeds: int) -> list[dict]:
    """What the runs of a row measured of its translation, one for each seed that is there."""
    part = "fused" if row.measured in SHARE else row.measured
    return [_pick(result, row) for result in load(preset, row.run, seeds) if part in result]


def _pick(result: dict, row: Row) -> dict:
    if row.translation in GROUPS:
        pairs = {name: tuple(name.split("_to_")) for name in result[row.measured]}
        group = [result[row.measured][name] for name, pair in pairs.items() if GROUPS[row.translation](*pair)]
        return {measure: mean(found[measure] for found in group) for measure in group[0]}
    if row.measured not in SHARE:
        return result[row.measured][row.translation]
    return next(point for point in result["fused"][row.translation]["rgb"] if point["alpha"] == SHARE[row.measured])


def value(row: Row, measure: str, preset: str, seeds: int) -> tuple[float, float, int] | None:
    """Mean, standard deviation (0 for one seed) and number of seeds; None where there is no result."""
    return _summary([result[measure] for result in results(row, preset, seeds)])


def gain(one: Row, other: Row, measure: str = "miou", preset: str = "ablation", seeds: int = 3) -> str:
    """How far a row is ahead of another, and whether to believe it: beyond both standard deviations together."""
    found = [value(row, measure, preset, seeds) for row in (one, other)]
    if None in found:
        return MISSING
    first, second = found
    factor, digits, unit = WRITTEN.get(measure, (100, 1, " points"))
    ahead = f"{factor * (first[0] - second[0]):+.{digits}f}{unit}".replace("-", "−")
    if min(first[2], second[2]) < 2:
        return f"{ahead} (one seed: no spread is known)"
    beyond = abs(first[0] - second[0]) > first[1] + second[1]
    return f"{ahead} ({'beyond' if beyond else 'within'} the seeds' spread)"


def differences(
    name: str, *pairs: tuple[str, str], measure: str = "miou", preset: str = "ablation", seeds: int = 3
) -> str:
    """Rows of a grid against others, by their titles, a line for each pair: `gain`, and both numbers. Pairs that lack a
    result are left out."""
    lines = []
    for pair in pairs:
        rows = _rows(name, *pair)
        found = [value(row, measure, preset, seeds) for row in rows]
        if None not in found:
            first, second = (f"{title} {written(measure, values)}" for title, values in zip(pair, found))
            one, other = rows
            lines.append(f"{gain(one, other, measure, preset, seeds)}: {first}, against {second}")
    return "\n".join(lines) or "no result of these rows yet"


def _rows(name: str, *titles: str) -> list[Row]:
    """Rows of a grid by their titles."""
    rows = {row.title: row for row in GRIDS[name].rows}
    if unknown := [title for title in titles if title not in rows]:
        raise ValueError(f"{name} has no row {unknown[0]!r}: it has {', '.join(rows)}")
    return [rows[title] for title in titles]


def gap_closed(row: Row, grid: tuple[Row, ...], measure: str, preset: str, seeds: int) -> float | None:
    """(this row − best baseline) / (oracle − best baseline), best of the paper's own; None where one lacks."""
    baselines = [value(other, measure, preset, seeds) for other in grid if other.role == "baseline"]
    oracle = next((value(other, measure, preset, seeds) for other in grid if other.role == "oracle"), None)
    mine = value(row, measure, preset, seeds)
    if mine is None or oracle is None or not baselines or None in baselines:
        return None
    best = max(baseline[0] for baseline in baselines)
    return (mine[0] - best) / (oracle[0] - best)


def grid_table(name: str, preset: str = "ablation", seeds: int = 3, only: Collection[str] = ()) -> str:
    """A grid, or `only` rows of these titles, as a Markdown table: how many seeds there are, mean ± standard deviation
    over them, the paper's figures, and the gap closed. What has not been run is left out.

    `ValueError` names a title that the grid does not have.
    """
    grid, columns = GRIDS[name].rows, GRIDS[name].measures
    _rows(name, *only)
    gaps = any(row.role == "oracle" for row in grid)
    head = ["", "seeds", *(TITLES[m] for m in columns)]
    head += [f"{TITLES[m]} in the paper" for m in columns[:1]] if any(row.paper for row in grid) else []
    head += ["gap closed"] if gaps else []
    rows = []
    for row in grid:
        found = [value(row, measure, preset, seeds) for measure in columns]
        if found[0] is None or (only and row.title not in only):
            continue
        cells = [row.title, str(found[0][2]), *(written(measure, one) for measure, one in zip(columns, found))]
        if any(other.paper for other in grid):
            factor, digits = (1, 1) if columns[0] == "miou" else (100, 0)
            cells.append(f"{factor * row.paper[0]:.{digits}f} %" if row.paper else MISSING)
        if gaps:
            gap = None if row.role in ("baseline", "reference") else gap_closed(row, grid, columns[0], preset, seeds)
            cells.append(MISSING if gap is None else f"{100 * gap:.0f} %")
        rows.append(cells)
    return markdown(head, rows)


def averaged(row: Row, preset: str = "ablation", seeds: int = 3) -> dict | None:
    """A segmentation row's measures as `evaluate` gives them, averaged over its seeds; None where there is no result.

    For `plots.per_class_iou`. A class that no seed found counts as 0.
    """
    found = results(row, preset, seeds)
    if not found:
        return None
    iou = {name: mean(result["iou"][name] or 0.0 for result in found) for name in found[0]["iou"]}
    return {"iou": iou, **{measure: mean(result[measure] for result in found) for measure in SEGMENTATION_MEASURES}}


def class_table() -> str:
    """The rows of the paper's Table 3 class by class: mean IoU over the seeds in per cent."""
    rows = {row.title: found for row in GRIDS["table3"].rows if (found := averaged(row))}
    classes = list(next(iter(rows.values()))["iou"]) if rows else []
    cells = ([title, *(f"{100 * found['iou'][name]:.0f}" for name in classes)] for title, found in rows.items())
    return markdown(["IoU in %", *classes], cells)


def fusion_lines(row: Row, preset: str = "ablation", seeds: int = 3) -> dict[str, list[dict]]:
    """Figure 7 of a row: for each lender of indices, measures over α, averaged over the seeds with their `spread`.

    A point is {"alpha": …, "seeds": …, "miou": …, "spread": {"miou": …}} and so on, as `plots.fusion_curves` draws it.
    """
    found = [result["fused"][row.translation] for result in load(preset, row.run, seeds)]
    lines = {}
    for lender, (one, *_) in found[0].items() if found else ():
        shares = [measure for measure in (*SEGMENTATION_MEASURES, *DEPTH_MEASURES) if measure in one]
        lines[f"indices of {lender.replace('rgb', 'RGB')}"] = [
            {
                "alpha": points[0]["alpha"],
                "seeds": len(points),
                **{measure: mean(point[measure] for point in points) for measure in shares},
                "spread": {measure: _summary([p[measure] for p in points])[1] for measure in shares},
            }
            for points in zip(*(one[lender] for one in found), strict=True)
        ]
    return lines


def fusion_table(preset: str = "ablation", seeds: int = 3) -> str:
    """Figure 7 as a table: a line for each α, a column for each network, target and lender of indices."""
    columns = {}
    for row in GRIDS["figure7"].rows:
        measure = "miou" if row.translation.endswith("segmentation") else "delta1"
        for lender, points in fusion_lines(row, preset, seeds).items():
            columns[f"{_title(row, points[0]['seeds'], seeds)}, {lender}: {TITLES[measure]}"] = {
                f"{point['alpha']:g}": written(measure, (point[measure], point["spread"][measure], point["seeds"]))
                for point in points
            }
    alphas = next(iter(columns.values()), {})
    return markdown(["α", *columns], ([alpha, *(column[alpha] for column in columns.values())] for alpha in alphas))


def pictures(name: str, preset: str = "ablation", only: Collection[str] = ()) -> dict[str, str]:
    """What the rows of a grid, or `only` those of these titles, made with seed 0 of the rooms `measure.EXAMPLES`, for
    `plots.qualitative`: title → PNG. Results of other seeds keep no pictures."""
    found = {}
    for row in _rows(name, *only) or GRIDS[name].rows:
        if result := stored(preset, row.run, 0):
            found[row.title] = result[PICTURED[row.measured]][row.translation]
    return found


EARLIER = {
    "none": "M&MNet D → S, no indices",
    "pooling": "M&MNet D → S",
    "pooling_lent": "M&MNet D → S, RGB's indices",
    "pseudo_pairs": "M&MNet D → S, no indices, pseudo-pairs",
    "depth_student": "pseudo-label student D → S",
    "rgb_to_segmentation": "RGB → segmentation alone (seen)",
}
"""What `data/results/earlier` keeps of the earlier recipe's Table 3, with the titles of the rows."""


def earlier_table(preset: str = "ablation", seeds: int = 3) -> str:
    """mIoU by the earlier recipe and by the one of now, each with its distance in points from the plain method."""
    kept = read("earlier/ablation")["miou"]
    rows = dict(zip(EARLIER, _rows("table3", *EARLIER.values())))
    plain: list = []
    lines = []
    for name, row in rows.items():
        found = (_summary(kept[name]), value(row, "miou", preset, seeds))
        plain = plain or list(found)
        cells = [row.title]
        for one, first in zip(found, plain):
            apart = "" if one is first or None in (one, first) else f"{100 * (one[0] - first[0]):+.1f}"
            cells += [written("miou", one), apart.replace("-", "−")]
        lines.append([*cells, f"3, {found[1][2] if found[1] else 0}"])
    return markdown(("", "earlier recipe", "over the first row", "this recipe", "over the first row", "seeds"), lines)


CHOICES = {
    "ideas": {
        "R → S: mIoU": lambda found: found["translations"]["rgb_to_segmentation"]["miou"],
        "S → S: mIoU": lambda found: found["translations"]["segmentation_to_segmentation"]["miou"],
        "R → D: δ < 1.25": lambda found: found["translations"]["rgb_to_depth"]["delta1"],
        "retrieval@1, R – S": lambda found: found["alignment"]["rgb – segmentation"]["retrieval_at_1"],
        "retrieval@1, R – D": lambda found: found["alignment"]["rgb – depth"]["retrieval_at_1"],
        "equal indices, R – D": lambda found: mean(found["alignment"]["rgb – depth"]["index_agreement"]),
        "D → S agrees with R → S: mIoU": lambda found: found["agreement"]["depth_to_segmentation"]["miou"],
    },
    "rivals": {
        "R → S: mIoU": lambda found: found["translations"]["rgb_to_segmentation"]["miou"],
        "D → R: PSNR": lambda found: found["translations"]["depth_to_rgb"]["psnr"],
    },
}
"""The grids that choices rest on, and what is shown of their results on validation; no true pair is in it."""


def choice_table(name: str = "ideas", preset: str = "ablation", seeds: int = 3) -> str:
    """A grid of `CHOICES` on validation, for choosing between recipes."""
    rows = []
    for row in GRIDS[name].rows:
        # runs of the tables were measured on both
        found = [result.get("validation", result) for result in load(preset, row.run, seeds)]
        if not found:
            continue
        cells = [_title(row, len(found), seeds)]
        for title, measured in CHOICES[name].items():
            measure = "psnr" if title.endswith("PSNR") else "share"
            cells.append(written(measure, _summary([measured(result) for result in found])))
        rows.append(cells)
    return markdown(["on validation", *CHOICES[name]], rows)


def five(source: str, target: str, preset: str = "ablation", seeds: int = 3) -> dict[str, tuple | None]:
    """One translation of the matrix: mean, deviation and seeds trained `jointly`, `plugged` in, and `alone`."""
    runs = {"jointly": "five_jointly", "plugged": "albedo_plugged", "alone": f"alone_{source}_to_{target}"}
    row = Row("", "", f"{source}_to_{target}")
    return {
        way: value(dataclasses.replace(row, run=run), modality(target).metric().headline, preset, seeds)
        for way, run in runs.items()
        if source != target or way != "alone"
    }


def five_table(preset: str = "ablation", seeds: int = 3) -> str:
    """All translations of five modalities: one line per source, one column per target; unseen pairs in bold.

    A cell says: trained jointly / plugged in / alone, on true pairs.
    """
    measures = {target: modality(target).metric().headline for target in FIVE}
    head = [f"→ {target} ({TITLES[measure]})" for target, measure in measures.items()]
    rows = []
    for source in FIVE:
        cells = [source]
        for target, measure in measures.items():
            cell = " / ".join(written(measure, one) for one in five(source, target, preset, seeds).values())
            cells.append(cell if seen(source, target) else f"**{cell}**")
        rows.append(cells)
    return markdown(["jointly / plugged in / alone", *head], rows).replace("rgb", "RGB")


def domain_costs() -> dict:
    """What `bench-domains` measured, for `plots.domain_costs`."""
    return read("domains/scaling")


def render(name: str, preset: str = "ablation", seeds: int = 3) -> str:
    """Any grid as the table that belongs to it."""
    if name in CHOICES:
        return choice_table(name, preset, seeds)
    if name == "five":
        return five_table(preset, seeds)
    return fusion_table(preset, seeds) if name == "figure7" else grid_table(name, preset, seeds)


def _title(row: Row, count: int, seeds: int) -> str:
    """A row's title; where only some of the seeds are there, with their number."""
    return row.title if count in (0, seeds) else f"{row.title} ({count} seed{'s' * (count > 1)})"


def _summary(values: list[float]) -> tuple[float, float, int] | None:
    """Mean, standard deviation (0 for one value) and number of values; None for none."""
    return (mean(values), stdev(values) if len(values) > 1 else 0.0, len(values)) if values else None


def written(measure: str, one: tuple[float, float, int] | None) -> str:
    """A mean with its standard deviation: shares in per cent, RMSE and PSNR as they are."""
    if one is None:
        return MISSING
    middle, spread, count = one
    factor, digits, unit = WRITTEN.get(measure, (100, 1, " %"))
    around = f" ± {factor * spread:.{digits}f}" if count > 1 else ""
    return f"{factor * middle:.{digits}f}{around}{unit}"
