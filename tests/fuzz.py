"""Damages checkpoints, training states, images and indices at random, and tells what the readers made of each.

`python tests/fuzz.py 7 checkpoints=1000 bombs` damages 1,000 checkpoints, each in a way that seed 7 and its number
alone decide, reads all files that were made to do harm, and prints one JSON object: how many were refused, how many
read, seconds, memory, and each failure. A file may be refused, by one sentence that names it; or be read, exactly as it
now is. All else is a failure: another exception, a warning, a wrong result, ten seconds of a processor, 300 MB.
"""

import contextlib
import faulthandler
import functools
import hashlib
import io
import json
import os
import re
import resource
import shutil
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmlib import MixAndMatch, ZeroPair, fit, load, modality, open_split, preset  # noqa: E402
from mmlib.checkpoints import save_checkpoint  # noqa: E402
from mmlib.data.sets import OraclePairs  # noqa: E402
from mmlib.resuming import folder as resuming  # noqa: E402
from mmlib.resuming.state import parts  # noqa: E402

SECONDS, MEGABYTES = 10, 300
"""Of a processor, for one case; of memory, for all together."""
WAITING = 900
"""Seconds by the clock until a case is taken to hang: on a busy machine a process may hardly run."""

# ── Damage to any bytes ────────────────────────────────────────────────────────────────────────────────────────────


def damaged(content: bytes, random: Random) -> tuple[bytes, str]:
    """The bytes with one accident, and its name."""
    spoilt, size = bytearray(content), len(content)
    start = random.randrange(size + 1)
    stop = min(size, start + random.choice((1, 2, 4, 16, 100, 1000)))
    other = random.randrange(size + 1)
    kind = random.choice(("flip", "flip", "overwrite", "cut", "cut out", "insert", "repeat", "swap", "zero", "append"))
    if kind == "flip":
        for _ in range(random.choice((1, 1, 2, 8))):
            spoilt[random.randrange(size)] ^= 1 << random.randrange(8)
    elif kind == "overwrite":
        spoilt[start:stop] = random.randbytes(stop - start)
    elif kind.startswith("cut"):
        del spoilt[start : stop if kind == "cut out" else None]
    elif kind == "insert":
        spoilt[start:start] = random.randbytes(random.choice((1, 2, 8, 1000)))
    elif kind == "repeat":
        spoilt[other:other] = spoilt[start:stop]
    elif kind == "swap":
        first, second = sorted((start, other))
        length = min(stop - start, second - first, size - second)
        one, two = slice(first, first + length), slice(second, second + length)
        spoilt[one], spoilt[two] = spoilt[two], spoilt[one]
    elif kind == "zero":
        spoilt[start:stop] = bytes(stop - start)
    else:
        spoilt += random.randbytes(random.choice((1, 8, 5000)))
    return bytes(spoilt), kind


# ── Damage to JSON ─────────────────────────────────────────────────────────────────────────────────────────────────

EXTREMES = (
    None, True, False, 0, 1, -1, 2, 7, 0.5, 1e-300, 1e300, float("inf"), float("nan"), 2**31, 2**62, 2**63, 10**30,
    10**400, 10**7, "", "x", "rgb", "\n", "\ud800", "\x1b[31m", "../x", "/etc", "a" * 5000, [], {}, [[]], [0], [-1],
    [10**7, 10**7], [4, 8], [1] * 3000, {"a": 1}, ["rgb"], ["rgb", "rgb"], ["depth", 3], [{}], "@deep@", "@many@",
    "@digits@",
)  # fmt: skip
TEXTS = {
    '"@deep@"': b"[" * 100_000 + b"]" * 100_000,
    '"@many@"': b"[" + b"{}," * 600_000 + b"0]",
    '"@digits@"': b"9" * 5000,
    "Infinity": b"1e999",
}
"""What cannot be made as a value is made as text."""


