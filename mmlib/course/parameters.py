"""The parameters of a notebook: checked before anything else runs, so that a mistake stops it with one sentence."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
_IPYTHON = ("In", "Out")
_CHECKED = "_mmlib_parameters_checked"


def check(namespace: dict, **types: type) -> None:
    """Check a notebook's parameters against `name=type`; call it as `check(globals(), …)` right below them.

    At that place the namespace holds nothing but parameters. A plain value of another name was given to papermill by
    mistake, and papermill itself would ignore it. A cell that runs again checks only types. The environment variable
    `MMLIB_STEPS` limits `steps`, so that tests take a short run of a notebook that is committed with a long one.
    `ValueError` names what is wrong and the known parameters; a string such as 'false' is not a bool.
    """
    known = ", ".join(f"{name} ({kind.__name__})" for name, kind in types.items())
    if not namespace.get(_CHECKED):
        for name, value in namespace.items():
            if name not in types and name not in _IPYTHON and not name.startswith("_") and isinstance(value, _PLAIN):
                raise ValueError(f"unknown parameter {name}: this notebook knows {known}")
    for name, kind in types.items():
        value = namespace.get(name)
        right = isinstance(value, (int, float) if kind is float else kind)
        if not right or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"parameter {name} = {value!r} must be {kind.__name__}: this notebook knows {known}")
    if "steps" in types and (most := os.environ.get("MMLIB_STEPS")):
        namespace["steps"] = min(namespace["steps"], int(most))
    namespace[_CHECKED] = True


def run_folder(out: str) -> Path:
    """The folder that a notebook writes to: `out`, or a fresh one under the repository's `runs/`; where that cannot be
    written, among the system's temporary ones."""
    if out:
        folder = Path(out).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    runs = ROOT / "runs"
    try:
        runs.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="notebook-", dir=runs))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="notebook-"))
