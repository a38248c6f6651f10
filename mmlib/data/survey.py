"""What the images of a set hold together: faults that no single file shows."""

from collections.abc import Iterator, Mapping

import torch

from ..modalities import DEPTH, Modality
from .images import largest

FARTHEST = largest(DEPTH)
"""What a depth file says where a camera wrote its largest number."""


class Survey:
    """Counts of the images of a set, by modality; `records` are those of the modalities."""

    def __init__(self, records: Mapping[str, Modality]):
        self.records = dict(records)
        self.values: dict[str, list[torch.Tensor]] = {name: [] for name in records}
        self.pixels = {name: torch.zeros(len(record.classes), dtype=torch.int64) for name, record in records.items()}

    def add(self, name: str, raw: torch.Tensor) -> None:
        """Count one raw image (C, H, W)."""
        if self.records[name].classes:
            self.pixels[name] += torch.bincount(raw.flatten().long(), minlength=len(self.pixels[name]))
        else:
            self.values[name].append(raw[:, ::8, ::8].flatten())

    def problems(self) -> Iterator[str]:
        """What makes the set useless."""
        for name, values in self.values.items():
            if values and (problem := self.records[name].set_problem(torch.cat(values))):
                yield problem

    def warnings(self) -> Iterator[str]:
        """What is worth a look."""
        if values := self.values.get("depth"):
            depths = torch.cat(values)
            hits, far = depths[depths > 0], (depths >= FARTHEST).float().mean().item()
            if len(hits) and not 1.0 <= hits.median() <= 8.0:
                yield f"the median depth is {hits.median():.2f} m: if that is wrong, import with another --depth-scale"
            if len(hits) < 0.8 * len(depths):
                yield f"{100 * (1 - len(hits) / len(depths)):.0f} % of all depths are holes"
            if far > 0.01:
                yield (f"{100 * far:.0f} % of all depths are {FARTHEST:g} m: if that means that nothing is there, "
                       "import with --holes")  # fmt: skip
        for name, pixels in self.pixels.items():
            if absent := [label for label, count in zip(self.records[name].classes[1:], pixels[1:]) if not count]:
                yield f"no pixel of {', '.join(absent)}"
            if pixels.sum() and 2 * pixels[0] > pixels.sum():
                yield f"{100 * pixels[0] / pixels.sum():.0f} % of the pixels are Unknown"
