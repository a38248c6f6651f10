"""Rendered rooms on disk and in memory: one layout, one reader, and the splits as different types.

A data set is a directory, or the same tree inside one zip: `index.json`, and for each room of it
`<path>/photo/0.jpg` (RGB), `<path>/depth/0.png` (16-bit, millimetres along the ray, 0 = no hit) and
`<path>/semantic_class/0.png` (8-bit, 0–13, 0 = Unknown). Folders, units and ids are SceneNet RGB-D's. All images are
square and of one size. The index of a data set of your own needs no more than this; `room` numbers must differ between
splits:

    {"format": "mmlib-rooms-1", "size": 96, "modalities": ["rgb", "segmentation"],
     "rooms": [{"room": 0, "path": "rooms/0"}, {"room": 1, "path": "rooms/1"}]}

Zero-pair training rests on what each split may hold (paper, section 4.1): D1 has RGB and segmentation, D2 has RGB and
depth of *other* rooms. Here they are different types, and zero-pair training takes no others: it cannot be given a
depth–segmentation pair.
"""

import contextlib
import copy
import glob
import hashlib
import io
import json
import os
import posixpath
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError

from mmlib.modalities import CLASSES, Modality, known_modalities, modality
from mmlib.untrusted import JSON_BYTES, PIXELS, SIDE, brief, image_bytes, json_object, read_file

FORMAT = "mmlib-rooms-1"
SHIPPED = Path(__file__).resolve().parents[1] / "data" / "rooms"

PIXEL_MODES = {"8-bit colour": ("RGB",), "16-bit grey": ("I;16", "I"), "8-bit grey": ("L", "P")}
"""What Pillow calls the pixels that a `Modality.pixels` names."""

