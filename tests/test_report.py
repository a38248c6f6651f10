"""The README's numbers come from the result files, and its example runs."""

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import write_rooms
from mmlib import report
from mmlib.data import Triplets, pack
from mmlib.evaluation import evaluate, write_json
from mmlib.networks import MixAndMatch
from mmlib.recipes import preset

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def result(rooms_dir):
    return evaluate(MixAndMatch.from_recipe(preset("smoke")), Triplets(rooms_dir))


@pytest.fixture
def results(result, tmp_path):
    for name in ("course", "oracle"):
        write_json(result, tmp_path / f"{name}.json")
    return tmp_path


def test_readme_holds_the_headline_of_the_shipped_results():
    text = report.README.read_text(encoding="utf-8")
    table = text[text.index(report.BEGIN) + len(report.BEGIN) : text.index(report.END)].strip()
    assert table == report.headline_table(), "run python -m mmlib readme"


def test_update_readme_changes_the_table_alone(results):
    readme = results / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    assert report.update_readme(readme, results)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{report.BEGIN}\n| ") and text.endswith(f"|\n{report.END}\nafter\n")
    assert text.count("zero-pair") == 2 and "old" not in text
    assert not report.update_readme(readme, results)


def test_update_readme_wants_its_markers(results):
    readme = results / "README.md"
    readme.write_text("nothing")
    with pytest.raises(ValueError, match="lacks the markers"):
        report.update_readme(readme, results)


def test_missing_result_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="course.json is missing"):
        report.headline_table(tmp_path)


def test_agree_compares_data_and_every_share(result):
    other = copy.deepcopy(result)
    assert report.agree(result, other)
    other["translations"]["rgb_to_depth"]["delta2"] += 0.01
    assert not report.agree(result, other)
    assert not report.agree(result, {**result, "data_sha256": "another"})


def test_verdict_prints_or_stops(capsys):
    report.verdict("it works", True)
    assert capsys.readouterr().out == "PASS it works\n"
    with pytest.raises(AssertionError, match="FAIL it works"):
        report.verdict("it works", False)


def test_readme_example_runs_on_ones_own_images(tmp_path):
    (code,) = re.findall(r"```python\n(.+?)```", report.README.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count("\n") <= 10
    images = tmp_path / "my_images"
    images.mkdir()
    for number, (split, modalities) in enumerate(
        {"d1": ("rgb", "segmentation"), "d2": ("rgb", "depth"), "test": ("rgb", "depth", "segmentation")}.items()
    ):
        folder = write_rooms(tmp_path / split, list(range(10 * number, 10 * number + 4)))
        pack(folder, images / f"{split}.zip", modalities)
    script = tmp_path / "example.py"
    script.write_text(code.replace('"course"', '"smoke"'), encoding="utf-8")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"depth → segmentation +\* +miou", done.stdout)
    shutil.rmtree(tmp_path / "runs")
