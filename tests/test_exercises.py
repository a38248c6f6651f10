"""The exercises: stubs say *not done yet*, solutions pass, plausible mistakes meet the hint meant for them."""

import importlib
import json
import re
from pathlib import Path

import pytest

from mmlib.course import check, exercises
from mmlib.course.exercises import CHECKERS, grade, grades

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {
    "01_autoencoders": "autoencoders",
    "02_latent_consistency": "latent_consistency",
    "03_pooling_indices": "pooling_indices",
    "04_zero_pair_training": "zero_pair_training",
    "05_evaluation": "evaluation",
    "06_multimodal_fusion": "fusion",
    "07_many_domains": "many_domains",
}


def cells(chapter: str) -> list[dict]:
    return json.loads((ROOT / f"notebooks/{chapter}.ipynb").read_text())["cells"]


def stubs(chapter: str) -> dict[str, dict]:
    """Exercise → its code cell."""
    found = {}
    for cell in cells(chapter):
        if match := re.search(r"^check\((\w+)\)$", "".join(cell["source"]), re.M):
            found[match[1]] = cell
    return found


def solutions(chapter: str) -> dict[str, str]:
    """Exercise → the code folded away in the notebook."""
    text = "\n".join("".join(cell["source"]) for cell in cells(chapter) if cell["cell_type"] == "markdown")
    blocks = re.findall(r"<details><summary>Solution</summary>\s*```python\n(.*?)```.*?</details>", text, re.S)
    return {re.search(r"def (your_\w+)", block)[1]: block for block in blocks}


STUBS = [(chapter, name) for chapter in CHAPTERS for name in stubs(chapter)]
MISTAKES = [
    pytest.param(answer, fragment, id=f"{answer.__name__}-{number}")
    for topic in CHAPTERS.values()
    for number, (answer, fragment) in enumerate(importlib.import_module(f"wrong_answers.{topic}").WRONG_ANSWERS)
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_three_exercises_or_more(chapter):
    names = stubs(chapter)
    assert len(names) >= 3 and names.keys() == solutions(chapter).keys()
    text = "\n".join("".join(cell["source"]) for cell in cells(chapter) if cell["cell_type"] == "markdown")
    assert len(re.findall(r"^### Exercise .+\n+\*Difficulty [●○]{3}, about \d+ minutes", text, re.M)) == len(names)


def test_every_checker_has_its_exercise_and_three_mistakes():
    assert sorted(name for _, name in STUBS) == sorted(CHECKERS)
    for name in CHECKERS:
        hints = [fragment for answer, fragment in (mistake.values for mistake in MISTAKES) if answer.__name__ == name]
        assert len(hints) >= 3 and len(set(hints)) >= 3, name


@pytest.mark.parametrize(("chapter", "name"), STUBS, ids=[name for _, name in STUBS])
def test_the_notebook_shows_not_done_yet(chapter, name):
    (output,) = stubs(chapter)[name]["outputs"]
    assert "".join(output["data"]["text/plain"]).startswith(f"{name}: not done yet.")


@pytest.mark.parametrize(("chapter", "name"), STUBS, ids=[name for _, name in STUBS])
def test_the_solution_passes_where_the_learner_would_write_it(chapter, name):
    source = "".join(stubs(chapter)[name]["source"])
    head, tail = source[: source.index(f"def {name}")], f"\ncheck({name})"
    outcome = exercises._run(f"{head}\n{solutions(chapter)[name]}\n{tail}")
    assert outcome.passed, outcome


@pytest.mark.parametrize(("answer", "fragment"), MISTAKES)
def test_a_mistake_meets_the_hint_meant_for_it(answer, fragment):
    outcome = check(answer)
    assert outcome.status == "not right yet" and fragment in outcome.message, outcome


@pytest.mark.parametrize("name", CHECKERS)
def test_nonsense_gets_a_hint_and_never_an_exception(name):
    def answer(*inputs, **named):
        return result

    answer.__name__ = name
    for result in ("a string", object(), 0.123456, [], {}, ()):
        assert check(answer).status == "not right yet", result

    def answer(*inputs, **named):
        raise KeyError("oops")

    answer.__name__ = name
    outcome = check(answer)
    assert outcome.status == "not right yet" and "KeyError" in outcome.message


def test_check_asks_for_the_function_itself():
    assert "Give it one of the exercises' functions" in check(None).message
    assert "Give it one of the exercises' functions" in check(len).message


def notebook(path: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_grading_runs_the_answers_whatever_the_outputs_say(tmp_path):
    chapter, name = STUBS[0]
    stub = "".join(stubs(chapter)[name]["source"])
    solved = stub[: stub.index(f"def {name}")] + solutions(chapter)[name] + f"\n\ncheck({name})"
    paths = [notebook(tmp_path / "a.ipynb", stub, "x = 1"), notebook(tmp_path / "b.ipynb", solved)]
    paths.append(notebook(tmp_path / "c.ipynb", f"import nosuch\n\ncheck({name})"))
    assert [grade(path)[0].status for path in paths] == ["not done yet", "passed", "not right yet"]
    table = grades(paths, tmp_path / "grades.json")
    assert f"{paths[1]}: 1 of 1 passed" in table
    assert json.loads((tmp_path / "grades.json").read_text())[str(paths[1])][0]["exercise"] == name


def test_grading_says_what_it_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="no cell calls check"):
        grade(notebook(tmp_path / "empty.ipynb", "x = 1"))
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(ValueError, match="not a readable notebook"):
        grade(tmp_path / "broken.ipynb")