RESAMPLE = {
    "nearest": lambda raw, shape: F.interpolate(raw, shape, mode="nearest-exact"),
    "bilinear": lambda raw, shape: (
        F.interpolate(raw.float(), shape, mode="bilinear", antialias=True).round().clamp(0, 255).to(raw.dtype)
    ),
}
"""Ways to resize raw images (N, C, H, W) to shape (H, W): ids and distances may not be averaged, colours should be."""


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Files:
    """The files of a directory or of a zip, by name; what cannot be read is named in the error."""

    def __init__(self, source: str | Path):
        self.source = Path(source)
        self.archive = None
        if not self.source.exists():
            raise FileNotFoundError(f"{source} does not exist: give a rendered directory or its zip")
        if self.source.is_file():
            try:
                self.archive = zipfile.ZipFile(self.source)
            except Exception:  # as many kinds as there are ways to damage a zip
                raise ValueError(f"{source} is not a zip (or is cut short): download or pack it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        if self.archive:
            self.archive.close()

    def where(self, name: str) -> str:
        return f"{self.source}/{name}"

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of one file; `ValueError` where it has more than `limit`."""
        try:
            return self._unzip(name, limit) if self.archive else read_file(self.source / name, limit)
        except (KeyError, FileNotFoundError):
            raise FileNotFoundError(f"{self.where(name)} is missing: render or download the data set again") from None
        except Exception as error:  # as above
            raise ValueError(
                f"{self.where(name)} cannot be read ({brief(error)}): download the data set again"
            ) from None

    def _unzip(self, name: str, limit: int) -> bytes:
        entry = self.archive.getinfo(name)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile inflates others unbounded
            raise ValueError("it is compressed in another way than zip's deflate")
        if entry.file_size > limit:
            raise ValueError(f"it has {entry.file_size:,} bytes, more than {limit:,}")
        with self.archive.open(entry) as stream:
            return stream.read(limit + 1)  # never more than it claims, whatever it inflates to

    def index(self) -> dict:
        """The parsed `index.json`, once it says all that reading needs."""
        where = self.where("index.json")
        content = self.read("index.json", JSON_BYTES)
        try:
            index = json_object(content)
        except ValueError as error:
            raise ValueError(f"{where} is not JSON ({brief(error)}): render or download the data set again") from None
        if index.get("format") != FORMAT:
            raise ValueError(f"{where} does not say format {FORMAT!r}: only data sets made by mmlib are read")
        fields = {"size": int, "modalities": list, "rooms": list}
        if wrong := [field for field, kind in fields.items() if type(index.get(field)) is not kind]:
            raise ValueError(f"{where} lacks a usable {', '.join(wrong)}: render or download the data set again")
        if not index["modalities"] or not all(name in list(known_modalities()) for name in index["modalities"]):
            known = ", ".join(known_modalities())
            raise ValueError(f"{where} lists modalities {brief(index['modalities'])}: list some of {known}")
        if not _is_name(index.get("split", "")):
            raise ValueError(f"{where} has a split {brief(index['split'])}, which is no name: give it one")
        _check_rooms(index, where)
        return index

    def require(self, index: dict, names: Sequence[str]) -> None:
        if absent := [name for name in names if name not in index["modalities"]]:
            held = ", ".join(index["modalities"])
            raise ValueError(f"{self.source} holds {held}; {', '.join(absent)} was asked for")


def _check_rooms(index: dict, where: str) -> None:
    """`ValueError` where an index lists no rooms, too many, one twice, or files outside its data set."""
    size, rooms = index["size"], index["rooms"]
    if not rooms:
        raise ValueError(f"{where} lists no rooms: render at least one")
    if not 1 <= size <= SIDE or len(rooms) * size**2 > PIXELS:
        raise ValueError(
            f"{where} says {len(rooms)} rooms of {brief(size, 20)} pixels a side: a side may have 1 to {SIDE}, and all "
            f"rooms together {PIXELS:,} pixels, for they are kept in memory"
        )
    for entry in rooms:
        if not isinstance(entry, dict) or type(entry.get("room")) is not int or "path" not in entry:
            raise ValueError(f"{where} has an entry without room or path: render or download the data set again")
        if not _is_inside(entry["path"], entry.get("frame", 0)):
            place = brief([entry["path"], entry.get("frame", 0)])
            raise ValueError(f"{where} has an entry with path and frame {place}, which is no file of the data set")
    if len({entry["room"] for entry in rooms}) < len(rooms):
        raise ValueError(f"{where} lists a room twice: render or download the data set again")
    first = modality(index["modalities"][0])
    files = Counter(posixpath.normpath(_file_name(entry, first)) for entry in rooms)
    file, times = files.most_common(1)[0]
    if times > 1:  # one view under two room numbers could hide a leak between splits
        raise ValueError(f"{where} lists {file} under {times} rooms: give each a path and frame of its own")


def _file_name(entry: dict, record: Modality) -> str:
    return f"{entry['path']}/{record.folder}/{entry.get('frame', 0)}{record.suffix}"


def _is_name(value: object) -> bool:
    """Whether a value is text that a path and an error can hold."""
    return isinstance(value, str) and value.isprintable() and len(value) < 256


def _is_inside(path: object, frame: object) -> bool:
    """Whether path and frame of an entry name files below the data set's own folder, on every system."""
    if not _is_name(path) or not _is_name(str(frame) if type(frame) is int else frame):
        return False
    place = PureWindowsPath(f"{path}/{frame}")  # a Windows path knows both kinds of slash, and drives
    return not place.anchor and ".." not in place.parts


@contextlib.contextmanager
def opened_image(file: io.BytesIO | Path) -> Iterator[Image.Image]:
    """A PNG or JPEG, not yet decoded; `ValueError` says why, in a few words, where Pillow fails here or in the block.

    No other format is tried: what a file is its content says, not its name, and Pillow starts programs for some.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than a photo ever has
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                yield image
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise ValueError("no image in it" if isinstance(error, UnidentifiedImageError) else brief(error)) from None


def read_pixels(data: bytes, where: str, record: Modality, size: int | None = None) -> np.ndarray:
    """The bytes of one image file → its pixels (H, W) or (H, W, 3); `ValueError` if they are not of the record's kind,
    or not of size × size where that is given."""
    modes, most = PIXEL_MODES[record.pixels], SIDE
    try:
        with opened_image(io.BytesIO(data)) as image:
            mode, (width, height), pictures = image.mode, image.size, getattr(image, "n_frames", 1)
            fits = (width, height) == (size, size) if size else max(width, height) <= most
            pixels = np.array(image) if fits and mode in modes and pictures == 1 else None  # else not worth its memory
    except ValueError as error:
        raise ValueError(f"{where} is corrupt or cut short ({error}): render or download it again") from None
    if mode not in modes:
        raise ValueError(f"{where} holds {mode} pixels, expected {record.pixels} for {record.name}: render it again")
    if not fits:
        said = f"index.json says {size}×{size}" if size else f"no side may have more than {most}"
        raise ValueError(f"{where} is {width}×{height}, but {said}: render it again")
    if pictures != 1:
        raise ValueError(f"{where} holds {pictures} pictures, expected one: render it again")
    return pixels


def from_pixels(pixels: np.ndarray, record: Modality) -> torch.Tensor:
    """Stored pixels (H, W) or (H, W, 3) → a raw image (channels, H, W)."""
    return record.from_stored(torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1))


def _decode(data: bytes, where: str, record: Modality, size: int) -> torch.Tensor:
    """The bytes of one image file → raw (channels, size, size); `ValueError` if it is not what the record expects."""
    raw = from_pixels(read_pixels(data, where, record, size), record)
    if problem := record.problem(raw):
        raise ValueError(f"{where} cannot be used: {problem}")
    return raw


def resize(images: dict[str, torch.Tensor], height: int, width: int) -> dict[str, torch.Tensor]:
    """Raw images (N, C, H, W) by modality at another size, each as its record says."""
    shape = height, width
    return {
        name: raw if tuple(raw.shape[2:]) == shape else RESAMPLE[modality(name).resample](raw, shape)
        for name, raw in images.items()
    }


class Rooms:
    """The rooms of one data set in memory, with the modalities of the class and no others.

    `images[name]` holds raw images of all rooms: RGB uint8 (N, 3, H, W), depth float32 metres (N, 1, H, W) and
    segmentation uint8 class ids (N, 1, H, W). `rooms` are the seeds that made them; `sha256` identifies the data: the
    zip's bytes, or the index and the files read, in its order. `size` resizes to size × size after reading. Raises
    `FileNotFoundError` for what is missing and `ValueError` for what is wrong, with the file's name.
    """

    modalities: ClassVar[tuple[str, ...]] = ()
    source: str | Path | None = None  # what the images were read from

    def __init__(self, source: str | Path, size: int | None = None):
        if not self.modalities:
            raise TypeError("Rooms says not what to read: use SegmentationPairs, DepthPairs or Triplets")
        with _Files(source) as files:
            self.index = index = files.index()
            files.require(index, self.modalities)
            digest = hashlib.sha256(b"" if files.archive else files.read("index.json", JSON_BYTES))
            images = {name: [] for name in self.modalities}
            for entry in index["rooms"]:
                for name in self.modalities:
                    file = _file_name(entry, modality(name))
                    data = files.read(file, image_bytes(index["size"]))
                    images[name].append(_decode(data, files.where(file), modality(name), index["size"]))
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
        self.images = resize(self.images, self.size, self.size)

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
            name: raw[indices.to(raw.device, non_blocking=True)].to(modality(name).raw_dtype)
            for name, raw in self.images.items()
        }

    def uncropped(self, indices: Sequence[int] | torch.Tensor) -> dict[str, torch.Tensor]:
        """What `batch` cuts square windows from, for augmentation, which cuts its own; here all is square already."""
        return self.batch(indices)

    def class_counts(self) -> torch.Tensor:
        """Pixels of each class in all rooms, int64 (14,), Unknown first."""
        return torch.bincount(self.images["segmentation"].flatten().long(), minlength=len(CLASSES))

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
        other.images, other.size = resize(self.images, size, size), size
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

    modalities = ("rgb", "segmentation")


class DepthPairs(AnchoredPairs):
    """D2: RGB with depth; segmentation files are never opened, even where they exist."""

    modalities = ("rgb", "depth")


class NormalsPairs(AnchoredPairs):
    """RGB with surface normals, to plug a fourth modality in."""

    modalities = ("rgb", "normals")


class AlbedoPairs(AnchoredPairs):
    """RGB with albedo, to plug a fifth modality in."""

    modalities = ("rgb", "albedo")


class Triplets(Rooms):
    """All three modalities of each room, for evaluation only: the validation and test splits."""

    modalities = ("rgb", "depth", "segmentation")


class Surfaces(Rooms):
    """Normals and albedo of the test rooms, which `joined` puts beside `Triplets`: for evaluation only."""

    modalities = ("normals", "albedo")


class OraclePairs(Rooms):
    """Modalities of the same rooms besides RGB, for supervised oracles ONLY: no zero-pair method may be given any."""

    def __init__(self, source: str | Path, modalities: Sequence[str], size: int | None = None):
        self.modalities = tuple(modalities)
        super().__init__(source, size)

    def narrowed(self, modalities: Sequence[str]) -> Self:
        """The same rooms with some of their modalities."""
        part = copy.copy(self)
        part.modalities = tuple(modalities)
        part.images = {name: self.images[name] for name in part.modalities}
        return part


def joined(first: Rooms, second: Rooms) -> Rooms:
    """The same rooms with the modalities of both; the hash is that of both hashes. `ValueError` for other rooms."""
    if first.rooms != second.rooms or first.size != second.size:
        raise ValueError(f"{first.split} and {second.split} are not the same rooms at the same size")
    both = copy.copy(first)
    both.images = {**first.images, **second.images}
    both.modalities = tuple(both.images)
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


def shipped(split: str, size: int | None = None) -> Rooms:
    """A split of the data set that comes with the repository, in its type."""
    return open_split(SHIPPED, split, size)


def open_split(data: str | Path, split: str, size: int | None = None) -> Rooms:
    """A split, in its type, of a directory that holds `<split>.zip` or its shards' index `<split>.json`, which
    `mmlib.shards` reads, or of one zip, index or rendered directory.

    One rendered directory that names no split serves both training splits without a leak: D1 is the first half of its
    rooms, D2 the second; for validation and test it is used whole.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: known are {', '.join(SPLITS)}")
    data = Path(data)
    if data.is_dir() and not (data / "index.json").exists():
        if (data / f"{split}.zip").exists():
            return SPLITS[split](data / f"{split}.zip", size)
        if not (data / f"{split}.json").exists():
            names = f"index.json, {split}.zip nor {split}.json"
            raise FileNotFoundError(f"{data} holds neither {names}: render or download the data set")
        data = data / f"{split}.json"
    if data.suffix == ".json" and data.is_file():
        from . import shards  # noqa: PLC0415 - they are made of what stands here

        return shards.sharded(split)(data, size)
    rooms = SPLITS[split](data, size)
    if "split" in rooms.index or split not in ("d1", "d2"):
        return rooms
    half = len(rooms) // 2
    part = rooms.subset(0, half) if split == "d1" else rooms.subset(half)
    part.split = split
    return part


# ── Packing ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[io.BufferedWriter]:
    """A binary stream that becomes the file `path` when all went well, and leaves what was there when not.

    Its folder is made if need be, what a killed process left of it over an hour ago is removed, and a device or a pipe
    is written to directly. `OSError` names the file when the folder is not writable or the disk full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                yield stream
            return
        for litter in path.parent.glob(f".{glob.escape(path.name)}.{'[a-z0-9_]' * 8}"):  # as mkstemp names them
            with contextlib.suppress(OSError):
                if litter.stat().st_mtime < time.time() - 3600:
                    litter.unlink()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp made it private
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if error.errno is None:  # not the disk's: a sentence from within the block
            raise
        raise OSError(f"cannot write {path} ({error.strerror}): free some space or choose another folder") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def pack(
    sources: str | Path | Sequence[str | Path],
    zip_path: str | Path,
    modalities: Sequence[str],
    split: str | None = None,
) -> Path:
    """Write a split's zip from a rendered directory, or from several directories and zips: only those modalities, and
    always the same bytes.

    The index is rewritten with these modalities and the split's name (the zip's stem if not given). Files are stored as
    they are (images are compressed already) in sorted order without times; the zip appears whole or not at all. Of
    several sources each has a folder of its own. `ValueError` where two hold the same room, or images of other sizes.
    """
    zip_path, parts = Path(zip_path), [sources] if isinstance(sources, str | Path) else list(sources)
    modalities = list(dict.fromkeys(modalities))
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_Files(part)) for part in parts]
        indices = [files.index() for files in opened]
        named: dict[str, tuple[_Files, str]] = {}
        for place, (files, index) in enumerate(zip(opened, indices)):
            files.require(index, modalities)
            for entry in index["rooms"]:
                inside = dict(entry)
                if len(parts) > 1:
                    entry["path"] = f"{place}/{entry['path']}"
                for name in modalities:
                    named[_file_name(entry, modality(name))] = (files, _file_name(inside, modality(name)))
        rooms = [entry for index in indices for entry in index["rooms"]]
        merged = {**indices[0], "rooms": rooms, "modalities": modalities, "split": split or zip_path.stem}
        if len({index["size"] for index in indices}) > 1:
            raise ValueError(f"{zip_path}: {', '.join(map(str, parts))} hold images of different sizes")
        _check_rooms(merged, str(zip_path))
        stream = stack.enter_context(written_whole(zip_path))
        archive = stack.enter_context(zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED))
        archive.writestr(zipfile.ZipInfo("index.json"), json.dumps(merged, sort_keys=True))
        for name in sorted(named):
            files, inside_name = named[name]
            archive.writestr(zipfile.ZipInfo(name), files.read(inside_name, image_bytes(merged["size"])))
    return zip_path


# ── Checking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def check(source: str | Path) -> list[str]:
    """Read every file of a data set (a directory, a zip, a shards' index, or a directory of zips and indices); one
    sentence for each problem."""
    source = Path(source)
    if source.is_dir() and not (source / "index.json").exists():
        indices = [source / f"{split}.json" for split in SPLITS if (source / f"{split}.json").exists()]
        if parts := sorted(source.glob("*.zip")) + indices:
            return [problem for path in parts for problem in check(path)]
    if source.suffix == ".json" and source.is_file():
        from . import shards  # noqa: PLC0415 - they are made of what stands here

        return shards.check(source)
    problems = []
    try:
        with _Files(source) as files:
            index = files.index()
            records = [modality(name) for name in index["modalities"]]
            for entry in index["rooms"]:
                for record in records:
                    name = _file_name(entry, record)
                    try:
                        data = files.read(name, image_bytes(index["size"]))
                        _decode(data, files.where(name), record, index["size"])
                    except (ValueError, FileNotFoundError) as error:
                        problems.append(str(error))
    except (ValueError, FileNotFoundError) as error:
        problems.append(str(error))
    return problems
