"""Domains: kinds of RGB image of which there are images, but no pairs (sections 3.3, 5.5)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ..modalities import GREY_8, KNOWN, RGB, domain, named
from .photos import PHOTOS, image_files, junk, photo
from .sets import Rooms
from .shipped import SHIPPED

COLOURS = ("blue", "black", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
"""The eleven basic colour terms, the anchor first."""


MASK = dataclasses.replace(
    RGB, name="mask", letter="mask", channels=1, folder="mask", suffix=".png", pixels=GREY_8, resample="nearest",
    photographic=False,
)  # fmt: skip
"""Where the object is, 0 or 1: for evaluation alone."""

RECORDS = KNOWN | named(*map(domain, COLOURS), MASK)
"""The records of all data that come with the repository."""


class Domain(Rooms):
    """The images of one domain, which no other domain shares."""

    def __init__(self, source: str | Path, name: str, size: int | None = None):
        self.records = named(domain(name))
        super().__init__(source, size)

    @classmethod
    def of(cls, images: dict[str, torch.Tensor], rooms: Sequence[int], split: str = "memory") -> "Domain":
        """Raw images in memory, under the domain's name."""
        (name,) = images
        kind = type("Domain", (cls,), {"records": named(domain(name))})
        return super(Domain, kind).of(images, rooms, split)


def shipped_colours(size: int | None = None) -> tuple[Domain, ...]:
    """The training images of all eleven colours, the anchor first."""
    return tuple(Domain(SHIPPED.parent / "colours" / f"{name}.zip", name, size) for name in COLOURS)


def folder_domains(folder: str | Path, size: int, anchor: str = "", part: str = "train") -> tuple[Domain, ...]:
    """The domains of a folder of images, the anchor first (by default the first by name).

    Either `trainA`, `trainB` and so on, as CycleGAN's sets have them, or one sub-folder per domain. `part`: `train`, or
    `test` for `testA` and so on, where there are such. Images are cut square in the middle and resized. `ValueError`
    names what is missing: two sub-folders with images, an anchor among them, an image that can be read.
    """
    folder = Path(folder)
    inside = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in inside if path.is_dir() and not junk(path.relative_to(folder)))
    for prefix in (part, "train"):
        if chosen := [path for path in found if path.name.startswith(prefix)]:
            found = chosen
            break
    names = [path.name.removeprefix("train").removeprefix("test") for path in found]
    if len(found) < 2:
        raise ValueError(f"{folder} holds {len(found)} domains: give a folder with trainA and trainB, or one a domain")
    if anchor and anchor not in names:
        raise ValueError(f"{folder} holds {', '.join(names)}, not the anchor {anchor}")
    domains, start = [], 0
    for name, path in zip(names, found):
        files = image_files(path, PHOTOS)
        if len(files) < 2:
            raise ValueError(f"{path} holds {len(files)} images: a domain needs at least 2")
        images = torch.stack([square_image(file, size) for file in files])
        domains.append(Domain.of({name: images}, range(start, start + len(files)), name))
        start += len(files)
    return tuple(sorted(domains, key=lambda rooms: rooms.split != (anchor or names[0])))


def square_image(file: Path, size: int) -> torch.Tensor:
    """An image file of any shape as RGB uint8 (3, size, size): upright, and cut square in the middle."""
    image = Image.fromarray(photo(file).permute(1, 2, 0).numpy())
    pixels = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).contiguous()
