"""`python -m mmlib bench`: the time of one training step done naively, done our way, and the floor under both.

* *naive*: fp32, every translation and every consistency term encodes its input again (12 encoder passes);
* *ours in fp32*: the same mathematics, each input encoded once, each decoder run once;
* *ours*: with the precision and memory format that the probe chose;
* *floor*: the convolutions of our step alone, each shape timed forward and backward in its best format;
* *yardstick*: what everybody trains, a U-Net that segments, in the same form and of the same encoder (VGG-16 in preset
  `paper`).
"""

import dataclasses
import itertools
import os
import platform
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
from .baselines.supervised import Supervised
from .batches import Steps, ahead, as_needed
from .costs import Convolution, convolutions, cost, operations
from .data import open_split, shipped
from .domains import MixedCycles, shipped_colours
from .experiments import OBJECTIVES
from .grids import runs
from .losses import berhu, cross_entropy, l2, latent_consistency
from .machine import FORM, Machine, probe
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


def bench(recipe: Recipe, steps: int = 10, device: str = "auto", switches: bool = False) -> dict:
    """Time `steps` steps of each kind, alternating between kinds so that the machine's drift falls on all alike.

    Beside the naive step and ours: the yardstick, a step of a U-Net on the same encoder that segments RGB alone, at the
    same size and batch. Returns medians in seconds a step; TFLOP, TFLOP/s and their share of the rate at which this
    device multiplies large matrices; images a second; ratios; how many operations our step has, and its milliseconds by
    their kind; and, on CUDA, peak memory and what our step waits for. `switches`: also ours with each switch of
    `Machine` turned over, compiled and with window codes among them. The first loss of each is compared to fp32's.
    """
    first = dataclasses.replace(recipe.phases[0], lambda_pseudo=0.0)
    recipe = recipe.replace(phases=(first,), class_balance=0.0)  # the paper's objective: the same for both
    rooms = [shipped(split).subset(0, 100).resized(recipe.size) for split in ("d1", "d2")]
    ours = probe(device, recipe.precision, recipe.with_steps(1))  # so few are not worth compiling for
    plain = Machine(ours.device, bf16=False, channels_last=False)
    unet = recipe.replace(side_information="skip", modalities=("rgb", "segmentation"))
    kinds = {
        "naive": (recipe, NaiveZeroPair(*rooms)),
        "ours": (recipe, ZeroPair(*rooms)),
        "yardstick": (unet, Supervised(rooms[0], "rgb", "segmentation")),
    }
    forms = {"naive": plain, "ours_fp32": plain, "ours": ours, "yardstick": ours}
    if switches:
        for switch, value in ours.form().items():
            forms[f"{switch}_{'off' if value else 'on'}"] = dataclasses.replace(ours, **{switch: not value})
    trainers = {name: Trainer(*kinds.get(name, kinds["ours"]), form) for name, form in forms.items()}
    losses = {name: _total(trainer) for name, trainer in trainers.items()}
    memory = {name: _peak_memory(trainer) for name, trainer in trainers.items()} if ours.device.type == "cuda" else {}
    medians = _step_seconds(trainers, steps)
    counted = {name: cost(*kind).flops / 1e12 for name, kind in kinds.items()}
    tflop = {name: counted.get(name, counted["ours"]) for name in forms}
    rate = _matrix_rate(ours)
    shapes = sum(convolutions(trainers["ours"]).values(), Counter())
    floor = sum(count * _time_convolution(shape, ours.device) for shape, count in shapes.items())
    images = 4 * recipe.batch  # two pairs a room of D1 and of D2
    return {
        "recipe": recipe.name,
        "size": recipe.size,
        "batch": recipe.batch,
        **ours.form(),
        "steps": steps,
        "seconds_per_step": {**medians, "floor": floor},
        "tflop_per_step": tflop,
        "tflop_per_second": {name: tflop[name] / value for name, value in medians.items()},
        "matrix_tflop_per_second": rate,
        "share_of_matrix_rate": {name: tflop[name] / value / rate for name, value in medians.items()},
        "loss_over_fp32": {name: losses[name] / losses["ours_fp32"] for name in losses if name != "yardstick"},
        "images_per_second": {name: images / value for name, value in medians.items() if name != "yardstick"},
        "naive_over_ours_fp32": medians["naive"] / medians["ours_fp32"],
        "naive_over_ours": medians["naive"] / medians["ours"],
        "ours_over_floor": medians["ours"] / floor,
        "operations": operations(trainers["ours"]),
        "milliseconds": _milliseconds(trainers["ours"], medians["ours"]),
        **({"peak_memory": memory, "waits_for": _waits_for(trainers["ours"])} if memory else {}),
        **where(ours.device),
    }


