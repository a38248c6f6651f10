"""Notebook 09 and its two worked examples: short, run with other scenes, and marked by the rubric that they name."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CAPSTONE, *EXAMPLES = sorted((ROOT / "notebooks").glob("09_*.ipynb"))
PAGE = (ROOT / "notebooks/instructors.md").read_text(encoding="utf-8")


def text(path: Path, kind: str) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)


def run(notebook: Path, out: Path, **parameters) -> str:
    """What the notebook prints when papermill runs it for two steps."""
    options = ["-k", "python3", "--execution-timeout", "300", "--no-progress-bar"]
    for name, value in {"steps": 2, "device": "cpu", "out": str(out), **parameters}.items():
        options += ["-p", name, str(value)]
    command = [sys.executable, "-m", "papermill", *options, str(notebook), str(out.with_suffix(".ipynb"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = json.loads(out.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ()))


def test_they_are_short():
    assert len(text(CAPSTONE, "markdown").split()) <= 3500 and len(EXAMPLES) == 2
    assert all(len(text(path, "markdown").split()) <= 1500 for path in EXAMPLES)


def test_the_capstone_leads_to_both_examples_and_to_the_rubric():
    said = text(CAPSTONE, "markdown")
    assert all(f"({path.name})" in said for path in EXAMPLES) and "(instructors.md)" in said
    assert text(CAPSTONE, "code").count("# YOURS") == 5


def test_the_rubric_has_levels_for_each_part_of_a_project():
    (rubric,) = re.findall(r"^## The capstone.*?\n(.+?)(?=^## |\Z)", PAGE, re.M | re.S)
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|(.+)\|$", rubric, re.M)
    parts = ("Question", "Split", "Records", "Training", "Evaluation", "Audit", "Failure", "Report")
    assert tuple(name for name, _ in rows) == parts
    assert all(len([level for level in levels.split(" | ") if level.strip()]) == 3 for _, levels in rows)
    assert all(f"({path.name})" in rubric for path in (CAPSTONE, *EXAMPLES))


@pytest.mark.parametrize("path", [CAPSTONE, EXAMPLES[0]], ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom_with_few_scenes(path, tmp_path):
    said = run(path, tmp_path / "run", scenes=20)
    assert "clean" in said and "PASS" in said
    assert path is not CAPSTONE or (tmp_path / "run/report.md").read_text(encoding="utf-8").count("\n## ") == 8


def test_the_example_of_the_rooms_takes_a_folder_of_images(tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(random.integers(0, 256, (50, 70, 3), np.uint8)).save(folder / f"{number:02}.png")
    said = run(EXAMPLES[1], tmp_path / "run", images=folder)
    assert "14 14 4 8" in said and "clean" in said
