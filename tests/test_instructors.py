"""The instructors' page: its table is the notebooks', its schedules add up, and its commands run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmlib.course import headers
from mmlib.course.exercises import CHECKERS

ROOT = Path(__file__).resolve().parents[1]
PAGE = headers.INSTRUCTORS.read_text(encoding="utf-8")


def test_the_table_of_exercises_is_what_the_notebooks_announce():
    table = PAGE[PAGE.index(headers.EXERCISES_BEGIN) + len(headers.EXERCISES_BEGIN) : PAGE.index(headers.EXERCISES_END)]
    assert table.strip() == headers.exercise_table(), "run python -m mmlib readme"
    assert sorted(row["name"] for row in headers.exercises()) == sorted(CHECKERS)


@pytest.mark.parametrize(("heading", "minutes"), [("Two hours", 120), ("A day", 480)])
def test_a_schedule_adds_up_and_names_what_there_is(heading, minutes):
    (schedule,) = re.findall(rf"^### {heading}.*?\n(.*?)^##", PAGE, re.M | re.S)
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", schedule, re.M)
    assert sum(int(count) for count, _ in rows) == minutes
    numbers = {row["number"] for row in headers.exercises()}
    named = {number for _, text in rows for number in re.findall(r"\b(\d\.\d)\b", text)}
    assert named and named <= numbers
    links = re.findall(r"\(([^)]+\.ipynb)\)", schedule)
    assert links and all((headers.NOTEBOOKS / link).is_file() for link in links)
    if heading == "A day":
        assert {Path(link).stem for link in links} == {name for name in headers.times() if "example" not in name}


def test_the_sweep_runs_as_the_page_says(rooms_dir, tmp_path):
    """The very lines of the page, in a folder of their own, but for two seeds and two steps on a few small rooms."""
    (loop,) = re.findall(r"^```sh\n(for seed .+?)^```", PAGE, re.M | re.S)
    (table,) = re.findall(r"^```python\n(.+?)^```", PAGE, re.M | re.S)
    assert "-p steps 40 -p library_steps 200 " in loop and "runs/sweep" in loop and "runs/sweep" in table
    assert "for seed in 0 1 2;" in loop
    short = f"-p steps 2 -p library_steps 2 -p data {rooms_dir} "
    loop = loop.replace("0 1 2;", "0 1;").replace("-p steps 40 -p library_steps 200 ", short)
    loop, table = (text.replace("runs/sweep", str(tmp_path)) for text in (loop, table))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", loop], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.parent.name for path in sorted(tmp_path.glob("*/metrics.json"))] == ["0", "1"]
    done = subprocess.run([sys.executable, "-c", table], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^depth_to_segmentation +miou +\d+\.\d ± \d+\.\d", done.stdout, re.M)
