"""What a learner wrote, and what passed, is used by later notebooks; the course's functions stand in for the rest."""

import linecache

import pytest

from mmlib.course import check, keep, mine, whose
from mmlib.course.exercises import CHECKERS, PASSED

CELL = """
import torch

from mmlib.course import check


def your_lsgan(scores_of_real, scores_of_fake):
    discriminator = ((scores_of_real - 1) ** 2).mean() + (scores_of_fake**2).mean()
    return discriminator, ((scores_of_fake - 1) ** 2).mean()


check(your_lsgan)
"""


pytestmark = pytest.mark.usefixtures("nothing_has_passed")


def cell(source: str) -> dict:
    """Run a notebook's cell as IPython does, so that its source can be found."""
    names: dict = {}
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(keepends=True), "<cell>")
    exec(compile(source, "<cell>", "exec"), names)
    return names


def test_an_answer_that_passed_is_used_and_a_wrong_one_is_not():
    right = CHECKERS["your_lsgan"].right
    assert mine("your_lsgan") is right and "course's" in whose("your_lsgan")
    names = cell(CELL)
    assert mine("your_lsgan") is names["your_lsgan"] and whose("your_lsgan") == "Yours: your_lsgan. "
    wrong = cell(CELL.replace("scores_of_fake**2", "scores_of_fake"))["your_lsgan"]
    assert not check(wrong).passed and mine("your_lsgan") is right


def test_what_is_kept_serves_the_next_session_if_it_still_passes(nothing_has_passed, capsys):
    folder = nothing_has_passed
    keep()
    assert "No exercise has passed" in capsys.readouterr().out and not (folder / "mine.py").exists()
    cell(CELL)
    keep()
    PASSED.clear()
    assert mine("your_lsgan").__name__ == "your_lsgan" and mine("your_lsgan") is not CHECKERS["your_lsgan"].right
    PASSED.clear()
    kept = folder / "mine.py"
    kept.write_text(kept.read_text().replace("scores_of_fake**2", "scores_of_fake"))
    assert mine("your_lsgan") is CHECKERS["your_lsgan"].right


def test_an_unknown_function_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="your_unpool"):
        mine("your_thing")
