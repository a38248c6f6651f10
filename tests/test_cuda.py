"""What only a GPU can show: gradients, autocast, window codes, compiled networks and resuming there."""

import dataclasses

import pytest
import torch

from conftest import CPU
from mmlib import fit, preset
from mmlib.hardware.compute import Machine
from mmlib.resuming.state import parts
from mmlib.training import Trainer, probe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

RECIPE = preset("smoke", widths=(16, 16), latent_noise=0.0, optimizer="muon", augment=False)
PLAIN = Machine(torch.device("cuda"), bf16=False, channels_last=False)


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    """Float32 products without TF32, which keeps 10 bits."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def after(objective, machine, steps=3, recipe=RECIPE) -> tuple[list[float], Trainer]:
    """The losses of some steps, each the sum of its terms, and the trainer that took them."""
    trainer = Trainer(recipe, objective, machine)
    return [sum(value.item() for value in trainer.step().values()) for _ in range(steps)], trainer


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_steps_on_a_gpu_are_those_of_the_cpu(objective, optimizer):
    recipe = RECIPE.replace(optimizer=optimizer)
    cpu, _ = after(objective, CPU, recipe=recipe)
    assert after(objective, PLAIN, recipe=recipe)[0] == pytest.approx(cpu, rel=2e-3)


@pytest.mark.parametrize("change", ["bf16", "channels_last", "window_codes", "compiled"])
def test_each_form_of_arithmetic_has_the_same_losses(objective, change):
    plain, _ = after(objective, PLAIN)
    changed, _ = after(objective, dataclasses.replace(PLAIN, **{change: True}))
    assert changed == pytest.approx(plain, rel=0.05 if change == "bf16" else 5e-3)


def test_the_probe_takes_a_form_that_works(objective):
    machine = probe("cuda", recipe=preset("smoke"))
    losses, _ = after(objective, machine)
    assert machine.device.type == "cuda" and all(torch.isfinite(torch.tensor(losses)))


def test_a_step_asks_the_gpu_for_no_number(objective):
    _, trainer = after(objective, dataclasses.replace(PLAIN, bf16=True, channels_last=True))
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_an_infinite_loss_changes_no_weight_and_is_named_at_the_next_check(objective, monkeypatch, optimizer):
    _, trainer = after(objective, PLAIN, recipe=RECIPE.replace(optimizer=optimizer))
    before = {name: value.clone() for name, value in parts(trainer)["model"].items() if "running" not in name}
    total = trainer.objective.total
    monkeypatch.setattr(trainer.objective, "total", lambda *arguments: total(*arguments) * float("nan"))
    trainer.step()
    assert all(torch.equal(before[name], trainer.model.state_dict()[name]) for name in before if "num" not in name)
    with pytest.raises(FloatingPointError, match="step 3"):
        trainer.check()


def test_a_stopped_run_goes_on_where_it_was(objective, tmp_path):
    straight = fit(RECIPE, objective, tmp_path / "straight", device="cuda", progress=False)
    fit(RECIPE, objective, tmp_path / "stopped", device="cuda", progress=False, stop_after=3)
    resumed = fit(RECIPE, objective, tmp_path / "stopped", device="cuda", progress=False, resume=True)
    for name, value in straight.state_dict().items():
        assert torch.allclose(value.float(), resumed.state_dict()[name].float(), rtol=0.05, atol=0.02), name
