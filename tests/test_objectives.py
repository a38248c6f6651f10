"""Section 4.3 in its plain and in its fast form, and objectives on networks that lack a part of the paper's."""

import dataclasses

import pytest
import torch

from conftest import CPU, FIVE, rooms_of
from mmlib import DepthPairs, MixAndMatch, Phase, ZeroPair, preset
from mmlib.data.batches import generator, load_batch
from mmlib.data.sets import AnchoredPairs, NormalsPairs, OraclePairs
from mmlib.methods.student import Student
from mmlib.methods.supervised import Supervised
from mmlib.modalities import ALBEDO, RGB, named
from mmlib.objectives import PlainZeroPair
from mmlib.training import Trainer

SMOKE = preset("smoke", batch=3, latent_noise=0.0, modalities=FIVE, phases=(Phase(4, lambda_latent=10.0),))
PSEUDO = {"phases": (Phase(4, lambda_pseudo=1.0),)}


@pytest.mark.parametrize("count", [2, 4], ids=["two sets", "four sets"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"side_information": "none", "mirrored_rgb_decoder": True},
        {"side_information": "skip"},
        {"consistency": "latent"},
        {"anchor_gradient": False},
        {"autoencoders": False},
        {"class_balance": 0.5},
        {"windows": (0.75, 1.33)},
        {"phases": (Phase(4, lambda_latent=0.0),)},
        PSEUDO,
        {**PSEUDO, "teacher": "average", "autoencoders": False},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_the_plain_and_the_fast_form_are_equal(sets, count, changes):
    recipe, sets = SMOKE.replace(**changes), sets[:count]
    phase, model = recipe.phase(0), MixAndMatch.from_recipe(recipe).eval()
    average = MixAndMatch.from_recipe(recipe.replace(seed=1)).eval() if recipe.teacher == "average" else None
    batches = [load_batch(rooms, recipe, CPU, 0, number) for number, rooms in enumerate(sets)]
    results = []
    for kind in (PlainZeroPair, ZeroPair):
        model.zero_grad()
        objective = kind(*sets)
        C = objective.discriminators(recipe)
        torch.manual_seed(0)
        C["R"].load_state_dict({name: torch.rand_like(value.float()) for name, value in C["R"].state_dict().items()})
        terms, judged = objective.terms(model, batches, recipe, phase, None, average)
        terms |= objective.fool(C, judged)
        objective.total(terms, phase).backward()
        terms |= objective.judge(C, judged, generator("cpu", 0))
        results.append((terms, judged["R"], [weight.grad for weight in model.parameters()]))
    (plain, (real, x_hat), gradients), (fast, (fast_real, fast_x_hat), fast_gradients) = results
    assert plain.keys() == fast.keys() and {"gan/*R", "discriminator/R"} <= plain.keys()
    assert any(name.startswith("pseudo") for name in plain) == (phase.lambda_pseudo > 0)
    for name, value in plain.items():
        assert torch.allclose(fast[name], value, rtol=1e-4, atol=1e-6), name
    assert torch.equal(real, fast_real) and torch.allclose(x_hat, fast_x_hat, atol=1e-5)
    for first, second in zip(gradients, fast_gradients, strict=True):
        assert (first is None) == (second is None)
        if first is not None:
            assert torch.allclose(first, second, rtol=1e-3, atol=1e-4 * float(first.abs().max()) + 1e-6)


def test_two_modalities_with_one_letter_are_refused(sets):
    class Reflectance(AnchoredPairs):
        records = named(RGB, dataclasses.replace(ALBEDO, name="reflectance", letter="D"))

    with pytest.raises(ValueError, match="two modalities have the letter D"):
        ZeroPair(sets[1], rooms_of(Reflectance, 100))


def test_networks_without_rgb_are_trained():
    class Pairs(OraclePairs):
        records = named(*(NormalsPairs.records["normals"], DepthPairs.records["depth"]))

    recipe = SMOKE.replace(modalities=("depth", "normals"), phases=(Phase(4, freeze_rgb_encoder=True),))
    terms = Trainer(recipe, Supervised(rooms_of(Pairs, 0), "depth", "normals"), CPU).step()
    assert list(terms) == ["normals/DN"] and torch.isfinite(terms["normals/DN"])


def test_a_student_of_normals_is_trained(sets):
    teacher = MixAndMatch.from_recipe(SMOKE)
    trainer = Trainer(SMOKE, Student(sets[1], teacher, "depth", "normals"), CPU)
    terms = trainer.step()
    assert list(terms) == ["pseudo_normals/DN"]
    total = trainer.objective.total({"pseudo_normals/DN": torch.tensor(2.0)}, Phase(1))
    assert total.item() == 20, "normals weigh ten"
