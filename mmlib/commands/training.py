"""Commands that train, measure and audit."""

import ast
import dataclasses
import inspect
import itertools
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import Group, Parameter

from .. import checkpoints, evaluation, recipes
from ..data import sets, shipped
from ..data.shipped import SHIPPED
from ..hardware import files
from ..recipes import PRESETS, Recipe
from .app import Checkpoint, Device, Folder, Json, Pairs, Positive, PresetName, Resume, about, app


def meanings(record: type) -> dict[str, str]:
    """The docstrings under the fields of a dataclass, by field."""
    (made,) = ast.parse(inspect.getsource(record)).body
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in itertools.pairwise(cast(ast.ClassDef, made).body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _recipe_options() -> type:
    """A dataclass of a recipe's fields as options, each None where it is not given."""
    group = Group("Recipe", help="Each replaces a value of the preset; lists have commas between.", sort_key=1)
    texts, options = meanings(Recipe), []
    for field in dataclasses.fields(Recipe):
        if field.name in ("name", "modalities", "phases"):
            continue
        shown: Any = field.type
        default = getattr(PRESETS["course"], field.name)
        if is_list := isinstance(default, tuple):
            shown, default = str, ",".join(map(str, default))
        elif field.type is bool:
            shown, default = Literal["true", "false"], str(default).lower()

        def read(_, tokens, kind=field.type, is_list=is_list):
            text = tokens[0].value
            try:
                return files.fitted(text.split(",") if is_list else text, kind, strict=False)
            except ValueError as error:
                raise ValueError(f"{text!r} {error}") from None

        text = f"{texts[field.name]} [course: {default}]"
        option = Parameter(converter=read, n_tokens=1, group=group, help=text)
        options.append((field.name, Annotated[shown | None, option], None))
    made = dataclasses.make_dataclass("RecipeOptions", options, frozen=True)
    made.__module__ = __name__  # cyclopts takes apart only classes that a module declares
    return made


RecipeOptions = _recipe_options()


@app.command
def train(
    *,
    out: Annotated[Folder, about("Folder for checkpoint, state and log.")],
    preset: Annotated[PresetName | None, about("The recipe; without it, course, or that of --from.")] = None,
    steps: Annotated[int | None, about("Steps in all; phases keep their proportion.")] = None,
    data: Pairs = SHIPPED,
    device: Device = "auto",
    resume: Resume = False,
    workers: Annotated[int, about("Processes that prepare batches ahead.")] = 0,
    save_every: Annotated[Positive, about("Steps between saved states.")] = 500,
    add: Annotated[str | None, about("Plug this modality in, in place of training all: needs --to.")] = None,
    to: Annotated[str | None, about("The trained checkpoint that it is plugged into, and that stays.")] = None,
    start: Annotated[Path | None, Parameter("--from", help="A checkpoint, or a run's folder, to start from.")] = None,
    rgb_weights: Annotated[str | None, about("For the RGB encoder: VGG-16's, or a distilled encoder's.")] = None,
    changes: Annotated[RecipeOptions, Parameter(name="*")] = RecipeOptions(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Train a mix-and-match network on D1 and D2, let one teach itself (`--from` and `--teacher start`), or plug a
    modality into one."""
    from ..methods.plug_in import PlugIn, plugged_in
    from ..methods.self_training import SelfTraining, self_taught
    from ..objectives import ZeroPair
    from ..training import fit

    given = {key: value for key, value in vars(changes).items() if value is not None}
    given |= {} if steps is None else {"steps": steps}
    if (add is None) != (to is None):
        raise ValueError("--add MODALITY and --to CHECKPOINT belong together: give both, or neither")
    if add:
        base = checkpoints.load(to)
        recipe = plugged_in(base.recipe, add).replace(**given)
        objective = PlugIn(shipped.open_split(data, add), base)
    else:
        pairs = [shipped.open_split(data, split) for split in ("d1", "d2")]
        objective = ZeroPair(*pairs)
        if start and not preset:
            base = checkpoints.load(start)
            recipe = base.recipe
            if given.get("teacher") == "start":
                recipe, objective = self_taught(recipe), SelfTraining(*pairs, base=base)
            elif recipe.teacher == "start":  # of other rooms its own answers would be poor labels
                plain = (dataclasses.replace(phase, lambda_pseudo=0.0) for phase in recipe.phases)
                recipe = recipe.replace(teacher="self", phases=tuple(plain))
            recipe = recipe.replace(**given)
        else:
            recipe = recipes.preset(preset or "course", **given)
    fit(recipe, objective, out, device=device, workers=workers, resume=resume, rgb_weights=rgb_weights, start=start,
        save_every=save_every)  # fmt: skip
    if int(os.environ.get("RANK", 0)) == 0:  # of torchrun's processes only the first writes
        print(f"wrote {out}/checkpoint.safetensors and checkpoint.json")


@app.command
def evaluate(
    checkpoint: Checkpoint,
    /,
    *,
    data: Annotated[Path, about("Folder with the split's zip or shards, or a zip, or a rendered folder.")] = SHIPPED,
    split: Annotated[Literal["validation", "test"], about("The rooms to measure on.")] = "test",
    json: Json = "-",
    device: Device = "auto",
) -> None:
    """Measure all translations of a checkpoint."""
    from ..audit import given_before
    from ..hardware.compute import choose_device

    model = checkpoints.load(checkpoint).to(choose_device(device))
    rooms = _rooms_of(model, data, split)
    for sentence in given_before(model.record, rooms):
        print(f"mmlib: look: {sentence}", file=sys.stderr)
    held = [name for name in model.modalities if name in rooms.modalities]
    if held and (absent := [name for name in model.modalities if name not in held]):
        print(f"mmlib: look: {data} holds no {' and no '.join(absent)}, which is not measured", file=sys.stderr)
    result = {"checkpoint": Path(checkpoint).name, **evaluation.evaluate(model, rooms, sources=held, targets=held)}
    files.write_json(result, json)
    if json != "-":
        print(evaluation.table(result))


def _rooms_of(model, data: Path, split: str):
    """The rooms of a split that hold a model's modalities, or some: those of colours and styles, or of `data`."""
    from ..data.domains import COLOURS
    from ..methods.colours import shipped_scenes
    from ..methods.styles import PHOTO, painted

    names, size = set(model.modalities), model.recipe.size
    if names <= set(COLOURS):
        return shipped_scenes(size, split)
    rooms = shipped.open_split(data, split, size, sets.Held)
    if PHOTO in names:
        return painted(rooms, model.modalities)
    if split == "test" and names & set(sets.Surfaces.records):
        return sets.joined(rooms, shipped.open_split(data, "test_surfaces", size))
    return rooms


@app.command
def audit(
    checkpoint: Checkpoint,
    /,
    *,
    data: Annotated[Path | None, about("Folder whose test split was kept; without it, the one that ships.")] = None,
) -> int:
    """Show from a checkpoint's record that it never saw depth and segmentation of one room."""
    from ..audit import audit, describe_audit

    record = checkpoints.verified_record(checkpoint)
    test = data and shipped.open_split(data, "test")
    print(describe_audit(record, test))
    return 1 if audit(record, test) else 0
