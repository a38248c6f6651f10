"""Data sets from photos, depth and class maps of one's own, of any name, size and shape."""

import contextlib
import csv
import dataclasses
import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from ..hardware.files import write_json
from ..modalities import CLASSES, MODALITIES, SEGMENTATION, classified, own_classes
from . import images, photos
from .indices import FORMAT, check_classes
from .packing import pack
from .sets import SPLITS
from .survey import Survey

NYU40 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7,
    7, 7, 6, 7,
)  # fmt: skip
"""The 13 class of each of NYUv2's 40 classes, from 1 on (Couprie et al. 2013; the mapping is Handa's)."""


@dataclasses.dataclass(frozen=True)
class View:
    """One image of a scene: its files by modality."""

    scene: str
    files: Mapping[str, Path]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are read.

    `size`: side of the squares. `crop`: the central square, or the whole image squeezed into one. `depth_scale`: what a
    depth file stores per metre. `holes`: stored depths that mean nothing; NaN always does. `ids`: stored class → class;
    None: as stored. `classes`: names, Unknown first. `ignore`: stored classes that become Unknown.
    """

    size: int = 96
    crop: Literal["centre", "squeeze"] = "centre"
    depth_scale: float = 1000.0
    holes: tuple[float, ...] = (0.0, 65535.0)
    ids: Mapping[int, int] | None = None
    classes: tuple[str, ...] = CLASSES
    ignore: tuple[int, ...] = (255,)

    def read(self, view: View) -> dict[str, torch.Tensor]:
        """A view's files as raw images, cut alike; `ValueError` where their shapes do not fit to each other."""
        found = {name: getattr(self, f"_{name}")(file) for name, file in view.files.items()}
        (first, raw), *others = found.items()
        for name, other in others:
            if abs(np.log(other.shape[2] / other.shape[1]) - np.log(raw.shape[2] / raw.shape[1])) > 0.02:
                raise ValueError(
                    f"{view.files[name]} is {other.shape[2]}×{other.shape[1]}, {view.files[first]} is "
                    f"{raw.shape[2]}×{raw.shape[1]}: they show different parts; bring them to one shape first"
                )
        return {name: self._squared(name, raw) for name, raw in found.items()}

    def _squared(self, name: str, raw: torch.Tensor) -> torch.Tensor:
        if self.crop == "centre":
            side = min(raw.shape[1:])
            top, left = ((length - side) // 2 for length in raw.shape[1:])
            raw = raw[:, top : top + side, left : left + side]
        return images.resize({name: raw[None]}, MODALITIES, self.size, self.size)[name][0]

    def _rgb(self, file: Path) -> torch.Tensor:
        return photos.photo(file)

    def _depth(self, file: Path) -> torch.Tensor:
        stored = _numbers(file, "depths: 16-bit grey, or numbers in .npy or .tif", NUMBERS).astype(np.float64)
        nothing = ~np.isfinite(stored) | np.isin(stored, self.holes)
        metres = np.where(nothing, 0.0, stored / self.depth_scale)
        if (metres < 0).any() or metres.max() > 65.535:
            raise ValueError(
                f"{file} says {metres.min():.1f} to {metres.max():.1f} m at {self.depth_scale:g} per metre, expected 0 "
                "to 65.5: give --depth-scale, or --holes with the numbers that mean nothing"
            )
        return torch.from_numpy(metres.astype(np.float32))[None]

    def _segmentation(self, file: Path) -> torch.Tensor:
        stored = _numbers(file, "class ids: a PNG of grey or with a palette, or .npy", (*NUMBERS, "1", "P"))
        stored = photos.whole(stored, file)
        known = self.ids if self.ids is not None else {k: k for k in range(len(self.classes))}
        known = {0: 0} | dict(known) | dict.fromkeys(self.ignore, 0)
        present, where = np.unique(stored, return_inverse=True)
        if strange := [int(k) for k in present if k not in known]:
            raise ValueError(
                f"{file} holds the classes {strange[:8]}, which the {len(self.classes)} classes do not have: list "
                "them in the table of --classes, or give --ignore"
            )
        ids = np.array([known[int(k)] for k in present], np.uint8)[where].reshape(stored.shape)
        return torch.from_numpy(ids)[None]


NUMBERS = ("L", "I;16", "I;16B", "I", "F")
"""The modes of Pillow whose pixels are numbers."""


def _numbers(file: Path, expected: str, modes: Sequence[str]) -> np.ndarray:
    """A file of numbers (H, W), upright."""
    if file.suffix.lower() == ".npy":
        return photos.array(file)
    try:
        with images.opened_image(file) as image:
            mode, form, pictures = image.mode, image.format, getattr(image, "n_frames", 1)
            pixels = images.as_stored(image, SEGMENTATION) if mode in modes else None
    except ValueError as error:
        raise ValueError(f"{file} cannot be read ({error}): copy it again") from None
    if form in images.LOSSY:
        raise ValueError(f"{file} is a {form} file, which changes numbers: give the original as PNG")
    if pixels is None or pictures != 1:
        held = f"{mode} pixels" if pixels is None else f"{pictures} pictures"
        raise ValueError(f"{file} holds {held}, expected {expected}")
    return pixels


# ── Which files belong together ────────────────────────────────────────────────────────────────────────────────────


def by_pattern(patterns: Mapping[str, str]) -> list[View]:
    """The views that patterns name, one per modality: `photos/{scene}/{id}.jpg`, where `{id}` (and `{scene}`, `*`)
    stand for any text without a slash. Files with the same id and scene belong together.

    Without `{scene}` each view is a scene of its own. `ValueError` where a pattern finds nothing, or two files of one
    view.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for name, pattern in patterns.items():
        if "{id}" not in pattern:
            raise ValueError(f"--{name} {pattern}: write {{id}} where the names of one view's files agree")
        pattern = str(Path(pattern).expanduser())
        base = Path(re.split(r"[{*]", pattern)[0])
        base = base if pattern.startswith(str(base) + "/") and base.is_dir() else base.parent
        form = re.escape(Path(pattern).as_posix()).replace(r"\*", "[^/]*")
        for place in ("id", "scene"):
            form = form.replace(rf"\{{{place}\}}", f"(?P<{place}>[^/]+)", 1).replace(rf"\{{{place}\}}", f"(?P={place})")
        count = 0
        for file in sorted(base.rglob("*")):
            match = re.fullmatch(form, file.as_posix())
            if match and file.is_file() and not photos.junk(file.relative_to(base)):
                key, count = (match.groupdict().get("scene", match["id"]), match["id"]), count + 1
                if name in found.setdefault(key, {}):
                    raise ValueError(f"{file} and {found[key][name]} are both the {name} of {match['id']}: name one")
                found[key][name] = file
        if not count:
            raise ValueError(f"--{name} {pattern} finds no file: check the folder, and write paths with /")
    return [View(scene, files) for (scene, _), files in sorted(found.items())]


def by_table(table: str | Path) -> list[View]:
    """The views of a CSV table with the columns rgb, depth, segmentation (paths from the table's folder; some may be
    empty) and, where several views show one scene, scene."""
    table = Path(table)
    views, used = [], set()
    for line, row in enumerate(_rows(table), start=2):
        files = {name: table.parent / Path(row[name].replace("\\", "/")) for name in MODALITIES if row.get(name)}
        for file in files.values():
            if not file.is_file():
                raise FileNotFoundError(f"{table}, line {line}: {file} does not exist")
        if again := used & set(files.values()):
            raise ValueError(
                f"{table}, line {line}: {min(again)} stands in the table before: each file belongs to one view"
            )
        used |= set(files.values())
        if files:
            views.append(View(row.get("scene") or str(line), files))
    if not views:
        raise ValueError(f"{table} names no file: its first line is rgb,depth,segmentation,scene")
    return views


def class_table(table: str | Path) -> tuple[dict[int, int], tuple[str, ...]]:
    """Stored class → class, and the names: of `nyu40`, or of a CSV table with the columns id and name.

    Where all names are among the library's 13 classes, the classes are these; else they are the table's, in its order.
    Ids that the table leaves out become Unknown.
    """
    if str(table) == "nyu40":
        return dict(enumerate(NYU40, start=1)), CLASSES
    rows = [(row.get("id", ""), row.get("name", "")) for row in _rows(Path(table))]
    if not rows or not all(number.strip().isdigit() and name.strip() for number, name in rows):
        raise ValueError(f"{table} is no table of classes: its lines are id,name, with whole numbers as ids")
    pairs = [(int(number), name.strip()) for number, name in rows]
    if len(dict(pairs)) < len(set(pairs)) or max(pairs)[0] > 65535:
        raise ValueError(f"{table} gives an id two names, or has one above 65535: give each id one line")
    names = tuple(dict.fromkeys(name for _, name in pairs if name != CLASSES[0]))
    standard = {name.lower(): name for name in CLASSES}
    if all(name.lower() in standard for name in names):
        pairs, names = [(number, standard[name.lower()]) for number, name in pairs], CLASSES[1:]
    if len(names) > 255:
        raise ValueError(f"{table} has {len(names)} classes: at most 255 fit into a class map")
    classes = (CLASSES[0], *names)
    check_classes(table, "segmentation", classes)
    left_out = dict.fromkeys(range(max(number for number, _ in pairs) + 1), 0)
    return left_out | {number: classes.index(name) for number, name in pairs}, classes


def _rows(table: Path) -> list[dict[str, str]]:
    """The lines of a CSV table, by its first line; a byte order mark and semicolons are understood."""
    try:
        text = photos.content(table).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{table} is no text in UTF-8: save it as CSV (UTF-8)") from None
    lines = text.splitlines()
    dialect = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    try:
        return [{str(k).strip().lower(): (v or "").strip() for k, v in row.items() if isinstance(v, str | None)}
                for row in csv.DictReader(lines, delimiter=dialect)]  # fmt: skip
    except csv.Error as error:
        raise ValueError(f"{table} is no CSV table ({error}): save it again") from None


# ── Splits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def split(views: Sequence[View], validation: float, test: float, seed: int) -> dict[str, list[View]]:
    """Views by split, all views of a scene in one: shares of the scenes with all three modalities are for validation
    and test, the others go to D1 and D2, which keep RGB with segmentation and RGB with depth."""
    scenes: dict[str, list[View]] = {}
    for view in views:
        scenes.setdefault(view.scene, []).append(view)
    held = {scene: set.intersection(*(set(view.files) for view in of)) for scene, of in scenes.items()}
    whole = sorted(scene for scene in scenes if held[scene] == set(MODALITIES))
    random.Random(seed).shuffle(whole)
    count = {"validation": round(validation * len(whole)), "test": round(test * len(whole))}
    places = {
        "test": whole[: count["test"]],
        "validation": whole[count["test"] : sum(count.values())],
        "d1": [],
        "d2": [],
    }
    for scene in sorted(set(scenes) - set(places["test"]) - set(places["validation"]), key=lambda s: (s in whole, s)):
        fits = [s for s, other in (("d1", "segmentation"), ("d2", "depth")) if {"rgb", other} <= held[scene]]
        if fits:
            places[min(fits, key=lambda s: sum(len(scenes[one]) for one in places[s]))].append(scene)
    return {name: [view for scene in chosen for view in scenes[scene]] for name, chosen in places.items()}


NO_TEST = "no scene has all three modalities, or too few do, so there is no test: the unseen pair is not measured"


@dataclasses.dataclass
class Counts:
    """What an import wrote: views by split, and what is worth a look."""

    views: dict[str, int]
    unused: int
    warnings: list[str]


def import_views(
    views: Sequence[View], out: str | Path, reading: Reading, validation: float = 0.1, test: float = 0.1, seed: int = 0,
    progress=iter,
) -> Counts:  # fmt: skip
    """Write `d1.zip`, `d2.zip`, and, where views have all three modalities, `validation.zip` and `test.zip`.

    All four are replaced, or none: a split that an earlier import left would have rooms of others. `ValueError` where
    nothing can be trained on, or the first file that is wrong; then nothing is written.
    """
    out, parts = Path(out), split(views, validation, test, seed)
    for name, other in (("d1", "segmentation"), ("d2", "depth")):
        if len(parts[name]) < 2:
            raise ValueError(f"{len(parts[name])} views with rgb and {other} remain for {name}, which needs two: see "
                             "that {id} and {scene} agree in all files of a view")  # fmt: skip
    room, records = 0, {**MODALITIES, "segmentation": classified("segmentation", reading.classes)}
    survey = Survey(records)
    with _room_to_work(out) as work:
        for name, chosen in parts.items():
            if not chosen:
                continue
            held = SPLITS[name].modalities
            folder, entries = work / name, []
            for view in progress(chosen):
                view = View(view.scene, {one: view.files[one] for one in held})
                raw = reading.read(view)
                entries.append({"room": room, "path": f"rooms/{room}", "scene": view.scene})
                _write(folder / f"rooms/{room}", raw)
                room += 1
                for one, image in raw.items():
                    survey.add(one, image)
            index = {"format": FORMAT, "size": reading.size, "modalities": list(held), "rooms": entries}
            if own := own_classes(records.values()):
                index["classes"] = own
            write_json(index, folder / "index.json")
            pack(folder, work / f"{name}.zip", held, name)
        for problem in survey.problems():
            raise ValueError(f"the depths at {reading.depth_scale:g} per metre: {problem}; give --depth-scale")
        for name in parts:
            (out / f"{name}.zip").unlink(missing_ok=True)
            if parts[name]:
                (work / f"{name}.zip").replace(out / f"{name}.zip")
    used = sum(map(len, parts.values()))
    counted = {name: len(chosen) for name, chosen in parts.items() if chosen}
    return Counts(counted, len(views) - used, [*survey.warnings(), *([] if parts["test"] else [NO_TEST])])


@contextlib.contextmanager
def _room_to_work(out: Path) -> Iterator[Path]:
    """A folder within `out`, which is gone in the end, as is `out` where nothing lies in it. `OSError` names it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix=".import-", dir=out)
    except OSError as error:
        raise OSError(f"cannot write to {out} ({error.strerror}): name another folder") from None
    try:
        with work as folder:
            yield Path(folder)
    finally:
        if not any(out.iterdir()):
            out.rmdir()


def _write(folder: Path, raw: Mapping[str, torch.Tensor]) -> None:
    """A view's raw images as files of a data set."""
    for name, image in raw.items():
        record = MODALITIES[name]
        place = folder / record.folder / f"0{record.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        options = {"quality": 95} if record.suffix == ".jpg" else {}
        Image.fromarray(images.to_pixels(image, record)).save(place, **options)
