"""`python -m mmlib bench`: the time of one training step done naively, done our way, and the floor under both.

* *naive*: fp32, every translation and every consistency term encodes its input again (12 encoder passes);
* *ours in fp32*: the same mathematics, each input encoded once, each decoder run once;
* *ours*: with the precision and memory format that the probe chose;
* *floor*: the convolutions of our step alone, each shape timed forward and backward in its best format.
"""

import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from . import checkpoints
from .batches import Steps, ahead
from .costs import Convolution, convolutions
from .data import open_split, shipped
from .domains import MixedCycles, shipped_colours
from .experiments import OBJECTIVES
from .grids import runs
from .losses import berhu, cross_entropy, l2, latent_consistency
from .machine import Machine, probe
from .networks import MixAndMatch
from .objectives import ZeroPair, add_noise
from .recipes import Recipe, preset
from .training import Trainer, versions


class NaiveZeroPair(ZeroPair):
    """Section 4.3 as one would first write it: each term on its own."""

    def terms(self, model, batches, recipe, phase, random, average=None):
        d1, d2 = batches
        x1, y, y_valid = d1.images["rgb"], d1.images["segmentation"], d1.valid["segmentation"]
        x2, z, z_valid = d2.images["rgb"], d2.images["depth"], d2.valid["depth"]

        def translate(image, source, target):
            return model.decode(add_noise(model.encode(image, source), recipe.latent_noise, random), target)

        translated = [translate(x1, "rgb", "rgb"), translate(x2, "rgb", "rgb"),
                      translate(y, "segmentation", "rgb"), translate(z, "depth", "rgb")]  # fmt: skip
        valid = d1.valid["rgb"]
        terms = {
            "rgb/RR": (l2(translated[0], x1, valid) + l2(translated[1], x2, valid)) / 2,
            "rgb/SR": l2(translated[2], x1, valid),
            "rgb/DR": l2(translated[3], x2, valid),
            "segmentation/RS": cross_entropy(translate(x1, "rgb", "segmentation"), y, y_valid),
            "segmentation/SS": cross_entropy(translate(y, "segmentation", "segmentation"), y, y_valid),
            "depth/RD": berhu(translate(x2, "rgb", "depth"), z, z_valid),
            "depth/DD": berhu(translate(z, "depth", "depth"), z, z_valid),
            "latent/RS": latent_consistency(
                model.encode(x1, "rgb"), model.encode(y, "segmentation"), recipe.consistency
            ),
            "latent/RD": latent_consistency(model.encode(x2, "rgb"), model.encode(z, "depth"), recipe.consistency),
        }
        return terms, {"R": (torch.cat([x1, x2]), torch.cat(translated))}


def bench(recipe: Recipe, steps: int = 10, device: str = "auto") -> dict:
    """Time `steps` steps of each kind, alternating between kinds so that the machine's drift falls on all alike.

    Returns medians in seconds a step, ratios, images a second, and the shares of our step by kind of operation.
    """
    first = dataclasses.replace(recipe.phases[0], lambda_pseudo=0.0)
    recipe = recipe.replace(phases=(first,), class_balance=0.0)  # the paper's objective: the same for both
    objectives = {"ours": ZeroPair(shipped("d1"), shipped("d2")), "naive": NaiveZeroPair(shipped("d1"), shipped("d2"))}
    ours = probe(device, recipe.precision)
    plain = Machine(ours.device, bf16=False, channels_last=False)
    trainers = {
        "naive": Trainer(recipe, objectives["naive"], plain),
        "ours_fp32": Trainer(recipe, objectives["ours"], plain),
        "ours": Trainer(recipe, objectives["ours"], ours),
    }
    medians = _step_seconds(trainers, steps)
    shapes = sum(convolutions(trainers["ours"]).values(), Counter())
    floor = sum(count * _time_convolution(shape, ours.device) for shape, count in shapes.items())
    images = 4 * recipe.batch  # two pairs a room of D1 and of D2
    return {
        "recipe": recipe.name,
        "device": _device_name(ours.device),
        "bf16": ours.bf16,
        "channels_last": ours.channels_last,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps": steps,
        "seconds_per_step": {**medians, "floor": floor},
        "images_per_second": {name: images / value for name, value in medians.items()},
        "naive_over_ours_fp32": medians["naive"] / medians["ours_fp32"],
        "naive_over_ours": medians["naive"] / medians["ours"],
        "ours_over_floor": medians["ours"] / floor,
        "shares": _shares(trainers["ours"]),
    }


