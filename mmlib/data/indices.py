"""The index of a data set: what reading asks of it, and what is wrong with one."""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Annotated

from msgspec import Meta, Struct

from ..hardware.files import NAME, PIXELS, SIDE, brief, fitted, json_object
from ..modalities import KNOWN, Modality, classified

FORMAT = "mmlib-rooms-1"

OwnClasses = dict[str, Annotated[list[str], Meta(min_length=2, max_length=256)]]
"""The classes of segmentations that are not into the library's, Unknown first."""


class Room(Struct):
    """An entry of an index: `path` and `frame` say where its images lie."""

    room: int
    path: str
    frame: int | str = 0


class Index(Struct):
    """What reading a data set needs of its `index.json`; it may hold more."""

    size: Annotated[int, Meta(ge=1, le=SIDE)]
    modalities: Annotated[list[str], Meta(min_length=1)]
    rooms: Annotated[list[Room], Meta(min_length=1)]
    split: str = ""
    classes: OwnClasses = {}


def index_object(content: bytes, where: str | Path, form: str, kind: type, made: str, advice: str) -> dict:
    """The index of a data set: a JSON object that says format `form` and has what `kind` asks for.

    `ValueError` names the file `where`, what is wrong, and `made` or `advice`: what alone is read, or what to do.
    """
    try:
        index = json_object(content)
    except ValueError as error:
        raise ValueError(f"{where} is not JSON ({brief(error)}): {advice}") from None
    if index.get("format") != form:
        raise ValueError(f"{where} does not say format {form!r}: only {made} are read")
    try:
        fitted(index, kind)
    except ValueError as error:
        raise ValueError(f"{where} is no index ({error}): {advice}") from None
    for name, classes in index.get("classes", {}).items():
        check_classes(where, name, classes)
    return index


def check_classes(where: str | Path, name: str, classes: Sequence[str]) -> None:
    """`ValueError` where `name` is no segmentation of the library's, or a class has no name of its own."""
    if not (name in KNOWN and KNOWN[name].classes):
        raise ValueError(f"{where} lists classes of {brief(name)}, which is no segmentation: leave them out")
    if len(set(classes)) < len(classes) or not all(label.isprintable() and 0 < len(label) <= NAME for label in classes):
        raise ValueError(
            f"{where} lists the classes {brief(classes)}: give each a name of its own, of at most {NAME} letters"
        )


def check_rooms(index: dict, where: str) -> None:
    """`ValueError` where an index lists too many rooms, one twice, or files outside its data set."""
    size, rooms = index["size"], index["rooms"]
    if len(rooms) * size**2 > PIXELS:
        many = f"{len(rooms)} rooms of {size} pixels a side"
        raise ValueError(f"{where} says {many}: together they may have {PIXELS:,}, because memory holds them all")
    for entry in rooms:
        if not _is_inside(entry["path"], entry.get("frame", 0)):
            place = brief([entry["path"], entry.get("frame", 0)])
            raise ValueError(f"{where} has an entry with path and frame {place}, which is no file of the data set")
    if len({entry["room"] for entry in rooms}) < len(rooms):
        raise ValueError(f"{where} lists a room twice: render or download the data set again")
    views = Counter(posixpath.normpath(f"{entry['path']}/{entry.get('frame', 0)}") for entry in rooms)
    view, times = views.most_common(1)[0]
    if times > 1:  # one view under two room numbers could hide a leak between splits
        raise ValueError(f"{where} lists {view} under {times} rooms: give each a path and frame of its own")


def is_name(text: str) -> bool:
    """Whether a path and an error can hold a text."""
    return text.isprintable() and len(text) < 256


def _is_inside(path: str, frame: int | str) -> bool:
    """Whether path and frame of an entry name files below the data set's own folder, on every system."""
    if not is_name(path) or not is_name(str(frame)):
        return False
    place = PureWindowsPath(f"{path}/{frame}")  # a Windows path knows both kinds of slash, and drives
    return not place.anchor and ".." not in place.parts


def as_indexed(records: Mapping[str, Modality], index: dict) -> dict[str, Modality]:
    """The records, a segmentation with the classes of its own that the index lists."""
    own = index.get("classes", {})
    return {name: classified(name, tuple(own[name])) if name in own else record for name, record in records.items()}


def require_classes(where: str | Path, records: Mapping[str, Modality], known: Mapping[str, Modality]) -> None:
    """`ValueError` where a segmentation has other classes than the one of its name among the `known`."""
    for name in records.keys() & known.keys():
        if (classes := records[name].classes) != (others := known[name].classes):
            lists = (brief(", ".join(labels), 100) for labels in (classes, others))
            raise ValueError(f"{where} has other classes of {name} than the network ({' - '.join(lists)}): import the "
                             "images with the network's classes, or train a new network")  # fmt: skip
