"""The form of the arithmetic, chosen by timing."""

import copy
import functools
import time
from dataclasses import replace

import torch

from ..networks import MixAndMatch
from ..recipes import Recipe, preset
from .compute import Machine, choose_device

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
        model = MixAndMatch.from_recipe(recipe.replace(modalities=("depth",), architecture="segnet"))
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
