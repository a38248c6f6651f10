"""Commands for images of one's own: translate them, or make a data set of them."""

import functools
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .. import checkpoints
from ..data.shipped import CHECKPOINT
from ..hardware import files
from ..modalities import CLASSES
from .app import Device, Folder, Positive, about, app

SHEET_ROWS = 12


@app.command
def translate(
    images: Annotated[Path, about("An image, or a folder of them: photos; depth in 16-bit millimetres or .npy; ids.")],
    /,
    *,
    out: Annotated[Folder, about("Folder for the answers.")],
    to: Annotated[str | None, about("Names with commas between; without it, all that the network has.")] = None,
    source: Annotated[str | None, Parameter("--from", help="What they are; without it, rgb or the first.")] = None,
    checkpoint: Annotated[Path, about("NAME.safetensors, or the folder of a run.")] = CHECKPOINT,
    size: Annotated[Positive | None, about("Shorter side in pixels; without it, the one of the training.")] = None,
    device: Device = "auto",
) -> int:
    """Translate images of your own, of any size and shape, and draw a sheet of them."""
    from tqdm import tqdm

    from ..course import plots
    from ..data.photos import image_files
    from ..evaluation import seen
    from ..hardware.compute import choose_device
    from ..methods.own_images import translate_file

    model = checkpoints.load(checkpoint).to(choose_device(device)).eval()
    anchor = "rgb" if "rgb" in model.modalities else model.modalities[0]
    source = source or anchor
    named = [name.strip() for name in to.split(",")] if to else model.modalities
    targets = [name for name in dict.fromkeys(named) if name != source]
    for name in (source, *targets):
        model.check(name)
    if not targets:
        raise ValueError(f"--to names {source} alone, which the images are: name something else")
    answers = out.resolve()
    found = [file for file in image_files(images) if images.is_file() or answers not in file.resolve().parents]
    if not found:
        raise ValueError(f"{out} holds the images themselves: name another folder for the answers")
    root = images if images.is_dir() else images.parent
    stems = [(out / file.relative_to(root)).with_suffix("") for file in found]
    alike = Counter(str(stem).casefold() for stem in stems)
    stems = [
        stem if alike[str(stem).casefold()] == 1 else out / file.relative_to(root) for stem, file in zip(stems, found)
    ]
    rows, problems = [], []
    for file, stem in tqdm(list(zip(found, stems)), unit="image", disable=len(found) == 1 or not sys.stderr.isatty()):
        try:
            made = translate_file(model, file, source, targets, size or model.recipe.size, stem)
        except ValueError as error:
            problems.append(str(error))
            continue
        if len(rows) < SHEET_ROWS:
            rows.append(made)
    if rows:
        trained = functools.partial(seen, anchor=anchor)
        files.write(out / "sheet.png", plots.sheet(rows, source, model.records, trained).png())
        print(f"{len(found) - len(problems)} of {len(found)} translated into {', '.join(targets)}: see {out}/sheet.png")
    for problem in problems:
        print(f"mmlib: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _numbers(text: str, kind: type) -> tuple:
    try:
        return tuple(kind(part) for part in text.split(",") if part)
    except ValueError:
        raise ValueError(f"{text!r} are no numbers with commas between") from None


@app.command(name="import")
def import_(
    *,
    out: Annotated[Folder, about("Folder for d1.zip, d2.zip, validation.zip and test.zip.")],
    rgb: Annotated[str | None, about("Photos: 'photos/{scene}/{id}.jpg'; {id} agrees in all files of a view.")] = None,
    depth: Annotated[str | None, about("Depth: PNG, TIFF or .npy, with the same {id}.")] = None,
    segmentation: Annotated[str | None, about("Class maps: PNG or .npy, with the same {id}.")] = None,
    table: Annotated[Path | None, about("In place of patterns, a CSV: rgb,depth,segmentation,scene.")] = None,
    size: Annotated[Positive, about("Side of the squares in pixels; a multiple of 8.")] = 96,
    crop: Annotated[Literal["centre", "squeeze"], about("The central square, or all of the image in one.")] = "centre",
    depth_scale: Annotated[
        float, about("What depth files store per metre: 1000 for millimetres, 256 for KITTI.")
    ] = 1000.0,
    holes: Annotated[str, about("Stored depths that mean nothing, with commas between; NaN always does.")] = "0,65535",
    classes: Annotated[str | None, about("nyu40, or a CSV: id,name; without it, the library's 13.")] = None,
    ignore: Annotated[str, about("Stored classes that mean nothing, with commas between.")] = "255",
    validation: Annotated[float, about("Share of the scenes with all three modalities.")] = 0.1,
    test: Annotated[float, about("Share of the scenes with all three modalities.")] = 0.1,
    seed: Annotated[int, about("Decides which scenes go where.")] = 0,
) -> None:
    """Make a data set of your own photos, depth and class maps, split by scene."""
    from tqdm import tqdm

    from ..data import importing

    patterns = {name: p for name, p in {"rgb": rgb, "depth": depth, "segmentation": segmentation}.items() if p}
    if (table is None) == (not patterns):
        raise ValueError("give --rgb, --depth and --segmentation, or --table")
    if not 0 < depth_scale < math.inf or not 0 <= validation + test < 1 or min(validation, test) < 0:
        raise ValueError("--depth-scale is above 0, and --validation and --test are shares, below 1 together")
    views = importing.by_table(table) if table else importing.by_pattern(patterns)
    ids, names = importing.class_table(classes) if classes else (None, CLASSES)
    reading = importing.Reading(size, crop, depth_scale, _numbers(holes, float), ids, names, _numbers(ignore, int))
    progress = lambda chosen: tqdm(chosen, unit="view", disable=not sys.stderr.isatty())  # noqa: E731
    done = importing.import_views(views, out, reading, validation, test, seed, progress)
    counts = ", ".join(f"{name} {count}" for name, count in done.views.items())
    how = "cut to the central square" if crop == "centre" else "squeezed into a square"
    print(
        f"wrote {out}: {counts} views of {size}×{size} pixels, {how}"
        + (f"; {done.unused} unused" if done.unused else "")
    )
    for warning in done.warnings:
        print(f"look: {warning}")
