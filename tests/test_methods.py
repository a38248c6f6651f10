"""The baselines: their networks' shapes, their losses, what they refuse, and that they share training and resume."""

import json

import pytest
import torch
from torch import nn

from conftest import CPU
from mmlib import MODALITIES, MixAndMatch, Phase, ZeroPair, audit, checkpoints, evaluate, fit, open_split, preset
from mmlib.__main__ import main
from mmlib.data.batches import generator
from mmlib.methods.cascade import Cascade
from mmlib.methods.cyclegan import CycleGAN
from mmlib.methods.networks import ImagePool, Pairwise, PatchGAN, ResNetGenerator, UNetGenerator
from mmlib.methods.pix2pix import Pix2Pix
from mmlib.methods.self_training import SelfTraining
from mmlib.methods.student import Student
from mmlib.training import Trainer

SMOKE = preset("smoke")
RIVAL = SMOKE.replace(widths=(4, 8), discriminator_widths=(4, 8), schedule="linear_decay", phases=(Phase(steps=4),))


@pytest.fixture(scope="module")
def sets(rooms_dir):
    return open_split(rooms_dir, "d1"), open_split(rooms_dir, "d2")


def test_generators_give_back_the_size_and_the_targets_channels():
    image = torch.randn(2, 3, 32, 32)
    assert ResNetGenerator(3, 14, (4, 8, 16))(image).shape == (2, 14, 32, 32)
    assert UNetGenerator(3, 14, (4, 8, 16, 32))(image).shape == (2, 14, 32, 32)
    assert PatchGAN(3, (4, 8, 16), nn.BatchNorm2d)(image).shape == (2, 1, 6, 6)  # two strided convolutions, two not


def test_the_unet_is_that_of_its_paper():
    """Down: no normalization in the first and the innermost stage. Up: skips double the channels, dropout inside."""
    unet = UNetGenerator(3, 1, (4, 8, 16, 32, 32))
    down = [[type(layer).__name__ for layer in stage] for stage in unet.down]
    assert down[0] == ["Conv2d"] and down[-1] == ["LeakyReLU", "Conv2d"]
    assert all(stage == ["LeakyReLU", "Conv2d", "BatchNorm2d"] for stage in down[1:-1])
    convolutions = [next(layer for layer in stage if isinstance(layer, nn.ConvTranspose2d)) for stage in unet.up]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(32, 32), (64, 16), (32, 8), (16, 4), (8, 1)]
    dropped = [any(isinstance(layer, nn.Dropout) for layer in stage) for stage in unet.up]
    assert dropped == [False, True, True, True, False]


def test_a_pair_without_a_generator_is_named():
    model = Pairwise({"depth_to_segmentation": nn.Identity()}, {n: MODALITIES[n] for n in ("depth", "segmentation")})
    assert model.modalities == ("depth", "segmentation")
    with pytest.raises(ValueError, match="no generator for segmentation → depth: there are depth_to_segmentation"):
        model.translate(torch.zeros(1, 14, 8, 8), "segmentation", "depth")


def test_the_image_pool_fills_then_hands_out_older_images():
    pool, random = ImagePool((1, 1, 1), size=4), generator("cpu", 0)
    first = torch.arange(4.0).view(4, 1, 1, 1)
    assert torch.equal(pool(first, random), first)
    shown = torch.cat([pool(torch.full((4, 1, 1, 1), 10.0 + k), random) for k in range(25)]).flatten()
    now = torch.arange(25).repeat_interleave(4) + 10.0
    assert 0.3 < (shown == now).float().mean() < 0.7
    assert all(old < new for old, new in zip(shown.tolist(), (now + 0.5).tolist())), "an image of the future"


def test_baselines_take_zero_pair_sets_alone(rooms, sets):
    for kind in (CycleGAN, Pix2Pix):
        with pytest.raises(TypeError, match="SegmentationPairs"):
            kind(rooms, sets[1])
    with pytest.raises(ValueError, match="holds rgb, depth; segmentation was asked for"):
        Student(sets[1], MixAndMatch.from_recipe(SMOKE), "segmentation", "depth")


def test_cyclegan_minimises_cycles_by_ten_and_two_gans(sets):
    objective = CycleGAN(*sets)
    terms = Trainer(RIVAL, objective, CPU).step()
    judged = {f"{kind}{name}" for kind in ("gan/*", "discriminator/") for name in ("depth", "segmentation")}
    assert set(terms) == {"cycle/DSD", "cycle/SDS"} | judged
    two = {"cycle/DSD": torch.tensor(0.5), "gan/*depth": torch.tensor(0.25)}
    assert objective.total(two, Phase(steps=1, lambda_gan=2.0)).item() == pytest.approx(10 * 0.5 + 2 * 0.25)


