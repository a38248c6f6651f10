"""Where and how to compute: the device, and the form of the arithmetic, chosen by timing."""

import copy
import functools
import time
from dataclasses import dataclass

import torch

from .networks import MixAndMatch
from .recipes import preset


@dataclass(frozen=True)
class Machine:
    """Where and how to compute: a device, bf16 autocast or fp32, channels_last or not."""

    device: torch.device
    bf16: bool
    channels_last: bool

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, module_or_image):
        """On the device, in the memory format."""
        if self.channels_last:
            return module_or_image.to(self.device, memory_format=torch.channels_last)
        return module_or_image.to(self.device)


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, else MPS, else the CPU; `ValueError` where the device asked for is not there."""
    try:
        return _available(name)
    except RuntimeError as error:  # not a device's name at all
        raise ValueError(f"device {name!r}: {str(error).splitlines()[0]}; use auto, cpu, cuda or mps") from None


def _available(name: str) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in available if available[kind]))
    if not available.get(name.split(":")[0]):
        raise ValueError(
            f"device {name!r} is not available here: use auto, {', '.join(k for k in available if available[k])}"
        )
    return torch.device(name)


def probe(device: str = "auto", precision: str = "auto") -> Machine:
    """Choose bf16 and channels_last by timing a SegNet of preset `course`, forward and backward, in each form."""
    return _probe(choose_device(device), precision)


@functools.cache
def _probe(device: torch.device, precision: str) -> Machine:
    choices = {"auto": (False, True), "fp32": (False,), "bf16": (True,)}[precision]
    candidates = [Machine(device, bf16, channels_last) for bf16 in choices for channels_last in (False, True)]
    recipe = preset("course")
    with torch.random.fork_rng(devices=[]):
        model = MixAndMatch.from_recipe(recipe)
        image = torch.randn(recipe.batch, 1, recipe.size, recipe.size)
    models = {machine: machine.place(copy.deepcopy(model)) for machine in candidates}
    seconds = {machine: [] for machine in candidates}
    for _ in range(5):  # in turns, so that other work on the machine falls on all forms alike
        for machine, model in models.items():
            x = machine.place(image)
            start = time.perf_counter()
            with machine.autocast():
                loss = model.translate(x, "depth", "depth").float().square().mean()
            loss.backward()
            loss.item()  # waits for an accelerator
            seconds[machine].append(time.perf_counter() - start)
    return min(candidates, key=lambda machine: min(seconds[machine][1:]))
