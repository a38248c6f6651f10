"""Points of the figures that hold results against something else: alignment, and minutes of training."""

import json
import statistics
from statistics import mean

from ..data.shipped import RESULTS
from .grids import GRIDS
from .tables import load, results

ALIGNMENT = {
    "retrieval@1": lambda found: found["retrieval_at_1"],
    "equal pooling indices, mean of the stages": lambda found: mean(found["index_agreement"]),
}
"""Measures of alignment of the unseen pair, depth and segmentation, from a run's `alignment`."""


def transfer_points(measure: str, preset: str = "ablation", seeds: int = 3) -> dict[str, list[tuple[float, float]]]:
    """(alignment of depth and segmentation, zero-pair mIoU) for each seed of each run whose alignment was measured.

    By the title of the first row that shows the run's depth → segmentation; `measure` is a key of `ALIGNMENT`.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    done = set()
    for row in (row for name in ("table1", "table2", "table3") for row in GRIDS[name].rows):
        if row.run in done or row.measured != "translations" or row.translation != "depth_to_segmentation":
            continue
        done.add(row.run)
        for result in load(preset, row.run, seeds):
            if "alignment" in result:
                aligned = ALIGNMENT[measure](result["alignment"]["depth – segmentation"])
                points.setdefault(row.title, []).append((aligned, result["translations"][row.translation]["miou"]))
    return points


def time_points(preset: str = "ablation", seeds: int = 3) -> dict[str, list[tuple[float, float]]]:
    """(minutes of training, mIoU) of each seed of the rows of table 3 whose minutes `bench --methods` has measured."""
    measured = json.loads((RESULTS / preset / "minutes.json").read_text(encoding="utf-8"))["minutes"]
    points = {}
    for row in GRIDS["table3"].rows:
        if row.run in measured and row.role != "reference" and row.measured in ("translations", "through_rgb"):
            points[row.title] = [(measured[row.run], found["miou"]) for found in results(row, preset, seeds)]
    return {title: pairs for title, pairs in points.items() if pairs}


def correlation(points: dict[str, list[tuple[float, float]]]) -> float:
    """Spearman's rank correlation over all points of `transfer_points`."""
    x, y = zip(*(point for pairs in points.values() for point in pairs))
    ranks = [[sorted(values).index(value) for value in values] for values in (x, y)]
    return statistics.correlation(*ranks)