def describe(result: dict) -> str:
    """The result as a table for people."""
    lines = [
        f"{result['recipe']} on {result['device']}, bf16 {result['bf16']}, channels_last {result['channels_last']}"
    ]
    for name, value in result["seconds_per_step"].items():
        rate = result["images_per_second"].get(name)
        lines.append(f"  {name:<10} {1000 * value:8.1f} ms a step" + (f"  {rate:8.0f} images/s" if rate else ""))
    lines.append(f"  naive / ours in fp32   {result['naive_over_ours_fp32']:.2f}")
    lines.append(f"  naive / ours           {result['naive_over_ours']:.2f}")
    lines.append(f"  ours / floor           {result['ours_over_floor']:.2f}")
    lines.append("  our step is spent on " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in result["shares"].items()))
    return "\n".join(lines)


METHODS = (
    "cyclegan", "pix2pix", "rgb_to_segmentation", "depth_student", "pooling", "pseudo_pairs", "pseudo_pairs_none",
    "pseudo_pairs_long",
)  # fmt: skip


def bench_methods(preset_name: str = "ablation", steps: int = 5, device: str = "auto") -> dict:
    """Minutes that training each of `METHODS` takes, all of `grids.runs`: the time of a step in each phase, times
    the phase's steps; the student's include its teacher's.

    Steps of all methods alternate, so that the machine's drift falls on all alike.
    """
    declared, trainers, machine = runs(preset_name), {}, probe(device)
    for name in METHODS:
        run = declared[name]
        teacher = MixAndMatch.from_recipe(run.recipe) if run.teacher else None
        for phase in run.recipe.phases:
            recipe = run.recipe.replace(phases=(phase,))
            trainers[name, phase] = Trainer(recipe, OBJECTIVES[run.objective](run, teacher, None), machine)
    seconds = _step_seconds(trainers, steps)
    minutes = {
        name: sum(phase.steps * seconds[name, phase] for phase in declared[name].recipe.phases) / 60 for name in METHODS
    }
    for name in METHODS:
        if teacher := declared[name].teacher:
            minutes[name] += minutes[teacher]
    where = {"device": _device_name(machine.device), "threads": torch.get_num_threads()}
    return {"preset": preset_name, "minutes": minutes, "steps": steps, **where, "versions": versions()}


COUNTS, PAIRWISE = (3, 5, 8, 11), (3, 4)
"""Numbers of domains at which mixed CycleGANs, and a CycleGAN for each pair, are measured."""


