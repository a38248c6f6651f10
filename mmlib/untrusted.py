"""Files from elsewhere: how much they may ask for, and readers that say in a few words what is wrong with one.

A checkpoint, a training state or a data set may be damaged, or made to do harm. Whatever it claims is held against
these limits before any memory is set aside for it. Each is far above what the paper needs.
"""

import json
import stat
from pathlib import Path

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


def image_bytes(size: int) -> int:
    """The most that the file of a square image may have: 8 bytes a pixel, and 1 MB for profile and comments."""
    return 8 * size**2 + 2**20


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


def json_object(content: bytes) -> dict:
    """The object that a JSON text is; `ValueError` where it is none or would take too much memory."""
    if len(content) > JSON_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, more than {JSON_BYTES:,}")
    if content.count(b"[") + content.count(b"{") > JSON_BRACKETS:
        raise ValueError(f"it has more than {JSON_BRACKETS:,} lists and objects")
    try:
        value = json.loads(content.decode())
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not an object")
    return value


def brief(words: object, most: int = 300) -> str:
    """What an error or a value says, fit for a sentence: on one line, printable, and cut where it is long."""
    try:
        text = str(words)[: 2 * most]
    except (ValueError, RecursionError):  # a number of thousands of digits, a list of thousands of levels
        text = f"a {type(words).__name__} too large to print"
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return text if len(text) <= most else f"{text[:most]} …"