def places(value, path: tuple = ()) -> list[tuple]:
    """The paths to all values within a JSON value but itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in items for place in ((*path, key), *places(part, (*path, key)))]


def edited(value: dict, random: Random, below: tuple = ()) -> tuple[bytes, str]:
    """The JSON text of an object one of whose values (below a path, if given) is another or is gone."""
    value = json.loads(json.dumps(value))
    path = random.choice([place for place in places(value) if place[: len(below)] == below and len(place) > len(below)])
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    kind = random.choice(("replace", "replace", "replace", "replace", "delete", "rename", "repeat"))
    label = f"{kind} {'/'.join(map(str, path))}"
    if kind == "replace":
        holder[path[-1]] = random.choice(EXTREMES)
        label += f" by {repr(holder[path[-1]])[:20]}"
    elif kind == "delete" or isinstance(holder, list):
        del holder[path[-1]]
    elif kind == "rename":
        holder[random.choice(("", "x", "__class__", path[-1] + " "))] = holder.pop(path[-1])
    text = json.dumps(value)
    if kind == "repeat" and isinstance(holder, dict):  # of two values of one key, the last counts
        text = text.replace("{", "{" + json.dumps(random.choice(list(value))) + ": 1, ", 1)
    content = text.encode()
    for mark, replacement in TEXTS.items():
        if mark != "Infinity" or random.random() < 0.5:
            content = content.replace(mark.encode(), replacement)
    return content, label


# ── Damage to safetensors ──────────────────────────────────────────────────────────────────────────────────────────

ITEM = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def taken_apart(content: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def parsed(content: bytes) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, read by its specification."""
    header, data = taken_apart(content)
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], ITEM[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def put_together(header: dict | bytes, data: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def other_header(content: bytes, random: Random) -> tuple[bytes, str]:
    """A safetensors file whose header was edited by somebody who knows the format."""
    header, data = taken_apart(content)
    names = [name for name in header if name != "__metadata__"]
    name, other = random.sample(names, 2)
    entry, size = header[name], len(data)
    start, stop = entry["data_offsets"]
    kind = random.choice(
        ("shape", "shape", "dtype", "dtype", "wide", "offsets", "rename", "drop", "add", "twice", "exchange", "order")
        + ("metadata", "padding", "length", "text", "field")
    )
    if kind == "shape":
        flat = int(np.prod(entry["shape"]))
        shape = entry["shape"]
        entry["shape"] = random.choice((
            [], [0], [-1], [flat], [flat, 1], shape[::-1], [10**8], [2**62, 4], [2**64], [2**63], [1] * 70_000,
            [1.5], ["3"], None, 3, {}, [*shape, 1], [[flat]], [1] * 9 + shape,
        ))  # fmt: skip
    elif kind == "dtype":
        others = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "F4", "C64", "x", 3, None)
        entry["dtype"] = random.choice(others)
    elif kind == "wide":  # as many bytes, in other types
        entry["dtype"] = random.choice({4: ("I32", "U32"), 2: ("BF16", "I16"), 8: ("F64", "U64", "C64")}[
            np.dtype(ITEM[entry["dtype"]]).itemsize
        ])  # fmt: skip
    elif kind == "offsets":
        entry["data_offsets"] = random.choice(
            ([start + 4, stop + 4], [stop, start], header[other]["data_offsets"], [size, size + stop - start], [-4, 0])
            + ([2**63, 2**63 + 4], [2**64 - 4, 2**64], [start], [start, stop, stop], None, [start, 10**12], [0, size])
        )
    elif kind == "rename":
        renamed = random.choice((name + "x", "", "a\n", name.upper(), "__metadata__", "encoders", "x:y", "a" * 9000))
        header = {renamed if key == name else key: part for key, part in header.items()}
    elif kind == "drop":
        del header[name]
        if random.random() < 0.7:
            data = data[:start] + data[stop:]
            for part in header.values():
                if "data_offsets" in part and part["data_offsets"][0] >= stop:
                    part["data_offsets"] = [place - (stop - start) for place in part["data_offsets"]]
    elif kind == "add":
        header[random.choice(("new", name + ".weight", "model:new"))] = {
            "dtype": "F32", "shape": [2, 2], "data_offsets": [size, size + 16],
        }  # fmt: skip
        data += bytes(16)
    elif kind == "twice":
        text = json.dumps(header)
        part = json.dumps(random.choice((entry, entry | {"shape": entry["shape"][::-1]}, header[other])))
        return put_together(text.replace("{", "{" + f"{json.dumps(name)}: {part}, ", 1).encode(), data), kind
    elif kind == "exchange":  # of tensors alike: nothing that a reader could tell
        alike = (entry["shape"], entry["dtype"])
        other = random.choice([key for key in names if (header[key]["shape"], header[key]["dtype"]) == alike])
        header[name], header[other] = header[other], header[name]
    elif kind == "order":
        header = dict(random.sample(list(header.items()), len(header)))
    elif kind == "metadata":
        header["__metadata__"] = random.choice((None, {}, {"a": "b"}, {"a": 1}, [], {"record": "{}", "sha256": ""}))
    elif kind == "padding":
        return put_together(json.dumps(header).encode() + b" " * random.randrange(1, 20), data), kind
    elif kind == "length":
        right = len(json.dumps(header))
        lengths = (0, 1, right - 1, right + 1, 10**8, 2**63, 2**64 - 1, len(content) - 8)
        return put_together(header, data, random.choice(lengths)), kind
    elif kind == "text":
        none = b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
        texts = (b"[]", b"null", b"{}", b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'{"a": {}}')
        texts += (b'{"__metadata__": {"a": "\\ud800"}}', b"{" + none * 9999 + none[:-1] + b"}")
        return put_together(random.choice(texts), data if random.random() < 0.5 else b""), kind
    else:
        return put_together(edited(header, random, (name,))[0], data), kind
    return put_together(header, data), f"{kind} of {name}"


def other_values(content: bytes, random: Random) -> tuple[bytes, str]:
    """A safetensors file that holds numbers which no training leaves, or others than it held."""
    header, data = taken_apart(content)
    name = random.choice([key for key in header if key != "__metadata__"])
    kind, (start, stop) = header[name]["dtype"], header[name]["data_offsets"]
    values = np.frombuffer(data[start:stop], ITEM[kind]).copy()
    value = random.choice((-1, 2**62) if kind == "I64" else (np.nan, np.inf, -np.inf, -1.0, 1e-45, 6e4, 0.0))
    values[random.randrange(len(values)) :: random.choice((1, 10**9))] = value
    head = content[: len(content) - len(data)]
    return head + data[:start] + values.tobytes() + data[stop:], f"{value} in {name}"


def damaged_tensors(content: bytes, random: Random) -> tuple[bytes, str]:
    return random.choice((damaged, other_header, other_header, other_values))(content, random)


# ── Checkpoints ────────────────────────────────────────────────────────────────────────────────────────────────────


def same(found: dict[str, torch.Tensor], content: bytes) -> None:
    """Assert that tensors are to the bit what a file says, half precision as float32."""
    expected = parsed(content)
    assert found.keys() == expected.keys(), "other names"
    for name, values in expected.items():
        assert np.isfinite(values).all(), f"{name} is not finite"
        wanted = torch.from_numpy(values.astype(np.float32) if values.dtype.kind == "f" else values.copy())
        assert found[name].dtype == wanted.dtype and torch.equal(found[name].cpu(), wanted), f"{name} is another"


class Checkpoints:
    """Weights and record: the paper's networks in both precisions, and those of two domains."""

    def __init__(self, folder: Path):
        self.path = self.named = folder / "checkpoint.safetensors"
        domains = preset("domains", widths=(4, 4, 8), convolutions=(1, 1, 1), modalities=("left", "right"))
        self.kinds = []
        for recipe, half in ((preset("smoke"), False), (preset("smoke"), True), (domains, True)):
            record = {"recipe": recipe.to_dict(), "step": 8, "data": [{"role": "training", "rooms": [[1, 9]]}]}
            save_checkpoint(self.path, MixAndMatch.from_recipe(recipe), record, half)
            record = json.loads(self.path.with_suffix(".json").read_text())
            self.kinds.append((self.path.read_bytes(), record))

    def spoil(self, random: Random) -> str:
        weights, record = random.choice(self.kinds)
        kind = random.choice(("weights", "signed", "signed", "signed", "record", "recipe", "recipe", "bytes", "files"))
        text, label = json.dumps(record).encode(), ""
        if kind == "weights":
            weights, label = damaged_tensors(weights, random)
        elif kind == "signed":
            weights, label = damaged_tensors(weights, random)
            text = json.dumps(record | {"weights_sha256": hashlib.sha256(weights).hexdigest()}).encode()
        elif kind == "bytes":
            text, label = damaged(text, random)
        elif kind == "files":
            label = random.choice(("exchanged", "empty", "another's", "a folder", "a pipe", "absent", "a loop"))
            if label == "exchanged":
                weights, text = text, weights
            elif label == "empty":
                weights = b""
            elif label == "another's":
                weights = random.choice(self.kinds)[0]
        else:
            text, label = edited(record, random, ("recipe",) if kind == "recipe" else ())
        for path, content in ((self.path, weights), (self.path.with_suffix(".json"), text)):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir() if path.is_dir() else path.unlink()
            path.write_bytes(content)
        bad = random.choice((self.path, self.path.with_suffix(".json")))
        if label in ("a folder", "a pipe", "absent", "a loop"):
            bad.unlink()
            put = {"a folder": bad.mkdir, "a pipe": lambda: os.mkfifo(bad), "a loop": lambda: bad.symlink_to(bad.name)}
            put.get(label, lambda: None)()
        return f"{kind}: {label}"

    def read(self):
        return load(self.path)

    def names(self, message: str) -> bool:
        return str(self.path.with_suffix("")) in message

    def check(self, model) -> None:
        weights, record = self.path.read_bytes(), json.loads(self.path.with_suffix(".json").read_bytes())
        assert record["weights_sha256"] == hashlib.sha256(weights).hexdigest(), "not the weights of the record"
        same(model.state_dict(), weights)
        assert json.dumps(model.record) == json.dumps(record), "another record"
        recipe = model.recipe.to_dict()
        phases, read = record["recipe"].pop("phases"), recipe.pop("phases")
        assert {key: recipe[key] for key in record["recipe"]} == record["recipe"], "another recipe"
        assert len(read) == len(phases) and not model.training


# ── Training states ────────────────────────────────────────────────────────────────────────────────────────────────


class States:
    """The state that a training of two steps leaves, from which `fit` goes on to step two."""

    def __init__(self, folder: Path):
        from conftest import write_rooms

        self.folder, self.path = folder / "run", folder / "run/state.safetensors"
        rooms = write_rooms(folder / "rooms", list(range(100, 104)))
        self.objective = ZeroPair(open_split(rooms, "d1"), open_split(rooms, "d2"))
        self.restored = restored = {}

        def restore_and_note(trainer, *saved, restore=resuming.restore):
            restore(trainer, *saved)
            restored.update(
                {f"{part}:{n}": t.clone() for part, held in parts(trainer).items() for n, t in held.items()}
            )

        self.read(resume=False)
        self.content = self.path.read_bytes()
        resuming.restore = restore_and_note

    def read(self, resume: bool = True):
        self.restored.clear()
        options = {"device": "cpu", "progress": False, "stop_after": 2, "save_every": 100}
        return fit(preset("smoke"), self.objective, self.folder, resume=resume, **options)

    def spoil(self, random: Random) -> str:
        kind = random.choice(("content", "signed", "signed", "signed", "record"))
        content, label = self.content, ""
        if kind == "record":
            header, data = taken_apart(content)
            record = json.loads(header["__metadata__"]["record"])
            below = random.choice(((), (), ("recipe",), ("machine",)))
            text, label = edited(record, random, below)
            header["__metadata__"]["record"] = text.decode()
            content = put_together(header, data)
        else:
            content, label = damaged_tensors(content, random)
        if kind != "content":
            with contextlib.suppress(Exception):  # what cannot be parsed cannot be signed
                content = self.signed(content)
        self.spoilt = content
        self.path.write_bytes(content)
        return f"{kind}: {label}"

    @staticmethod
    def signed(content: bytes) -> bytes:
        header, data = taken_apart(content)
        digest = hashlib.sha256(header["__metadata__"]["record"].encode())
        kinds = {"f4": "torch.float32", "f2": "torch.float32", "i8": "torch.int64"}
        for name, values in sorted(parsed(content).items()):
            kind = kinds[values.dtype.str[1:]]
            values = values.astype(np.float32) if values.dtype.kind == "f" else values
            digest.update(f"{name} {kind} {tuple(values.shape)}".encode() + values.tobytes())
        header["__metadata__"]["sha256"] = digest.hexdigest()
        return put_together(header, data)

    def names(self, message: str) -> bool:
        return str(self.path) in message

    def check(self, model) -> None:
        same(self.restored, self.spoilt)


# ── Images ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PNG = b"\x89PNG\r\n\x1a\n"


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], len(PNG)
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of chunks, each with its right checksum."""
    return PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


ZEROS = zlib.compress(bytes(5_000_000))
"""What inflates to a thousand times its size."""


def other_png(content: bytes, random: Random) -> tuple[bytes, str]:
    parts = chunks(content)
    place = random.randrange(len(parts))
    name, data = parts[place]
    pixels = next((number for number, part in enumerate(parts) if part[0] == b"IDAT"))
    kind = random.choice(("header", "header", "drop", "repeat", "order", "data", "pixels", "bomb", "insert", "insert"))
    if kind == "header":
        fields = list(struct.unpack(">IIBBBBB", parts[0][1]))
        field = random.randrange(7)
        sides = (2**31 - 1, 30_000) if field < 2 else ()
        fields[field] = random.choice((0, 1, 2, 3, 4, 6, 8, 16, 31, 33, 64, 255) + sides)
        parts[0] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
        kind += f" {field} = {fields[field]}"
    elif kind in REARRANGED:
        rearrange(parts, place, kind, random)
    elif kind == "data" and data:
        parts[place] = (name, damaged(data, random)[0])
    elif kind == "pixels":
        raw = damaged(zlib.decompress(parts[pixels][1]), random)[0]
        parts[pixels] = (b"IDAT", zlib.compress(raw))
    elif kind == "bomb":
        parts[pixels] = (b"IDAT", ZEROS)
    else:
        new = random.choice((
            (b"tRNS", random.randbytes(random.choice((1, 2, 6, 14, 300)))),
            (b"PLTE", random.randbytes(random.choice((3, 42, 768, 769, 4)))),
            (b"acTL", struct.pack(">II", random.choice((0, 1, 2, 2**31)), 0)),
            (b"fcTL", struct.pack(">IIIIIHHBB", 0, 32, 32, random.choice((0, 99)), 0, 1, 0, 0, 0)),
            (b"fdAT", bytes(4) + parts[pixels][1]),
            (b"zTXt", b"comment\0\0" + ZEROS),
            (b"iTXt", b"comment\0\1\0\0\0" + ZEROS),
            (b"tEXt", b"a" * 100),
            (b"iCCP", b"profile\0\0" + ZEROS),
            (b"iCCP", random.randbytes(50)),
            (b"eXIf", random.choice((b"II*\0", b"MM\0*")) + random.randbytes(60)),
            (b"gAMA", random.randbytes(random.choice((0, 3, 4)))),
            (b"pHYs", random.randbytes(random.choice((0, 8, 9)))),
            (b"cHRM", random.randbytes(random.choice((5, 32)))),
            (b"sRGB", random.randbytes(random.choice((0, 1)))),
            (random.randbytes(4), random.randbytes(9)),
        ))  # fmt: skip
        parts.insert(random.randrange(1, len(parts)), new)
        kind += f" {new[0]}"
    return png(parts), kind


REARRANGED = ("drop", "repeat", "order")


def rearrange(parts: list, place: int, kind: str, random: Random) -> None:
    """Drop the part of an image file at a place, repeat it somewhere, or shuffle all."""
    if kind == "drop":
        del parts[place]
    elif kind == "repeat":
        parts.insert(random.randrange(len(parts) + 1), parts[place])
    else:
        random.shuffle(parts)


def segments(content: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The segments of a JPEG up to its scan, and the rest."""
    found, place = [], 2
    while content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        found.append((content[place + 1], content[place + 4 : place + 2 + length]))
        place += 2 + length
    return found, content[place:]


