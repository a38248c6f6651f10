"""Commands that make the results."""

import functools
from pathlib import Path
from typing import Annotated

from .. import checkpoints, evaluation, recipes
from ..data import shipped
from ..hardware import files
from .app import Device, Folder, Json, Positive, PresetName, about, app


@app.command
def experiment(
    name: Annotated[str, about("Which table or figure; an unknown one lists them.")],
    /,
    *,
    out: Annotated[Folder, about("Folder for states and logs.")] = Path("runs/experiments"),  # noqa: B008 - immutable
    data: Annotated[Path, about("Folder with the training sets.")] = shipped.SHIPPED,
    seeds: Annotated[Positive, about("How many seeds, from 0.")] = 3,
    preset: Annotated[PresetName | None, about("Size and length of the runs; without it, those of the table.")] = None,
    domains: Annotated[str | None, about("Your own images, for styles: trainA, trainB, … or one folder each.")] = None,
    anchor: Annotated[str, about("With --domains, the domain that all pairs have; without it, the first.")] = "",
    processes: Annotated[Positive, about("Trainings at once.")] = 1,
    table: Annotated[bool, about("Render the table from the results that are there.")] = False,
    device: Device = "auto",
) -> None:
    """Train and measure what a table or figure shows; one that was stopped goes on."""
    from ..evidence.experiments import run_grid
    from ..evidence.grids import GRIDS
    from ..evidence.tables import render

    if domains:
        if name != "styles":
            raise ValueError(f"--domains belongs to the experiment styles, not to {name}")
        _styles_of_folders(domains, out / "domains", anchor, preset or "domains", device)
    else:
        preset = preset or (GRIDS[name].preset if name in GRIDS else "ablation")
        if not table:
            run_grid(name, seeds, preset, out, device, processes, data)
        print(render(name, preset, seeds))


def _styles_of_folders(domains: str, out: Path, anchor: str, preset: str, device: str) -> None:
    """Figure 6 of images of one's own: seen and unseen translations of the first image of each domain."""
    from ..course import plots
    from ..data.domains import folder_domains
    from ..methods.mixed_cycles import run_folders

    model = run_folders(domains, out, anchor, preset, device)
    anchor = model.modalities[0]
    shown = {}
    for rooms in folder_domains(domains, model.recipe.size, anchor, "test"):
        shown |= rooms.batch([0])
    picture = plots.all_translations(model, shown, functools.partial(evaluation.seen, anchor=anchor))
    files.write(out / "translations.png", picture.png())
    print(f"wrote checkpoint.safetensors and translations.png in {out}; the anchor is {anchor}")


@app.command
def distil(
    vgg: Annotated[str, about("torchvision's vgg16 state dict (.pth), or Keras's VGG16 as .onnx.")],
    /,
    *,
    out: Annotated[Folder, about("Folder for state and log.")] = Path("runs/distillation"),  # noqa: B008 - immutable
    device: Device = "auto",
) -> None:
    """Distil ImageNet's VGG-16 into the slim RGB encoder of the pretrained rows."""
    from ..evidence.experiments import DISTILLATION, RGB_ENCODER
    from ..methods.distillation import distil

    pairs = (shipped.shipped("d1"), shipped.shipped("d2"))
    distil(vgg, DISTILLATION, pairs, out, RGB_ENCODER, device=device, resume=True)
    print(f"wrote {RGB_ENCODER} and its record")


@app.command
def speedrun(
    *,
    preset: PresetName = "speedrun",
    seeds: Annotated[Positive, about("How many seeds, from 0.")] = 3,
    device: Device = "auto",
    json: Json = None,
    record: Annotated[str | None, about("Name for data/results/records, if all seeds reached the target.")] = None,
    change: Annotated[str, about("With --record, what changed since the last one.")] = "",
) -> int:
    """Train from nothing to a zero-pair mIoU of 0.40, on a clock, over several seeds."""
    from ..evidence import speedrun as runs

    result = runs.speedrun(recipes.preset(preset), seeds, device)
    print(runs.describe(result))
    if json:
        files.write_json(result, json)
    if record:
        print(f"wrote {runs.keep(result, record, change)}")
    return 0 if result["reached"] else 1


@app.command
def readme() -> None:
    """Make the README's picture, the tables of all pages, the model cards and the outline anew."""
    from ..course import headers, plots
    from ..evidence import cards, pages

    model = checkpoints.load(shipped.CHECKPOINT)
    test = shipped.shipped("test", model.recipe.size)
    middle = evaluation.rooms_by_rank(evaluation.confusion_by_room(model, test, "depth"), (0.5,))
    files.write(pages.PICTURE, plots.gallery(model, test, middle).png())
    cards.write_cards()
    print(f"wrote {pages.PICTURE} and the model cards in {shipped.CHECKPOINTS}")
    changed = pages.update() + (["the page of all tables"] if pages.write_tables() else [])
    changed += ["the outline"] if headers.update_outline() else []
    changed += ["the instructors' exercises"] if headers.update_instructors() else []
    print(f"new: {', '.join(changed)}" if changed else "all tables were up to date")
