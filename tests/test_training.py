"""Training: what a step touches, batches as functions of a step, and that a killed run ends as if it never was."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import mmlib
from conftest import CPU, pairs_of, write_rooms
from mmlib import MODALITIES, MixAndMatch, Phase, ZeroPair, checkpoints, fit, open_split, preset, training
from mmlib.data import batches
from mmlib.data.batches import augment, draw, generator, load_batch
from mmlib.data.sets import DepthPairs, OraclePairs, Rooms, SegmentationPairs, Triplets
from mmlib.hardware.compute import Machine, choose_device
from mmlib.hardware.probing import fastest_form
from mmlib.objectives import add_noise, class_weights
from mmlib.resuming.state import load_state
from mmlib.training import Trainer

SMOKE = preset("smoke")  # 4 steps, then 4 with a frozen RGB encoder


pytestmark = pytest.mark.usefixtures("one_thread")


def run(folder, rooms_dir, recipe=SMOKE, **options) -> dict[str, torch.Tensor]:
    """All tensors of the state that a run leaves: networks, discriminator, optimisers."""
    options = {"machine": CPU, "progress": False, "log_every": 1, "save_every": 2} | options
    fit(recipe, pairs_of(rooms_dir), folder, **options)
    return tensors(folder)


def tensors(folder) -> dict[str, torch.Tensor]:
    state, _ = checkpoints.read_tensors(Path(folder) / "state.safetensors")
    weights, _ = checkpoints.read_tensors(Path(folder) / "checkpoint.safetensors")
    return state | weights


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(rooms_dir, one_thread, tmp_path_factory):
    """A smoke run that nothing stopped: its folder and its tensors."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, run(folder, rooms_dir)


@pytest.fixture
def at_step(monkeypatch):
    """Has something done to the trainer before each of its steps."""

    def do(what):
        step = Trainer.step

        def disturbed(trainer):
            what(trainer)
            return step(trainer)

        monkeypatch.setattr(Trainer, "step", disturbed)

    return do


# ── One step ──


def test_a_step_changes_every_weight(objective):
    trainer = Trainer(SMOKE, objective, CPU)
    networks = {"model": trainer.model, "discriminator": trainer.discriminators}
    before = {key: [p.clone() for p in network.parameters()] for key, network in networks.items()}
    terms = trainer.step()
    for key, network in networks.items():
        for (name, after), old in zip(network.named_parameters(), before[key], strict=True):
            assert not torch.equal(after, old), f"{key}: {name} stayed"
    assert trainer.next_step == 1
    assert set(terms) == {
        "latent/RS", "latent/RD", "rgb/RR", "rgb/SR", "rgb/DR", "segmentation/RS", "segmentation/SS", "depth/RD",
        "depth/DD", "gan/*R", "discriminator/R",
    }  # fmt: skip


@pytest.mark.parametrize("step", [0, 4], ids=["first phase", "with pseudo-pairs"])
def test_each_input_is_encoded_once_and_each_decoder_runs_once(objective, step):
    trainer, calls = Trainer(SMOKE, objective, CPU), []
    for kind in ("encoders", "decoders"):
        for name, network in getattr(trainer.model, kind).items():
            network.register_forward_hook(lambda *_, what=f"{kind}/{name}": calls.append(what))
    trainer.next_step = step
    trainer.step()
    assert sorted(calls) == sorted(f"{kind}/{name}" for kind in ("encoders", "decoders") for name in MODALITIES)


def test_the_frozen_rgb_encoder_stays_to_the_bit(objective):
    trainer = Trainer(SMOKE, objective, CPU)
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(4):
        trainer.step()
    frozen = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(4):
        trainer.step()
    end = trainer.model.state_dict()
    for name in start:
        is_rgb = name.startswith("encoders.rgb.")
        assert not torch.equal(frozen[name], start[name]), f"{name} stayed in the first phase"
        assert torch.equal(end[name], frozen[name]) == is_rgb, name