def describe(result: dict) -> str:
    """The result as a table for people."""
    form = ", ".join(f"{name} {result[name]}" for name in FORM if name in result)
    lines = [f"{result['recipe']} on {result.get('processor', result['device'])}, {form}"]
    if "size" in result:
        lines.append(f"  {result['size']} × {result['size']} pixels, batch {result['batch']} + {result['batch']}")
    for name, value in result["seconds_per_step"].items():
        line = f"  {name:<20} {1000 * value:8.1f} ms a step"
        if images := result["images_per_second"].get(name):
            line += f"  {images:6.0f} images/s"
        if rate := result.get("tflop_per_second", {}).get(name):
            line += f"  {rate:8.3f} TFLOP/s, {result['share_of_matrix_rate'][name]:.0%} of the matrix rate"
        if memory := result.get("peak_memory", {}).get(name):
            line += f"  {memory / 1e9:.1f} GB"
        lines.append(line)
    lines.append(f"  naive / ours in fp32   {result['naive_over_ours_fp32']:.2f}")
    lines.append(f"  naive / ours           {result['naive_over_ours']:.2f}")
    lines.append(f"  ours / floor           {result['ours_over_floor']:.2f}")
    if "milliseconds" in result:
        lines.append(f"  our step, {result['operations']:,} operations, by kind:")
        whole = 1000 * result["seconds_per_step"]["ours"]
        lines += [f"    {kind:<24} {ms:8.1f} ms  {ms / whole:4.0%}" for kind, ms in result["milliseconds"].items()]
    if "waits_for" in result:
        lines.append(f"  our step waits for the device: {result['waits_for'] or 'never'}")
    return "\n".join(lines)


def _total(trainer: Trainer) -> float:
    """The sum of the terms of the networks' loss in one step."""
    terms = trainer.step()
    return sum(value.item() for name, value in terms.items() if not name.startswith("discriminator"))


def _peak_memory(trainer: Trainer) -> int:
    """Bytes that training holds on CUDA at most: networks and optimisers, and what a step makes beside them."""
    for optimizer in trainer.optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    held = torch.cuda.memory_allocated(trainer.machine.device)
    torch.cuda.reset_peak_memory_stats(trainer.machine.device)
    trainer.step()
    parts = [value for group in trainer.parts().values() for value in group.values()]
    return torch.cuda.max_memory_allocated(trainer.machine.device) - held + sum(value.nbytes for value in parts)


def _waits_for(trainer: Trainer) -> str:
    """What makes the CPU wait for the GPU in a step, in PyTorch's words; nothing if nothing does."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""


def _matrix_rate(machine: Machine, repeats: int = 7) -> float:
    """TFLOP/s of a product of two large square matrices, in the form's precision."""
    side = 8192 if machine.device.type == "cuda" else 2048
    kind = torch.bfloat16 if machine.bf16 else torch.float32
    a, b = (torch.randn(side, side, device=machine.device).to(kind) for _ in range(2))
    torch.mm(a, b)  # warms up
    seconds = min(_timed(lambda: torch.mm(a, b), machine.device) for _ in range(repeats))
    return 2 * side**3 / seconds / 1e12


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
    return {"preset": preset_name, "minutes": minutes, "steps": steps, **where(machine.device)}


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
    return {**result, **where(machine.device)}


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
    sets = [as_needed(rooms, recipe) for rooms in sets]
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
        **where(machine.device),
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


