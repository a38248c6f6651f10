"""Files: what those from elsewhere may ask for, readers that say in a few words what is wrong, and whole writes.

A checkpoint, a training state or a data set may be damaged, or made to do harm. Whatever it claims is held against
these limits before any memory is set aside for it. Each is far above what the paper needs.
"""

import contextlib
import dataclasses
import glob
import io
import json
import math
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec

T = TypeVar("T")

# ── Limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────

JSON_BYTES = 2**24  # of a record, an index or a header: 16 MB list 300,000 frames, each with room, path and frame
JSON_BRACKETS = 2**19  # lists and objects in it: 16 MB of "[],[]," would become 400 MB in memory
FILE_BYTES = 2**33  # of a file of tensors: the training state of the paper has 1 GB
WIDTH = 2**14  # channels: the paper's widest stage has 512
LAYERS = 2**9  # convolutions of all encoders together, and of a discriminator: the paper's have 42 and 4
PHASES = 100  # the paper's schedule has 2
STEPS = 2**40  # of a phase: the paper's have 200,000
NAME = 64  # letters of a modality's
SIDE = 2**12  # pixels of an image: the paper's have 256 a side
BATCH = 2**16  # pairs: the paper's batch has 6
PIXELS = 2**33  # of all images of a modality in a data set, which are kept in memory: the paper's 75,000 have 2 ** 32
DIMENSIONS = 8  # of a tensor; with thousands of them PyTorch overflows the stack


# ── Readers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def require_file(path: str | Path, limit: int) -> None:
    """`ValueError` where the path is a folder, a pipe or a device, or has more bytes than `limit`; else `OSError`."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file")
    if status.st_size > limit:
        raise ValueError(f"it has {status.st_size:,} bytes, more than {limit:,}")


def read_file(path: str | Path, limit: int) -> bytes:
    """The bytes of a file, of `limit` at most; raises as `require_file`."""
    require_file(path, limit)
    with open(path, "rb") as stream:
        return stream.read(limit)


def json_object(content: bytes) -> dict[str, Any]:
    """The object that a JSON text is; `ValueError` where it is none or would take too much memory."""
    if len(content) > JSON_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, more than {JSON_BYTES:,}")
    if content.count(b"[") + content.count(b"{") > JSON_BRACKETS:
        raise ValueError(f"it has more than {JSON_BRACKETS:,} lists and objects")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not an object")
    return value


def fitted(value: object, kind: type[T], strict: bool = True) -> T:
    """The value as the type `kind`, which msgspec checks; `ValueError` says in which field it expected what.

    Not strict, it reads texts as what they say: 3, 0.5, true.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        problem, _, field = str(error).replace("Expected", "must be").replace(", got", ", not").partition(" - at `$")
        if missing := re.fullmatch("Object missing required field `(.*)`", problem):
            problem, field = "is missing", f"{field.strip('`')}.{missing[1]}"
        elif get_origin(kind) is Literal:
            problem = f"must be one of {', '.join(get_args(kind))}"
        field = field.strip("`.")
        raise ValueError(brief(f"{field} {problem}".strip())) from None


def fit_fields(record: Any) -> None:
    """Bring each field of a dataclass to its type; `ValueError` names the first that does not fit."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        try:
            object.__setattr__(record, field.name, fitted(value, cast(type, field.type)))  # frozen ones, too
        except ValueError as error:
            kind, shown = type(record).__name__.lower(), brief(repr(value) if isinstance(value, str) else value)
            raise ValueError(f"{kind}: {field.name} = {shown} {error}") from None


def brief(words: object, most: int = 300) -> str:
    """What an error or a value says, fit for a sentence: on one line, printable, and cut where it is long."""
    try:
        text = str(words)[: 2 * most]
    except (ValueError, RecursionError):  # a number of thousands of digits, a list of thousands of levels
        text = f"a {type(words).__name__} too large to print"
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return text if len(text) <= most else f"{text[:most]} …"


# ── Writing ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def write(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; `OSError` says which path and why."""
    with written_whole(path) as stream:
        stream.write(content)


def write_json(result: dict[str, Any], path: str | Path) -> None:
    """Write a result with floats of six digits, not-a-number as null; path "-" is standard output."""
    text = json.dumps(_rounded(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        write(path, text.encode())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def cut_log(path: str | Path, step: int) -> None:
    """Keep the lines of a log up to `step`, so that a resumed run does not write any twice."""
    lines = Path(path).read_text(errors="replace").splitlines() if Path(path).exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            break  # the line that a kill cut short
    write(path, "".join(kept).encode())


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head, *cells = [list(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells))


def put(page: str | Path, begin: str, end: str, text: str) -> bool:
    """Put a text between two markers of a page; whether anything changed. `ValueError` where they are not there."""
    old = Path(page).read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise ValueError(f"{page} lacks the markers {begin} and {end}: put them where the table belongs")
    new = old[: old.index(begin)] + f"{begin}\n{text}\n" + old[old.index(end) :]
    if new != old:
        write(page, new.encode())
    return new != old