def test_zero_pair_takes_its_two_training_sets_only(rooms_dir):
    d1, d2 = open_split(rooms_dir, "d1"), open_split(rooms_dir, "d2")
    oracle = OraclePairs(rooms_dir, ("depth", "segmentation"))
    for wrong in ((Triplets(rooms_dir), d2), (d1, Triplets(rooms_dir)), (oracle, d2), (d1, oracle), (d1, d1), (d1,)):
        with pytest.raises(TypeError, match="zero-pair training takes"):
            ZeroPair(*wrong)
    assert [rooms.modalities for rooms in ZeroPair(d1, d2).sets] == [("rgb", "segmentation"), ("rgb", "depth")]


@pytest.mark.parametrize("side", ["none", "skip"])
def test_a_step_works_with_every_side_information(objective, side):
    terms = Trainer(preset("smoke", side_information=side), objective, CPU).step()
    assert all(torch.isfinite(value) for value in terms.values())


def test_ablations_leave_their_terms_out(objective):
    recipe = preset("smoke", autoencoders=False, phases=(Phase(4, lambda_latent=0.0, lambda_gan=0.0),))
    terms = Trainer(recipe, objective, CPU).step()
    assert set(terms) == {"rgb/SR", "rgb/DR", "segmentation/RS", "depth/RD"}


def test_noise_is_on_the_latent_alone_and_has_its_deviation():
    encoding = MixAndMatch.from_recipe(preset("course")).encode(torch.zeros(8, 3, 64, 64), "rgb")
    noisy = add_noise(encoding, 0.5, generator("cpu", 1))
    difference = (noisy.latent - encoding.latent).detach()
    assert difference.std().item() == pytest.approx(0.5, rel=0.02) and abs(difference.mean()) < 0.02
    assert noisy.indices is encoding.indices and noisy.pooled is encoding.pooled
    assert torch.equal(noisy.latent, add_noise(encoding, 0.5, generator("cpu", 1)).latent)
    assert add_noise(encoding, 0.0, generator("cpu", 1)) is encoding


# ── Precise statistics ──


def norms_of(network) -> list[torch.nn.BatchNorm2d]:
    return [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]


def test_precise_statistics_are_those_of_the_last_batches_without_noise(rooms_dir, monkeypatch):
    monkeypatch.setattr(training, "SETTLING", 2)
    recipe = SMOKE.replace(2, latent_noise=20.0, side_information="none", phases=SMOKE.phases[:1])
    trainer = Trainer(recipe, pairs_of(rooms_dir), CPU)
    for _ in range(2):
        trainer.step()
    seen, first = [], norms_of(trainer.model.decoders["depth"])[0]
    noisy = first.running_var.clone()
    trainer.settle()
    measured = first.running_var.clone()
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    quiet = recipe.replace(latent_noise=0.0)
    for step in range(2):
        batches = [load_batch(rooms, quiet, CPU, step, index) for index, rooms in enumerate(trainer.sets)]
        trainer.objective.terms(trainer.model.train(), batches, quiet, recipe.phases[0], generator("cpu", 0))
    handle.remove()
    expected = torch.stack([image.var((0, 2, 3)) for image in seen]).mean(0)
    assert not torch.allclose(noisy, expected, rtol=0.2)
    torch.testing.assert_close(measured, expected, rtol=1e-3, atol=1e-5)


def test_precise_statistics_leave_a_frozen_encoder_alone(rooms_dir):
    trainer = Trainer(SMOKE.replace(precise_statistics=True), pairs_of(rooms_dir), CPU)
    frozen, free = (norms_of(trainer.model.encoders[name])[0] for name in ("rgb", "depth"))
    before = frozen.running_mean.clone(), free.running_mean.clone()
    trainer.settle()  # the last phase freezes the encoder of RGB
    assert torch.equal(frozen.running_mean, before[0]) and not torch.equal(free.running_mean, before[1])


