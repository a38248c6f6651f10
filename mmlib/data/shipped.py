"""The data, results and checkpoints that come with the repository, and how a split is opened."""

import json
from pathlib import Path

from .sets import SPLITS, Rooms
from .shards import Shards

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "rooms"
RESULTS = SHIPPED.parent / "results"
CHECKPOINTS = SHIPPED.parent / "checkpoints"
CHECKPOINT = CHECKPOINTS / "course.safetensors"
COLOUR_CHECKPOINT = CHECKPOINTS / "colours.safetensors"
STYLE_CHECKPOINT = CHECKPOINTS / "styles.safetensors"


WITHOUT_REPOSITORY = (
    f"mmlib is installed without its data ({SHIPPED.parent} does not exist): clone the repository, and run "
    "`pip install -e .` in it"
)


def shipped(split: str, size: int | None = None) -> Rooms:
    """A split of the data set that comes with the repository, in its type."""
    return open_split(SHIPPED, split, size)


def open_split(data: str | Path, split: str, size: int | None = None, kind: type[Rooms] | None = None) -> Rooms:
    """A split, in its type or as another `kind`, of a directory that holds `<split>.zip` or its shards' index
    `<split>.json`, which `mmlib.data.shards` reads, or of one zip, index or rendered directory.

    One rendered directory that names no split serves both training splits without a leak: D1 is the first half of its
    rooms, D2 the second; for validation and test it is used whole.
    """
    if Path(data) == SHIPPED and not SHIPPED.exists():
        raise FileNotFoundError(WITHOUT_REPOSITORY)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: known are {', '.join(SPLITS)}")
    data, kind = Path(data), kind or SPLITS[split]
    if data.is_dir() and not (data / "index.json").exists():
        if (data / f"{split}.zip").exists():
            return kind(data / f"{split}.zip", size)
        if not (data / f"{split}.json").exists():
            names = f"index.json, {split}.zip nor {split}.json"
            raise FileNotFoundError(f"{data} holds neither {names}: import, render or download a data set")
        data = data / f"{split}.json"
    if data.suffix == ".json" and data.is_file():
        return kind(Shards(data), size)
    rooms = kind(data, size)
    if "split" in rooms.index or split not in ("d1", "d2"):
        return rooms
    half = len(rooms) // 2
    part = rooms.subset(0, half) if split == "d1" else rooms.subset(half)
    part.split = split
    return part


def read(name: str, results: str | Path = RESULTS) -> dict:
    """The result `name` (course, oracle) as `evaluate` made it; `FileNotFoundError` names the missing file."""
    path = Path(results) / f"{name}.json"
    if not RESULTS.exists():
        raise FileNotFoundError(WITHOUT_REPOSITORY)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: it comes with the repository, get it again")
    return json.loads(path.read_text(encoding="utf-8"))
