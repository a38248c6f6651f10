"""Alignment against transfer: does a training whose encoders agree translate the unseen pair better?"""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import mean

from .grids import GRIDS
from .tables import load

ALIGNMENT = {
    "retrieval@1": lambda training: training["retrieval_at_1"],
    "equal pooling indices, mean of the stages": lambda training: mean(training["index_agreement"]),
    "equal pooling indices, last stage": lambda training: training["index_agreement"][-1],
}
"""Measures of alignment of the unseen pair, depth and segmentation, of one of `trainings`."""
READS = {"none": "decoders read no indices", "pooling": "decoders read indices", "skip": "decoders read features"}
"""Groups of trainings by the side information of their decoders."""


def trainings(preset: str = "ablation", seeds: int = 3) -> list[dict]:
    """Each seed of each run of tables 1 to 3 that has all encoders: its side information and stages, the alignment of
    depth and segmentation, and the zero-pair mIoU. `data/results/earlier` keeps those of an earlier recipe."""
    rows = (row for name in ("table1", "table2", "table3") for row in GRIDS[name].rows)
    shown = (row.run for row in rows if (row.measured, row.translation) == ("translations", "depth_to_segmentation"))
    return [
        {
            "run": run,
            "seed": result["recipe"]["seed"],
            "side_information": result["recipe"]["side_information"],
            "stages": len(result["recipe"]["widths"]),
            "retrieval_at_1": result["alignment"]["depth – segmentation"]["retrieval_at_1"],
            "index_agreement": result["alignment"]["depth – segmentation"]["index_agreement"],
            "miou": result["translations"]["depth_to_segmentation"]["miou"],
        }
        for run in dict.fromkeys(shown)
        for result in load(preset, run, seeds)
        if "alignment" in result
    ]


def transfer_points(found: Iterable[dict], measure: str) -> dict[str, list[tuple[float, float]]]:
    """(alignment, zero-pair mIoU) of `trainings`, by their group of `READS`; `measure` is a key of `ALIGNMENT`."""
    points: dict[str, list[tuple[float, float]]] = {}
    for training in found:
        group = points.setdefault(READS[training["side_information"]], [])
        group.append((ALIGNMENT[measure](training), training["miou"]))
    return points


def correlation(points: Mapping[str, Sequence[tuple[float, float]]], groups: Collection[str] = ()) -> float | None:
    """Spearman's rank correlation over all points of `transfer_points`, or those of some groups.

    None for fewer than five points, or where one axis does not vary.
    """
    pairs = [point for group, found in points.items() if not groups or group in groups for point in found]
    if len(pairs) < 5:
        return None
    ranks = [
        [mean(place for place, other in enumerate(sorted(axis)) if other == one) for one in axis]
        for axis in zip(*pairs)
    ]  # fmt: skip
    return None if any(len(set(axis)) == 1 for axis in ranks) else statistics.correlation(*ranks)
