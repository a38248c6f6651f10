"""Checkers behind the notebooks' exercises: `check(your_answer)` says *not done yet*, what is wrong, or *passed*.

A module a notebook, a checker an exercise. A checker calls the learner's function on inputs of its own, raises `Hint`
with what is wrong and where to look, and returns a closing sentence when all is right.
"""

import contextlib
import dataclasses
import functools
import importlib
import io
import json
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ...files import written_whole

CHECKERS: dict[str, Callable] = {}
"""By the name that the learner's function has in the notebook."""


class Hint(Exception):
    """What is wrong with an answer, in a sentence that helps."""


class _NotDone(Exception):
    """The answer still returns None."""


@dataclass(frozen=True)
class Outcome:
    """What `check` found: the exercise, `not done yet`, `not right yet` or `passed`, and a sentence."""

    exercise: str
    status: str
    message: str

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.status}. {self.message}"


def checker(examine: Callable) -> Callable:
    """Register a checker under its own name, which is that of the learner's function."""
    CHECKERS[examine.__name__] = examine
    return examine


def check(answer: Callable) -> Outcome:
    """Examine the answer to an exercise; the last line of its cell.

    Whatever the answer does, this says it in a sentence and raises nothing. The answer is called on copies: it may
    change its inputs.
    """
    name = getattr(answer, "__name__", None)
    if not callable(answer) or name not in CHECKERS:
        return Outcome("check", "not right yet", f"Give it one of the exercises' functions: {', '.join(CHECKERS)}.")
    try:
        return Outcome(name, "passed", CHECKERS[name](_careful(answer)))
    except _NotDone:
        return Outcome(name, "not done yet", "It returns None: write your answer, and run the cell again.")
    except Hint as hint:
        return Outcome(name, "not right yet", str(hint))
    except (Exception, SystemExit) as error:
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.name == name]
        where = f" in line {frames[0]} of the cell" if frames else ""
        said = str(error).splitlines()[0] if str(error) else "without a word"
        return Outcome(name, "not right yet", f"It stopped with {type(error).__name__}{where}: {said}")


def _careful(answer: Callable) -> Callable:
    """The answer on copies of its tensors, with None taken for *not done yet*."""

    @functools.wraps(answer)
    def call(*inputs, **named):
        copies = [_copy(value) for value in inputs]
        result = answer(*copies, **{key: _copy(value) for key, value in named.items()})
        if result is None:
            raise _NotDone
        return result

    return call


def _copy(value):
    return value.clone() if isinstance(value, torch.Tensor) else value


def require(condition: bool, hint: str) -> None:
    """Raise `Hint` unless the condition holds."""
    if not condition:
        raise Hint(hint)


def tensor(value, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    """The value, if it is a tensor (of this shape); else a hint that says what it is."""
    require(isinstance(value, torch.Tensor), f"Return a tensor, not a {type(value).__name__}.")
    if shape is not None:
        require(tuple(value.shape) == shape, f"The result's shape is {tuple(value.shape)}, it should be {shape}.")
    return value


def number(value) -> float:
    """The value as a float, if it is one number; else a hint that says what it is."""
    if isinstance(value, torch.Tensor):
        require(value.numel() == 1, f"Return one number: this is a tensor of shape {tuple(value.shape)}.")
        return value.item()
    require(isinstance(value, int | float), f"Return one number, not a {type(value).__name__}.")
    return float(value)


def close(value, expected) -> bool:
    """Whether two numbers or tensors agree to five digits."""
    value, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (value, expected))
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-5, atol=1e-6)


# ── For instructors ────────────────────────────────────────────────────────────────────────────────────────────────


def grade(notebook: str | Path) -> list[Outcome]:
    """The outcomes of all exercises of a learner's notebook, in order, from its code alone, whatever outputs it shows.

    Runs the cells that call `check`, each by itself, in this process: only grade code that you would run. `ValueError`
    where the file is no notebook or has no exercise.
    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        problem = f"not a readable notebook ({type(error).__name__}); save it in Jupyter again"
        raise ValueError(f"{notebook}: {problem}") from None
    sources = [source for source in sources if "\ncheck(" in source]
    if not sources:
        raise ValueError(f"{notebook}: no cell calls check(your_…); give one of the course's notebooks")
    return [_run(source) for source in sources]


def _run(source: str) -> Outcome:
    """Run one exercise's cell by itself."""
    outcomes: list[Outcome] = []
    name = source.rsplit("\ncheck(", 1)[1].split(")")[0]

    def caught(answer):
        outcomes.append(check(answer))

    source = source.replace("from mmlib.course import check", "")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, name, "exec"), {"check": caught, "__name__": "__main__"})
    except (Exception, SystemExit) as error:
        return Outcome(name, "not right yet", f"The cell stops with {type(error).__name__}: {error}")
    return outcomes[-1] if outcomes else Outcome(name, "not right yet", "The cell does not call check.")


def grades(notebooks: list[Path], path: str | Path | None = None) -> str:
    """A table of the outcomes of several notebooks; as JSON in the file `path`, too, where one is given."""
    graded = {str(notebook): grade(notebook) for notebook in notebooks}
    if path is not None:
        rows = {name: [dataclasses.asdict(outcome) for outcome in outcomes] for name, outcomes in graded.items()}
        with written_whole(path) as stream:
            stream.write((json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    lines = []
    for notebook, outcomes in graded.items():
        lines.append(f"{notebook}: {sum(o.passed for o in outcomes)} of {len(outcomes)} passed")
        lines += [f"  {outcome.exercise:<28} {outcome.status}" for outcome in outcomes]
    return "\n".join(lines)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
