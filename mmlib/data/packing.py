"""A data set as one zip, and a check of every file of a data set."""

import contextlib
import itertools
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..hardware.files import brief, written_whole
from ..modalities import Modality
from . import shards
from .domains import RECORDS
from .images import decode, image_bytes
from .sets import SPLITS
from .sources import Files, as_indexed, check_rooms, file_name, require


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
    records = _records(zip_path, dict.fromkeys(modalities))
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Files(part)) for part in parts]
        indices = [files.index() for files in opened]
        named: dict[str, tuple[Files, str]] = {}
        for folder, (files, index) in enumerate(zip(opened, indices)):
            require(files.source, index["modalities"], [record.name for record in records])
            for entry in index["rooms"]:
                inside = dict(entry)
                if len(parts) > 1:
                    entry["path"] = f"{folder}/{entry['path']}"
                for record in records:
                    named[file_name(entry, record)] = (files, file_name(inside, record))
        rooms = [entry for index in indices for entry in index["rooms"]]
        held = [record.name for record in records]
        merged = {**indices[0], "rooms": rooms, "modalities": held, "split": split or zip_path.stem}
        if len({index["size"] for index in indices}) > 1:
            raise ValueError(f"{zip_path}: {', '.join(map(str, parts))} hold images of different sizes")
        check_rooms(merged, str(zip_path))
        stream = stack.enter_context(written_whole(zip_path))
        archive = stack.enter_context(zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED))
        archive.writestr(zipfile.ZipInfo("index.json"), json.dumps(merged, sort_keys=True))
        for name in sorted(named):
            files, inside_name = named[name]
            archive.writestr(zipfile.ZipInfo(name), files.read(inside_name, image_bytes(merged["size"])))
    return zip_path


def check(source: str | Path) -> list[str]:
    """Read every file of a data set (a directory, a zip, a shards' index, or a directory of zips and indices); one
    sentence for each problem."""
    source = Path(source)
    if source.is_dir() and not (source / "index.json").exists():
        indices = [source / f"{split}.json" for split in SPLITS if (source / f"{split}.json").exists()]
        if parts := sorted(source.glob("*.zip")) + indices:
            return [problem for path in parts for problem in check(path)] + _shared(parts)
    if source.suffix == ".json" and source.is_file():
        return shards.check(source)
    problems = []
    try:
        with Files(source) as files:
            index = files.index()
            records = as_indexed(_records(files.where("index.json"), index["modalities"]), index)
            for entry in index["rooms"]:
                for record in records:
                    name = file_name(entry, record)
                    try:
                        data = files.read(name, image_bytes(index["size"]))
                        decode(data, files.where(name), record, index["size"])
                    except (ValueError, FileNotFoundError) as error:
                        problems.append(str(error))
    except (ValueError, FileNotFoundError) as error:
        problems.append(str(error))
    return problems


def _shared(parts: Sequence[Path]) -> list[str]:
    """A sentence for each two zips of different splits that list rooms of the same number: what one trains on, the
    other would measure. `test_surfaces.zip` belongs to `test.zip`."""
    rooms = {}
    for path in (part for part in parts if part.suffix == ".zip"):
        with contextlib.suppress(ValueError, FileNotFoundError), Files(path) as files:
            rooms[path] = {entry["room"] for entry in files.index()["rooms"]}
    return [
        f"{first} and {second} share {len(rooms[first] & rooms[second])} rooms, the first is "
        f"{min(rooms[first] & rooms[second])}: give different rooms different numbers, and each room to one split"
        for first, second in itertools.combinations(rooms, 2)
        if rooms[first] & rooms[second] and first.stem.split("_")[0] != second.stem.split("_")[0]
    ]


def _records(where: str | Path, names: Iterable[str]) -> list[Modality]:
    """The records of modalities that a data set lists; `ValueError` names the known ones."""
    if unknown := [name for name in names if name not in RECORDS]:
        raise ValueError(f"{where} lists modalities {brief(unknown)}: list some of {', '.join(RECORDS)}")
    return [RECORDS[name] for name in names]
