"""What a learner wrote: functions that passed `check` serve later cells and, once kept, later notebooks."""

import linecache
import re
from collections.abc import Callable
from pathlib import Path

from ..hardware.files import write
from .exercises import CHECKERS, PASSED, run

KEPT = Path("mine.py")
"""Where `keep` writes: cells in the percent format, in the folder of the notebooks."""


def mine(name: str) -> Callable:
    """The learner's function of an exercise, or the course's own where none has passed `check`.

    It passed in this session, or an earlier notebook kept it; a kept one is checked again. `ValueError` names the known
    functions.
    """
    if name not in CHECKERS or CHECKERS[name].right is None:
        known = ", ".join(known for known, checker in CHECKERS.items() if checker.right)
        raise ValueError(f"{name} is no exercise whose function is used again: known are {known}")
    if name not in PASSED and (source := _kept().get(name)):
        run(source)  # passing puts it among PASSED
    return PASSED.get(name, CHECKERS[name].right)


def whose(*names: str) -> str:
    """A sentence that says which of these functions are the learner's own, and which are the course's."""
    own = [name for name in names if mine(name) is PASSED.get(name)]
    rest = [name for name in names if name not in own]
    yours = f"Yours: {', '.join(own)}. " if own else ""
    return yours + (f"The course's, because yours has not passed yet: {', '.join(rest)}." if rest else "")


def keep() -> None:
    """Write the cells of all functions that passed in this session to `KEPT`, so that later notebooks use them."""
    if not PASSED:
        print("No exercise has passed in this session: later notebooks use the course's functions.")
        return
    cells = _kept() | {name: _cell(function) for name, function in PASSED.items()}
    write(KEPT, "\n".join(f"# %% {name}\n{source.strip()}\n" for name, source in cells.items()).encode())
    print(f"Kept in {KEPT}, for later notebooks: {', '.join(cells)}.")


def _kept() -> dict[str, str]:
    """The kept cells by the names of their functions."""
    text = KEPT.read_text(encoding="utf-8") if KEPT.exists() else ""
    parts = re.split(r"^# %% (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def _cell(function: Callable) -> str:
    """The source of the whole cell that a function stands in, its imports included."""
    return "".join(linecache.getlines(function.__code__.co_filename))
