"""Was it really zero-pair? What a checkpoint's record says of the data that it was trained and chosen on."""

import functools
import itertools
from collections.abc import Collection
from typing import Annotated, Any

from msgspec import Meta, Struct

from .data.sets import Rooms, ranges
from .data.shipped import SHIPPED, WITHOUT_REPOSITORY
from .data.sources import Files
from .evaluation import aligned
from .hardware.files import fitted
from .modalities import KNOWN


def audit(record: dict[str, Any], test: Rooms | None = None) -> list[str]:
    """Problems of a checkpoint's claim to be zero-pair, one sentence each; an empty list is a clean record.

    `test`: the rooms that were kept for the evaluation; without it, those of the shipped test split.

    The record lists every data set that training or model selection was given: its modalities, rooms and hash. A clean
    audit proves that, as recorded, no room gave two modalities besides RGB, in one data set or across two, and that
    the test split was not touched. It cannot prove that the record is honest: for that, compare the hashes with the
    files and train again from the recipe.
    """
    entries = record.get("data") if isinstance(record, dict) else None
    if not isinstance(entries, list) or not entries:
        return ["the record lists no data: what this checkpoint was trained on cannot be told"]
    names = _names(record)
    if bad := [index for index, entry in enumerate(entries) if not _well_formed(entry, names)]:
        return [f"entry {index} of the record's data is incomplete or malformed" for index in bad]
    kept = _test_rooms() if test is None else ranges(test.rooms)
    problems = [
        f"the test split was used for {entry['role']}"
        for entry in entries
        if entry["split"] == "test" or _shared(entry["rooms"], kept)
    ]
    if not any(entry["role"] == "training" for entry in entries):
        problems.append("the record lists no training data: what this checkpoint was trained on cannot be told")
    held = dict.fromkeys(name for entry in entries for name in entry["modalities"] if name != "rgb")
    for one, other in itertools.combinations(sorted(held), 2):
        for first in (entry for entry in entries if one in entry["modalities"]):
            for second in (entry for entry in entries if other in entry["modalities"]):
                if shared := _shared(first["rooms"], second["rooms"]):
                    where = " and ".join(dict.fromkeys(f"{e['split']} ({e['role']})" for e in (first, second)))
                    count = sum(last - first + 1 for first, last in shared)
                    many = f"{count} room{'s' * (count > 1)} from {shared[0][0]} on"
                    problems.append(f"{many} gave both {one} and {other}, in {where}")
    return problems


def given_before(record: dict[str, Any], rooms: Rooms) -> list[str]:
    """A sentence for each data set of a record that these rooms are of, by hash or by number."""
    problems, names = [], _names(record)
    for entry in (entry for entry in record.get("data") or [] if _well_formed(entry, names)):
        what = f"{entry['split']}, which the network was given for {entry['role']}"
        if entry["sha256"] == rooms.sha256:
            problems.append(f"{rooms.split} is {what}")
        elif shared := _shared(entry["rooms"], ranges(rooms.rooms)):
            count = sum(last - first + 1 for first, last in shared)
            problems.append(
                f"{count} rooms of {rooms.split} have numbers of {what}, the first is {shared[0][0]}: if they are the "
                "same, this measures what it saw"
            )
    return problems


def given(network: Any) -> list[dict[str, Any]]:
    """The data of a network's record, for a training that goes on from it; `ValueError` where it does not say."""
    record = getattr(network, "record", None)
    if isinstance(record, dict) and isinstance(entries := record.get("data"), list):
        names = _names(record)
        if all(_well_formed(entry, names) for entry in entries) and "training" in [entry["role"] for entry in entries]:
            return entries
    raise ValueError("the network's record does not say on which rooms it was trained: copy it again")


def _names(record: dict[str, Any]) -> set[str]:
    """The modalities that a record may list: those that are known, and those that its recipe declares (domains)."""
    recipe = record.get("recipe")
    declared = recipe.get("modalities") if isinstance(recipe, dict) else None
    named = (name for name in declared if isinstance(name, str)) if isinstance(declared, list) else ()
    return {*KNOWN, *named}


Word = Annotated[str, Meta(min_length=1)]


class Entry(Struct):
    """A data set in a record: rooms are runs from a first to a last number."""

    role: Word
    split: Word
    sha256: Word
    modalities: Annotated[list[Word], Meta(min_length=1)]
    rooms: Annotated[list[tuple[int, int]], Meta(min_length=1)]


def _well_formed(entry: Any, names: Collection[str]) -> bool:
    try:
        read = fitted(entry, Entry)
    except ValueError:
        return False
    return set(read.modalities) <= set(names) and all(first <= last for first, last in read.rooms)


@functools.cache
def _test_rooms() -> list[list[int]]:
    """The rooms of the shipped test split, whatever name a record gives them."""
    if not SHIPPED.exists():
        raise FileNotFoundError(WITHOUT_REPOSITORY)
    with Files(SHIPPED / "test.zip") as files:
        return ranges(entry["room"] for entry in files.index()["rooms"])


def _shared(left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """The runs that two lists of runs have in common."""
    both = ([max(a[0], b[0]), min(a[1], b[1])] for a in left for b in right)
    return sorted([first, last] for first, last in both if first <= last)


def describe_audit(record: dict[str, Any], test: Rooms | None = None) -> str:
    """The data that a record lists as a table for people, and under it the verdict; `test` as in `audit`."""
    verdict = audit(record, test)
    rows = [("role", "split", "modalities", "rooms", "sha256")]
    entries, names = (record.get("data") or [], _names(record)) if isinstance(record, dict) else ([], set())
    for entry in (entry for entry in entries if _well_formed(entry, names)):
        runs = entry["rooms"]
        span = f"{sum(last - first + 1 for first, last in runs)} ({runs[0][0]}–{runs[-1][1]})"
        rows.append((entry["role"], entry["split"], " + ".join(entry["modalities"]), span, entry["sha256"][:12]))
    held = sorted({name for row in rows[1:] for name in row[2].split(" + ")} - {"rgb"})
    gave = f"both {' and '.join(held)}" if len(held) < 3 else f"two of {', '.join(held)}"
    clean = f"clean: no room gave {gave}, and the test split was not touched"
    return "\n".join([aligned(rows), "", *(verdict or [clean])])
