"""Build the wheel and try it in a clean environment, away from the repository.

`python .ci/wheel.py [--here]`: with `--here` the wheel is built and unpacked with what this Python has, for a quick
try.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = {"mmlib", "pyproject.toml", "README.md", "LICENSE"}
TRY = """
import mmlib
from mmlib import MixAndMatch, preset
assert {site!r} in mmlib.__file__, mmlib.__file__
MixAndMatch.from_recipe(preset("smoke"))
"""


def main(here: bool = False) -> None:
    with tempfile.TemporaryDirectory() as place:
        place, python, site = Path(place), Path(sys.executable), []
        alone = ["--no-build-isolation"] if here else []
        source = place / "source"  # setuptools writes beside what it builds
        shutil.copytree(ROOT, source, ignore=lambda folder, names: set(names) - KEPT if folder == str(ROOT) else set())
        subprocess.run(
            [python, "-m", "pip", "wheel", "--quiet", *alone, "--no-deps", "--wheel-dir", place, source], check=True
        )
        (wheel,) = place.glob("mmlib-*.whl")
        if here:
            site = ["--no-deps", "--target", place / "site"]
        else:
            venv.create(place / "venv", with_pip=True)
            python = place / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *site, wheel], check=True)
        environment = {**os.environ, "PYTHONPATH": str(place / "site") if here else ""}
        inside = str(place / "site") if here else str(place / "venv")
        subprocess.run([python, "-c", TRY.format(site=inside)], check=True, cwd=place, env=environment)
        said = subprocess.run(
            [python, "-m", "mmlib", "course", "--out", "c"], cwd=place, env=environment, capture_output=True, text=True
        )
        assert said.returncode == 2 and "clone the repository" in said.stderr, said
        print(f"{wheel.name}: built, installed and imported; without the repository it says where to get it")


if __name__ == "__main__":
    main("--here" in sys.argv[1:])
