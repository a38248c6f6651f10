"""Sources: where images lie, in memory or in files that are read when a batch asks for them.

A data set on disk has one layout. It is a directory, or the same tree inside one zip: `index.json`, and for each room
of it `<path>/photo/0.jpg` (RGB), `<path>/depth/0.png` (16-bit, millimetres along the ray, 0 = no hit) and
`<path>/semantic_class/0.png` (8-bit, 0–13, 0 = Unknown). Folders, units and ids are SceneNet RGB-D's. All images are
square and of one size. The index of a data set of your own needs no more than this; `room` numbers must differ between
splits:

    {"format": "mmlib-rooms-1", "size": 96, "modalities": ["rgb", "segmentation"],
     "rooms": [{"room": 0, "path": "rooms/0"}, {"room": 1, "path": "rooms/1"}]}

`load` reads it into `Memory`. Large sets are `Streamed`, from tar shards (`mmlib.data.shards`) or from SceneNet RGB-D's
own files (`mmlib.data.scenenet`).
"""

import copy
import functools
import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch

from ..hardware.files import JSON_BYTES, SIDE, brief, read_file
from ..modalities import Modality
from .images import decode, from_pixels, image_bytes, read_pixels, resize
from .indices import FORMAT, Index, as_indexed, check_rooms, index_object, is_name

# ── Sources ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Source:
    """Where the images of a set lie: a list of views of rooms, and the raw images of those that are asked for.

    `rooms` are the numbers of the rooms that the views show (several views may show one), `index` is what the data set
    says of itself, with an entry per view in `index["rooms"]`. `records` are the modalities that are given, by name;
    they say how images are read. `size` is the shorter side of the images in pixels, `sha256` identifies the data.
    `images` are those that lie in memory.

    `sets.Rooms` describes `subset`, `resized`, `on`, and what each subclass has: `uncropped` and `class_counts`. A
    subclass also has `stored(position, name)`: one raw image (C, H, W) as the source keeps it, and its file where that
    holds these pixels, else None.
    """

    def __init__(
        self, index: dict, rooms: Sequence[int], records: Mapping[str, Modality], split: str, sha256: str, size: int
    ):
        if not len(rooms):
            raise ValueError(f"{split}: no view is listed: give at least one")
        self.index, self.rooms, self.records = index, list(rooms), dict(records)
        self.split, self.sha256, self.size = split, sha256, size
        self.images: dict[str, torch.Tensor] = {}

    def _changed(self, **changes) -> Self:
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    def only(self, records: Mapping[str, Modality]) -> Self:
        """The same views with these modalities and no others; `ValueError` names those that it does not hold."""
        require(self.split, self.records, records)
        images = {name: self.images[name] for name in records if name in self.images}
        return self._changed(records=dict(records), images=images)

    def subset(self, start: int, stop: int | None) -> Self:
        index = {**self.index, "rooms": self.index["rooms"][start:stop]}
        images = {name: raw[start:stop] for name, raw in self.images.items()}
        return self._changed(rooms=self.rooms[start:stop], index=index, images=images)

    def resized(self, size: int) -> Self:
        return self._changed(size=size, images=resize(self.images, self.records, size, size))

    def on(self, device: torch.device) -> Self:
        return self._changed(images={name: raw.to(device) for name, raw in self.images.items()})


