"""Sets as tar shards: large files to copy and to stream, of which any image is read by its position.

Beside `d1-000000.tar`, `d1-000001.tar`, … lies `d1.json`, which lists them. A view is some members one after another,
named as webdataset expects, so that it reads shards, too: its number in the set and its scene's, then folder and suffix
of each modality:

    000012-1000000000001.photo.jpg   000012-1000000000001.semantic_class.png

Image files are copied where their pixels are the set's. Where they are not, as for SceneNet's classes, which are made
of instances, and for rooms resized in memory, a PNG is made. What is read back equals the set that was written to the
bit, and has its hash. The index:

    {"format": "mmlib-shards-1", "split": "d1", "modalities": ["rgb", "segmentation"], "size": 256, "samples": 25000,
     "sha256": "the set's", "class_counts": [...], "classes": {}, "shards": [
       {"bytes": 268000256, "sha256": "the file's", "views": [[1000000000000, 512, 21034, 22528, 1421], ...]}, ...]}

`classes` are those of a segmentation of your own, as in the index of a data set. A shard's number is its position in
the list. A view is its scene's number, then offset and bytes of each modality's file.
"""

import functools
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import torch
from msgspec import Meta, Struct
from PIL import Image

from ..hardware.files import JSON_BYTES, SIDE, read_file, written_whole
from ..modalities import Modality, own_classes
from .images import from_pixels, to_pixels
from .indices import OwnClasses, as_indexed, index_object
from .sets import SPLITS, Rooms
from .sources import Streamed

FORMAT = "mmlib-shards-1"
SHARD_BYTES = 256 * 2**20
BLOCK = 512  # of tar: a header is one, and contents are filled up to whole ones
END = bytes(2 * BLOCK)
AGAIN = "download it again, or remove it and write the shards again"
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Shard(Struct):
    """A tar of an index; `views` as above."""

    bytes: Count
    sha256: str
    views: Annotated[list[list[Count]], Meta(min_length=1)]


class Index(Struct):
    """The index of a split's shards."""

    split: str
    modalities: list[str]
    size: Annotated[int, Meta(ge=1, le=SIDE)]
    samples: Count
    sha256: str
    shards: Annotated[list[Shard], Meta(min_length=1)]
    class_counts: list[Count] | None = None
    classes: OwnClasses = {}


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Shards(Streamed):
    """The views that an index (`d1.json`) and its shards hold, of just those modalities.

    No shard is opened here, but one that is missing or has another size than listed is named: `FileNotFoundError` or
    `ValueError`, the latter also for an index that is damaged or unfinished.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        index, rows = _open_index(self.path)
        for number, shard in enumerate(index["shards"]):
            if problem := _problem(_shard(self.path, number), shard):
                raise problem
        held = {key: index.get(key) for key in ("split", "samples", "class_counts")} | {"rooms": rows}
        held["classes"] = index.get("classes", {})
        self.listed = tuple(index["modalities"])
        super().__init__(held, rows[:, 2].tolist(), {}, index["split"], index["sha256"], index["size"])

    def only(self, records: Mapping[str, Modality]) -> Self:
        """The same views; `ValueError` where these are not all of their modalities, so that each type has shards of
        its own."""
        if tuple(records) != self.listed:
            listed, asked = ", ".join(self.listed), ", ".join(records)
            raise ValueError(f"{self.path} holds {listed}; {asked} and nothing else were asked for")
        return self._changed(records=as_indexed(records, self.index))

    def file(self, position: int, name: str) -> str:
        shard, number, room = self.index["rooms"][position, :3].tolist()
        return f"{_shard(self.path, shard)}/{_key(number, room)}.{self.records[name].folder}"

    def content(self, position: int, name: str) -> bytes:
        shard, *row = self.index["rooms"][position].tolist()
        offset, size = row[2 + 2 * self.listed.index(name) :][:2]
        file = _shard(self.path, shard)
        content = os.pread(_Opened(file).descriptor, size, offset)
        if len(content) < size:
            raise ValueError(f"{file} is cut short: {AGAIN}")
        return content

    def class_counts(self, name: str = "segmentation") -> torch.Tensor:
        """Pixels of each class, int64 (K,): of the whole set what was counted before it was written, of a part of it
        in at most 500 views."""
        if name == "segmentation" and self.index["class_counts"] and len(self.rooms) == self.index["samples"]:
            return torch.tensor(self.index["class_counts"])
        return super().class_counts(name)


def check(path: str | Path) -> list[str]:
    """Read all of an index's shards and compare their hashes; one sentence for each that is not as it was written."""
    path, problems = Path(path), []
    try:
        index, _ = _open_index(path)
    except (ValueError, FileNotFoundError) as error:
        return [str(error)]
    for number, shard in enumerate(index["shards"]):
        file = _shard(path, number)
        if problem := _problem(file, shard):
            problems.append(str(problem))
            continue
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != shard.get("sha256"):
                problems.append(f"{file} holds other bytes than were written: {AGAIN}")
    return problems


@functools.lru_cache(maxsize=256)
class _Opened:
    """A shard, opened once; `pread` goes by no position that processes would share after a fork."""

    def __init__(self, file: Path):
        try:
            self.descriptor = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            raise _missing(file) from None

    def __del__(self, close=os.close):
        if hasattr(self, "descriptor"):
            close(self.descriptor)


def _shard(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:06d}.tar")


def _key(number: int, room: int) -> str:
    return f"{number:06d}-{room}"


def _missing(file: Path) -> FileNotFoundError:
    return FileNotFoundError(f"{file} is missing: download it, or write the shards again")