def bench_domains(preset_name: str = "domains", steps: int = 5, device: str = "auto") -> dict:
    """How training grows with the number of domains N (section 3.3): `mixed`, one encoder and one decoder a domain and
    N − 1 trained pairs; `pairwise`, two generators for each of the N (N − 1) / 2 pairs.

    For each N: `networks`, `parameters`, seconds of an `epoch`, in which each image of each domain meets each domain
    that its own is trained with, and `memory`, the bytes that training holds from step to step: weights, gradients,
    Adam's moments, pools of images. Where pairwise was not measured it is computed from the largest measured N, by the
    number of pairs, and marked.
    """
    recipe = preset(preset_name)
    machine = probe(device, recipe.precision)
    images = len(shipped_colours(recipe.size)[0])
    result: dict = {"preset": preset_name, "steps": steps, "images": images, "mixed": {}, "pairwise": {}}
    for kind, counts in (("mixed", COUNTS), ("pairwise", PAIRWISE)):
        for count in counts:
            result[kind][count] = _domains(preset_name, kind, count, steps, images, machine)
    most = max(PAIRWISE)
    pairs = {count: count * (count - 1) // 2 for count in (*COUNTS, most)}
    for count in set(COUNTS) - set(PAIRWISE):
        factor = pairs[count] / pairs[most]
        computed = {key: value * factor for key, value in result["pairwise"][most].items() if key != "computed"}
        result["pairwise"][count] = {**computed, "computed": True}
    result["pairwise"] = dict(sorted(result["pairwise"].items()))
    where = {"device": _device_name(machine.device), "threads": torch.get_num_threads()}
    return {**result, **where, "versions": versions()}


def _domains(preset_name: str, kind: str, count: int, steps: int, images: int, machine: Machine) -> dict:
    """One method at one number of domains, for `bench_domains`."""
    declared = runs(preset_name)["colours_mixed"].recipe
    declared = declared.replace(phases=declared.phases[-1:])  # not the one autoencoder that all begin as
    sets = shipped_colours(declared.size)[:count]
    groups = [sets] if kind == "mixed" else list(itertools.combinations(sets, 2))
    trainers = {}
    for number, group in enumerate(groups):
        recipe = declared.replace(modalities=tuple(rooms.modalities[0] for rooms in group))
        trainers[number] = Trainer(recipe, MixedCycles(group), machine)
    seconds = _step_seconds(trainers, steps)
    held = [part for trainer in trainers.values() for part in (trainer.model, *trainer.discriminators.values())]
    a_pair = sum(seconds.values()) / len(seconds) * images / declared.batch
    parameters = [weight for part in held for weight in part.parameters()]
    pools = sum(buffer.nbytes for part in held for buffer in part.buffers())
    return {
        "networks": sum(
            len(t.model.encoders) + len(t.model.decoders) + len(t.discriminators) for t in trainers.values()
        ),
        "parameters": sum(weight.numel() for weight in parameters),
        "epoch": a_pair * (count - 1 if kind == "mixed" else len(groups)),
        "memory": 4 * sum(weight.nbytes for weight in parameters) + pools,  # with a gradient and two moments each
        "computed": False,
    }


WORKERS = (0, 1, 2)


def bench_loading(source: str | Path, recipe: Recipe, steps: int = 10, device: str = "auto") -> dict:
    """Samples a second that D1 and D2 give to 0, 1 and 2 workers, and that training steps of the recipe consume.

    A sample is a view with its modalities, cropped and mirrored as the recipe says. `steps` of the recipe's first phase
    are timed with batches that lie ready, and as many batches without a step: where both need the same cores, training
    gets less of each. Files that were read lately come from the system's memory, not from the disk.
    """
    sets = [open_split(source, "d1"), open_split(source, "d2")]
    machine = probe(device, recipe.precision)
    recipe = recipe.replace(phases=(dataclasses.replace(recipe.phases[0], steps=steps + 2 * AHEAD),))
    if not recipe.augment:
        sets = [rooms.resized(recipe.size) for rooms in sets]
    samples = sum(min(recipe.batch, len(rooms)) for rooms in sets)
    trainer = Trainer(recipe, ZeroPair(*sets), machine)
    ready = trainer.batches(0)
    trainer.batches = lambda step: ready
    seconds = _step_seconds({"step": trainer}, steps)["step"]
    loading = {count: _loading_seconds(Steps(sets, recipe), count, machine.device) / steps for count in WORKERS}
    return {
        "recipe": recipe.name,
        "size": recipe.size,
        "batch": recipe.batch,
        "data": Path(source).name,
        "steps": steps,
        "seconds_per_step": seconds,
        "seconds_per_batch": {f"workers_{count}": value for count, value in loading.items()},
        "consumed_per_second": samples / seconds,
        "given_per_second": {f"workers_{count}": samples / value for count, value in loading.items()},
        "device": _device_name(machine.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


AHEAD = 2 * max(WORKERS) + 1
"""Batches before and after the timed ones: each worker prepares two before it is asked for them."""


def _loading_seconds(steps: Steps, workers: int, device: torch.device) -> float:
    """Seconds of all batches but the first and last `AHEAD`."""
    batches = ahead(steps, 0, workers, device)
    for _ in range(AHEAD):
        next(batches)
    start = time.perf_counter()
    for _ in range(len(steps) - 2 * AHEAD):
        next(batches)
    return time.perf_counter() - start


def describe_loading(result: dict) -> str:
    """The result of `bench_loading` for people."""
    consumed = result["consumed_per_second"]
    lines = [f"{result['recipe']} on {result['device']}: a step consumes {consumed:.1f} samples/s"]
    for name, given in result["given_per_second"].items():
        lines.append(f"  {name.replace('_', ' ')}: {given:8.1f} samples/s, {given / consumed:.2f} of it")
    return "\n".join(lines)


def _step_seconds(trainers: dict, steps: int) -> dict:
    """The median time of a step of each trainer; they take turns, so that the machine's drift falls on all alike."""
    seconds: dict[object, list[float]] = {key: [] for key in trainers}
    for repeat in range(steps + 2):
        for key, trainer in trainers.items():
            elapsed = _timed(trainer.step, trainer.machine.device)
            if repeat >= 2:  # the first two warm up
                seconds[key].append(elapsed)
    return {key: statistics.median(values) for key, values in seconds.items()}


def _timed(function, device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else str(device)


def _time_convolution(shape: Convolution, device: torch.device, repeats: int = 7) -> float:
    """Seconds of one convolution, forward and backward, in the fastest of four forms."""
    inputs, outputs, kernel, stride, count, height, width, bias, image_gradient, weight_gradient = shape
    medians = []
    for dtype in (torch.float32, torch.bfloat16):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias).requires_grad_(weight_gradient)
            layer = layer.to(device, dtype, memory_format=memory_format)
            x = torch.randn(count, inputs, height, width, device=device, dtype=dtype)
            x = x.contiguous(memory_format=memory_format).requires_grad_(image_gradient)
            slope = torch.randn_like(layer(x))

            def both(layer=layer, x=x, slope=slope):
                layer(x).backward(slope)

            both()  # warms up
            medians.append(statistics.median(_timed(both, device) for _ in range(repeats)))  # as for the steps
    return min(medians)


GROUPS = {
    "convolutions": ("convolution", "mkldnn", "conv"),
    "batch normalization": ("batch_norm",),
    "pooling and unpooling": ("pool",),
    "optimizer": ("adam", "lerp", "addcdiv", "addcmul", "_foreach"),
    "casts and copies": ("copy_", "to_copy", "cat", "contiguous", "clone"),
    "augmentation": ("grid_sampler", "affine_grid"),
}


def _shares(trainer: Trainer) -> dict[str, float]:
    """Shares of three of our steps' operator time, by kind of operation."""
    with torch.profiler.profile() as profile:
        for _ in range(3):
            trainer.step()
    times: Counter = Counter()
    for event in profile.key_averages():
        group = next((g for g, words in GROUPS.items() if any(w in event.key.lower() for w in words)), "the rest")
        times[group] += event.self_cpu_time_total + getattr(event, "self_device_time_total", 0)
    return {group: value / times.total() for group, value in times.most_common()}


def bench_processes(preset_name: str = "course", steps: int = 40, counts: tuple[int, ...] = (1, 2)) -> dict:
    """Images a second of one training in 1 and in 2 processes on the CPU, with the same batch in all and the cores
    shared out: each by `torchrun -m mmlib train`, from the seconds that its record gives for `steps` more steps."""
    cores, seconds = os.cpu_count() or 1, {}
    for count in counts:
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores // count))}
        taken = []
        for length in (steps, 2 * steps):  # start and warming up are in both, and fall out of the difference
            with tempfile.TemporaryDirectory() as place:
                command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
                command += ["-m", "mmlib", "train", "--preset", preset_name, "--steps", str(length), "--device", "cpu"]
                command += ["--precision", "fp32", "--out", place]
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                taken.append(checkpoints.read_record(Path(place) / "checkpoint")["seconds"])
        seconds[count] = (taken[1] - taken[0]) / steps
    images = 4 * preset(preset_name).batch  # RGB and another of each set
    return {
        "preset": preset_name, "steps": steps, "seconds_per_step": seconds,
        "images_per_second": {count: images / value for count, value in seconds.items()},
        "device": "cpu", "cores": cores, "versions": versions(),
    }  # fmt: skip
