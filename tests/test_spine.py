"""The spine of notebook 04: its visible lines train, with the learner's functions or without, to the library's loss."""

import re

import pytest
import torch
from torch import nn

from conftest import rooms_of
from mmlib import MODALITIES, DepthPairs, Encoding, SegmentationPairs, Triplets, ZeroPair, load, preset, shipped
from mmlib.course import exercises, mine, plots, whose
from mmlib.course.exercises import CHECKERS, check
from mmlib.data.batches import Pair
from mmlib.data.shipped import CHECKPOINT
from mmlib.evaluation import confusion_by_room
from mmlib.metrics import iou
from mmlib.objectives import PlainZeroPair, class_weights, total
from test_exercises import STUBS, cells, solved

CELLS = cells("04_zero_pair_training")
SPINE = ["".join(cell["source"]) for cell in CELLS if "spine" in cell["metadata"].get("tags", [])]
PREPARED = """
import math

import torch
import torch.nn.functional as F
from torch import nn

from mmlib import MODALITIES
from mmlib.course import mine, whose
"""
D1, D2 = rooms_of(SegmentationPairs, 0, 5), rooms_of(DepthPairs, 100, 5)
WEIGHTS = class_weights(D1, 0.25)


pytestmark = pytest.mark.usefixtures("nothing_has_passed")


def spine() -> dict:
    """What the names of the spine stand for after its cells have run, on a few rooms of noise."""
    names = {"d1": D1, "d2": D2, "WEIGHTS": WEIGHTS, "BF16": False}
    for source in (PREPARED, *SPINE):
        exec(compile(source, "<spine>", "exec"), names)
    return names


def weights_after(names: dict, steps: int = 3) -> torch.Tensor:
    """All weights after a short training, in a row."""
    looked = []
    model = names["train"](steps, names["LAMBDAS"], lambda step, model: looked.append(step), every=2)
    assert looked == [0, 2, 3] and not model.training
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def solutions() -> dict[str, str]:
    """Exercise → the cell in which a learner has written the notebooks' solution, of all that the spine uses."""
    return {name: solved(chapter, name) for chapter, name in STUBS if name in used()}


def used() -> list[str]:
    """The exercises whose functions the spine takes."""
    return sorted(set(re.findall(r'"(your_\w+)"', "\n".join(SPINE))))


def test_the_visible_lines_are_at_most_150():
    lines = [line.strip() for line in "\n".join(SPINE).splitlines()]
    assert 60 < len([line for line in lines if line and not line.startswith("#")]) <= 150


def test_it_trains_with_no_exercise_solved(capsys):
    weights = weights_after(spine())
    assert weights.isfinite().all() and weights.std() > 0
    assert "Yours" not in capsys.readouterr().out


def test_it_trains_with_all_exercises_solved_and_comes_to_the_same(capsys):
    without = weights_after(spine())
    for name, cell in solutions().items():
        assert exercises.run(cell).passed, name
    capsys.readouterr()
    with_all = weights_after(spine())
    assert "The course's" not in capsys.readouterr().out and "course's" not in whose(*used())
    assert torch.allclose(without, with_all, atol=1e-3)


def test_a_wrong_answer_has_no_part_in_it():
    without = weights_after(spine())
    for name in used():
        wrong = CHECKERS[name].mistakes[0][1] if CHECKERS[name].mistakes else lambda *inputs: inputs[0]

        def answer(*inputs, wrong=wrong):
            return wrong(*inputs)

        answer.__name__ = name
        assert not check(answer).passed and mine(name) is CHECKERS[name].right
    assert torch.equal(without, weights_after(spine()))


class Wrapped(nn.Module):
    """The spine's networks as the library's objectives ask for them: with an `Encoding` between."""

    records, modalities = MODALITIES, tuple(MODALITIES)

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def encode(self, image, source):
        h = self.model.encode(image, source)
        return Encoding(h, (h,), (), ())

    def decode(self, encoding, target):
        return self.model.decode(encoding.latent, target)


@pytest.mark.parametrize(("objective", "sigma"), [(ZeroPair, 0.5), (ZeroPair, 0.0), (PlainZeroPair, 0.0)])
def test_its_loss_is_the_librarys(objective, sigma):
    """The same weights, batch and noise. The plain form decodes batches of its own: no noise, no batch statistics."""
    names = spine()
    torch.manual_seed(3)
    model = names["MixAndMatch"]()
    model.train(objective is ZeroPair)
    random = torch.Generator().manual_seed(4)
    one, two = names["batch"](D1, random), names["batch"](D2, random)
    pairs = []
    for rooms, (x, other, raw) in zip((D1, D2), (one, two)):
        name = rooms.modalities[1]
        valid = {"rgb": torch.ones_like(x[:, :1], dtype=torch.bool), name: MODALITIES[name].valid(raw)}
        pairs.append(Pair({"rgb": x, name: other}, valid))
    lambdas = names["LAMBDAS"]
    recipe = preset("speedrun", latent_noise=sigma)
    phase = recipe.phases[0]
    assert recipe.class_balance == 0.25 and not recipe.anchor_gradient
    found = names["terms_of"](model, one, two, WEIGHTS, torch.Generator().manual_seed(5), sigma)
    with torch.no_grad():
        expected, _ = objective(D1, D2).terms(Wrapped(model), pairs, recipe, phase, torch.Generator().manual_seed(5))
    assert found.keys() == expected.keys() and len(found) == 9
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name].item(), rel=1e-5, abs=1e-6), name
    together = names["total"](found, lambdas)
    assert together.requires_grad
    assert together.item() == pytest.approx(total(expected, phase).item(), rel=1e-5)


def test_its_rate_is_the_librarys():
    for steps in (1, 5, 40, 600):
        recipe = preset("speedrun", steps=steps)
        rates = [spine()["rate"](step, steps) for step in range(steps)]
        assert rates == pytest.approx([recipe.rate_at(step) for step in range(steps)])


def test_the_watched_rooms_are_in_the_order_that_the_notebook_says():
    rooms, best = shipped("test", 96), load(CHECKPOINT)
    places = re.search(r"^ROOMS = \((\d+), (\d+), (\d+)\)", "\n".join("".join(c["source"]) for c in CELLS), re.M)
    scores = [
        iou(confusion_by_room(best, rooms.subset(place, place + 1), "depth")).nanmean().item()
        for place in map(int, places.groups())
    ]
    assert scores == sorted(scores, reverse=True) and scores[0] > scores[1] + 0.05 > scores[2] + 0.1


def test_a_watch_draws_what_it_saw_and_shows_nothing_without_a_kernel(capsys, model):
    look = plots.Watch(rooms_of(Triplets, 200, 5), (0, 7), last=20, measured=3)
    for step in range(0, 21, 5):
        look(step, model)
    assert [row["step"] for row in look.curve] == [0, 5, 10, 15, 20] and len(look.made) == 5
    now, strip = look.picture(), look.strip(3)
    assert "after 20 training steps" in now.alt and "RGB → segmentation" in now.alt and now.png()
    assert strip.alt.startswith("2 rows of images: depth, its segmentation after 0, ") and strip.png()
    both = plots.seen_and_unseen({"as above": look.curve, "changed": look.curve})
    assert [axis.get_title() for axis in both.axes] == [
        "RGB → segmentation (seen)", "depth → segmentation (unseen)",
    ]  # fmt: skip
    assert "changed" in both.alt and both.png() and capsys.readouterr().out == ""