def jpeg(parts: list[tuple[int, bytes]], scan: bytes) -> bytes:
    body = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(data) + 2) + data for kind, data in parts)
    return b"\xff\xd8" + body + scan


def other_jpeg(content: bytes, random: Random) -> tuple[bytes, str]:
    parts, scan = segments(content)
    place = random.randrange(len(parts))
    kinds = ("data", "data", "frame", "frame", "drop", "repeat", "order", "marker", "scan", "end", "insert")
    kind = random.choice(kinds)
    if kind == "data":
        parts[place] = (parts[place][0], damaged(parts[place][1], random)[0][:60_000])
    elif kind == "frame":
        frame = next(number for number, part in enumerate(parts) if part[0] in (0xC0, 0xC2))
        data = bytearray(parts[frame][1])
        byte = random.randrange(len(data))
        data[byte] = random.choice((0, 1, 2, 3, 4, 8, 12, 16, 0x11, 0x22, 0x41, 0xFF))
        parts[frame] = (parts[frame][0], bytes(data))
        kind += f" {byte} = {data[byte]}"
    elif kind in REARRANGED:
        rearrange(parts, place, kind, random)
    elif kind == "marker":
        parts[place] = (random.randrange(0xC0, 0x100), parts[place][1])
    elif kind == "scan":
        scan = damaged(scan, random)[0]
    elif kind == "end":
        scan = scan[: random.randrange(len(scan))] + b"\xff\xd9"
    else:
        tiff = random.choice((b"II*\0", b"MM\0*"))
        entry = struct.pack(">HHII" if tiff[:1] == b"M" else "<HHII", 0x112, 3, random.choice((1, 2**31)), 2**31)
        new = random.choice((
            (0xE1, b"Exif\0\0" + tiff + random.randbytes(40)),
            (0xE1, b"Exif\0\0" + tiff + b"\0\0\0\x08" + b"\xff\xff" + entry * 3),
            (0xE1, b"Exif\0\0"),
            (0xE2, b"MPF\0" + tiff + random.randbytes(60)),
            (0xE2, b"ICC_PROFILE\0" + random.randbytes(20)),
            (0xEE, b"Adobe\0" + random.randbytes(6)),
            (0xED, b"Photoshop 3.0\0008BIM" + random.randbytes(30)),
            (0xFE, random.randbytes(60_000)),
            (0xDD, random.randbytes(2)),
            (0xE0, b"JFIF\0" + random.randbytes(random.choice((0, 3, 9)))),
        ))  # fmt: skip
        parts.insert(random.randrange(len(parts) + 1), new)
        kind += f" {new[0]:x} {new[1][:4]}"
    return jpeg(parts, scan), kind


