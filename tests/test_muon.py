"""Muon: orthogonal updates, in any memory format, of the right weights; resumed to the bit."""

import json

import pytest
import torch
from torch import nn

from conftest import CPU
from mmlib import MixAndMatch, checkpoints, fit, preset
from mmlib.data.shipped import RESULTS
from mmlib.evidence.bench import bench_optimizer
from mmlib.hardware.muon import Muon, matrices, orthogonal
from mmlib.recipes import from_dict
from mmlib.training import Trainer

RECIPE = preset("smoke", widths=(16, 16), optimizer="muon")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(16, 144), (64, 64), (144, 16)])
def test_updates_are_nearly_orthogonal_and_keep_singular_vectors(shape):
    matrix = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonal(matrix, 5)
    in_their_frame = u.mT @ made @ v.mT  # diagonal, as the singular vectors stay
    values = in_their_frame.diagonal(dim1=1, dim2=2)
    assert (in_their_frame - torch.diag_embed(values)).abs().max() < 0.02
    assert values[:, : int(0.8 * values.shape[1])].min() > 0.5 and values.max() < 1.3


def test_the_products_of_small_matrices_are_the_authors_iteration():
    matrix = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(1))
    x = matrix / matrix.norm(dim=(1, 2), keepdim=True)
    for _ in range(3):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonal(matrix, 3), x, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_step_is_nesterov_momentum_made_orthogonal(memory_format):
    random = torch.Generator().manual_seed(2)
    weight = nn.Parameter(torch.randn(16, 24, 3, 3, generator=random).to(memory_format=memory_format))
    other = nn.Parameter(weight.detach().clone())  # of the same shape: stacked with it
    optimizer, expected, memory = Muon([weight, other], lr=0.5, momentum=0.9), weight.detach().clone(), 0
    for _ in range(3):
        gradient = torch.randn(weight.shape, generator=random)
        weight.grad, other.grad = gradient.clone(memory_format=torch.preserve_format), torch.zeros_like(gradient)
        optimizer.step()
        memory = 0.9 * memory + gradient
        update = orthogonal((gradient + 0.9 * memory).flatten(1)[None], 3)[0]
        expected -= 0.5 * update.view_as(expected)
    assert torch.allclose(weight, expected, atol=1e-4)
    assert torch.isfinite(other).all()


def test_convolutions_between_features_are_muons_and_the_rest_adams(objective):
    trainer = Trainer(RECIPE, objective, CPU)
    names = {weight: name for name, weight in trainer.model.named_parameters()}
    by_muon, by_adam = (
        {names[w] for group in trainer.optimizers[kind].param_groups for w in group["params"]}
        for kind in ("muon", "generator")
    )
    assert not by_muon & by_adam and by_muon | by_adam == set(names.values())
    first = {f"encoders.{name}.stages.0.0.0.weight" for name in ("rgb", "depth", "segmentation")}
    assert first <= by_adam and "encoders.rgb.stages.1.0.0.weight" in by_muon
    assert all(dict(trainer.model.named_parameters())[name].dim() == 4 for name in by_muon)
    assert not any("decoders" in name and "stages.1" in name for name in by_muon)  # heads write images


def test_the_rates_of_both_follow_one_schedule(objective):
    trainer = Trainer(RECIPE.replace(steps=20), objective, CPU)
    for _ in range(5):
        trainer.step()
        rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in trainer.optimizers.items()}
        assert rates["muon"] / RECIPE.muon_rate == pytest.approx(rates["generator"] / RECIPE.learning_rate)


def test_networks_too_narrow_for_it_are_adams_alone(objective):
    assert not matrices(MixAndMatch.from_recipe(preset("smoke")))
    trainer = Trainer(preset("smoke", optimizer="muon"), objective, CPU)
    assert "muon" not in trainer.optimizers
    trainer.step()


def test_a_stopped_run_ends_as_one_that_never_stopped(objective, tmp_path):
    for folder, stops in (("straight", ()), ("stopped", (1, 5))):
        for stop in (*stops, None):
            fit(RECIPE, objective, tmp_path / folder, machine=CPU, progress=False, resume=True, stop_after=stop)
    first, second = (
        checkpoints.read_tensors(tmp_path / name / "state.safetensors")[0] for name in ("straight", "stopped")
    )
    assert any(".momentum_buffer" in name for name in first)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_muon_does_not_resume_a_state_of_adam(objective, tmp_path):
    fit(RECIPE.replace(optimizer="adam"), objective, tmp_path, machine=CPU, progress=False, stop_after=2)
    with pytest.raises(
        ValueError, match=r"trained by another recipe; it differs in optimizer \(adam there, muon here\)"
    ):
        fit(RECIPE, objective, tmp_path, machine=CPU, progress=False, resume=True)


def test_its_share_of_a_step_is_measured_idle_and_busy():
    result = bench_optimizer(RECIPE, steps=2, device="cpu")
    assert result["seconds"].keys() == result["muon_share"].keys() == {"idle", "busy"}
    assert all(0 < share < 1 for share in result["muon_share"].values())


def test_its_measured_share_of_a_step_of_preset_ablation_is_small():
    measured = json.loads((RESULTS / "bench" / "muon.json").read_text())
    assert from_dict(measured["recipe"]) == preset("ablation") and max(measured["muon_share"].values()) <= 0.08