def _problem(file: Path, shard: dict) -> Exception | None:
    """An error where a listed shard is missing or has another size."""
    if not file.is_file():
        return _missing(file)
    size, listed = file.stat().st_size, shard["bytes"]
    return None if size == listed else ValueError(f"{file} has {size} bytes, its index says {listed}: {AGAIN}")


def _open_index(path: Path, whole: bool = True) -> tuple[dict, np.ndarray]:
    """An index and of each view the number of its shard, its own and its scene's, and of each file offset and count of
    bytes: int64 (views, 3 + 2 × modalities). `ValueError` where it is damaged, or not yet whole."""
    try:
        content = read_file(path, JSON_BYTES)
    except FileNotFoundError:
        raise _missing(path) from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): {AGAIN}") from None
    index = index_object(content, path, FORMAT, Index, "shards written by mmlib", AGAIN)
    try:
        views = [np.array(shard["views"], np.int64) for shard in index["shards"]]
        shards = np.repeat(np.arange(len(views)), [len(rows) for rows in views])
        rows = np.column_stack([shards, np.arange(len(shards)), np.concatenate(views)])
        ends = np.array([shard["bytes"] for shard in index["shards"]])[shards, None]
        if rows.shape[1] != 3 + 2 * len(index["modalities"]):
            raise ValueError("a view of other numbers")
        if (rows[:, 3::2] + rows[:, 4::2] > ends).any():
            raise ValueError("a view outside of its shard")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {AGAIN}") from None
    if whole and len(rows) != index["samples"]:
        listed = f"{len(rows)} of {index['samples']} views"
        raise ValueError(f"{path} lists {listed}: repeat the command that writes the shards")
    return index, rows


# ── Writing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(rooms: Rooms, folder: str | Path, split: str | None = None, shard_bytes: int = SHARD_BYTES) -> Path:
    """Write a set (in memory or streamed) as shards of at most so many bytes and their index; the index's path.

    `split` is the set's own if not given. Shards appear whole or not at all, and a stopped write is continued:
    shards that are listed and exist are not written again. `TypeError` for a set that is not of its split's type;
    `ValueError` where the folder holds shards of another set, or an image cannot be read, or not be kept without loss.
    """
    split = split or rooms.split
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: known are {', '.join(SPLITS)}")
    if SPLITS[split].modalities != rooms.modalities or not isinstance(rooms, SPLITS[split]):
        raise TypeError(f"shards of {split} are made of {SPLITS[split].__name__}, not of {type(rooms).__name__}")
    path, modalities = Path(folder) / f"{split}.json", list(rooms.modalities)
    what = {"format": FORMAT, "split": split, "modalities": modalities, "size": rooms.size}
    what |= {"samples": len(rooms), "sha256": rooms.sha256, "classes": own_classes(rooms.records.values())}
    if path.exists():
        index, rows = _open_index(path, whole=False)
        if (
            any(index.get(key, {}) != value for key, value in what.items())
            or rooms.rooms[: len(rows)] != rows[:, 2].tolist()
        ):
            raise ValueError(f"{path} lists shards of another set: name another folder, or remove them")
    else:
        counts = rooms.class_counts().tolist() if "segmentation" in modalities else None
        index = {**what, "class_counts": counts, "shards": []}
    number = start = 0
    while start < len(rooms):
        file, listed = _shard(path, number), index["shards"][number : number + 1]
        if not listed or _problem(file, listed[0]):
            stop = start + len(listed[0]["views"]) if listed else None
            listed = [_write_shard(file, rooms, start, stop, shard_bytes)]
            index["shards"][number : number + 1] = listed
            with written_whole(path) as stream:
                stream.write(json.dumps(index, separators=(",", ":")).encode())
            print(f"{file}: views {start + 1} to {start + len(listed[0]['views'])} of {len(rooms)}", flush=True)
        number, start = number + 1, start + len(listed[0]["views"])
    return path


def _write_shard(file: Path, rooms: Rooms, start: int, stop: int | None, most: int) -> dict:
    """Write a shard of the views from start up to stop, or of as many as `most` bytes hold; its entry in the index."""
    digest, size, views = hashlib.sha256(), 0, []
    with written_whole(file) as stream:
        for position in range(start, stop or len(rooms)):
            view, members = [rooms.rooms[position]], b""
            for name in rooms.modalities:
                content = _image_file(rooms, position, name)
                suffix = "jpg" if content.startswith(b"\xff\xd8") else "png"
                key = _key(position, rooms.rooms[position])
                info = tarfile.TarInfo(f"{key}.{rooms.records[name].folder}.{suffix}")
                info.size = len(content)
                members += info.tobuf(tarfile.USTAR_FORMAT)
                view += [size + len(members), len(content)]
                members += content + bytes(-len(content) % BLOCK)
            if stop is None and views and size + len(members) + 2 * BLOCK > most:
                break
            stream.write(members)
            digest.update(members)
            size += len(members)
            views.append(view)
        stream.write(END)
        digest.update(END)
    _Opened.cache_clear()  # type: ignore[attr-defined]  # it may hold what lay here before
    return {"bytes": size + len(END), "sha256": digest.hexdigest(), "views": views}


def _image_file(rooms: Rooms, position: int, name: str) -> bytes:
    """The image file of a view as a shard holds it: a copy where its pixels are the set's, else a PNG of those."""
    raw, content = rooms.source.stored(position, name)
    return content or _png(raw, rooms.records[name], f"{name} of room {rooms.rooms[position]} of {rooms.split}")


def _png(raw: torch.Tensor, record: Modality, what: str) -> bytes:
    """A raw image (C, H, W) as a PNG of its stored pixels."""
    pixels = to_pixels(raw, record)
    if not (from_pixels(pixels, record) == raw).all():
        raise ValueError(f"{what} cannot be kept without loss: its values are not those of an image file")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
