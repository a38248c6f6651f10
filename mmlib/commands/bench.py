"""Commands that time what training costs."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from .. import recipes
from ..hardware import files
from .app import Device, Json, Pairs, Positive, PresetName, about, app

Steps = Annotated[Positive, about("Timed steps of each kind.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Timed:
    """What is timed, and where the result goes."""

    preset: PresetName = "course"
    size: Annotated[Positive | None, about("Side of the images; the preset's if not given.")] = None
    batch: Annotated[Positive | None, about("Pairs of each set in a step; the preset's if not given.")] = None
    steps: Steps = 10
    device: Device = "auto"
    json: Json = None

    @property
    def recipe(self) -> recipes.Recipe:
        """The preset, at this size and with this batch."""
        given = {"size": self.size, "batch": self.batch}
        return recipes.preset(self.preset, **{key: value for key, value in given.items() if value is not None})


def _keep(result: dict, json: str | None, text: str = "") -> None:
    """Write the result where it was asked for, and print the text, or where there is none the result."""
    if json or not text:
        files.write_json(result, json or "-")
    if text:
        print(text)


@app.command
def bench(
    *,
    timed: Timed = Timed(),  # noqa: B008 - frozen
    switches: Annotated[bool, about("Also time it with each switch turned: format, compiler, codes.")] = False,
) -> None:
    """Time one training step: naive, ours, and the floor."""
    from ..evidence import bench as timing

    result = timing.bench(timed.recipe, timed.steps, timed.device, switches)
    _keep(result, timed.json, timing.describe(result))


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
def bench_optimizer(*, timed: Timed = Timed()) -> None:  # noqa: B008 - frozen
    """Time Muon's share of a step, while the other cores are idle and busy."""
    from ..evidence.bench import bench_optimizer

    _keep(bench_optimizer(timed.recipe, timed.steps, timed.device), timed.json)


@app.command
def bench_processes(*, preset: PresetName = "course", steps: Steps = 10, json: Json = None) -> None:
    """Time one process against two, on the CPU."""
    from ..evidence.bench import bench_processes

    _keep(bench_processes(preset, steps), json)


@app.command
def bench_loading(data: Pairs, /, *, timed: Timed = Timed()) -> None:  # noqa: B008 - frozen
    """Compare the samples per second that a data set gives with those that a step consumes."""
    from ..evidence import bench as timing

    result = timing.bench_loading(data, timed.recipe, timed.steps, timed.device)
    _keep(result, timed.json, timing.describe_loading(result))