class Memory(Source):
    """Square raw images (N, C, H, H) in memory; `path` is the directory or zip that they were read from."""

    def __init__(self, images: dict[str, torch.Tensor], records, index: dict, split: str, sha256: str, path=None):
        size = next(iter(images.values())).shape[-1]
        super().__init__(index, [entry["room"] for entry in index["rooms"]], records, split, sha256, size)
        self.images, self.path = images, path

    def uncropped(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        picked = {name: raw[indices.to(raw.device, non_blocking=True)] for name, raw in self.images.items()}
        return {name: raw.to(self.records[name].raw_dtype) for name, raw in picked.items()}

    def class_counts(self, name: str) -> torch.Tensor:
        return torch.bincount(self.images[name].flatten().long(), minlength=len(self.records[name].classes))

    def stored(self, position: int, name: str) -> tuple[torch.Tensor, bytes | None]:
        raw, record = self.images[name][position], self.records[name]
        if self.path is None:
            return raw, None
        files = _reopened(self.path, Path(self.path).stat().st_mtime_ns)
        file = file_name(self.index["rooms"][position], record)
        content = files.read(file, image_bytes(SIDE))
        pixels = from_pixels(read_pixels(content, files.where(file), record), record)
        return raw, content if torch.equal(pixels, raw) else None


class Streamed(Source):
    """Image files that are read when a batch asks for them: what all large sets have in common, wherever they lie.

    The entries of `index` (any sequence that can be sliced) say where a subclass finds a view's files. It has
    `content(position, name)`: the bytes of one, and `file(position, name)`: what errors call it. No image is opened
    here; a batch raises `FileNotFoundError` or `ValueError` with the file's name. Photos may have any shape. An
    image is resized until its shorter side has `size` pixels, and a square is cut out of it: the central one by
    `Rooms.batch`, so for evaluation; one anywhere along the photo by `batches.augment`.
    """

    content: Callable[[int, str], bytes]
    file: Callable[[int, str], str]

    def stored(self, position: int, name: str) -> tuple[torch.Tensor, bytes | None]:
        content, record = self.content(position, name), self.records[name]
        return from_pixels(read_pixels(content, self.file(position, name), record), record), content

    def uncropped(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        stored: dict[str, list[torch.Tensor]] = {name: [] for name in self.records}
        shape: tuple[int, ...] = ()
        for position in indices.tolist():
            for name in self.records:
                raw, _ = self.stored(position, name)
                shape = shape or tuple(raw.shape[1:])
                if problem := size_problem(self.file(position, name), tuple(raw.shape[1:]), shape):
                    raise ValueError(problem)
                stored[name].append(raw)
        height, width = (round(side * self.size / min(shape)) for side in shape)
        images = resize({name: torch.stack(raw) for name, raw in stored.items()}, self.records, height, width)
        return {name: raw.to(self.records[name].raw_dtype) for name, raw in images.items()}

    def class_counts(self, name: str) -> torch.Tensor:
        found = (self.stored(position, name)[0].flatten().long() for position in spread(len(self.rooms), 500))
        return sum(torch.bincount(classes, minlength=len(self.records[name].classes)) for classes in found)


def require(where: str | Path, held: Iterable[str], names: Iterable[str]) -> None:
    """`ValueError` for modalities that are asked for and not held."""
    if absent := [name for name in names if name not in held]:
        raise ValueError(f"{where} holds {brief(', '.join(held))}; {', '.join(absent)} was asked for")


def size_problem(file: str, shape: tuple[int, int], expected: tuple[int, int]) -> str | None:
    """What is wrong with an image of another size than those beside it."""
    (height, width), (high, wide) = shape, expected
    return None if shape == expected else f"{file} is {width}×{height}, others are {wide}×{high}: download it again"


def spread(length: int, most: int | None) -> list[int]:
    """Up to `most` of `length` positions, at even distances; all if it is None."""
    kept = length if most is None else min(length, most)
    return [step * length // kept for step in range(kept)]


# ── A directory or a zip ───────────────────────────────────────────────────────────────────────────────────────────


def load(path: str | Path, records: Mapping[str, Modality]) -> Memory:
    """Read these modalities of a directory or a zip, and open no file of others.

    `sha256` is of the zip's bytes, or of the index and the files read, in its order. Raises `FileNotFoundError` for
    what is missing and `ValueError` for what is wrong, with the file's name.
    """
    with Files(path) as files:
        index = files.index()
        require(files.source, index["modalities"], records)
        records = as_indexed(records, index)
        digest = hashlib.sha256(b"" if files.archive else files.read("index.json", JSON_BYTES))
        raw: dict[str, list[torch.Tensor]] = {name: [] for name in records}
        for entry in index["rooms"]:
            for name, record in records.items():
                file = file_name(entry, record)
                data = files.read(file, image_bytes(index["size"]))
                raw[name].append(decode(data, files.where(file), record, index["size"]))
                if not files.archive:
                    digest.update(data)
        if files.archive:
            with open(path, "rb") as archive:
                digest = hashlib.file_digest(archive, "sha256")
    images = {name: torch.stack(parts) for name, parts in raw.items()}
    for name, record in records.items():
        if problem := record.set_problem(images[name][..., ::8, ::8]):
            raise ValueError(f"{path} cannot be used: {problem}")
    return Memory(images, records, index, index.get("split", Path(path).stem), digest.hexdigest(), path)


class Files:
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
            again = "get the data set again, or let `python -m mmlib import` make one of your files"
            raise FileNotFoundError(f"{self.where(name)} is missing: {again}") from None
        except Exception as error:  # as above
            problem = f"cannot be read ({brief(error)}): download the data set again"
            raise ValueError(f"{self.where(name)} {problem}") from None

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
        content, again = self.read("index.json", JSON_BYTES), "render or download the data set again"
        index = index_object(content, where, FORMAT, Index, "data sets made by mmlib", again)
        if not all(name and is_name(name) for name in index["modalities"]):
            raise ValueError(f"{where} lists modalities {brief(index['modalities'])}: list their names")
        if not is_name(index.get("split", "")):
            raise ValueError(f"{where} has a split {brief(index['split'])}, which is no name: give it one")
        for entry in index["rooms"]:
            entry["path"] = entry["path"].replace("\\", "/")  # as somebody writes it by hand on Windows
        check_rooms(index, where)
        return index


@functools.lru_cache(maxsize=1)
def _reopened(path: str | Path, changed: int) -> Files:
    """The files that a set was read from; a file that changed since is another."""
    return Files(path)


def file_name(entry: dict, record: Modality) -> str:
    return f"{entry['path']}/{record.folder}/{entry.get('frame', 0)}{record.suffix}"
