"""The app that each command is added to, and the types of options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from .. import __version__
from ..recipes import PRESETS

app = App(
    name="python -m mmlib",
    help="Mix and match networks: zero-pair translation.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def at_least_one(_, value) -> None:
    if isinstance(value, int) and value < 1:
        raise ValueError(f"{value} must be a whole number of at least 1")


def _no_option(_, value) -> None:
    if value and value.startswith("-") and value != "-":
        raise ValueError("name a file, or - for standard output")


def _folder(_, tokens) -> Path:
    if not tokens[0].value:
        raise ValueError("name a folder")
    return Path(tokens[0].value)


def about(meaning: str) -> Parameter:
    """What `--help` says of an option."""
    return Parameter(help=meaning)


ALL = "rgb,depth,segmentation"
Modalities = Annotated[str, about("Names with commas between.")]
Positive = Annotated[int, Parameter(validator=at_least_one)]
Folder = Annotated[Path, Parameter(converter=_folder)]
PresetName = Annotated[Literal[*PRESETS], about("The recipe.")]  # type: ignore[valid-type]
Pairs = Annotated[Path, about("Folder with d1 and d2, zips or shards, or a rendered folder.")]
Device = Annotated[str, about("auto, cpu, cuda or mps.")]
Resume = Annotated[bool, about("Continue where a killed run stopped.")]
Json = Annotated[
    str | None,
    Parameter(help="File for the result; - is standard output.", allow_leading_hyphen=True, validator=_no_option),
]
Checkpoint = Annotated[str, about("NAME.safetensors, with NAME.json beside it.")]
