"""Alignment against transfer: does a training whose encoders agree translate the unseen pair better?"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from statistics import mean

from .grids import GRIDS
from .tables import load

ALIGNMENT = {
    "retrieval@1": lambda found: found["retrieval_at_1"],
    "equal pooling indices, mean of the stages": lambda found: mean(found["index_agreement"]),
    "equal pooling indices, last stage": lambda found: found["index_agreement"][-1],
}
"""Measures of alignment of the unseen pair, depth and segmentation, from a run's `alignment`."""
READS = {"none": "decoders read no indices", "pooling": "decoders read indices", "skip": "decoders read features"}
"""Groups of trainings by the side information of their decoders."""


def transfer_points(
    measure: str, preset: str = "ablation", seeds: int = 3, deeper: bool = True
) -> dict[str, list[tuple[float, float]]]:
    """(alignment of depth and segmentation, zero-pair mIoU) for each seed of each run of tables 1 to 3 whose alignment
    was measured, by the group of `READS` that the run belongs to.

    `measure` is a key of `ALIGNMENT`; without `deeper`, networks of a stage more than the others are left out.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    rows = (row for name in ("table1", "table2", "table3") for row in GRIDS[name].rows)
    runs = dict.fromkeys(
        row.run for row in rows if (row.measured, row.translation) == ("translations", "depth_to_segmentation")
    )
    for result in (result for run in runs for result in load(preset, run, seeds) if "alignment" in result):
        if deeper or len(result["recipe"]["widths"]) == 3:
            aligned = ALIGNMENT[measure](result["alignment"]["depth – segmentation"])
            group = points.setdefault(READS[result["recipe"]["side_information"]], [])
            group.append((aligned, result["translations"]["depth_to_segmentation"]["miou"]))
    return points


def correlation(points: Mapping[str, Sequence[tuple[float, float]]], groups: Collection[str] = ()) -> float | None:
    """Spearman's rank correlation over all points of `transfer_points`, or those of some groups.

    None for fewer than five points, or where one axis does not vary.
    """
    pairs = [point for group, found in points.items() if not groups or group in groups for point in found]
    if len(pairs) < 5:
        return None
    ranks = [[mean(place for place, other in enumerate(sorted(axis)) if other == one) for one in axis]
             for axis in zip(*pairs)]  # fmt: skip
    return None if any(len(set(axis)) == 1 for axis in ranks) else statistics.correlation(*ranks)