def where(device: torch.device) -> dict:
    """What a time was measured on and with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"device": device.type, "processor": name, **threads, "versions": versions()}


def _processor() -> str:
    """The CPU's name, and those of its instructions that bf16 is fast by."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {key.strip(): value.strip() for key, value in found.items()}
    bf16 = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in found.get("flags", "").split()]
    return ", ".join([found.get("model name", platform.machine()), *bf16])


def _time_convolution(shape: Convolution, device: torch.device, repeats: int = 7) -> float:
    """Seconds of one convolution, forward and backward, in the fastest of four forms."""
    inputs, outputs, kernel, stride, count, height, width, bias, image_gradient, weight_gradient = shape
    medians = []
    on_cuda = device.type == "cuda"  # there the last of the forms is the fastest, and trying all takes minutes
    for dtype in (torch.float32, torch.bfloat16)[on_cuda:]:
        for memory_format in (torch.contiguous_format, torch.channels_last)[on_cuda:]:
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
    "batch normalization": ("batch_norm", "bn_fw", "bn_bw"),
    "pooling and unpooling": ("pool",),
    "convolutions": ("conv", "mkldnn", "gemm", "xmma", "cutlass", "wgrad", "dgrad", "cudnn"),
    "optimizer": ("adam", "lerp", "addcdiv", "addcmul", "_foreach", "multi_tensor"),
    "casts and copies": ("copy", "cat", "contiguous", "clone", "nchw", "nhwc"),
    "augmentation": ("grid_sampler", "affine_grid"),
    "compiled": ("triton",),
}
"""Kinds of operations, with what the names of PyTorch's operators, and of CUDA's kernels, have in them."""


def _milliseconds(trainer: Trainer, seconds: float) -> dict[str, float]:
    """A step's time by kind of operation: shares of three profiled steps; on CUDA those of its kernels, and the rest of
    the step, in which the GPU waits, as `idle`."""
    on_cuda = trainer.machine.device.type == "cuda"
    with torch.profiler.profile() as profile:
        for _ in range(3):
            trainer.step()
        if on_cuda:
            torch.cuda.synchronize()
    times: Counter = Counter()
    for event in profile.key_averages():
        kernel = event.device_type != torch.autograd.DeviceType.CPU
        if kernel == on_cuda:
            group = next((g for g, words in GROUPS.items() if any(w in event.key.lower() for w in words)), "the rest")
            times[group] += event.self_device_time_total if on_cuda else event.self_cpu_time_total
    if on_cuda:  # microseconds of three steps
        parts = {group: value / 3000 for group, value in times.most_common()}
        return {**parts, "idle": max(0.0, 1000 * seconds - sum(parts.values()))}
    return {group: 1000 * seconds * value / times.total() for group, value in times.most_common()}


def bench_optimizer(recipe: Recipe, steps: int = 20, device: str = "auto") -> dict:
    """The share of Muon in a step of a recipe, with the other cores idle and with one of them busy.

    Seconds are medians of `steps`; a step and Muon's part of it, repeated on the same gradients, take turns.
    """
    rooms = [as_needed(shipped(split).subset(0, 100), recipe) for split in ("d1", "d2")]
    trainer = Trainer(recipe.replace(optimizer="muon"), ZeroPair(*rooms), probe(device, recipe.precision))
    seconds: dict[str, dict[str, float]] = {}
    for load in ("idle", "busy"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if load == "busy" else None
        try:
            taken: dict[str, list[float]] = {"step": [], "muon": []}
            for repeat in range(steps + 2):
                for name, part in (("step", trainer.step), ("muon", trainer.optimizers["muon"].step)):
                    elapsed = _timed(part, trainer.machine.device)
                    if repeat >= 2:  # the first two warm up
                        taken[name].append(elapsed)
        finally:
            if busy:
                busy.kill()
                busy.wait()
        seconds[load] = {name: statistics.median(values) for name, values in taken.items()}
    share = {load: times["muon"] / times["step"] for load, times in seconds.items()}
    return {
        "recipe": recipe.to_dict(),
        "steps": steps,
        "seconds": seconds,
        "muon_share": share,
        **where(trainer.machine.device),
    }


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
        **where(torch.device("cpu")),
    }  # fmt: skip
