"""Rooms in memory, and the splits as different types.

Zero-pair training rests on what each split may hold (paper, section 4.1): D1 has RGB and segmentation, D2 has RGB and
depth of *other* rooms. Here they are different types, and zero-pair training takes no others: it cannot be given a
depth–segmentation pair.
"""

import copy
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch

from ..files import JSON_BYTES, image_bytes
from ..modalities import ALBEDO, DEPTH, NORMALS, RGB, SEGMENTATION, Modality, modality, named
from .images import decode, resize
from .sources import Files, file_name


class _Names:
    """The names of the records that a set, or its type, holds."""

    def __get__(self, rooms, kind) -> tuple[str, ...]:
        return tuple((kind if rooms is None else rooms).records)


class Rooms:
    """The rooms of one data set in memory, with the modalities of the class and no others, which it holds as `records`.

    `images[name]` holds raw images of all rooms: RGB uint8 (N, 3, H, W), depth float32 metres (N, 1, H, W) and
    segmentation uint8 class ids (N, 1, H, W). `rooms` are the seeds that made them; `sha256` identifies the data: the
    zip's bytes, or the index and the files read, in its order. `size` resizes to size × size after reading. Raises
    `FileNotFoundError` for what is missing and `ValueError` for what is wrong, with the file's name.
    """

    records: ClassVar[dict[str, Modality]] = {}
    modalities = _Names()
    source: str | Path | None = None  # what the images were read from

    def __init__(self, source: str | Path, size: int | None = None):
        if not self.modalities:
            raise TypeError("Rooms does not say what to read: use SegmentationPairs, DepthPairs or Triplets")
        with Files(source) as files:
            self.index = index = files.index()
            files.require(index, self.modalities)
            digest = hashlib.sha256(b"" if files.archive else files.read("index.json", JSON_BYTES))
            images = {name: [] for name in self.modalities}
            for entry in index["rooms"]:
                for name, record in self.records.items():
                    file = file_name(entry, record)
                    data = files.read(file, image_bytes(index["size"]))
                    images[name].append(decode(data, files.where(file), record, index["size"]))
                    if not files.archive:
                        digest.update(data)
            if files.archive:
                with open(source, "rb") as archive:
                    digest = hashlib.file_digest(archive, "sha256")
        self.source = source
        self.images = {name: torch.stack(raw) for name, raw in images.items()}
        self.rooms = [entry["room"] for entry in index["rooms"]]
        self.sha256 = digest.hexdigest()
        self.split = index.get("split", Path(source).stem)
        self.size = size or index["size"]
        self.images = resize(self.images, self.records, self.size, self.size)

    @classmethod
    def of(cls, images: dict[str, torch.Tensor], rooms: Sequence[int], split: str = "memory") -> Self:
        """Raw images in memory, (N, C, H, W) square, as a set of this type; `rooms` number the scenes."""
        held = cls.__new__(cls)
        sizes = {tuple(raw.shape[2:]) for raw in images.values()} | {(raw.shape[-1],) * 2 for raw in images.values()}
        counts = {len(raw) for raw in images.values()} | {len(rooms), len(set(rooms))}
        if set(images) != set(cls.modalities) or len(sizes) != 1 or len(counts) != 1:
            raise ValueError(
                f"{split}: {cls.__name__} takes {', '.join(cls.modalities)}, square and as many of each as there are "
                "scene numbers, no number twice"
            )
        held.images, held.rooms, held.split = dict(images), list(rooms), split
        held.size, held.index = next(iter(sizes))[0], {"split": split, "rooms": [{"room": room} for room in rooms]}
        digest = hashlib.sha256()
        for name in cls.modalities:
            digest.update(images[name].contiguous().numpy())
        held.sha256 = digest.hexdigest()
        return held

    def __len__(self) -> int:
        return len(self.rooms)

    def batch(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """The raw images of some rooms by position, in the dtypes of `mmlib.modalities` (segmentation int64)."""
        indices = torch.as_tensor(indices)
        return {
            name: raw[indices.to(raw.device, non_blocking=True)].to(self.records[name].raw_dtype)
            for name, raw in self.images.items()
        }

    def uncropped(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """What `batch` cuts square windows from, for augmentation, which cuts its own; here all is square already."""
        return self.batch(indices)

    def class_counts(self, name: str = "segmentation") -> torch.Tensor:
        """Pixels of each class of a modality in all rooms, int64 (K,), Unknown first."""
        return torch.bincount(self.images[name].flatten().long(), minlength=len(self.records[name].classes))

    def subset(self, start: int, stop: int | None = None) -> Self:
        """The rooms from position start up to stop, of the same type; images are shared, the hash is the source's."""
        part = copy.copy(self)
        part.images = {name: raw[start:stop] for name, raw in self.images.items()}
        part.rooms = self.rooms[start:stop]
        part.index = {**self.index, "rooms": self.index["rooms"][start:stop]}
        if not part.rooms:
            raise ValueError(f"rooms {start} to {stop} of {self.split} are none: it has {len(self)}")
        return part

    def resized(self, size: int) -> Self:
        """The same rooms at size × size; the hash stays that of the data on disk."""
        other = copy.copy(self)
        other.images, other.size = resize(self.images, self.records, size, size), size
        return other

    def on(self, device: torch.device) -> Self:
        """The same rooms with their images in the memory of a device."""
        other = copy.copy(self)
        other.images = {name: raw.to(device) for name, raw in self.images.items()}
        return other

    def describe(self, role: str = "training") -> dict:
        """What a checkpoint's record keeps of data it was given, for the audit; `role`: training or selection."""
        return {
            "role": role,
            "split": self.split,
            "sha256": self.sha256,
            "modalities": list(self.modalities),
            "rooms": ranges(self.rooms),
        }


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


class Surfaces(Rooms):
    """Normals and albedo of the test rooms, which `joined` puts beside `Triplets`: for evaluation only."""

    records = named(NORMALS, ALBEDO)


class OraclePairs(Rooms):
    """Modalities of the same rooms besides RGB, for supervised oracles ONLY: no zero-pair method may be given any."""

    def __init__(self, source: str | Path, modalities: Sequence[str], size: int | None = None):
        self.records = named(*map(modality, modalities))
        super().__init__(source, size)

    def narrowed(self, modalities: Sequence[str]) -> Self:
        """The same rooms with some of their modalities."""
        part = copy.copy(self)
        part.records = {name: self.records[name] for name in modalities}
        part.images = {name: self.images[name] for name in modalities}
        return part


def joined(first: Rooms, second: Rooms) -> Rooms:
    """The same rooms with the modalities of both; the hash is that of both hashes. `ValueError` for other rooms."""
    if first.rooms != second.rooms or first.size != second.size:
        raise ValueError(f"{first.split} and {second.split} are not the same rooms at the same size")
    both = copy.copy(first)
    both.images = {**first.images, **second.images}
    both.records = {**first.records, **second.records}
    both.sha256 = hashlib.sha256(f"{first.sha256} {second.sha256}".encode()).hexdigest()
    return both


SPLITS = {
    "d1": SegmentationPairs,
    "d2": DepthPairs,
    "normals": NormalsPairs,
    "albedo": AlbedoPairs,
    "validation": Triplets,
    "test": Triplets,
    "test_surfaces": Surfaces,
}
