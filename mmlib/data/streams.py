"""Sets whose images are read when a batch needs them: what all large sets have in common, wherever their files lie."""

from collections.abc import Sequence

import torch

from ..modalities import Modality
from .images import from_pixels, read_pixels, resize
from .sets import Rooms


class StreamedRooms(Rooms):
    """Views of scenes whose files are read when a batch needs them, and of no modality but the class's.

    `entries` (one a view, any sequence that can be sliced) say where a subclass finds a view's files, `rooms` which
    scene it shows: several views may show one. No image is opened here; a batch raises `FileNotFoundError` or
    `ValueError` with the file's name. Photos may have any shape. An image is resized until its shorter side has `size`
    pixels, and a square is cut out of it: the central one by `batch`, so for evaluation; one anywhere along the photo
    by `batches.augment`, which gets all of it by `uncropped`.
    """

    def __init__(self, entries: Sequence, rooms: Sequence[int], split: str, sha256: str, size: int):
        if not self.modalities:
            raise TypeError(
                f"{type(self).__name__} does not say what to read: use …SegmentationPairs, …DepthPairs or …Triplets"
            )
        if not len(rooms):
            raise ValueError(f"{split}: no view is listed: give at least one")
        self.images = {}
        self.index = {"split": split, "rooms": entries}
        self.rooms, self.split, self.sha256, self.size = list(rooms), split, sha256, size

    def file(self, place: int, name: str) -> str:
        """What errors call one image file of the view at a position."""
        raise NotImplementedError

    def content(self, place: int, name: str) -> bytes:
        """The bytes of one image file of the view at a position."""
        raise NotImplementedError

    def stored_as(self, name: str) -> Modality:
        """The record by which the files of a modality are stored."""
        return self.records[name]

    def decoded(self, content: bytes, place: int, name: str) -> torch.Tensor:
        """The bytes of one image file of the view at a position → raw (C, H, W) as it is stored."""
        record = self.stored_as(name)
        return from_pixels(read_pixels(content, self.file(place, name), record), record)

    def read(self, place: int, name: str) -> torch.Tensor:
        """One image of the view at a position, raw (C, H, W) as it is stored."""
        return self.decoded(self.content(place, name), place, name)

    def uncropped(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """The raw images of some views by position, (N, C, H, W) with the shorter side of `size` pixels."""
        images, shape = {name: [] for name in self.modalities}, None
        for place in torch.as_tensor(indices).tolist():
            for name in self.modalities:
                raw = self.read(place, name)
                shape = shape or tuple(raw.shape[1:])
                if problem := size_problem(self.file(place, name), tuple(raw.shape[1:]), shape):
                    raise ValueError(problem)
                images[name].append(raw)
        height, width = (round(side * self.size / min(shape)) for side in shape)
        images = resize({name: torch.stack(raw) for name, raw in images.items()}, self.records, height, width)
        return {name: raw.to(self.records[name].raw_dtype) for name, raw in images.items()}

    def batch(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """The central size × size windows of `uncropped`."""
        images = self.uncropped(indices)
        top, left = ((side - self.size) // 2 for side in images["rgb"].shape[2:])
        return {name: raw[..., top : top + self.size, left : left + self.size] for name, raw in images.items()}

    def class_counts(self, name: str = "segmentation") -> torch.Tensor:
        """Pixels of each class, int64 (K,), in at most 500 views at even distances in the list."""
        found = (self.read(place, name).flatten().long() for place in spread(len(self), 500))
        return sum(torch.bincount(classes, minlength=len(self.records[name].classes)) for classes in found)


def size_problem(file: str, shape: tuple[int, int], expected: tuple[int, int]) -> str | None:
    """What is wrong with an image of another size than those beside it."""
    (height, width), (high, wide) = shape, expected
    return None if shape == expected else f"{file} is {width}×{height}, others are {wide}×{high}: download it again"


def spread(count: int, most: int | None) -> list[int]:
    """Up to `most` of `count` positions, at even distances; all if it is None."""
    kept = count if most is None else min(count, most)
    return [number * count // kept for number in range(kept)]