def test_only_a_training_that_ended_has_precise_statistics_and_resuming_repeats_them(rooms_dir, tmp_path, monkeypatch):
    settled = []
    settle = Trainer.settle
    monkeypatch.setattr(Trainer, "settle", lambda trainer: (settled.append(trainer.next_step), settle(trainer)))
    recipe = SMOKE.replace(precise_statistics=True)
    run(tmp_path, rooms_dir, recipe, stop_after=5)
    assert settled == []
    ended = run(tmp_path, rooms_dir, recipe, resume=True)
    again = run(tmp_path, rooms_dir, recipe, resume=True)
    assert settled == [8, 8] and same(ended, again)


# ── Schedule ──


def test_learning_rate_is_constant_or_one_cycle(objective):
    constant = preset("smoke", schedule="constant")
    assert [constant.rate_at(step) for step in (0, 3, 7)] == [1.0] * 3
    recipe = preset("smoke", steps=100, learning_rate=0.01)
    shares = [recipe.rate_at(step) for step in range(100)]
    assert shares[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert shares[55] == pytest.approx(0.5) and shares[40] == pytest.approx(0.75)  # half and a third of the cosine
    assert shares[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert shares[10:] == sorted(shares[10:], reverse=True)
    trainer = Trainer(recipe, objective, CPU)
    trainer.next_step = 40
    trainer.step()
    assert {g["lr"] for o in trainer.optimizers.values() for g in o.param_groups} == {0.01 * shares[40]}


# ── Batches ──


@pytest.mark.parametrize("batch, steps", [(2, 3), (3, 2), (4, 1), (6, 1), (50, 1)])
def test_an_epoch_visits_no_room_twice_and_each_epoch_is_another(rooms_dir, batch, steps):
    rooms, epochs = SegmentationPairs(rooms_dir), []
    for epoch in range(8):
        drawn = [draw(rooms, batch, epoch * steps + k, seed=3, index=0).tolist() for k in range(steps)]
        epochs.append(tuple(itertools.chain(*drawn)))
        assert len(set(epochs[-1])) == len(epochs[-1]) == steps * min(batch, 6)
    assert set(itertools.chain(*epochs)) == set(range(6)) and len(set(epochs)) > 1
    assert draw(rooms, batch, 1, 3, 0).tolist() != draw(rooms, batch, 1, 4, 0).tolist() or batch == 2


def aligned_raw(count: int = 12, size: int = 48) -> dict[str, torch.Tensor]:
    """Blocks of classes; depth and colour are functions of the class, so that a shift of one against another shows."""
    blocks = torch.randint(1, 14, (count, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    classes = blocks.repeat_interleave(size // 6, 2).repeat_interleave(size // 6, 3)
    colour = torch.cat([10 + 5 * classes, 100 - 5 * classes, 60 + 0 * classes], 1)
    return {"rgb": colour.to(torch.uint8), "depth": 0.5 + 0.25 * classes.float(), "segmentation": classes}


def test_augmentation_keeps_pairs_aligned():
    raw = aligned_raw()
    moved = augment(raw, 40, generator("cpu", 1))
    for name, image in raw.items():
        assert moved[name].shape == (12, image.shape[1], 40, 40) and moved[name].dtype == image.dtype
    classes = moved["segmentation"]
    for before, after in zip(raw["segmentation"], classes, strict=True):
        assert set(after.unique().tolist()) <= set(before.unique().tolist())
    share = (moved["depth"] / (0.5 + 0.25 * classes.float())).flatten(1)  # what is enlarged is as much nearer
    assert torch.allclose(share, share[:, :1].expand_as(share)) and 0.6 <= share.min() < 0.7 and 0.9 < share.max() <= 1
    # RGB is interpolated and lit: compare it inside blocks, up to one factor an image and channel
    window = torch.nn.functional.unfold(classes.float(), 5).view(12, 25, 36, 36)
    inside = (window == window[:, 12:13]).all(1, keepdim=True)
    expected = torch.cat([10 + 5 * classes, 100 - 5 * classes, 60 + 0 * classes], 1)[..., 2:-2, 2:-2].float()
    found = moved["rgb"][..., 2:-2, 2:-2].float()
    compared = 0
    for image in range(12):
        for channel in range(3):
            e, f = (values[image, channel][inside[image, 0]] for values in (expected, found))
            light = (e * f).sum() / (e * e).sum()
            if light * e.max() < 254:  # not clipped
                assert (f - light * e).abs().max() <= 1  # rounding, of f and so of the factor
                compared += len(f)
    assert compared > 3000


def test_augmentation_mirrors_zooms_and_relights():
    raw = aligned_raw(count=64)
    moved = augment(raw, 48, generator("cpu", 2))
    columns = torch.arange(48.0).view(1, 1, 1, -1).expand(64, 1, 48, 48)
    where = augment({"segmentation": columns.contiguous()}, 48, generator("cpu", 2))["segmentation"][:, 0, 24]
    step = (where[:, -1] - where[:, 0]) / 47
    assert (step > 0).any() and (step < 0).any()  # mirrored or not
    assert 0.55 < step.abs().min() < 0.7 and 0.9 < step.abs().max() < 1.05  # windows of 60 to 100 %
    assert where.min() >= 0 and where.max() <= 47
    light = moved["rgb"][:, 2].float().mean((1, 2)) / 60  # the blue channel was even
    assert light.std() > 0.1 and 0.8 < light.mean() < 1.25


def test_windows_larger_than_the_image_mark_what_they_do_not_show():
    raw = aligned_raw(count=32)
    moved = augment(raw, 48, generator("cpu", 3), (0.75, 1.33))
    inside = moved.pop(batches.INSIDE)
    shown = inside.float().mean((1, 2, 3))  # of the window: 1 where it is smaller than the image
    assert (shown == 1).any() and 0.5 < shown.min() < 0.65
    share = (moved["depth"] / (0.5 + 0.25 * moved["segmentation"].float())).flatten(1).median(1).values
    assert torch.allclose(shown[share > 1], 1 / share[share > 1] ** 2, atol=0.05)
    pair = batches.to_pair({**moved, batches.INSIDE: inside}, CPU)
    assert all(torch.equal(valid, inside) for name, valid in pair.valid.items() if name == "rgb")
    assert not (pair.valid["depth"] & ~inside).any() and not (pair.valid["segmentation"] & ~inside).any()


def test_whole_images_are_mirrored_and_relit_alone():
    raw = aligned_raw()
    moved = augment(raw, 48, generator("cpu", 1), (1.0, 1.0))
    for name in ("depth", "segmentation"):
        kept = [torch.equal(a, b) for a, b in zip(moved[name], raw[name])]
        turned = [torch.equal(a, b.flip(-1)) for a, b in zip(moved[name], raw[name])]
        assert all(k or t for k, t in zip(kept, turned)) and any(kept) and any(turned)
    assert batches.INSIDE not in moved and not torch.equal(moved["rgb"], raw["rgb"])


def test_the_last_steps_have_the_whole_images(objective):
    recipe = preset("smoke", windows=(0.5, 0.6), full_frames=0.25)
    assert [recipe.windows_at(step) for step in (0, 5, 6, 7)] == [(0.5, 0.6)] * 2 + [(1.0, 1.0)] * 2


def test_a_batch_is_a_function_of_seed_and_step(objective):
    rooms = objective.sets[0]

    def images(recipe, step, index=0):
        torch.rand(1)  # what the global generator does is of no concern
        return load_batch(rooms, recipe, CPU, step, index).images

    first, again = images(SMOKE, 3), images(SMOKE, 3)
    assert all(torch.equal(first[name], again[name]) for name in ("rgb", "segmentation"))
    for other in (images(SMOKE, 4), images(preset("smoke", seed=1), 3), images(SMOKE, 3, index=1)):
        assert not torch.equal(first["rgb"], other["rgb"])


def test_a_batch_has_network_form_and_valid_masks(objective):
    recipe = preset("smoke", augment=False)
    pair = load_batch(objective.sets[1], recipe, CPU, 0, 1)
    raw = objective.sets[1].batch(draw(objective.sets[1], 2, 0, 0, 1))
    assert torch.allclose(pair.images["depth"], (raw["depth"] - 3) / 2) and pair.images["rgb"].abs().max() <= 1
    assert torch.equal(pair.valid["depth"], raw["depth"] > 0) and not pair.valid["depth"].all()
    assert pair.valid["rgb"].shape == (2, 1, 32, 32) and pair.valid["rgb"].all()


class TenPixels:
    """As much of a split as class weights need: two pixels Unknown, six Bed, two Books."""

    def class_counts(self, name):
        return torch.tensor([2, 6, 2] + 11 * [0])


def test_class_weights_by_hand():
    weights = class_weights(TenPixels(), 0.5)
    mean = 0.75 * 0.75**-0.5 + 0.25 * 0.25**-0.5
    assert weights[:3].tolist() == pytest.approx([0, 0.75**-0.5 / mean, 0.25**-0.5 / mean])
    assert weights[3:].sum() == 0 and 0.75 * weights[1] + 0.25 * weights[2] == pytest.approx(1)


# ── The machine ──


def test_sets_that_share_a_room_are_refused(rooms_dir):
    with pytest.raises(ValueError, match="segmentation and with depth share 6 rooms, the first is 100"):
        ZeroPair(SegmentationPairs(rooms_dir), DepthPairs(rooms_dir))


def test_a_run_killed_before_its_first_step_keeps_the_pretrained_weights(rooms_dir, tmp_path, monkeypatch, at_step):
    weights = tmp_path / "encoder.safetensors"
    encoder = MixAndMatch.from_recipe(SMOKE.replace(seed=9)).encoders["rgb"]
    checkpoints.save_checkpoint(weights, encoder, {})
    run(tmp_path / "whole", rooms_dir, rgb_weights=weights)

    def killed(trainer):
        raise SystemExit

    at_step(killed)
    with pytest.raises(SystemExit):
        run(tmp_path / "killed", rooms_dir, rgb_weights=weights)
    monkeypatch.undo()
    start = load_state(tmp_path / "killed/state.safetensors")[0]["model"]
    assert all(torch.equal(start[f"encoders.rgb.{name}"], value) for name, value in encoder.state_dict().items())
    assert same(run(tmp_path / "killed", rooms_dir, resume=True), tensors(tmp_path / "whole"))
    record = checkpoints.read_record(tmp_path / "killed/checkpoint")
    assert record["rgb_weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_devices_that_are_not_here_are_named():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device 'abacus' is not available here: use auto, .*cpu"):
        choose_device("abacus")


def test_the_probe_obeys_the_recipes_precision():
    before = torch.get_rng_state()
    assert not training.probe("cpu", "fp32").bf16
    assert torch.equal(torch.get_rng_state(), before)


def test_window_codes_change_no_loss(objective):
    codes = dataclasses.replace(CPU, window_codes=True)
    for phase in SMOKE.phases:
        trainers = [Trainer(SMOKE.replace(phases=(phase,)), objective, form) for form in (CPU, codes)]
        assert [next(iter(t.model.encoders.values())).window_codes for t in trainers] == [False, True]
        for _ in range(2):
            plain, coded = (trainer.step() for trainer in trainers)
            assert plain.keys() == coded.keys()
            assert all(torch.allclose(value, coded[name], rtol=1e-4) for name, value in plain.items())


def test_the_probe_takes_the_fastest_form_that_computes_the_same():
    told = {  # seconds and gradient, by whether bf16, channels_last, window_codes, compiled
        (False, False, False, False): (0.04, 1.0),
        (False, True, False, False): (0.03, 1.0),
        (True, False, False, False): (0.02, 1.02),
        (True, True, False, False): (0.0, 1.2),  # wrong
        (True, False, True, False): (0.01, 1.02),
        (True, False, True, True): None,  # this compiler fails
    }
    asked = set()

    def work(form):
        def gradient() -> float:
            seconds, value = told[form_of(form)]
            time.sleep(seconds)
            return value

        asked.add(form_of(form))
        return gradient

    def form_of(form):
        return tuple(form.form().values())

    chosen = fastest_form(torch.device("cpu"), "auto", work, ("window_codes", "compiled"))
    assert chosen.form() == {"bf16": True, "channels_last": False, "window_codes": True, "compiled": False}
    assert asked == set(told)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # the compiler's own
def test_compiled_networks_are_those_of_the_form(objective):
    model = Trainer(SMOKE, objective, CPU).model
    dataclasses.replace(CPU, compiled=True).switch(model)
    parts = [*model.encoders.values(), *model.decoders.values()]
    assert all(part._compiled_call_impl is not None for part in parts)  # compiled at the first call


def test_sets_lie_on_a_gpu_that_has_room_for_them(objective, monkeypatch):
    size = sum(raw.nbytes for rooms in objective.sets for raw in rooms.images.values())
    gpu = Machine(torch.device("cuda"), bf16=False, channels_last=False)
    monkeypatch.setattr(Rooms, "on", lambda rooms, device: device)
    for free, on_gpu in ((4 * size, True), (4 * size - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * size))
        assert batches.resident(objective.sets, gpu) == ((gpu.device,) * 2 if on_gpu else objective.sets)
    assert batches.resident(objective.sets, CPU) == objective.sets
    monkeypatch.undo()
    moved = objective.sets[0].on(torch.device("cpu"))
    assert all(torch.equal(raw, moved.batch([0])[name]) for name, raw in objective.sets[0].batch([0]).items())


# ── Resuming ──


@pytest.mark.parametrize("stops", [(4,), (1, 5, 6)], ids=str)
def test_a_stopped_run_ends_as_one_that_never_stopped(rooms_dir, tmp_path, uninterrupted, stops):
    folder, expected = uninterrupted
    for stop in stops:
        run(tmp_path, rooms_dir, stop_after=stop, resume=True)  # the first time there is no state: it starts
    assert same(run(tmp_path, rooms_dir, resume=True), expected)
    assert logged(tmp_path) == logged(folder)
    assert [line["step"] for line in logged(tmp_path)] == list(range(1, 9))


def test_another_seed_is_another_run(rooms_dir, tmp_path, uninterrupted):
    assert not same(run(tmp_path, rooms_dir, recipe=preset("smoke", seed=1)), uninterrupted[1])


def test_resuming_a_finished_run_changes_nothing(rooms_dir, tmp_path, uninterrupted):
    run(tmp_path, rooms_dir)
    (tmp_path / "checkpoint.json").unlink()  # killed just before the end
    assert same(run(tmp_path, rooms_dir, resume=True), uninterrupted[1])
    assert logged(tmp_path) == logged(uninterrupted[0])
    assert checkpoints.load(tmp_path / "checkpoint").record["step"] == 8


def test_a_log_line_that_a_kill_cut_short_is_written_again(rooms_dir, tmp_path, uninterrupted):
    run(tmp_path, rooms_dir, stop_after=6)
    checkpoint = load_state(tmp_path / "state.safetensors")[1]
    lines = (uninterrupted[0] / "log.jsonl").read_text().splitlines()
    # the log ran ahead of the state, and its last line is half there
    (tmp_path / "log.jsonl").write_text("\n".join(lines[:7]) + "\n" + lines[7][:20])
    assert checkpoint["step"] == 6
    assert same(run(tmp_path, rooms_dir, resume=True), uninterrupted[1])
    assert logged(tmp_path) == logged(uninterrupted[0])


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=lambda kind: kind.name)
def test_a_signal_saves_between_two_steps(rooms_dir, tmp_path, uninterrupted, monkeypatch, at_step, kind):
    handler = signal.getsignal(kind)
    at_step(lambda trainer: signal.raise_signal(kind) if trainer.next_step == 4 else None)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 5; go on with --resume"):
        run(tmp_path, rooms_dir, save_every=100)
    assert signal.getsignal(kind) is handler
    monkeypatch.undo()
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 5
    assert same(run(tmp_path, rooms_dir, resume=True), uninterrupted[1])


def test_killed_processes_end_as_one_that_was_never_killed(rooms_dir, tmp_path):
    command = [sys.executable, "-m", "mmlib", "train", "--preset", "smoke", "--steps", "100", "--save-every", "2"]
    command += ["--data", str(rooms_dir), "--out", str(tmp_path / "killed"), "--device", "cpu"]
    options = {"cwd": Path(mmlib.__file__).parents[1], "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    log = tmp_path / "killed/log.jsonl"

    def lines() -> int:
        return log.read_text().count("\n") if log.exists() else 0

    moment = random.Random(time.time_ns())
    for wanted in (1, 4):  # before the phase change, after step 50, and after it
        resume = ["--resume"] if log.exists() else []
        with open(tmp_path / "errors", "w") as errors:
            process = subprocess.Popen(command + resume, **options, stdout=errors, stderr=errors)
        try:
            while lines() < wanted and process.poll() is None:
                time.sleep(0.01)
            time.sleep(moment.uniform(0, 0.2))
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL, (tmp_path / "errors").read_text()
    subprocess.run(command + ["--resume"], **options, check=True, capture_output=True)
    record = checkpoints.read_record(tmp_path / "killed/checkpoint")
    # the same arithmetic here: one thread, and the form that the process chose by timing
    form = Machine(torch.device("cpu"), **record["machine"])
    options = {"machine": form, "save_every": 100, "log_every": 20}
    expected = run(tmp_path / "whole", rooms_dir, preset("smoke", steps=100), **options)
    assert same(tensors(tmp_path / "killed"), expected)
    assert logged(tmp_path / "killed") == logged(tmp_path / "whole")
    assert [line["step"] for line in logged(tmp_path / "killed")] == [20, 40, 60, 80, 100]


# ── What fit refuses ──


def test_a_folder_that_holds_a_run_is_not_overwritten(rooms_dir, uninterrupted):
    folder, expected = uninterrupted
    with pytest.raises(ValueError, match="already holds a run: pass --resume"):
        run(folder, rooms_dir)
    assert same(tensors(folder), expected)


def test_resuming_by_another_recipe_names_the_keys(rooms_dir, uninterrupted):
    words = r"it differs in .*phases .*; learning_rate \(0.001 there, 0.5 here\); seed \(0 there, 1 here\)"
    with pytest.raises(ValueError, match=f"another recipe; {words}"):
        run(uninterrupted[0], rooms_dir, recipe=preset("smoke", seed=1, learning_rate=0.5, steps=16), resume=True)


def test_resuming_on_other_data_is_refused(uninterrupted, tmp_path):
    other = write_rooms(tmp_path / "other", list(range(200, 206)))
    with pytest.raises(ValueError, match="other data"):
        run(uninterrupted[0], other, resume=True)


def test_one_room_is_too_few(rooms_dir, tmp_path):
    objective = ZeroPair(open_split(rooms_dir, "d1").subset(0, 1), open_split(rooms_dir, "d2"))
    with pytest.raises(ValueError, match="too few"):
        fit(SMOKE, objective, tmp_path, machine=CPU, progress=False)


def test_without_augmentation_images_are_resized(rooms_dir, tmp_path):
    run(tmp_path, rooms_dir, recipe=preset("smoke", size=16, augment=False, steps=2))
    assert logged(tmp_path)[-1]["step"] == 2


# ── What is not finite ──


def test_a_poisoned_image_names_step_and_term_and_spares_the_state(rooms_dir, tmp_path, uninterrupted, monkeypatch):
    load = training.load_batch

    def poisoned(rooms, recipe, machine, step, index):
        pair = load(rooms, recipe, machine, step, index)
        if step == 5 and index == 1:
            pair.images["depth"][0, 0, 3, 3] = float("nan")
        return pair

    monkeypatch.setattr(training, "load_batch", poisoned)
    with pytest.raises(FloatingPointError) as error:
        run(tmp_path, rooms_dir)
    assert "step 5" in str(error.value) and "depth/DD = nan" in str(error.value)
    assert "latent/RS" not in str(error.value)  # innocent
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 4
    monkeypatch.undo()
    assert same(run(tmp_path, rooms_dir, resume=True), uninterrupted[1])


@pytest.mark.parametrize("deferred", [False, True], ids=["on the CPU", "on a GPU"])
def test_a_loss_that_is_not_finite_changes_no_weight(objective, monkeypatch, deferred):
    def infinite(*arguments, terms_of=objective.terms):
        terms, judged = terms_of(*arguments)
        return terms | {"segmentation/RS": terms["segmentation/RS"] * float("inf")}, judged

    trainer = Trainer(SMOKE, objective, CPU)
    trainer.finite.deferred = deferred
    trainer.step()
    before = [weight.clone() for weight in trainer.model.parameters()]
    monkeypatch.setattr(objective, "terms", infinite)
    named = pytest.raises(FloatingPointError, match="^step 1: .*segmentation/RS = inf")
    with contextlib.nullcontext() if deferred else named:
        trainer.step()
    assert all(torch.equal(weight, old) for weight, old in zip(trainer.model.parameters(), before))
    monkeypatch.undo()
    trainer.step()
    assert not any(torch.equal(weight, old) for weight, old in zip(trainer.model.parameters(), before))
    if deferred:
        with pytest.raises(FloatingPointError, match="^step 1: the loss is not finite"):
            trainer.check()


@pytest.mark.parametrize("network", ["model", "discriminators"])
def test_weights_that_are_not_finite_are_not_saved(rooms_dir, tmp_path, at_step, network):
    def spoilt(trainer):  # so that the loss is finite and its gradient not
        if trainer.next_step == 3:
            next(getattr(trainer, network).parameters()).register_hook(lambda gradient: gradient + float("inf"))

    at_step(spoilt)
    with pytest.raises(FloatingPointError, match="step 4: a weight is not finite"):
        run(tmp_path, rooms_dir)
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 2


# ── Hard wear ──


def test_a_batch_too_large_names_one_that_fits(rooms_dir, tmp_path, at_step):
    def small_machine(trainer):
        if trainer.recipe.batch > 3 and trainer.next_step >= 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    at_step(small_machine)
    words = r"a batch of 12 at 32 × 32 pixels does not fit into the memory of cpu; --batch 3 does\. Nothing was"
    with pytest.raises(MemoryError, match=f"^step 2: {words}"):
        run(tmp_path, rooms_dir, SMOKE.replace(batch=12))
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 2


def test_a_full_disk_stops_in_one_sentence_and_leaves_the_last_state_whole(rooms_dir, tmp_path):
    import resource

    arguments = ["train", "--preset", "smoke", "--data", str(rooms_dir), "--out", str(tmp_path), "--device", "cpu"]
    command = [sys.executable, "-m", "mmlib", *arguments, "--save-every", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mmlib.__file__).parents[1])}

    def little_room():  # for the first state, which has no moments of Adam yet, but not for the second
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    options = {"env": environment, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command, preexec_fn=little_room, check=False, **options)
    assert done.returncode == 2 and done.stderr.startswith("mmlib: ") and done.stderr.count("\n") == 1, done.stderr
    assert "state.safetensors" in done.stderr
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "state.safetensors"]


def test_workers_prepare_the_same_batches_and_a_vanished_image_is_named(rooms_dir, tmp_path, uninterrupted):
    assert same(run(tmp_path / "run", rooms_dir, workers=2), uninterrupted[1])

    class Gone(SegmentationPairs):
        """A set whose files vanish while it is read."""

        def uncropped(self, indices):
            raise FileNotFoundError("rooms/7/photo/0.jpg is missing: render or download the data set again")

    with pytest.raises(FileNotFoundError, match="^rooms/7/photo/0.jpg is missing"):
        pairs = ZeroPair(Gone(rooms_dir).subset(0, 3), open_split(rooms_dir, "d2"))
        fit(SMOKE, pairs, tmp_path / "gone", machine=CPU, workers=1, progress=False)
    assert load_state(tmp_path / "gone/state.safetensors")[1]["step"] == 0
