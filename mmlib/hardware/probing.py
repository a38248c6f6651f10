"""The form of the arithmetic, chosen by timing work that is handed in."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from .compute import Machine

Work = Callable[[Machine], Callable[[], float]]
"""Prepares work in a form of the arithmetic: a function that does it and returns the norm of a gradient."""


def fastest_form(device: torch.device, precision: str, work: Work, switches: tuple[str, ...] = ()) -> Machine:
    """The fastest form of the arithmetic, in the precision `auto`, `fp32` or `bf16`: first with channels_last or
    without, then, one after the other, with each of `switches`."""
    choices = {"auto": (False, True), "fp32": (False,), "bf16": (True,)}[precision]
    best = _fastest([Machine(device, bf16, layout) for bf16 in choices for layout in (False, True)], work)
    for switch in switches:
        best = _fastest([best, replace(best, **{switch: True})], work)
    return best


def _fastest(forms: list[Machine], work: Work) -> Machine:
    """The fastest form of those whose gradients are the first one's to 5 %; what PyTorch cannot do here is left out."""
    steps, seconds, gradients = {form: work(form) for form in forms}, {form: [] for form in forms}, {}
    for turn in range(5):  # in turns, so that other work on the machine falls on all forms alike
        for form in list(seconds):
            try:
                start = time.perf_counter()
                gradients[form] = steps[form]()
                seconds[form].append(time.perf_counter() - start)
            except Exception:  # of whatever kind: compilers have many
                if form == forms[0]:
                    raise
                del seconds[form]
        if turn:  # the first only warms up; what is far slower than the fastest is timed no more
            right = [form for form in seconds if abs(gradients[form] / gradients[forms[0]] - 1) < 0.05]
            best = {form: min(seconds[form][1:]) for form in right}
            seconds = {form: seconds[form] for form in right if best[form] <= 1.5 * min(best.values())}
    return min(seconds, key=lambda form: min(seconds[form][1:]))


def gradient_norm(networks: nn.Module, form: Machine, output: Callable[[], torch.Tensor]) -> float:
    """The norm of the gradient of the networks' mean squared output; asking for it waits for an accelerator."""
    networks.zero_grad(set_to_none=True)
    with form.autocast():
        loss = output().float().square().mean()
    loss.backward()
    return torch.nn.utils.get_total_norm([weight.grad for weight in networks.parameters()]).item()
