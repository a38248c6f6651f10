"""Where and how to compute: the device, and the form of the arithmetic."""

import functools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import nn

Placed = TypeVar("Placed", bound=nn.Module | torch.Tensor)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Machine:
    """Where and how to compute: a device, bf16 autocast or fp32, channels_last or not; pooling indices as window codes
    or as PyTorch's; networks compiled or not."""

    device: torch.device
    bf16: bool
    channels_last: bool
    window_codes: bool = False
    compiled: bool = False

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, module_or_image: Placed) -> Placed:
        """On the device, in the memory format."""
        given: Any = module_or_image  # PyTorch's types lack a module's memory format
        return given.to(self.device, memory_format=torch.channels_last) if self.channels_last else given.to(self.device)

    def switch(self, networks: nn.Module) -> None:
        """Have all encoders, decoders and discriminators among the modules compute in this form."""
        for network in networks.modules():
            if hasattr(network, "window_codes"):
                network.window_codes = self.window_codes
            if self.compiled and getattr(network, "compiles", False):
                network.compile()

    def form(self) -> dict[str, bool]:
        """All but the device, as records keep it."""
        return {name: getattr(self, name) for name in FORM}


FORM = tuple(field.name for field in fields(Machine) if field.name != "device")


def autotuned(step: Callable[[Any], Result]) -> Callable[[Any], Result]:
    """A trainer's step during which cuDNN tries its algorithms, because all steps have the same shapes."""

    @functools.wraps(step)
    def tuned(trainer: Any) -> Result:
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = trainer.machine.device.type == "cuda"
        try:
            return step(trainer)
        finally:
            torch.backends.cudnn.benchmark = before

    return tuned


def _has_code() -> bool:
    """Whether the installed PyTorch was built for the GPU at hand, or for an older one of its generation."""
    major, minor = torch.cuda.get_device_capability()
    built = [re.fullmatch(r"sm_(\d+?)(\d)[a-z]*", arch) for arch in torch.cuda.get_arch_list()]
    return not built or any(arch and int(arch[1]) == major and int(arch[2]) <= minor for arch in built)


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, else MPS, else the CPU; `ValueError` where the device asked for is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto" and available["cuda"] and not _has_code():
        warnings.warn("this PyTorch has no code for the GPU here: computing on the CPU", stacklevel=2)
        available["cuda"] = False
    here = [kind for kind, is_here in available.items() if is_here]
    if name == "auto":
        return torch.device(here[0])
    if name.split(":")[0] not in here:
        raise ValueError(f"device {name!r} is not available here: use auto, {', '.join(here)}")
    try:
        return torch.device(name)
    except RuntimeError as error:  # not a device's number
        raise ValueError(f"device {name!r}: {str(error).splitlines()[0]}; use auto, cpu, cuda or mps") from None