def other_picture(content: bytes, random: Random) -> tuple[bytes, str]:
    """A good picture, but another: in its mode, its size, its format or the number of its frames."""
    picture, saved = Image.open(io.BytesIO(content)), io.BytesIO()
    kind = random.choice(("mode", "mode", "size", "frames", "format", "palette", "frames of a JPEG"))
    if kind == "mode":
        kind = random.choice(("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"))
        if kind == "I;16":
            Image.fromarray(np.full((32, 32), 2000, np.uint16)).save(saved, "PNG")
        else:
            picture.convert("L").convert(kind).save(saved, "JPEG" if kind in ("CMYK", "YCbCr") else "PNG")
    elif kind == "size":
        picture.resize(random.choice(((1, 1), (32, 31), (33, 33), (32, 64), (500, 500)))).save(saved, picture.format)
    elif kind == "frames":
        picture.save(saved, "PNG", save_all=True, append_images=[picture.rotate(90)] * 2)
    elif kind == "frames of a JPEG":
        picture.convert("RGB").save(saved, "MPO", save_all=True, append_images=[picture.convert("RGB").rotate(90)])
    elif kind == "palette":
        coloured = picture.convert("L").convert("P")
        coloured.save(saved, "PNG", transparency=random.choice((0, bytes(range(256)))))
    else:
        kind = random.choice(("BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "EPS"))
        (picture if picture.mode != "I;16" else picture.convert("I").convert("L")).convert("RGB").save(saved, kind)
    return saved.getvalue(), f"as {kind}"


class Images:
    """One of two pictures of one modality, in a folder or in a zip."""

    NAMES = ("rgb", "depth", "segmentation", "normals", "albedo")

    def __init__(self, folder: Path):
        from conftest import write_rooms

        self.source = write_rooms(folder / "rooms", [100, 101])
        index = json.loads((self.source / "index.json").read_text()) | {"modalities": list(self.NAMES)}
        (self.source / "index.json").write_text(json.dumps(index))
        for room in ("0/0", "0/1"):
            for name, kind in (("normals", "PNG"), ("albedo", "JPEG")):
                path = self.source / room / modality(name).folder / f"0{modality(name).suffix}"
                path.parent.mkdir()
                Image.open(self.source / room / "photo/0.jpg").save(path, kind)
        self.whole = {name: OraclePairs(self.source, [name]) for name in self.NAMES}
        self.copy, self.spoilt = shutil.copytree(self.source, folder / "copy"), None

    def spoil(self, random: Random) -> str:
        self.name = random.choice(self.NAMES)
        record = modality(self.name)
        self.file = f"0/0/{record.folder}/0{record.suffix}"
        original = (self.source / self.file).read_bytes()
        other = other_png if record.suffix == ".png" else other_jpeg
        content, label = random.choice((damaged, other, other, other, other_picture))(original, random)
        self.unchanged = content == original
        if self.spoilt:
            shutil.copy(self.source / self.spoilt, self.copy / self.spoilt)
        self.spoilt = None
        if random.random() < 0.75:
            self.place, self.spoilt = self.copy, self.file
            (self.place / self.file).write_bytes(content)
            self.original = self.whole[self.name].sha256
            return f"{self.name}: {label}"
        self.place = self.copy.with_suffix(".zip")
        kind = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        self.zipped(original, kind)
        self.original = hashlib.sha256(self.place.read_bytes()).hexdigest()
        if random.random() < 0.5:
            self.zipped(content, kind)
            return f"{self.name} in a zip: {label}"
        spoilt, label = random.choice((damaged, self.other_zip))(self.place.read_bytes(), random)
        self.unchanged = hashlib.sha256(spoilt).hexdigest() == self.original
        self.place.write_bytes(spoilt)
        return f"{self.name}, zip: {label}"

    def zipped(self, content: bytes, kind: int) -> None:
        record = modality(self.name)
        second = f"0/1/{record.folder}/0{record.suffix}"
        with zipfile.ZipFile(self.place, "w", kind) as archive:
            archive.writestr(zipfile.ZipInfo("index.json"), (self.source / "index.json").read_bytes())
            archive.writestr(self.file, content)
            archive.writestr(zipfile.ZipInfo(second), (self.source / second).read_bytes())

    @staticmethod
    def other_zip(content: bytes, random: Random) -> tuple[bytes, str]:
        """A zip one of whose directory's or entries' fields says something else."""
        mark, lengths = random.choice(((b"PK\1\2", 46), (b"PK\3\4", 30), (b"PK\5\6", 22)))
        start = random.choice([found.start() for found in re.finditer(re.escape(mark), content)])
        place = start + random.randrange(4, lengths)
        width = random.choice((1, 2, 4))
        value = random.choice((0, 1, 8, 12, 14, 99, 100, 2**16 - 1, 2**31, 2**32 - 1)) % 2 ** (8 * width)
        return content[:place] + value.to_bytes(width, "little") + content[place + width :], f"{mark} {place - start}"

    def read(self):
        return OraclePairs(self.place, [self.name])

    def names(self, message: str) -> bool:
        zips = self.place.suffix == ".zip"
        return (str(self.place) if zips else f"{self.place}/{self.file}") in message

    def check(self, rooms) -> None:
        whole = self.whole[self.name].images[self.name]
        images = rooms.images[self.name]
        assert images.shape == whole.shape and images.dtype == whole.dtype, f"{images.dtype} {tuple(images.shape)}"
        assert torch.equal(images[1], whole[1]), "the other picture is another"
        assert (rooms.sha256 == self.original) == self.unchanged, "the hash does not tell"
        assert not self.unchanged or torch.equal(images, whole), "another picture"
        if self.name == "depth":
            assert images.min() >= 0 and images.max() < 65.536 and images.isfinite().all()
        elif self.name == "segmentation":
            assert images.max() <= 13
        elif self.name == "normals":
            assert images.isfinite().all() and images.norm(dim=1).max() < 1.001


class Indices:
    """The `index.json` of four rooms."""

    def __init__(self, folder: Path):
        from conftest import write_rooms

        self.place = write_rooms(folder / "rooms", list(range(100, 104)))
        self.index = json.loads((self.place / "index.json").read_text())
        self.whole = OraclePairs(self.place, ["depth"])
        outside = Image.fromarray(np.full((32, 32), 3000, np.uint16))
        (folder / "depth").mkdir()
        outside.save(folder / "depth/0.png")  # a good picture that is none of the data set's

    def spoil(self, random: Random) -> str:
        if random.random() < 0.3:
            content, label = damaged(json.dumps(self.index).encode(), random)
        elif random.random() < 0.3:
            path = random.choice(
                ("..", "../", "/", "//", str(self.place.parent), "0/../..", "..\\", "C:..", "C:/", "\\\\x\\y", "", ".")
                + ("0/0\0", "0/0\n", "0/./0", "0//0", "x" * 5000, 3, None, ["0"], "~", "0/1/../../..", "\ud800")
            )
            entry = random.choice(self.index["rooms"])
            key = random.choice(("path", "path", "frame"))
            entries = [part | ({key: path} if part is entry else {}) for part in self.index["rooms"]]
            content, label = json.dumps(self.index | {"rooms": entries}).encode(), f"{key} = {path!r}"[:40]
        else:
            content, label = edited(self.index, random)
        (self.place / "index.json").write_bytes(content)
        return label

    def read(self):
        return OraclePairs(self.place, ["depth"])

    def names(self, message: str) -> bool:
        return str(self.place) in message

    def check(self, rooms) -> None:
        index = json.loads((self.place / "index.json").read_bytes())
        assert rooms.rooms == [entry["room"] for entry in index["rooms"]] and all(type(r) is int for r in rooms.rooms)
        for entry, image in zip(index["rooms"], rooms.images["depth"], strict=True):
            number = self.whole.rooms.index(100 + int(Path(os.path.normpath(entry["path"])).name))
            assert torch.equal(image, self.whole.images["depth"][number]), "another picture"


# ── Bombs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Bombs:
    """Small files that ask for much: of memory, of time, or of other files. Each must be refused."""

    def __init__(self, folder: Path):
        self.folder, self.checkpoints, self.images = folder, Checkpoints(folder), Images(folder)
        self.all = [
            (f"{kind.__name__}: {label}", functools.partial(kind, self, *arguments))
            for kind, bombs in (
                (Bombs.text, self.texts()), (Bombs.recipe, self.recipes()), (Bombs.header, self.headers()),
                (Bombs.index, self.indices()), (Bombs.entry, self.entries()), (Bombs.picture, self.pictures()),
            )
            for label, *arguments in bombs
        ]  # fmt: skip

    def spoil(self, random: Random) -> str:
        label, self.read = self.all.pop()
        return label

    def names(self, message: str) -> bool:
        return str(self.folder) in message

    def check(self, result) -> None:
        raise AssertionError("it was read")

    # ── of checkpoints: their records, their recipes, their headers

    def texts(self):
        yield "20 MB", b'{"recipe": "' + b"a" * 20_000_000 + b'"}'
        yield "a million lists", b'{"recipe": [' + b"[]," * 1_000_000 + b"0]}"
        yield "nested lists", b'{"recipe": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
        yield "nested objects", b'{"a": ' * 200_000 + b"1" + b"}" * 200_000
        yield "a number of a million digits", b'{"step": ' + b"9" * 1_000_000 + b"}"

    def text(self, content: bytes):
        self.checkpoints.path.with_suffix(".json").write_bytes(content)
        return load(self.checkpoints.path)

    def recipes(self):
        smoke = preset("smoke").to_dict()
        for changes in (
            {"widths": [10**7, 10**7]}, {"widths": [2**14, 2**14]}, {"widths": [10**400, 8]},
            {"convolutions": [10**7, 10**7]}, {"convolutions": [200, 200]},
            {"widths": [4] * 1_000_000, "convolutions": [1] * 1_000_000},
            {"widths": [4] * 40, "convolutions": [1] * 40, "size": 2**40}, {"size": 10**9}, {"size": 2**20},
            {"batch": 10**12}, {"modalities": [f"m{number}" for number in range(100_000)]},
            {"modalities": ["rgb"] * 1000}, {"modalities": ["rgb", "depth", "a.b"]}, {"modalities": ["train", "keys"]},
            {"modalities": []}, {"modalities": [["rgb"]]}, {"phases": smoke["phases"][:1] * 50_000},
            {"phases": [{"steps": 2**62}] * 2}, {"discriminator_widths": [4] * 1_000_000},
            {"learning_rate": float("inf")}, {"latent_noise": float("nan")},
        ):  # fmt: skip
            yield str(changes)[:50], smoke | changes
        yield "domains of 10 million channels", preset("domains").to_dict() | {"widths": [10**7] * 3}
        yield "a million blocks", preset("domains").to_dict() | {"convolutions": [1, 1, 10**6]}

    def recipe(self, recipe: dict):
        weights, record = self.checkpoints.kinds[0]
        self.checkpoints.path.write_bytes(weights)
        self.checkpoints.path.with_suffix(".json").write_text(json.dumps(record | {"recipe": recipe}))
        return load(self.checkpoints.path)

    def headers(self):
        one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        name = next(key for key in taken_apart(self.checkpoints.kinds[0][0])[0] if key != "__metadata__")
        yield "of 2 ** 63 bytes", put_together({name: one}, bytes(8), 2**63)
        yield "of 50 MB", put_together(b" " * 50_000_000 + b"{}", b"")
        yield "of 10 ** 8 numbers in a small file", put_together({name: one | {"shape": [10**8]}}, bytes(8))
        yield "of numbers beyond the file", put_together({name: one | {"data_offsets": [0, 2**40]}}, bytes(8))
        yield "of 70,000 dimensions", put_together({name: one | {"shape": [1] * 70_000 + [2]}}, bytes(8))
        none = one | {"shape": [0], "data_offsets": [0, 0]}
        yield "of 150,000 tensors", put_together({f"{number:06}": none for number in range(150_000)}, b"")
        yield "nested", put_together(b'{"a":' * 100_000, b"")

    def header(self, content: bytes):
        self.checkpoints.path.write_bytes(content)
        record = self.checkpoints.kinds[0][1] | {"weights_sha256": hashlib.sha256(content).hexdigest()}
        self.checkpoints.path.with_suffix(".json").write_text(json.dumps(record))
        return load(self.checkpoints.path)

    # ── of data sets: their indices, the entries of their zips, their pictures

    def indices(self):
        rooms = [{"room": 0, "path": "0/0"}, {"room": 1, "path": "0/1"}]
        many = [{"room": number, "path": str(number)} for number in range(100_000)]
        yield "a side of 10 ** 9 pixels", {"size": 10**9, "rooms": rooms}
        yield "a side of 10 ** 400 pixels", {"size": 10**400, "rooms": rooms}
        yield "a side of -1 pixels", {"size": -1, "rooms": rooms}
        yield "100,000 rooms without pictures", {"rooms": many}
        yield "more pixels than memory", {"size": 4096, "rooms": many}
        yield "a million empty rooms", {"rooms": [{}] * 1_000_000}
        for path in ("..", "../../etc", "/etc", str(self.folder / "copy/0/0"), "0/../../copy/0/0", "C:\\", "..\\copy"):
            yield path, {"rooms": [rooms[1], {"room": 0, "path": path}]}
        elsewhere = {"room": 0, "path": "0/0", "frame": "../../../../copy/0/0/photo/0"}
        yield "a frame elsewhere", {"rooms": [rooms[1], elsewhere]}

    def index(self, changes: dict):
        self.write_index(changes)
        return OraclePairs(self.folder / "bomb", ["rgb"])

    def write_index(self, changes: dict) -> None:
        index = json.loads((self.images.source / "index.json").read_text())
        place = self.folder / "bomb"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.images.source, place)
        (place / "index.json").write_text(json.dumps(index | changes))

    def entries(self):
        yield "which inflates to 400 MB", None
        yield "which inflates to 400 MB and claims little", 1000

    def entry(self, claimed: int | None):
        self.images.place, self.images.name = self.folder / "bomb.zip", "rgb"
        record, zeros = modality("rgb"), 400_000_000
        with zipfile.ZipFile(self.images.place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(zipfile.ZipInfo("index.json"), (self.images.source / "index.json").read_bytes())
            with archive.open(f"0/0/{record.folder}/0.jpg", "w") as stream:
                for _ in range(zeros // 1_000_000):
                    stream.write(bytes(1_000_000))
        if claimed:
            content = self.images.place.read_bytes()
            sizes = struct.pack("<I", zeros)
            assert content.count(sizes) == 2, "the size stands in entry and directory"
            self.images.place.write_bytes(content.replace(sizes, struct.pack("<I", claimed)))
        return OraclePairs(self.images.place, ["rgb"])

    def pictures(self):
        size = 20_000
        header = (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        yield "a PNG of 400 megapixels", png([header, (b"IDAT", ZEROS), (b"IEND", b"")]), 32
        side = 4096
        header = (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        yield "a PNG of 16 megapixels, little of it there", png([header, (b"IDAT", ZEROS), (b"IEND", b"")]), side
        yield "a file of 20 MB", bytes(20_000_000), 32
        comments = [(b"zTXt", b"comment\0\0" + ZEROS)] * 100
        small = chunks((self.images.source / "0/0/depth/0.png").read_bytes())
        yield "500 MB of comments", png([small[0], *comments, *small[1:]]), 32

    def picture(self, content: bytes, size: int):
        self.write_index({"size": size})
        (self.folder / "bomb/0/0/photo/0.jpg").write_bytes(content)
        return OraclePairs(self.folder / "bomb", ["rgb"])


# ── Campaigns ──────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = {"checkpoints": Checkpoints, "states": States, "images": Images, "indices": Indices, "bombs": Bombs}


def megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def campaign(kind: str, cases: int, seed: int, folder: Path) -> dict:
    attack, failures, outcomes, slowest = KINDS[kind](folder), [], Counter(refused=0, read=0), 0.0
    begin, growth = time.process_time(), 0.0
    for number in range(cases or len(attack.all)):
        random = Random(f"{kind} {seed} {number}")
        label = attack.spoil(random)
        faulthandler.dump_traceback_later(WAITING, exit=True)  # also out of a loop in C
        start, memory = time.process_time(), megabytes()
        problem = None
        try:
            with warnings.catch_warnings(action="error"):
                result = attack.read()
        except (ValueError, FileNotFoundError) as error:
            outcomes["refused"] += 1
            if not attack.names(str(error)) or len(str(error)) > 2000 or not str(error).isprintable():
                problem = f"not one sentence that names the file: {str(error)[:300]!r}"
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:300]!r}"
        else:
            outcomes["read"] += 1
            try:
                attack.check(result)
            except Exception as error:
                problem = f"a wrong result: {type(error).__name__}: {error}"
        seconds = time.process_time() - start
        growth, slowest = growth + megabytes() - memory, max(slowest, seconds)
        if seconds > SECONDS or megabytes() - memory > MEGABYTES:
            problem = problem or f"{seconds:.0f} s, {megabytes() - memory:.0f} MB"
        if problem:
            failures.append(f"case {number}, {label}: {problem}")
    faulthandler.cancel_dump_traceback_later()
    return {
        "cases": sum(outcomes.values()), **outcomes, "failures": failures,
        "seconds": round(time.process_time() - begin, 1), "slowest": round(slowest, 2), "megabytes": round(growth),
    }  # fmt: skip


def main(seed: str, *kinds: str) -> None:
    torch.set_num_threads(1)
    results = {}
    for kind, _, cases in (kind.partition("=") for kind in kinds):
        with tempfile.TemporaryDirectory() as folder:
            results[kind] = campaign(kind, int(cases or 0), int(seed), Path(folder))
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