def test_pix2pix_trains_two_translations_that_a_cascade_chains(sets, rooms):
    trainer = Trainer(RIVAL, Pix2Pix(*sets), CPU)
    terms = trainer.step()
    assert {name for name in terms if not name.startswith(("gan", "disc"))} == {"segmentation/RS", "rgb/DR"}
    judges = trainer.discriminators
    assert judges["segmentation"].layers[0].in_channels == 3 + 14 and judges["rgb"].layers[0].in_channels == 1 + 3
    model = trainer.model.eval()
    result = evaluate(Cascade(model), rooms, sources=["depth"], targets=["segmentation"])
    assert result["translations"]["depth_to_segmentation"]["miou"] is not None


@pytest.mark.parametrize("kind", [CycleGAN, Pix2Pix])
def test_a_stopped_baseline_ends_as_one_that_never_stopped(sets, tmp_path, kind):
    whole = fit(RIVAL, kind(*sets), tmp_path / "whole", device="cpu", progress=False)
    fit(RIVAL, kind(*sets), tmp_path / "parts", device="cpu", progress=False, stop_after=2)
    parts = fit(RIVAL, kind(*sets), tmp_path / "parts", device="cpu", progress=False, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    record = checkpoints.verified_record(tmp_path / "parts/checkpoint.safetensors")
    assert record["objective"] == kind.__name__ and audit(record) == []


def test_a_student_learns_what_its_teacher_says(sets):
    teacher = MixAndMatch.from_recipe(SMOKE.replace(seed=7))
    objective = Student(sets[1], teacher, "depth", "segmentation")
    trainer = Trainer(SMOKE.replace(latent_noise=0.0), objective, CPU)
    trainer.model.eval()
    batches = trainer.batches(0)
    terms, judged = objective.terms(trainer.model, batches, trainer.recipe, SMOKE.phase(0), generator("cpu", 0))
    (loss,) = terms.values()
    assert list(terms) == ["pseudo_segmentation/DS"] and judged == {}
    x, z = batches[0].images["rgb"], batches[0].images["depth"]
    said = teacher.translate(x, "rgb", "segmentation").softmax(1)
    by_hand = torch.nn.functional.cross_entropy(trainer.model.translate(z, "depth", "segmentation"), said)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    loss.backward()
    assert all(weight.grad is None for weight in teacher.parameters())


def test_averaged_weights_are_the_mean_of_the_past(sets):
    trainer = Trainer(SMOKE.replace(teacher="average", teacher_decay=0.5), ZeroPair(*sets), CPU)
    before = [weight.clone() for weight in trainer.average.parameters()]
    trainer.step()
    keep = min(0.5, 1 / 10)  # (1 + step) / (10 + step), as long as that is below the decay
    for old, mine, now in zip(before, trainer.model.parameters(), trainer.average.parameters(), strict=True):
        assert torch.allclose(now, keep * old + (1 - keep) * mine, atol=1e-6)
    assert not any(weight.requires_grad for weight in trainer.average.parameters())


def test_an_averaged_teacher_survives_a_stop(sets, tmp_path):
    recipe = SMOKE.replace(teacher="average")
    whole = fit(recipe, ZeroPair(*sets), tmp_path / "whole", device="cpu", progress=False)
    fit(recipe, ZeroPair(*sets), tmp_path / "parts", device="cpu", progress=False, stop_after=6)
    parts = fit(recipe, ZeroPair(*sets), tmp_path / "parts", device="cpu", progress=False, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), parts.state_dict().values()))
    last = json.loads((tmp_path / "parts/log.jsonl").read_text().splitlines()[-1])
    assert {"pseudo_segmentation/DS", "pseudo_depth/SD"} <= last.keys()


@pytest.fixture(scope="module")
def base(sets, tmp_path_factory):
    """A network that was trained on the sets, with its record."""
    return fit(SMOKE, ZeroPair(*sets), tmp_path_factory.mktemp("base"), device="cpu", progress=False)


TAUGHT = SMOKE.replace(teacher="start", latent_noise=0.0, phases=(Phase(steps=3, lambda_pseudo=1.0),))


