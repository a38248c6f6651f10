"""The exercises: stubs say *not done yet*, solutions pass, plausible mistakes meet the hint meant for them."""

import json
import re
from pathlib import Path

import pytest
import torch

from mmlib.course import check, exercises
from mmlib.course.exercises import CHECKERS, grade, grades
from mmlib.networks import Decoder, Encoder
from wrong_answers import RIGHT_ANSWERS, WRONG_ANSWERS

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = (
    "01_autoencoders",
    "02_latent_consistency",
    "03_pooling_indices",
    "04_zero_pair_training",
    "05_evaluation",
    "06_multimodal_fusion",
    "07_many_domains",
    "08_full_scale",
)


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


def solved(chapter: str, name: str, slip: tuple[str, str] = ("", "")) -> str:
    """An exercise's cell with the solution written into it, or with a slip in that."""
    source, solution = "".join(stubs(chapter)[name]["source"]), solutions(chapter)[name]
    assert slip[0] in solution
    return f"{source[: source.index(f'def {name}')]}\n{solution.replace(*slip)}\n\ncheck({name})\n"


STUBS = [(chapter, name) for chapter in CHAPTERS for name in stubs(chapter)]
MISTAKES = [
    pytest.param(name, wrong, hint, id=f"{name}-{hint[:40]}")
    for name, checker in CHECKERS.items()
    for hint, *wrongs in checker.mistakes
    for wrong in wrongs
] + [
    pytest.param(name, wrong, fragment, id=f"{name}-{fragment}")
    for name, answers in WRONG_ANSWERS.items()
    for wrong, fragment in answers
]


def named(name: str, function):
    """The function under the name of an exercise."""

    def answer(*inputs):
        return function(*inputs)

    answer.__name__ = name
    return answer


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_three_exercises_or_more(chapter):
    names = stubs(chapter)
    assert len(names) >= (2 if chapter == "08_full_scale" else 3) and names.keys() == solutions(chapter).keys()
    text = "\n".join("".join(cell["source"]) for cell in cells(chapter) if cell["cell_type"] == "markdown")
    assert len(re.findall(r"^### Exercise .+\n+\*Difficulty [●○]{3}, about \d+ minutes", text, re.M)) == len(names)


def test_every_checker_has_its_exercise_and_three_mistakes():
    assert sorted(name for _, name in STUBS) == sorted(CHECKERS)
    for name in CHECKERS:
        assert len({hint for other, _, hint in (mistake.values for mistake in MISTAKES) if other == name}) >= 3, name


@pytest.mark.parametrize(("chapter", "name"), STUBS, ids=[name for _, name in STUBS])
def test_the_notebook_shows_not_done_yet(chapter, name):
    (output,) = stubs(chapter)[name]["outputs"]
    assert "".join(output["data"]["text/plain"]).startswith(f"{name}: not done yet.")


@pytest.mark.parametrize(("chapter", "name"), STUBS, ids=[name for _, name in STUBS])
def test_the_solution_passes_where_the_learner_would_write_it(chapter, name):
    outcome = exercises.run(solved(chapter, name))
    assert outcome.passed, outcome


@pytest.mark.parametrize(("chapter", "name"), STUBS, ids=[name for _, name in STUBS])
def test_what_is_written_is_used_again(chapter, name):
    later = "\n".join("".join(cell["source"]) for other in CHAPTERS if other >= chapter for cell in cells(other))
    assert f'"{name}"' in later or f"'{name}'" in later


@pytest.mark.parametrize(("name", "wrong", "hint"), MISTAKES)
def test_a_mistake_meets_the_hint_meant_for_it(name, wrong, hint):
    outcome = check(named(name, wrong))
    assert outcome.status == "not right yet" and hint in outcome.message, outcome


@pytest.mark.parametrize(("name", "answer"), RIGHT_ANSWERS.items())
def test_an_answer_may_be_right_in_its_own_way(name, answer):
    assert check(named(name, answer)).passed, check(named(name, answer))


@pytest.mark.parametrize("name", CHECKERS)
def test_the_function_that_answers_are_compared_with_passes(name):
    assert check(named(name, CHECKERS[name].right)).passed


def test_encoding_and_decoding_are_those_of_the_networks():
    encoder = Encoder(1, (4, 6, 8), (1, 2, 1)).eval()
    decoder = Decoder(2, (4, 6, 8), (1, 2, 1), side_information="none").eval()
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        encoding = encoder(image)
        assert torch.equal(CHECKERS["your_encode"].right(image, encoder.stages), encoding.latent)
        assert torch.equal(CHECKERS["your_decode"].right(encoding.latent, decoder.stages), decoder(encoding))


@pytest.mark.parametrize("name", CHECKERS)
def test_nonsense_gets_a_hint_and_never_an_exception(name):
    for result in ("a string", object(), 0.123456, [], {}, ()):
        outcome = check(named(name, lambda *inputs, result=result: result))
        assert outcome.status == "not right yet", result

    def failing(*inputs):
        raise KeyError("oops")

    outcome = check(named(name, failing))
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
