"""The README's numbers come from the result files, and its example runs."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import write_rooms
from mmlib import MixAndMatch, Triplets, evaluate, preset
from mmlib.course import cells, headers
from mmlib.data.packing import pack
from mmlib.evidence import cards, pages, results
from mmlib.evidence.speedrun import records_table
from mmlib.files import write_json

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def result(rooms_dir):
    return evaluate(MixAndMatch.from_recipe(preset("smoke")), Triplets(rooms_dir))


@pytest.fixture
def folder(result, tmp_path):
    (tmp_path / "course").mkdir()
    for name in (results.NETWORK, results.ORACLE):
        write_json(result, tmp_path / f"{name}.json")
    return tmp_path


def test_readme_holds_the_tables_of_the_shipped_results():
    text = pages.README.read_text(encoding="utf-8")

    def between(begin: str, end: str) -> str:
        return text[text.index(begin) + len(begin) : text.index(end)].strip()

    assert between(pages.BEGIN, pages.END) == results.headline_table(), "run python -m mmlib readme"
    for begin, end, table in (
        (pages.EVIDENCE_BEGIN, pages.EVIDENCE_END, pages.shown(*pages.EVIDENCE)),
        (pages.MANY_BEGIN, pages.MANY_END, pages.shown(*pages.MANY)),
        (pages.RECORDS_BEGIN, pages.RECORDS_END, records_table()),
        (pages.SHAPES_BEGIN, pages.SHAPES_END, results.shapes_table()),
    ):
        assert begin not in text or between(begin, end) == table, "run python -m mmlib readme"


def test_the_page_of_all_tables_is_that_of_the_results(tmp_path):
    assert pages.TABLES.read_text(encoding="utf-8") == pages.tables_page(), "run python -m mmlib readme"
    page = tmp_path / "tables.md"
    assert pages.write_tables(page) and not pages.write_tables(page)
    assert page.read_text(encoding="utf-8") == pages.tables_page()


def test_the_arithmetic_of_several_gpus_is_as_computed(tmp_path):
    text = pages.MACHINES.read_text(encoding="utf-8")
    table = text[text.index(pages.GPUS_BEGIN) + len(pages.GPUS_BEGIN) : text.index(pages.GPUS_END)].strip()
    assert table == pages.gpus_table(), "run python -m mmlib readme"
    (page := tmp_path / "page.md").write_text(f"a\n{pages.GPUS_BEGIN}\nold\n{pages.GPUS_END}\nb\n", encoding="utf-8")
    assert pages.update_machines(page) and not pages.update_machines(page)
    assert page.read_text(encoding="utf-8") == f"a\n{pages.GPUS_BEGIN}\n\n{table}\n\n{pages.GPUS_END}\nb\n"


@pytest.mark.parametrize("checkpoint", sorted(cards.CHECKPOINTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_every_checkpoint_has_its_card(checkpoint):
    card = checkpoint.with_suffix(".md").read_text(encoding="utf-8")
    assert card == cards.model_card(checkpoint.stem), "run python -m mmlib readme"
    assert "clean: no room gave" in card


def test_update_readme_changes_the_table_alone(folder):
    readme = folder / "README.md"
    markers = f"{pages.EVIDENCE_BEGIN}\n{pages.EVIDENCE_END}\n{pages.MANY_BEGIN}\n{pages.MANY_END}\n"
    markers += f"{pages.RECORDS_BEGIN}\n{pages.RECORDS_END}\n"
    markers += f"{pages.SHAPES_BEGIN}\n{pages.SHAPES_END}\n"
    readme.write_text(f"before\n{pages.BEGIN}\nearlier\n{pages.END}\nafter\n{markers}", encoding="utf-8")
    assert pages.update_readme(readme, folder)
    text = readme.read_text(encoding="utf-8")
    headline, evidence = text.split("\nafter\n")
    assert headline.startswith(f"before\n{pages.BEGIN}\n| ") and headline.endswith(f"|\n{pages.END}")
    assert headline.count("zero-pair") == 2 and "earlier" not in text
    many = f"{pages.MANY_BEGIN}\n{pages.shown(*pages.MANY)}\n{pages.MANY_END}\n"
    records = f"{pages.RECORDS_BEGIN}\n{records_table()}\n{pages.RECORDS_END}\n"
    shapes = f"{pages.SHAPES_BEGIN}\n{results.shapes_table()}\n{pages.SHAPES_END}\n"
    begun = f"{pages.EVIDENCE_BEGIN}\n{pages.shown(*pages.EVIDENCE)}\n{pages.EVIDENCE_END}\n"
    assert evidence == begun + many + records + shapes
    assert not pages.update_readme(readme, folder)


def test_update_readme_leaves_out_tables_that_the_readme_does_not_want(folder):
    readme = folder / "README.md"
    readme.write_text(f"{pages.BEGIN}\n{pages.END}\n", encoding="utf-8")
    assert pages.update_readme(readme, folder)
    assert pages.EVIDENCE_BEGIN not in readme.read_text(encoding="utf-8")


def test_update_readme_wants_its_markers(folder):
    readme = folder / "README.md"
    readme.write_text("nothing")
    with pytest.raises(ValueError, match="lacks the markers"):
        pages.update_readme(readme, folder)


def test_missing_result_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none_0.json is missing"):
        results.headline_table(tmp_path)


def test_agree_compares_data_and_every_share(result):
    other = copy.deepcopy(result)
    assert cells.agree(result, other)
    other["translations"]["rgb_to_depth"]["delta2"] += 0.01
    assert not cells.agree(result, other)
    assert not cells.agree(result, {**result, "data_sha256": "another"})


def test_verdict_prints_or_stops(capsys):
    cells.verdict("it works", True)
    assert capsys.readouterr().out == "PASS it works\n"
    with pytest.raises(AssertionError, match="FAIL it works"):
        cells.verdict("it works", False)


TIME = "| Time | about 1.5 minutes to run on 2 CPU cores, 40 to read and do |"
NOTEBOOK = [
    (
        "markdown",
        "# 01 · One\n\n| | |\n| --- | --- |\n" + TIME,
    ),
    ("markdown", "## A\n\n### Exercise 1.1 · Hard\n\n*Difficulty ●●●, about 20 minutes.*\n\nDo it."),
    ("code", "def your_hard(x):\n    return None\n\n\ncheck(your_hard)"),
    ("code", "check(1)"),
    ("markdown", "### Exercise 1.2 · Easy\n\n*Difficulty ●○○, about 5 minutes.*"),
    ("code", "x = 1"),
    ("code", "check(your_easy)"),
]


@pytest.fixture
def notebooks(tmp_path):
    cells = [{"cell_type": kind, "source": source.splitlines(True)} for kind, source in NOTEBOOK]
    (tmp_path / "01_one.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    (tmp_path / "mine.ipynb").write_text(json.dumps({"cells": []}))
    return tmp_path


def test_times_are_the_headers(notebooks):
    assert headers.times(notebooks) == {"01_one": (1.5, 40.0)}
    assert headers.times().keys() == {path.stem for path in headers.NOTEBOOKS.glob("[0-9]*.ipynb")}


def test_exercises_are_read_from_the_notebooks(notebooks):
    assert [(row["name"], row["number"], row["minutes"]) for row in headers.exercises(notebooks)] == [
        ("your_hard", "1.1", 20),
        ("your_easy", "1.2", 5),
    ]
    rows = headers.exercise_table(notebooks).splitlines()
    assert rows[2:] == [
        "| ●○○ | [1.2 · Easy](01_one.ipynb) | `your_easy` | 5 |",
        "| ●●● | [1.1 · Hard](01_one.ipynb) | `your_hard` | 20 |",
    ]


def test_update_instructors_changes_the_table_alone(notebooks):
    page = notebooks / "instructors.md"
    page.write_text(f"before\n{headers.EXERCISES_BEGIN}\n{headers.EXERCISES_END}\nafter\n", encoding="utf-8")
    assert headers.update_instructors(page, notebooks)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "`your_easy`" in text
    assert not headers.update_instructors(page, notebooks)


def test_curves_are_those_of_one_preset(tmp_path):
    (tmp_path / "course").mkdir()
    for name, result in {
        "a": {"curve": [{"step": 1}], "recipe": {"name": "course"}},
        "b": {"curve": [{"step": 2}], "recipe": {"name": "ablation"}},
        "c": {"recipe": {"name": "course"}},
        "d": {"recipe": "course"},
    }.items():
        (tmp_path / f"course/{name}.json").write_text(json.dumps(result))
    assert results.curves(results=tmp_path) == {"a": [{"step": 1}]}
    assert results.curves("ablation", tmp_path) == {"b": [{"step": 2}]}


@pytest.mark.parametrize("page", [pages.README, headers.NOTEBOOKS / "00_welcome.ipynb"], ids=lambda path: path.name)
def test_the_course_is_mapped(page):
    """Every notebook has its row, in order, with its question, the same in both places."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = "".join("".join(cell["source"]) + "\n" for cell in json.loads(text)["cells"])
    rows = re.findall(r"^\| \[(\d\d) [^\]]+\]\((?:notebooks/)?(\w+)\.ipynb\) \| (.+\?) \|$", text, re.M)
    assert [stem for _, stem, _ in rows] == sorted(path.stem for path in headers.NOTEBOOKS.glob("[0-9]*.ipynb"))
    assert all(stem.startswith(number) for number, stem, _ in rows)
    assert all(question in pages.README.read_text(encoding="utf-8") for _, _, question in rows)
    assert "glossary.md" in text and "instructors.md" in text


def test_readme_example_runs_on_ones_own_images(tmp_path):
    (code,) = re.findall(r"```python\n(.+?)```", pages.README.read_text(encoding="utf-8"), re.DOTALL)
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
