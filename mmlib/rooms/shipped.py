"""The shipped data set, made again: `python -m mmlib.rooms.shipped FOLDER` renders, packs and describes all splits.

Rendering takes about an hour on two cores and resumes where it stopped; `FOLDER` keeps the rendered files. With
`--large` it makes, in `FOLDER/large`, sets for longer trainings: the shipped training sets with more rooms, which do
not ship, and the rooms of an oracle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from mmlib.data.packing import pack
from mmlib.data.sets import Rooms
from mmlib.data.shipped import SHIPPED, shipped
from mmlib.hardware.files import put
from mmlib.modalities import CLASSES
from mmlib.rooms.render import render

TRIPLET = ("rgb", "depth", "segmentation")
SPLITS = {
    "d1": (1, 1200, ("rgb", "segmentation")),
    "d2": (2, 1200, ("rgb", "depth")),
    "validation": (3, 200, TRIPLET),
    "test": (4, 400, TRIPLET),
    "normals": (6, 300, ("rgb", "normals")),
    "albedo": (7, 300, ("rgb", "albedo")),
    "test_surfaces": (4, 400, ("normals", "albedo")),
}
"""Split → seed, rooms, modalities. Room i of a split has seed 1,000,000 · seed + i: no room is in two splits, but that
`test_surfaces` adds modalities to the rooms of `test`. Seed 5 is of rooms for oracles, which are not shipped."""


LARGE = {
    "d1": (8, 1400, ("rgb", "segmentation")),
    "d2": (9, 1400, ("rgb", "depth")),
    "oracle": (5, 2600, ("depth", "segmentation")),
}
"""The rooms beside the shipped ones, by split, as in `SPLITS`."""


def make_large(folder: str | Path) -> None:
    """Render `LARGE` and pack it with the shipped rooms of the same split into `folder/large`."""
    for split, (seed, rooms, modalities) in LARGE.items():
        place = Path(folder) / f"{split}_more"
        render(rooms, seed, 96, place, modalities)
        parts = [SHIPPED / f"{split}.zip", place] if split in SPLITS else [place]
        print(pack(parts, Path(folder) / "large" / f"{split}.zip", modalities, split))


def make(folder: str | Path, splits: Sequence[str] = tuple(SPLITS)) -> None:
    """Render and pack splits into `data/rooms`, then update the datasheet's numbers."""
    for split in splits:
        seed, rooms, modalities = SPLITS[split]
        render(rooms, seed, 96, Path(folder) / split, modalities)
        print(pack(Path(folder) / split, SHIPPED / f"{split}.zip", modalities, split))
    update_datasheet()


def class_shares(rooms: Rooms) -> list[tuple[float, float]]:
    """For each class, Unknown first: the share of images that show it, and its share of all pixels."""
    labels = rooms.images["segmentation"]
    shares = []
    for number in range(len(CLASSES)):
        here = labels == number
        shares.append((here.flatten(1).any(1).float().mean().item(), here.float().mean().item()))
    return shares


def numbers() -> str:
    """The datasheet's tables, in Markdown, measured on the shipped zips."""
    lines = ["| split | rooms | modalities | MB |", "| --- | --- | --- | --- |"]
    for split, (_, _, modalities) in SPLITS.items():
        size = (SHIPPED / f"{split}.zip").stat().st_size / 1e6
        lines.append(f"| `{split}.zip` | {len(shipped(split))} | {', '.join(modalities)} | {size:.1f} |")
    labelled = {name: class_shares(shipped(name)) for name in ("d1", "validation", "test")}
    lines += ["", "| class | " + " | ".join(f"{name}: images, pixels" for name in labelled) + " |"]
    lines.append("| --- |" + " --- |" * len(labelled))
    for number, name in enumerate(CLASSES):
        cells = [f"{100 * table[number][0]:.0f} %, {100 * table[number][1]:.1f} %" for table in labelled.values()]
        lines.append(f"| {number} {name} | " + " | ".join(cells) + " |")
    depth = torch.cat([shipped(name).images["depth"].flatten() for name in ("d2", "validation", "test")])
    hits = depth[depth > 0]
    low, middle, high = (torch.quantile(hits[:: max(1, len(hits) // 1_000_000)], q).item() for q in (0.01, 0.5, 0.99))
    lines += ["", f"Depth: {100 * (depth == 0).float().mean().item():.1f} % of the pixels hit nothing; of the others, "
              f"1 % are nearer than {low:.1f} m, half than {middle:.1f} m, 99 % than {high:.1f} m."]  # fmt: skip
    return "\n".join(lines)


def update_datasheet() -> None:
    """Put the measured numbers between the datasheet's markers."""
    put(SHIPPED / "README.md", "<!-- numbers:begin -->", "<!-- numbers:end -->", numbers())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the rendered files are kept")
    parser.add_argument("--only", nargs="+", choices=SPLITS, default=tuple(SPLITS), help="the splits to make (all)")
    parser.add_argument("--large", action="store_true", help="make the larger training sets in place of these")
    arguments = parser.parse_args()
    if arguments.large:
        make_large(arguments.folder)
    else:
        make(arguments.folder, arguments.only)
