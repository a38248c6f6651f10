"""What runs on each system: newest libraries of `pyproject.toml`'s ranges, the tests, and short runs of the notebooks.

`python .ci/systems.py [TORCH]`: TORCH is a version such as `2.11.*`; without it, the newest. On Linux and Windows
PyTorch comes from its index of CPU builds, because the others have gigabytes.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-systems"


def run(*words: str | Path) -> None:
    print("+", *words, flush=True)
    subprocess.run(words, cwd=ROOT, check=True, env={**os.environ, "MMLIB_STEPS": "8", "PYTHONUTF8": "0"})


def main(torch: str = "") -> None:
    venv.create(FOLDER, with_pip=True)
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    index = [] if sys.platform == "darwin" else ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    run(python, "-m", "pip", "install", "--quiet", *index, f"torch=={torch}" if torch else "torch",
        "-e", ".[notebooks,test,pretrained,scenenet]")  # fmt: skip
    run(python, "-m", "pytest", "-n", "auto", "--dist", "loadfile", "tests")
    run(python, "-m", "pytest", "-n", "auto", "--dist", "loadfile", "--nbval-lax", "--nbval-current-env", "notebooks")


if __name__ == "__main__":
    main(*sys.argv[1:])
