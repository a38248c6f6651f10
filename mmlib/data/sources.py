"""Data sets on disk: one layout, and one reader of a directory or a zip.

A data set is a directory, or the same tree inside one zip: `index.json`, and for each room of it
`<path>/photo/0.jpg` (RGB), `<path>/depth/0.png` (16-bit, millimetres along the ray, 0 = no hit) and
`<path>/semantic_class/0.png` (8-bit, 0–13, 0 = Unknown). Folders, units and ids are SceneNet RGB-D's. All images are
square and of one size. The index of a data set of your own needs no more than this; `room` numbers must differ between
splits:

    {"format": "mmlib-rooms-1", "size": 96, "modalities": ["rgb", "segmentation"],
     "rooms": [{"room": 0, "path": "rooms/0"}, {"room": 1, "path": "rooms/1"}]}
"""

import posixpath
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Self

from ..files import JSON_BYTES, PIXELS, SIDE, brief, json_object, read_file
from ..modalities import Modality

FORMAT = "mmlib-rooms-1"


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
        if not index["modalities"] or not all(name and _is_name(name) for name in index["modalities"]):
            raise ValueError(f"{where} lists modalities {brief(index['modalities'])}: list their names")
        if not _is_name(index.get("split", "")):
            raise ValueError(f"{where} has a split {brief(index['split'])}, which is no name: give it one")
        check_rooms(index, where)
        return index

    def require(self, index: dict, names: Sequence[str]) -> None:
        if absent := [name for name in names if name not in index["modalities"]]:
            held = brief(", ".join(index["modalities"]))
            raise ValueError(f"{self.source} holds {held}; {', '.join(absent)} was asked for")


def check_rooms(index: dict, where: str) -> None:
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
    views = Counter(posixpath.normpath(f"{entry['path']}/{entry.get('frame', 0)}") for entry in rooms)
    view, times = views.most_common(1)[0]
    if times > 1:  # one view under two room numbers could hide a leak between splits
        raise ValueError(f"{where} lists {view} under {times} rooms: give each a path and frame of its own")


def file_name(entry: dict, record: Modality) -> str:
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
