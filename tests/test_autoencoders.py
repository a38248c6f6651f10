"""Notebook 01 trains the networks that it shows: with the learner's functions if they pass, else with the course's."""

import pytest
import torch

from mmlib.course import exercises
from test_exercises import cells, solved

CHAPTER = "01_autoencoders"
SHOWN = ("imports", "block", "encoder", "decoder-class", "segmentation-loss", "mix-and-match", "batch", "train")
USED = ("your_encode", "your_decode", "your_cross_entropy", "your_berhu")


pytestmark = pytest.mark.usefixtures("nothing_has_passed")


def answer(name: str, slip: tuple[str, str] = ("", "")) -> str:
    """Run an exercise's cell with its solution, or with a slip in it; return the outcome's status."""
    return exercises.run(solved(CHAPTER, name, slip)).status


def shown(steps: int = 2) -> dict:
    """The names that the notebook's cells define, without its trainings."""
    names = {"steps": steps, "seed": 0, "data": "", "device": "cpu"}
    for cell in cells(CHAPTER):
        if cell["id"] in SHOWN:
            exec("".join(cell["source"]), names)
    return names


def trained(names: dict) -> torch.Tensor:
    """What an autoencoder writes after two steps."""
    network = names["train"]("segmentation", names["d1"], names["segmentation_loss"], 0)
    image = names["batch"](names["d1"], "segmentation", torch.Generator().manual_seed(1))[0]
    with torch.no_grad():
        latent = network.encode(image, "segmentation")
        assert latent.shape == (16, 64, 6, 6)
        return network.decode(latent, "segmentation")


def test_the_networks_train_alike_with_the_learners_functions_and_with_the_courses(one_thread, capsys):
    without = trained(shown())
    assert "Yours" not in capsys.readouterr().out
    assert [answer(name) for name in USED] == ["passed"] * 4
    own = trained(shown())
    said = capsys.readouterr().out
    assert all(f"Yours: {name}. \n" in said for name in USED[:3])
    assert own.shape == (16, 14, 48, 48) and torch.allclose(own, without, atol=1e-4)


def test_a_wrong_function_is_not_used(one_thread, capsys):
    status = answer("your_encode", ("F.max_pool2d(stage(x), 2)", "stage(F.max_pool2d(x, 2))"))
    assert status == "not right yet"
    trained(shown())
    assert "has not passed yet: your_encode" in capsys.readouterr().out
