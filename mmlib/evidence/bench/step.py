"""`python -m mmlib bench`: the time of one training step done naively, done our way, and the floor under both.

* *naive*: fp32, every translation and every consistency term encodes its input again (11 encoder passes);
* *ours in fp32*: the same mathematics, each input encoded once, each decoder run once;
* *ours*: with the precision and memory format that the probe chose;
* *floor*: the convolutions of our step alone, each shape timed forward and backward in its best format;
* *yardstick*: what everybody trains, a U-Net that segments, in the same form and of the same encoder (VGG-16 in preset
  `paper`).
"""

import dataclasses
import statistics
from collections import Counter
from typing import Any, cast

import torch
from torch import nn

from ...data.shipped import shipped
from ...hardware.compute import FORM, Machine
from ...methods.supervised import Supervised
from ...objectives import PlainZeroPair, ZeroPair
from ...recipes import Recipe
from ...resuming.state import parts
from ...training import Trainer, probe
from ..costs import Convolution, convolutions, cost, operations
from .timing import step_seconds, timed, where


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
        "naive": (recipe, PlainZeroPair(*rooms)),
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
    medians = step_seconds(trainers, steps)
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
    tensors = [value for group in parts(trainer).values() for value in group.values()]
    return torch.cuda.max_memory_allocated(trainer.machine.device) - held + sum(value.nbytes for value in tensors)


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
    seconds = min(timed(lambda: torch.mm(a, b), machine.device) for _ in range(repeats))
    return 2 * side**3 / seconds / 1e12


def _time_convolution(shape: Convolution, device: torch.device, repeats: int = 7) -> float:
    """Seconds of one convolution, forward and backward, in the fastest of four forms."""
    inputs, outputs, kernel, stride, count, height, width, bias, image_gradient, weight_gradient = shape
    medians = []
    on_cuda = device.type == "cuda"  # there the last of the forms is the fastest, and trying all takes minutes
    for dtype in (torch.float32, torch.bfloat16)[on_cuda:]:
        for memory_format in (torch.contiguous_format, torch.channels_last)[on_cuda:]:
            conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias).requires_grad_(weight_gradient)
            layer = cast(Any, conv).to(device, dtype, memory_format=memory_format)
            x = torch.randn(count, inputs, height, width, device=device, dtype=dtype)
            x = x.contiguous(memory_format=memory_format).requires_grad_(image_gradient)
            slope = torch.randn_like(layer(x))

            def both(layer=layer, x=x, slope=slope):
                layer(x).backward(slope)

            both()  # warms up
            medians.append(statistics.median(timed(both, device) for _ in range(repeats)))  # as for the steps
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
        kernel = event.device_type != torch.autograd.DeviceType.CPU  # type: ignore[attr-defined]
        if kernel == on_cuda:
            group = next((g for g, words in GROUPS.items() if any(w in event.key.lower() for w in words)), "the rest")
            times[group] += event.self_device_time_total if on_cuda else event.self_cpu_time_total
    if on_cuda:  # microseconds of three steps
        parts = {group: value / 3000 for group, value in times.most_common()}
        return {**parts, "idle": max(0.0, 1000 * seconds - sum(parts.values()))}
    return {group: 1000 * seconds * value / times.total() for group, value in times.most_common()}
