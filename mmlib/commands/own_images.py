"""Commands for images of one's own."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .. import checkpoints, files
from ..data.shipped import CHECKPOINT
from .app import Device, Folder, Positive, about, app

SHEET_ROWS = 12


@app.command
def translate(
    images: Annotated[Path, about("An image, or a folder of them: photos; depth in 16-bit millimetres or .npy; ids.")],
    /,
    *,
    out: Annotated[Folder, about("Folder for the answers.")],
    to: Annotated[str | None, about("Names with commas between; without it, all that the network has.")] = None,
    source: Annotated[
        str | None, Parameter("--from", help="What they are; without it, rgb or the first.")
    ] = None,
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
    source = source or ("rgb" if "rgb" in model.modalities else model.modalities[0])
    targets = to.split(",") if to else [name for name in model.modalities if name != source]
    for name in (source, *targets):
        model.check(name)
    found = image_files(images)
    root = images if images.is_dir() else images.parent
    stems = [(out / file.relative_to(root)).with_suffix("") for file in found]
    stems = [stem if stems.count(stem) == 1 else out / file.relative_to(root) for stem, file in zip(stems, found)]
    rows, problems = [], []
    for file, stem in tqdm(list(zip(found, stems)), unit="image", disable=len(found) == 1 or not sys.stderr.isatty()):
        stem.parent.mkdir(parents=True, exist_ok=True)
        try:
            made = translate_file(model, file, source, targets, size or model.recipe.size, stem)
        except ValueError as error:
            problems.append(str(error))
            continue
        if len(rows) < SHEET_ROWS:
            rows.append(made.raw)
    if rows:
        anchor = model.modalities[0]
        trained = lambda a, b: seen(a, b, anchor="rgb" if "rgb" in model.modalities else anchor)  # noqa: E731
        files.write(out / "sheet.png", plots.sheet(rows, source, model.records, trained).png())
        print(f"{len(found) - len(problems)} of {len(found)} translated into {', '.join(targets)}: see {out}/sheet.png")
    for problem in problems:
        print(f"mmlib: {problem}", file=sys.stderr)
    return 2 if problems else 0
