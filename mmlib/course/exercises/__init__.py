"""Checkers behind the notebooks' exercises: `check(your_answer)` says *not done yet*, what is wrong, or *passed*.

There is a module per notebook and a checker per exercise. A mistake is data: a hint and a function that makes this
mistake. A checker calls the learner's function on its own inputs. Where the result is not that of the right function,
it looks for a mistake that gives the same result, and shows its hint. The tests run the same mistakes.
"""

import contextlib
import dataclasses
import importlib
import io
import json
import pkgutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from ...hardware.files import write


class Checker(NamedTuple):
    """An exercise: what examines an answer, the right function, and mistakes, each as (hint, wrong function, …)."""

    examine: Callable[["Answer"], str]  # returns a closing sentence
    right: Callable | None
    mistakes: Sequence[tuple]


CHECKERS: dict[str, Checker] = {}
"""By the name that the learner's function has in the notebook."""
PASSED: dict[str, Callable] = {}
"""The learner's functions that passed `check` in this session, by name: `mine` gives them to later cells."""


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


class Answer:
    """A learner's function, called on copies of its tensors because it may change them."""

    def __init__(self, function: Callable, checker: Checker):
        self.function, self.right = function, checker.right
        self.possible = [(hint, wrong) for hint, *wrongs in checker.mistakes for wrong in wrongs]

    def __call__(self, *inputs):
        result = _on_copies(self.function)(*inputs)
        if result is None:
            raise _NotDone
        return result

    def expect(self, look: Callable, otherwise: str, same: Callable | None = None) -> None:
        """Raise a hint unless `look` finds the same in the answer as in the right function.

        `look(function)` calls the function and returns what is compared by `same` (default: `close`). The hint is that
        of the first mistake in which this look and all looks before it find the same as in the answer; if there is
        none, it is `otherwise`, which may show `{found}` and `{right}`.
        """
        same = same or close
        found, right = look(self), look(self.right)

        def alike(wrong: Callable) -> bool:
            try:
                return same(found, look(_on_copies(wrong)))
            except Exception:  # nobody can make this mistake on these inputs
                return False

        self.possible = [(hint, wrong) for hint, wrong in self.possible if alike(wrong)]
        if not same(found, right):
            raise Hint(self.possible[0][0] if self.possible else otherwise.format(found=found, right=right))


def checker(right: Callable | None = None, mistakes: Sequence[tuple] = ()) -> Callable:
    """Register a checker under its own name, which is that of the learner's function."""

    def register(examine: Callable) -> Callable:
        CHECKERS[examine.__name__] = Checker(examine, right, mistakes)
        return examine

    return register


def check(answer: Callable) -> Outcome:
    """Examine the answer to an exercise; the last line of its cell.

    Whatever the answer does, the outcome says it in a sentence, and nothing is raised.
    """
    name = getattr(answer, "__name__", None)
    if not callable(answer) or name not in CHECKERS:
        return Outcome("check", "not right yet", f"Give it one of the exercises' functions: {', '.join(CHECKERS)}.")
    PASSED.pop(name, None)
    try:
        outcome = Outcome(name, "passed", CHECKERS[name].examine(Answer(answer, CHECKERS[name])))
        PASSED[name] = answer
        return outcome
    except _NotDone:
        return Outcome(name, "not done yet", "It returns None: write your answer, and run the cell again.")
    except Hint as hint:
        return Outcome(name, "not right yet", str(hint))
    except (Exception, SystemExit) as error:
        frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.name == name]
        where = f" in line {frames[0]} of the cell" if frames else ""
        return Outcome(name, "not right yet", f"It stopped with {type(error).__name__}{where}: {_first_line(error)}")


def _on_copies(function: Callable) -> Callable:
    def call(*inputs):
        return function(*(value.clone() if isinstance(value, torch.Tensor) else value for value in inputs))

    return call


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else "without a message"


def require(condition: bool, hint: str) -> None:
    """Raise `Hint` unless the condition holds."""
    if not condition:
        raise Hint(hint)


@contextlib.contextmanager
def explained(hint: str, *errors: type[Exception]) -> Iterator[None]:
    """Raise `Hint` in place of these errors; the hint may show the error's `{message}`."""
    try:
        yield
    except errors as error:
        raise Hint(hint.format(message=_first_line(error))) from None


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
    """Whether two results agree: numbers and tensors to five digits (NaN equals NaN), all else exactly."""
    if isinstance(expected, tuple | list):
        return isinstance(value, tuple | list) and len(value) == len(expected) and all(map(close, value, expected))
    if not isinstance(expected, int | float | torch.Tensor):
        return value == expected
    value, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (value, expected))
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ── For instructors ────────────────────────────────────────────────────────────────────────────────────────────────


def grade(notebook: str | Path) -> list[Outcome]:
    """The outcomes of all exercises of a learner's notebook in order; they depend on its code, not on its outputs.

    This runs the cells that call `check`, each by itself, in this process: only grade code that you would run.
    `ValueError` if the file is not a notebook or has no exercise.
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
    return [run(source) for source in sources]


def run(source: str) -> Outcome:
    """Run one exercise's cell by itself, and return the outcome of its `check`."""
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
    """A table of the outcomes of several notebooks; `path` is a JSON file that gets them, too."""
    graded = {str(notebook): grade(notebook) for notebook in notebooks}
    if path is not None:
        rows = {name: [dataclasses.asdict(outcome) for outcome in outcomes] for name, outcomes in graded.items()}
        write(path, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    lines = []
    for notebook, outcomes in graded.items():
        lines.append(f"{notebook}: {sum(o.passed for o in outcomes)} of {len(outcomes)} passed")
        lines += [f"  {outcome.exercise:<28} {outcome.status}" for outcome in outcomes]
    return "\n".join(lines)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
