"""The command line, `python -m mmlib COMMAND`: each command is a function here."""

import argparse
import ast
import dataclasses
import functools
import os
import sys
from pathlib import Path

from . import checkpoints, evaluation, files
from .data import packing, sets, shipped
from .recipes import PRESETS, Recipe, preset


def render(options) -> int:
    from .rooms import render, trajectories

    if options.format == "scenenet":
        trajectories.render(options.rooms, options.views, options.seed, options.size, options.out, options.processes,
                            options.samples)  # fmt: skip
    else:
        modalities = tuple(options.modalities.split(","))
        render.render(options.rooms, options.seed, options.size, options.out, modalities, options.processes,
                      options.samples)  # fmt: skip
    return 0


def check_data(options) -> int:
    problems = packing.check(options.data)
    print("\n".join(problems) if problems else f"{options.data}: every file is in order")
    return 1 if problems else 0


def scenenet(options) -> int:
    from .data.scenenet import check, describe, paper_sets
    from .data.shards import write

    sets = paper_sets(options.root, options.classes, options.set, protobufs=options.protobuf)
    print(describe(sets))
    problems = [problem for rooms in sets for problem in check(rooms, options.check)]
    print("\n".join(problems) if problems else f"{options.root}: every file that was read is in order")
    if options.shards and not problems:
        for rooms in sets:
            print(f"wrote {write(rooms, options.shards)} and its shards")
    return 1 if problems else 0


def pack(options) -> int:
    print(packing.pack(options.directory, options.zip, tuple(options.modalities.split(","))))
    return 0


def train(options) -> int:
    from .methods.plug_in import PlugIn, plugged_in
    from .objectives import ZeroPair
    from .training import fit

    keys = [field.name for field in dataclasses.fields(Recipe)] + ["steps"]
    changes = {key: value for key in keys if (value := getattr(options, f"recipe_{key}", None)) is not None}
    if (options.add is None) != (options.to is None):
        raise ValueError("--add MODALITY and --to CHECKPOINT belong together: give both, or neither")
    if options.add:
        base = checkpoints.load(options.to)
        recipe = plugged_in(base.recipe, options.add).replace(**changes)
        objective = PlugIn(shipped.open_split(options.data, options.add), base)
    else:
        recipe = preset(options.preset, **changes)
        objective = ZeroPair(shipped.open_split(options.data, "d1"), shipped.open_split(options.data, "d2"))
    fit(recipe, objective, options.out, device=options.device, workers=options.workers, resume=options.resume,
        rgb_weights=options.rgb_weights, save_every=options.save_every)  # fmt: skip
    if int(os.environ.get("RANK", 0)) == 0:  # of torchrun's processes the first alone writes
        print(f"wrote {options.out}/checkpoint.safetensors and checkpoint.json")
    return 0


def evaluate(options) -> int:
    from .hardware.compute import choose_device

    model = checkpoints.load(options.checkpoint).to(choose_device(options.device))
    rooms = _rooms_of(model, options.data, options.split)
    result = {"checkpoint": Path(options.checkpoint).name, **evaluation.evaluate(model, rooms)}
    files.write_json(result, options.json)
    if options.json != "-":
        print(evaluation.table(result))
    return 0


def _rooms_of(model, data, split: str):
    """The rooms of a split that hold a model's modalities: those of colours and styles, or of `data`."""
    from .data.domains import COLOURS
    from .methods.colours import shipped_scenes
    from .methods.styles import PHOTO, painted

    names, size = set(model.modalities), model.recipe.size
    if names <= set(COLOURS):
        return shipped_scenes(size, split)
    rooms = shipped.open_split(data, split, size)
    if PHOTO in names:
        return painted(rooms, model.modalities)
    if split == "test" and not names <= set(rooms.modalities):
        return sets.joined(rooms, shipped.open_split(data, "test_surfaces", size))
    return rooms


def experiment(options) -> int:
    from .evidence.experiments import run, run_grid
    from .evidence.grids import GRIDS, PRESET
    from .evidence.tables import render

    if options.domains:
        return _experiment_on_folders(options)
    if options.name in GRIDS:
        grid_preset = options.preset or PRESET.get(options.name, "ablation")
        if not options.table:
            run_grid(options.name, options.seeds, grid_preset, options.out, options.device, options.processes)
        print(render(options.name, grid_preset, options.seeds))
    else:
        folder = options.out / options.name
        print(evaluation.table(run(options.name, folder, options.device, options.resume, options.data)))
    return 0


