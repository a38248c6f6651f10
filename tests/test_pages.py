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
from mmlib.hardware.files import write_json

ROOT = Path(__file__).resolve().parents[1]
README = headers.README


@pytest.fixture
def result(rooms_dir):
    return evaluate(MixAndMatch.from_recipe(preset("smoke")), Triplets(rooms_dir))


@pytest.fixture
def folder(result, tmp_path):
    (tmp_path / "course").mkdir()
    for name in (results.NETWORK, results.ORACLE):
        write_json(result, tmp_path / f"{name}.json")
    return tmp_path


def between(text: str, name: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    return text[text.index(begin) + len(begin) : text.index(end)].strip()


@pytest.mark.parametrize("page", pages.MARKED)
def test_pages_hold_the_tables_of_the_results(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, table in pages.MARKED[page].items():
        assert between(text, name) == table(), "run python -m mmlib readme"


def test_the_page_of_all_tables_is_that_of_the_results(tmp_path):
    assert pages.TABLES.read_text(encoding="utf-8") == pages.tables_page(), "run python -m mmlib readme"
    page = tmp_path / "tables.md"
    assert pages.write_tables(page) and not pages.write_tables(page)
    assert page.read_text(encoding="utf-8") == pages.tables_page()


def test_readme_holds_the_outline():
    assert between(README.read_text(encoding="utf-8"), "outline") == headers.outline("notebooks/"), (
        "run python -m mmlib readme"
    )


def test_readme_is_short_and_the_first_screen_says_what_to_do():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:32])
    for needed in ("zero_pair.png", "make run", "make test", "checkpoint.safetensors", "make lab", "00_welcome.ipynb"):
        assert needed in first, needed
    assert "the paper's method alone" in "\n".join(lines)


MARKDOWN = [README, *sorted(headers.NOTEBOOKS.glob("*.md")), *sorted(headers.NOTEBOOKS.glob("*.ipynb"))]


def anchors(text: str) -> set[str]:
    """The places of a page that a link may name, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def prose(page: Path) -> str:
    """A page's Markdown; of a notebook, that of its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    return "\n\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", prose(page), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            assert "arxiv.org/abs/1804." not in link or link.endswith("1804.02199"), "the paper's number is 1804.02199"
            continue
        target, _, place = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not place or path.suffix != ".md" or place in anchors(prose(path)), link


@pytest.mark.parametrize("checkpoint", sorted(cards.CHECKPOINTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_every_checkpoint_has_its_card(checkpoint):
    card = checkpoint.with_suffix(".md").read_text(encoding="utf-8")
    assert card == cards.model_card(checkpoint.stem), "run python -m mmlib readme"
    assert "clean: no room gave" in card


def test_update_changes_the_tables_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MARKED", {"page.md": {"one": lambda: "| 1 |", "two": lambda: "| 2 |"}})
    (page := tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match="lacks the markers"):
        pages.update(tmp_path)
    page.write_text("a\n<!-- one:begin -->\nold\n<!-- one:end -->\nb\n<!-- two:begin -->\n<!-- two:end -->\nc\n")
    assert pages.update(tmp_path) == ["page.md"]
    expected = (
        "a\n<!-- one:begin -->\n\n| 1 |\n\n<!-- one:end -->\nb\n<!-- two:begin -->\n\n| 2 |\n\n<!-- two:end -->\nc\n"
    )
    assert page.read_text() == expected
    assert pages.update(tmp_path) == []


def test_the_headline_has_both_unseen_translations(folder):
    table = results.headline_table(folder)
    assert table.startswith("| ") and table.count("zero-pair") == 2


def test_missing_result_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="self_taught_0.json is missing"):
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


def test_the_outline_adds_up(notebooks):
    rows = headers.outline("there/", notebooks).splitlines()
    assert rows[2:] == [
        f"| [01 One](there/01_one.ipynb) | {headers.QUESTIONS['01']} | 5 | 1.5 | 25 |",
        "| all | in minutes; together 0.5 hours | 5 | 1.5 | 25 |",
    ]


def test_update_outline_changes_the_table_alone(notebooks):
    page = notebooks / "README.md"
    page.write_text(f"before\n{headers.OUTLINE_BEGIN}\n{headers.OUTLINE_END}\nafter\n", encoding="utf-8")
    assert headers.update_outline(page, notebooks) and not headers.update_outline(page, notebooks)
    assert "notebooks/01_one.ipynb" in page.read_text(encoding="utf-8")


def test_update_instructors_changes_the_table_alone(notebooks):
    page = notebooks / "instructors.md"
    page.write_text(f"before\n{headers.EXERCISES_BEGIN}\n{headers.EXERCISES_END}\nafter\n", encoding="utf-8")
    assert headers.update_instructors(page, notebooks)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "`your_easy`" in text
    assert not headers.update_instructors(page, notebooks)


def test_the_course_is_mapped_in_notebook_00_too():
    """Its output has a row for every notebook, in order."""
    cells = json.loads((headers.NOTEBOOKS / "00_welcome.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [
        output for cell in cells for output in cell.get("outputs", ()) if "text/markdown" in output.get("data", {})
    ]
    (table,) = ("".join(output["data"]["text/markdown"]) for output in outputs)
    rows = re.findall(r"^\| \[(\d\d\w?) [^\]]+\]\((\w+)\.ipynb\) \| (.+\?) \|", table, re.M)
    assert [stem for _, stem, _ in rows] == sorted(path.stem for path in headers.NOTEBOOKS.glob("[0-9]*.ipynb")), (
        "make notebooks NOTEBOOKS=notebooks/00_welcome.ipynb"
    )
    assert all(question == headers.question(stem) and stem.startswith(number) for number, stem, question in rows)


def test_readme_example_runs_on_ones_own_images(tmp_path):
    (code,) = re.findall(r"```python\n(.+?)```", README.read_text(encoding="utf-8"), re.DOTALL)
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
