"""Sets of rooms, and the splits as different types.

Zero-pair training rests on what each split may hold (paper, section 4.1): D1 has RGB and segmentation, D2 has RGB and
depth of *other* rooms. Here they are different types, and zero-pair training takes no others: it cannot be given a
depth–segmentation pair. Where its images lie is known to the source of a set, see `mmlib.data.sources`.
"""

import copy
import hashlib
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, Self

import torch

from ..modalities import ALBEDO, DEPTH, NORMALS, RGB, SEGMENTATION, Modality, modality, named
from .sources import Files, Memory, Source, Streamed, load


class _Names:
    """The names of the records that a set, or its type, holds."""

    def __get__(self, rooms, kind) -> tuple[str, ...]:
        return tuple((kind if rooms is None else rooms).records)


class Rooms:
    """Views of rooms from a source, with the modalities of the class and no others.

    `source` is a `Source`, or the path of a directory or a zip, which is read into memory; `size` resizes its images.
    `rooms` are the numbers of the rooms that the views show, one per view; for rendered rooms they are the seeds.
    `index` is what the data set says of itself, with an entry per view in `index["rooms"]`, and `sha256` identifies the
    data where it was read from, whatever part or size of it is held. `images` are all raw images by modality, as they
    lie in memory: RGB uint8 (N, 3, H, W), depth float32 metres (N, 1, H, W), segmentation uint8 class ids (N, 1, H, W);
    there are none where files are streamed. Raises `FileNotFoundError` for what is missing, and `ValueError` for what
    is wrong or lacks a modality. A class names its modalities by their `records`; a set has those of its source.
    """

    records: ClassVar[dict[str, Modality]] = {}
    modalities = _Names()
    source: Memory | Streamed

    def __init__(self, source: Source | str | Path, size: int | None = None):
        if not self.modalities:
            name = type(self).__name__
            raise TypeError(f"{name} does not say what to read: use SegmentationPairs, DepthPairs or Triplets")
        held = source.only(self.records) if isinstance(source, Source) else load(source, self.records)
        self.source, self.split, self.records = held, held.split, held.records
        if size:
            self.source = self.source.resized(size)

    @classmethod
    def of(cls, images: dict[str, torch.Tensor], rooms: Sequence[int], split: str = "memory") -> Self:
        """A set of raw images (N, C, H, W), square; `rooms` are the numbers of their rooms, none twice.

        `ValueError` names what is wrong: the shape, the kind of numbers, or what a record calls a `problem`.
        """
        for name, raw in images.items():
            if problem := _misfit(raw, cls.records.get(name)):
                raise ValueError(f"{split}: {name} cannot be used: {problem}")
        sizes = {tuple(raw.shape[2:]) for raw in images.values()} | {(raw.shape[-1],) * 2 for raw in images.values()}
        counts = {len(raw) for raw in images.values()} | {len(rooms), len(set(rooms))}
        if set(images) != set(cls.modalities) or len(sizes) != 1 or len(counts) != 1:
            raise ValueError(
                f"{split}: {cls.__name__} takes {', '.join(cls.modalities)}, all square and as many of each as "
                "there are room numbers; no room number may appear twice"
            )
        digest = hashlib.sha256()
        for name in cls.modalities:
            digest.update(images[name].contiguous().numpy().data)
        index = {"split": split, "rooms": [{"room": room} for room in rooms]}
        held = cls.__new__(cls)
        Rooms.__init__(held, Memory(images, cls.records, index, split, digest.hexdigest()))
        return held

    rooms = property(attrgetter("source.rooms"))
    index = property(attrgetter("source.index"))
    size = property(attrgetter("source.size"))
    sha256 = property(attrgetter("source.sha256"))
    images = property(attrgetter("source.images"))

    def __len__(self) -> int:
        return len(self.rooms)

    def uncropped(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """The raw images of some views, (N, C, H, W) with the shorter side of `size` pixels: augmentation cuts its
        windows from them. `ValueError` where there is no such view."""
        indices = torch.as_tensor(indices)
        if not len(indices) or indices.max() >= len(self) or indices.min() < -len(self):
            raise ValueError(f"{self.split} has views 0 to {len(self) - 1}: give some of them, not {indices.tolist()}")
        return self.source.uncropped(indices)

    def batch(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """The central size × size windows of `uncropped`, in the dtypes of `mmlib.modalities` (segmentation int64)."""
        images = self.uncropped(indices)
        top, left = ((side - self.size) // 2 for side in next(iter(images.values())).shape[2:])
        return {name: raw[..., top : top + self.size, left : left + self.size] for name, raw in images.items()}

    def class_counts(self, name: str = "segmentation") -> torch.Tensor:
        """Pixels of each class of a modality, int64 (K,), Unknown first; where files are streamed, of at most 500
        views."""
        return self.source.class_counts(name)

    def _with(self, source: Source) -> Self:
        other = copy.copy(self)
        other.source, other.records = source, source.records
        return other

    def subset(self, start: int, stop: int | None = None) -> Self:
        """The views from position start up to stop, of the same type; images are shared, the hash is the source's."""
        if not self.rooms[start:stop]:
            raise ValueError(f"{self.split} has no rooms from {start} to {stop}: it has {len(self)}")
        return self._with(self.source.subset(start, stop))

    def resized(self, size: int) -> Self:
        """The same rooms at size × size; the hash stays that of the data on disk."""
        return self._with(self.source.resized(size))

    def on(self, device: torch.device) -> Self:
        """The same rooms with their images in the memory of a device."""
        return self._with(self.source.on(device))

    def describe(self, role: str = "training") -> dict:
        """What a checkpoint's record keeps of data it was given, for the audit; `role`: training or selection."""
        return {
            "role": role,
            "split": self.split,
            "sha256": self.sha256,
            "modalities": list(self.modalities),
            "rooms": ranges(self.rooms),
        }


def _misfit(raw: torch.Tensor, record: Modality | None) -> str | None:
    """What keeps raw images in memory from being those of a record."""
    if record is None:
        return None  # another set's: `of` names those that it takes
    channels = 1 if record.classes else record.channels
    if raw.dim() != 4 or raw.shape[1] != channels:
        return f"its shape is {tuple(raw.shape)}, expected (N, {channels}, H, W)"
    if raw.is_floating_point() != record.raw_dtype.is_floating_point:
        return f"it holds {str(raw.dtype)[6:]}, expected {str(record.raw_dtype)[6:]}"
    return next(filter(None, map(record.problem, raw)), None) or record.set_problem(raw[..., ::8, ::8])


def ranges(rooms: Iterable[int]) -> list[list[int]]:
    """Room seeds as inclusive [first, last] runs: 3, 4, 5, 9 → [[3, 5], [9, 9]]."""
    runs: list[list[int]] = []
    for room in sorted(set(rooms)):
        if runs and room == runs[-1][1] + 1:
            runs[-1][1] = room
        else:
            runs.append([room, room])
    return runs


# ── Splits as types ────────────────────────────────────────────────────────────────────────────────────────────────


class AnchoredPairs(Rooms):
    """RGB, the anchor, with one other modality, which a subclass names: what zero-pair training takes.

    It cannot hold two modalities besides RGB, so an unseen pair cannot be expressed: `TypeError` for a subclass that
    tries.
    """

    def __init_subclass__(cls):
        if len(set(cls.modalities)) != 2 or cls.modalities[0] != "rgb":
            raise TypeError(f"{cls.__name__}: AnchoredPairs hold RGB and one other modality, not {cls.modalities}")


class SegmentationPairs(AnchoredPairs):
    """D1: RGB with segmentation; depth files are never opened, even where they exist."""

    records = named(RGB, SEGMENTATION)


class DepthPairs(AnchoredPairs):
    """D2: RGB with depth; segmentation files are never opened, even where they exist."""

    records = named(RGB, DEPTH)


class NormalsPairs(AnchoredPairs):
    """RGB with surface normals, to plug a fourth modality in."""

    records = named(RGB, NORMALS)


class AlbedoPairs(AnchoredPairs):
    """RGB with albedo, to plug a fifth modality in."""

    records = named(RGB, ALBEDO)


class Triplets(Rooms):
    """All three modalities of each room, for evaluation only: the validation and test splits."""

    records = named(RGB, DEPTH, SEGMENTATION)


class Held(Triplets):
    """Those of the three modalities that a directory or a zip holds, for evaluation only."""

    def __init__(self, source: Source | str | Path, size: int | None = None):
        if not isinstance(source, Source):
            with Files(source) as files:
                held = files.index()["modalities"]
            self.records = {name: record for name, record in self.records.items() if name in held} or self.records
        super().__init__(source, size)


class Surfaces(Rooms):
    """Normals and albedo of the test rooms, which `joined` puts beside `Triplets`: for evaluation only."""

    records = named(NORMALS, ALBEDO)


class OraclePairs(Rooms):
    """Modalities of the same rooms besides RGB, for supervised oracles ONLY: no zero-pair method may be given any."""

    def __init__(self, source: Source | str | Path, modalities: Sequence[str], size: int | None = None):
        self.records = named(*map(modality, modalities))
        super().__init__(source, size)

    def narrowed(self, modalities: Sequence[str]) -> Self:
        """The same rooms with some of their modalities."""
        return self._with(self.source.only(named(*(modality(name, self.records.values()) for name in modalities))))


def joined(first: Rooms, second: Rooms) -> Rooms:
    """The same rooms in memory with the modalities of both, for evaluation only; the hash is that of both hashes.

    `TypeError` for `AnchoredPairs`, which hold two modalities, and `ValueError` for other rooms.
    """
    if isinstance(first, AnchoredPairs) or isinstance(second, AnchoredPairs):
        raise TypeError(f"{first.split} and {second.split} may not be joined: AnchoredPairs hold two modalities")
    if first.rooms != second.rooms or first.size != second.size or not (first.images and second.images):
        raise ValueError(f"{first.split} and {second.split} are not the same rooms at the same size, in memory")
    sha256 = hashlib.sha256(f"{first.sha256} {second.sha256}".encode()).hexdigest()
    images, records = first.images | second.images, first.records | second.records
    return first._with(Memory(images, records, first.index, first.split, sha256))


SPLITS = {
    "d1": SegmentationPairs,
    "d2": DepthPairs,
    "normals": NormalsPairs,
    "albedo": AlbedoPairs,
    "validation": Triplets,
    "test": Triplets,
    "test_surfaces": Surfaces,
}