def _experiment_on_folders(options) -> int:
    """Figure 6 of images of one's own: seen and unseen translations of the first image of each domain."""
    from .course import plots
    from .data.domains import folder_domains
    from .methods.mixed_cycles import run_folders

    if options.name != "styles":
        raise ValueError(f"--domains belongs to the experiment styles, not to {options.name}")
    model = run_folders(
        options.domains, options.out / "domains", options.anchor, options.preset or "domains", options.device
    )
    anchor = model.modalities[0]
    shown = {}
    for rooms in folder_domains(options.domains, model.recipe.size, anchor, "test"):
        shown |= rooms.batch([0])
    picture = plots.all_translations(model, shown, functools.partial(evaluation.seen, anchor=anchor))
    files.write(options.out / "domains" / "translations.png", picture.png())
    print(f"wrote checkpoint.safetensors and translations.png in {options.out / 'domains'}; the anchor is {anchor}")
    return 0


def distil(options) -> int:
    from .evidence.experiments import DISTILLATION, RGB_ENCODER
    from .methods.distillation import distil

    sets = (shipped.shipped("d1"), shipped.shipped("d2"))
    distil(options.vgg, DISTILLATION, sets, options.out, RGB_ENCODER, device=options.device, resume=True)
    print(f"wrote {RGB_ENCODER} and its record")
    return 0


def audit(options) -> int:
    from .audit import audit, describe_audit

    record = checkpoints.verified_record(options.checkpoint)
    print(describe_audit(record))
    return 1 if audit(record) else 0


def bench(options) -> int:
    from .evidence import bench as timing

    changes = {key: value for key in ("size", "batch") if (value := getattr(options, key))}
    recipe = preset(options.preset, **changes)
    text = ""  # of what has no form for people, JSON is shown
    if options.domains:
        result = timing.bench_domains(steps=options.steps, device=options.device)
    elif options.methods:
        result = timing.bench_methods(options.preset, options.steps, options.device)
    elif options.optimizer:
        result = timing.bench_optimizer(recipe, options.steps, options.device)
    elif options.processes:
        result = timing.bench_processes(options.preset, options.steps)
    elif options.loading:
        result = timing.bench_loading(options.loading, recipe, options.steps, options.device)
        text = timing.describe_loading(result)
    else:
        result = timing.bench(recipe, options.steps, options.device, options.switches)
        text = timing.describe(result)
    if options.json or not text:
        files.write_json(result, options.json or "-")
    if text:
        print(text)
    return 0


def speedrun(options) -> int:
    from .evidence import speedrun as runs

    result = runs.speedrun(preset(options.preset), options.seeds, options.device)
    print(runs.describe(result))
    if options.json:
        files.write_json(result, options.json)
    if options.record:
        print(f"wrote {runs.keep(result, options.record, options.change)}")
    return 0 if result["reached"] else 1


def readme(options) -> int:
    from .course import headers, plots
    from .evidence import cards, pages

    model = checkpoints.load(shipped.CHECKPOINT)
    rooms = shipped.shipped("test", model.recipe.size)
    picture = plots.translations(model, rooms.batch(range(options.rooms)), ["rgb", "depth"], ["segmentation"])
    files.write(pages.PICTURE, picture.png())
    changed = pages.update_readme()
    print(f"wrote {pages.PICTURE}; the headline of {pages.README} {'is new' if changed else 'was up to date'}")
    cards.write_cards()
    print(f"wrote the model cards in {cards.CHECKPOINTS}")
    changed = headers.update_instructors()
    print(f"the exercises of {headers.INSTRUCTORS} {'are new' if changed else 'were up to date'}")
    changed = pages.update_machines()
    print(f"the arithmetic of {pages.MACHINES} {'is new' if changed else 'was up to date'}")
    return 0


def grade(options) -> int:
    from .course.exercises import grades

    print(grades(options.notebooks, options.json))
    return 0


def execute(options) -> int:
    from .course.notebooks import execute

    for path in options.notebooks:
        print(f"{path}: {execute(path)} s", flush=True)
    return 0


def run_course(options) -> int:
    from .course.notebooks import run

    run(options.out, **{name: _literal(value) for name, value in options.parameters})
    return 0


