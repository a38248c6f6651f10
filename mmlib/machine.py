"""Where and how to compute: the device, and the form of the arithmetic, chosen by timing."""

import copy
import functools
import time
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from .blocks import Discriminator
from .networks import Decoder, Encoder, MixAndMatch, RGBDecoder
from .recipes import Recipe, preset


@dataclass(frozen=True)
class Machine:
    """Where and how to compute: a device, bf16 autocast or fp32, channels_last or not; pooling indices as window codes
    or as PyTorch's; networks compiled or not."""

    device: torch.device
    bf16: bool
    channels_last: bool
    window_codes: bool = False
    compiled: bool = False

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, module_or_image):
        """On the device, in the memory format."""
        if self.channels_last:
            return module_or_image.to(self.device, memory_format=torch.channels_last)
        return module_or_image.to(self.device)

    def switch(self, networks: nn.Module) -> None:
        """Have all encoders, decoders and discriminators among the modules compute in this form."""
        for network in networks.modules():
            if isinstance(network, Encoder):
                network.window_codes = self.window_codes
            if self.compiled and isinstance(network, Encoder | Decoder | RGBDecoder | Discriminator):
                network.compile()

    def form(self) -> dict[str, bool]:
        """All but the device, as records keep it."""
        return {name: getattr(self, name) for name in FORM}


FORM = tuple(field.name for field in fields(Machine) if field.name != "device")


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


COMPILE_FROM = 5_000
"""Steps from which on a GPU may spend minutes on compiling the networks."""


def probe(device: str = "auto", precision: str = "auto", recipe: Recipe | None = None) -> Machine:
    """Choose bf16 and channels_last by timing a SegNet of preset `course`, forward and backward, in each form.

    On CUDA it is that of `recipe`, at its size, and then, one after the other, with window codes and compiled.
    """
    device = choose_device(device)
    if device.type != "cuda" or recipe is None:
        return _probe(device, precision, preset("course"), ())
    return _probe(device, precision, recipe, ("window_codes", "compiled")[: 1 + (recipe.steps >= COMPILE_FROM)])


@functools.cache
def _probe(device: torch.device, precision: str, recipe: Recipe, switches: tuple[str, ...]) -> Machine:
    choices = {"auto": (False, True), "fp32": (False,), "bf16": (True,)}[precision]
    forms = [Machine(device, bf16, channels_last) for bf16 in choices for channels_last in (False, True)]
    best = _fastest(forms, recipe)
    for switch in switches:
        best = _fastest([best, replace(best, **{switch: True})], recipe)
    return best


def _fastest(forms: list[Machine], recipe: Recipe) -> Machine:
    """The fastest form of those whose gradients are the first one's to 5 %; what PyTorch cannot do here is left out."""
    with torch.random.fork_rng(devices=[]):
        model = MixAndMatch.from_recipe(recipe.replace(modalities=("depth",)))
        image = torch.randn(recipe.batch, 1, recipe.size, recipe.size)
    models, seconds, slopes = {}, {form: [] for form in forms}, {}
    for form in forms:
        models[form] = form.place(copy.deepcopy(model))
        form.switch(models[form])
    for _ in range(5):  # in turns, so that other work on the machine falls on all forms alike
        for form in list(seconds):
            try:
                start = time.perf_counter()
                slopes[form] = _slope(models[form], form, image)
                seconds[form].append(time.perf_counter() - start)
            except Exception:  # of whatever kind: compilers have many
                if form == forms[0]:
                    raise
                del seconds[form]
    alike = [form for form in seconds if abs(slopes[form] / slopes[forms[0]] - 1) < 0.05]
    return min(alike, key=lambda form: min(seconds[form][1:]))


def _slope(model: MixAndMatch, form: Machine, image: torch.Tensor) -> float:
    """The norm of the gradient of one translation's loss; asking for it waits for an accelerator."""
    model.zero_grad(set_to_none=True)
    with form.autocast():
        loss = model.translate(form.place(image), "depth", "depth").float().square().mean()
    loss.backward()
    return torch.nn.utils.get_total_norm([weight.grad for weight in model.parameters()]).item()