def test_self_training_learns_from_the_mean_of_two_latents(sets, base):
    objective = SelfTraining(*sets, base=base)
    trainer = Trainer(TAUGHT, objective, CPU)
    assert all(map(torch.equal, trainer.model.state_dict().values(), base.state_dict().values()))
    trainer.model.eval()
    batches = trainer.batches(0)
    terms, _ = objective.terms(trainer.model, batches, TAUGHT, TAUGHT.phase(0), generator("cpu", 0), trainer.average)
    x, z = (batches[1].images[name] for name in ("rgb", "depth"))
    f_R, f_D = base.eval().encode(x, "rgb"), base.encode(z, "depth")
    said = base.decode(f_R.with_latent((f_R.latent + f_D.latent) / 2), "segmentation").softmax(1)
    by_hand = torch.nn.functional.cross_entropy(trainer.model.translate(z, "depth", "segmentation"), said)
    assert terms["pseudo_segmentation/DS"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert "pseudo_depth/SD" in terms


def test_the_teacher_of_self_training_stays_as_it_started_also_after_a_stop(sets, base, tmp_path):
    start = [value.clone() for value in base.state_dict().values()]
    trainer = Trainer(TAUGHT, SelfTraining(*sets, base=base), CPU)
    trainer.step()
    assert all(map(torch.equal, trainer.average.state_dict().values(), start))
    assert not all(map(torch.equal, trainer.model.state_dict().values(), start))

    def run(folder, **options):
        return fit(TAUGHT, SelfTraining(*sets, base=base), folder, device="cpu", progress=False, **options)

    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", stop_after=1)
    parts = run(tmp_path / "parts", resume=True)
    assert all(map(torch.equal, whole.state_dict().values(), parts.state_dict().values()))
    assert audit(parts.record) == [] and parts.record["objective"] == "SelfTraining"
    with pytest.raises(ValueError, match="trained by SelfTraining, not by ZeroPair; name another folder"):
        fit(TAUGHT, ZeroPair(*sets), tmp_path / "parts", device="cpu", progress=False, resume=True)


def test_self_training_keeps_the_record_of_what_its_base_has_seen(sets, base):
    other = sets[1].subset(0, 2)
    assert SelfTraining(sets[0], other, base=base).inherited == (sets[1].describe(),)
    assert SelfTraining(*sets, base=base).inherited == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"widths": (4, 4)}, "its networks are not those that were trained before"),
        ({"side_information": "none"}, "its networks are not those that were trained before"),
        ({"teacher": "self"}, "teacher = self, but the teacher of self-training is start"),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value),
)
def test_self_training_refuses_other_networks_and_teachers(sets, base, changes, said):
    with pytest.raises(ValueError, match=said):
        Trainer(TAUGHT.replace(**changes), SelfTraining(*sets, base=base), CPU)


def test_self_training_needs_a_record(sets):
    with pytest.raises(ValueError, match="the network's record does not say on which rooms it was trained"):
        SelfTraining(*sets, base=MixAndMatch.from_recipe(SMOKE))


def test_from_a_self_taught_network_the_command_goes_on_without_its_answers(rooms_dir, sets, base, tmp_path):
    fit(TAUGHT, SelfTraining(*sets, base=base), tmp_path / "taught", device="cpu", progress=False)
    words = ["--data", str(rooms_dir), "--out", str(tmp_path / "on"), "--device", "cpu"]
    assert main(["train", "--from", str(tmp_path / "taught"), *words]) == 0
    recipe = checkpoints.load(tmp_path / "on/checkpoint.safetensors").recipe
    assert recipe.teacher == "self" and {phase.lambda_pseudo for phase in recipe.phases} == {0.0}
    words[3] = str(tmp_path / "again")
    assert main(["train", "--from", str(tmp_path / "on"), "--teacher", "start", "--steps", "2", *words]) == 0
    record = checkpoints.load(tmp_path / "again/checkpoint.safetensors").record
    assert record["objective"] == "SelfTraining" and record["step"] == 2 and "start_sha256" in record
    assert [phase["lambda_pseudo"] for phase in record["recipe"]["phases"]] == [1.0]


def test_the_first_teacher_is_the_network_that_training_starts_from(sets, base, tmp_path):
    checkpoints.save_checkpoint(tmp_path / "base.safetensors", base, base.record)
    recipe, made = TAUGHT.replace(1), []

    class Watched(ZeroPair):
        def label(self, teacher, *rest):
            made.append(teacher)
            return super().label(teacher, *rest)

    start = [value.clone() for value in base.state_dict().values()]
    fit(recipe, Watched(*sets), tmp_path / "on", device="cpu", progress=False, start=tmp_path / "base.safetensors")
    assert made and all(map(torch.equal, made[0].state_dict().values(), start))


def test_linear_decay_holds_then_falls_to_zero(sets):
    trainer = Trainer(RIVAL.with_steps(8).replace(learning_rate=1.0), CycleGAN(*sets), CPU)
    rates = [trainer.learning_rate(step) for step in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