def pages(options) -> int:
    from .course.notebooks import pages

    print(f"the contents page: {pages(options.out)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line's grammar; `train`'s recipe options are made from the `Recipe` dataclass."""
    main = argparse.ArgumentParser(prog="python -m mmlib", description="Mix and match networks: zero-pair translation.")
    commands = main.add_subparsers(required=True, metavar="COMMAND")

    def command(function, name: str, text: str):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    sub = command(render, "render", "Render furnished rooms (needs the `render` extra).")
    sub.add_argument("--rooms", type=int, required=True, help="how many")
    sub.add_argument("--seed", type=int, required=True, help="the same seed gives the same rooms")
    sub.add_argument("--size", type=int, default=96, help="side in pixels (%(default)s)")
    sub.add_argument("--out", required=True, type=_folder, help="folder")
    sub.add_argument("--modalities", default="rgb,depth,segmentation", help="comma-separated (%(default)s)")
    sub.add_argument("--processes", type=int, help="how many at once (one a core)")
    sub.add_argument("--samples", type=int, default=32, help="light paths a pixel (%(default)s)")
    sub.add_argument("--format", choices=("rooms", "scenenet"), default="rooms", help="layout of files (%(default)s)")
    sub.add_argument("--views", type=int, default=3, help="of each room, with --format scenenet (%(default)s)")

    sub = command(check_data, "check-data", "Read all of a data set and name each bad file.")
    sub.add_argument("data", metavar="DIR", help="a rendered folder, a zip, or a folder of zips or tar shards")

    sub = command(scenenet, "scenenet", "Show the paper's sets of a SceneNet RGB-D folder, and name each bad file.")
    sub.add_argument("root", metavar="ROOT", help="the folder that holds train or val")
    sub.add_argument("--protobuf", action="append", metavar="FILE", help="an index; may be repeated (all in ROOT)")
    sub.add_argument("--classes", required=True, metavar="FILE", help="your wnid_to_class.txt: wnid, name, 13_classes")
    sub.add_argument("--set", default="51k", help="of section 5.1: 51k or 170k (%(default)s)")
    sub.add_argument(
        "--check", type=_count, default=100, metavar="N", help="views read of each set, or all (%(default)s)"
    )
    sub.add_argument("--shards", type=_folder, metavar="OUT", help="write d1, d2 and test there as tar shards")

    sub = command(pack, "pack", "Pack a rendered folder into a split's zip that holds some modalities alone.")
    sub.add_argument("directory")
    sub.add_argument("zip")
    sub.add_argument("--modalities", default="rgb,depth,segmentation", help="comma-separated (%(default)s)")

    sub = command(train, "train", "Train a mix-and-match network on D1 and D2, or plug a modality into one.")
    sub.add_argument("--preset", default="course", choices=PRESETS, help="recipe to start from (%(default)s)")
    sub.add_argument("--out", required=True, type=_folder, help="folder for checkpoint, state and log")
    sub.add_argument(
        "--data", default=shipped.SHIPPED, help="folder with d1 and d2, zips or shards, or a rendered folder"
    )
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")
    sub.add_argument("--resume", action="store_true", help="go on where a killed run stopped")
    sub.add_argument("--workers", type=int, default=0, help="processes that prepare batches ahead (%(default)s)")
    sub.add_argument("--save-every", type=_positive, default=500, help="steps between saved states (%(default)s)")
    sub.add_argument("--add", metavar="MODALITY", help="plug this modality in, in place of training all: needs --to")
    sub.add_argument("--to", metavar="CHECKPOINT", help="the trained network that it is plugged into, and that stays")
    sub.add_argument("--rgb-weights", help="for the RGB encoder: VGG-16's (preset paper), or a distilled one")
    sub.add_argument("--steps", type=int, dest="recipe_steps", help="steps in all; phases keep their proportion")
    for field in dataclasses.fields(Recipe):
        kind = {int: int, float: float, str: str, bool: _boolean, tuple[int, ...]: _integers}.get(field.type)
        if kind and field.name != "name":
            sub.add_argument(
                f"--{field.name.replace('_', '-')}", type=kind, dest=f"recipe_{field.name}", metavar="VALUE"
            )

    sub = command(evaluate, "evaluate", "Measure all translations of a checkpoint.")
    sub.add_argument("checkpoint")
    sub.add_argument(
        "--data", default=shipped.SHIPPED, help="folder with the split's zip or shards, a zip, or a rendered folder"
    )
    sub.add_argument("--split", default="test", choices=("validation", "test"), help="(%(default)s)")
    sub.add_argument("--json", default="-", metavar="FILE", help="- is standard output (%(default)s)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")

    sub = command(experiment, "experiment", "Train and measure what data/results/NAME.json reports.")
    sub.add_argument("name", help="which: an unknown one lists them")
    sub.add_argument("--out", default="runs/experiments", type=_folder, help="folder for states and logs (%(default)s)")
    sub.add_argument(
        "--data", default=shipped.SHIPPED, help="folder with d1 and d2, of an experiment outside the tables"
    )
    sub.add_argument("--seeds", type=_positive, default=3, help="how many, from 0: of a table or figure (%(default)s)")
    sub.add_argument("--preset", choices=PRESETS, help="of a table or figure (ablation; domains for colours, styles)")
    sub.add_argument("--domains", metavar="DIR", help="styles on images of your own: trainA, trainB, … or one a domain")
    sub.add_argument("--anchor", default="", help="with --domains: the domain that all pairs have (the first by name)")
    sub.add_argument("--processes", type=_positive, default=1, help="trainings at once (%(default)s)")
    sub.add_argument("--table", action="store_true", help="render the table from the results that are there")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")
    sub.add_argument("--resume", action="store_true", help="go on where a killed run stopped")

    sub = command(distil, "distil", "Distil ImageNet's VGG-16 into the slim RGB encoder of the pretrained rows.")
    sub.add_argument("vgg", help="torchvision's vgg16 state dict (.pth), or Keras's VGG16 as .onnx")
    sub.add_argument("--out", default="runs/distillation", type=_folder, help="folder for state and log (%(default)s)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")

    sub = command(
        audit, "audit", "Show from a checkpoint's record that it never saw depth and segmentation of one room."
    )
    sub.add_argument("checkpoint")

    sub = command(bench, "bench", "Time one training step: naive, ours, and the floor.")
    sub.add_argument("--preset", default="course", choices=PRESETS)
    sub.add_argument("--steps", type=_positive, default=10, help="timed steps of each kind (%(default)s)")
    sub.add_argument("--device", default="auto")
    sub.add_argument("--size", type=_positive, help="side of the images (the preset's)")
    sub.add_argument("--batch", type=_positive, help="pairs of each set in a step (the preset's)")
    sub.add_argument("--switches", action="store_true", help="also with each switch turned: format, compiler, codes")
    sub.add_argument("--methods", action="store_true", help="in place of it: minutes of each method of the tables")
    sub.add_argument("--domains", action="store_true", help="in place of it: what more domains cost (data/colours)")
    sub.add_argument("--optimizer", action="store_true", help="in place of it: Muon's share of a step, idle and busy")
    sub.add_argument("--processes", action="store_true", help="in place of it: one process against two, on the CPU")
    sub.add_argument("--loading", metavar="DATA", help="in place of it: samples/s that a set gives and a step consumes")
    sub.add_argument("--json", metavar="FILE")

    sub = command(speedrun, "speedrun", "From nothing to a zero-pair mIoU of 0.40, on a clock, over three seeds.")
    sub.add_argument("--preset", default="speedrun", choices=PRESETS, help="recipe (%(default)s)")
    sub.add_argument("--seeds", type=_positive, default=3, help="how many, from 0 (%(default)s)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")
    sub.add_argument("--json", metavar="FILE", help="- is standard output")
    sub.add_argument(
        "--record", metavar="NAME", help="keep it in data/results/records, if all seeds reached the target"
    )
    sub.add_argument("--change", default="", help="with --record: what changed since the last one")

    sub = command(
        readme, "readme", "Make the README's picture and tables, the model cards and the exercises' table anew."
    )
    sub.add_argument("--rooms", type=int, default=3, help="test rooms in the picture (%(default)s)")

    sub = command(grade, "grade", "Run the answers to the exercises in learners' notebooks, and say which pass.")
    sub.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="its code is run: look at what strangers send")
    sub.add_argument("--json", metavar="FILE", help="the outcomes with their hints")

    sub = command(execute, "execute", "Execute notebooks in place, as they are committed.")
    sub.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")

    sub = command(run_course, "course", "Run all notebooks in order, headless, into a folder.")
    sub.add_argument("--out", required=True, type=_folder, help="folder")
    sub.add_argument(
        "-p", nargs=2, action="append", default=[], dest="parameters", metavar=("NAME", "VALUE"),
        help="a parameter, for every notebook that knows it",
    )  # fmt: skip

    sub = command(pages, "html", "Make web pages of the executed notebooks, with a contents page.")
    sub.add_argument("--out", required=True, type=_folder, help="folder")
    return main


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def _count(text: str) -> int | None:
    return None if text == "all" else _positive(text)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("name a folder")
    return Path(text)


def _literal(text: str):
    """A parameter as Python would read it (3, 0.5, True), and as a string where it would not."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text == "true"


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers with commas between") from None


def main(arguments: list[str] | None = None) -> int:
    """Run a command; what a user can mend is one sentence on standard error and exit status 2."""
    options = parser().parse_args(arguments)
    try:
        return options.function(options)
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"mmlib: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        from .hardware.guards import out_of_memory

        if not out_of_memory(error):
            raise
        less = "not enough memory for this: a smaller batch, size or widths needs less"
        print(f"mmlib: {str(error) if isinstance(error, MemoryError) and str(error) else less}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"mmlib: {str(error) or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
