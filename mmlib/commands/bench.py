"""Commands that time what training costs."""

from typing import Annotated

from .. import files, recipes
from .app import Device, Json, Pairs, Positive, PresetName, about, app

Steps = Annotated[Positive, about("Timed steps of each kind.")]
Size = Annotated[Positive | None, about("Side of the images; the preset's if not given.")]
Batch = Annotated[Positive | None, about("Pairs of each set in a step; the preset's if not given.")]


def _recipe(preset: str, **changes: int | None) -> recipes.Recipe:
    return recipes.preset(preset, **{key: value for key, value in changes.items() if value is not None})


def _keep(result: dict, json: str | None, text: str = "") -> None:
    """Write the result where it was asked for, and print the text, or where there is none the result."""
    if json or not text:
        files.write_json(result, json or "-")
    if text:
        print(text)


@app.command
def bench(
    *,
    preset: PresetName = "course",
    size: Size = None,
    batch: Batch = None,
    steps: Steps = 10,
    device: Device = "auto",
    switches: Annotated[bool, about("Also time it with each switch turned: format, compiler, codes.")] = False,
    json: Json = None,
) -> None:
    """Time one training step: naive, ours, and the floor."""
    from ..evidence import bench as timing

    result = timing.bench(_recipe(preset, size=size, batch=batch), steps, device, switches)
    _keep(result, json, timing.describe(result))


@app.command
def bench_methods(
    *, preset: PresetName = "course", steps: Steps = 10, device: Device = "auto", json: Json = None
) -> None:
    """Compute the minutes of each method of the tables from timed steps."""
    from ..evidence.bench import bench_methods

    _keep(bench_methods(preset, steps, device), json)


@app.command
def bench_domains(*, steps: Steps = 10, device: Device = "auto", json: Json = None) -> None:
    """Time what more domains cost (data/colours)."""
    from ..evidence.bench import bench_domains

    _keep(bench_domains(steps=steps, device=device), json)


@app.command
def bench_optimizer(
    *,
    preset: PresetName = "course",
    size: Size = None,
    batch: Batch = None,
    steps: Steps = 10,
    device: Device = "auto",
    json: Json = None,
) -> None:
    """Time Muon's share of a step, while the other cores are idle and busy."""
    from ..evidence.bench import bench_optimizer

    _keep(bench_optimizer(_recipe(preset, size=size, batch=batch), steps, device), json)


@app.command
def bench_processes(*, preset: PresetName = "course", steps: Steps = 10, json: Json = None) -> None:
    """Time one process against two, on the CPU."""
    from ..evidence.bench import bench_processes

    _keep(bench_processes(preset, steps), json)


@app.command
def bench_loading(
    data: Pairs,
    /,
    *,
    preset: PresetName = "course",
    size: Size = None,
    batch: Batch = None,
    steps: Steps = 10,
    device: Device = "auto",
    json: Json = None,
) -> None:
    """Compare the samples per second that a data set gives with those that a step consumes."""
    from ..evidence import bench as timing

    result = timing.bench_loading(data, _recipe(preset, size=size, batch=batch), steps, device)
    _keep(result, json, timing.describe_loading(result))
