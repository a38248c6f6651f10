"""What a recipe costs, from shapes alone: weights, arithmetic and memory of one training step, before it is run.

A *rehearsal* is `Trainer.step` itself on fake tensors, which have shapes and no numbers: at any size it needs neither
memory nor a GPU. Arithmetic is counted in FLOPs, two for each multiply-add of a convolution; normalization, pooling,
losses and Adam are a few operations per value and are left out, as usual.
"""

import contextlib
import functools
import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ..data.batches import Pair
from ..hardware.compute import Machine
from ..networks import MixAndMatch
from ..recipes import Recipe
from ..training import Trainer


@functools.cache
def shapes_only() -> FakeTensorMode:
    """A context: tensors made in it, networks too, have shapes and no numbers, and take no memory.

    It is the same one at every call, so that what was made in it once can be used in it again.
    """
    return FakeTensorMode()


# ── Layer by layer ─────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = {"convolution": "conv", "max_pool2d": "pool", "max_unpool2d": "unpool", "upsample": "repeat"}


class Layer(NamedTuple):
    """One operation of a network: conv, pool, unpool or repeat; shapes (N, H, W, C), as the paper's appendix prints."""

    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: int | None = None
    stride: int | None = None


class _Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.layers: list[Layer] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        name = function.overloadpacket.__name__
        kind = next((kind for start, kind in KINDS.items() if name.startswith(start)), None)
        if kind:
            output = result[0] if kind == "pool" else result
            window = ()
            if kind == "conv":
                window = (arguments[1].shape[-1], arguments[3][-1])
            elif kind == "pool":
                window = (arguments[1][-1], arguments[2][-1] if len(arguments) > 2 else arguments[1][-1])
            self.layers.append(Layer(kind, _nhwc(arguments[0]), _nhwc(output), *window))
        return result


def _nhwc(image: torch.Tensor) -> tuple[int, ...]:
    count, channels, height, width = image.shape
    return count, height, width, channels


@torch.no_grad()
def layers(network: nn.Module, given) -> list[Layer]:
    """The convolutions, poolings, unpoolings and repetitions of a network in order (Tables 5 to 8 for the paper's).

    `given`: what the network reads, an image (N, channels, H, W) or an `Encoding`.
    """
    with _Recorder() as recorder:
        network(given)
    return recorder.layers


# ── Arithmetic ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Convolution(NamedTuple):
    """One call of a convolution in a training step: what it reads and which gradients its backward pass makes."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    images: int
    height: int
    width: int
    bias: bool
    image_gradient: bool
    weight_gradient: bool

    @property
    def forward(self) -> int:
        """FLOPs of the forward pass: two for each weight at each output pixel of each image."""
        pixels = math.ceil(self.height / self.stride) * math.ceil(self.width / self.stride)
        return 2 * self.inputs * self.outputs * self.kernel**2 * pixels * self.images

    @property
    def flops(self) -> int:
        """FLOPs forward and backward: each gradient, by the image and by the weights, costs as much as the forward."""
        return self.forward * (1 + self.image_gradient + self.weight_gradient)


def networks(trainer: Trainer) -> dict[str, nn.Module]:
    """Encoders, decoders and the discriminator, where there is one, by name: `rgb encoder`, …"""
    model = cast(MixAndMatch, trainer.model)
    parts = {"encoder": model.encoders, "decoder": model.decoders}
    named = {f"{name} {part}": network for part, group in parts.items() for name, network in group.items()}
    if len(trainer.discriminators):
        named["discriminator"] = nn.ModuleList(trainer.discriminators.values())
    return named


def convolutions(trainer: Trainer) -> dict[str, Counter[Convolution]]:
    """Run one step, and say how often it called each convolution, by network."""
    calls: dict[str, Counter[Convolution]] = {name: Counter() for name in networks(trainer)}
    hooks = []
    for name, network in networks(trainer).items():

        def count(layer: nn.Conv2d, given, counter=calls[name]):
            (x,) = given
            shape = (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0], *x.shape[:1])
            gradients = (x.requires_grad, layer.weight.requires_grad)
            counter[Convolution(*shape, *x.shape[2:], layer.bias is not None, *gradients)] += 1  # type: ignore[call-arg]

        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                hooks.append(layer.register_forward_pre_hook(count))
    try:
        trainer.step()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def operations(trainer: Trainer) -> int:
    """Run one step, and say how many of PyTorch's operators it called, views left out: each is at least one kernel that
    the CPU hands to a GPU."""
    with _OperationCounter() as counter:
        trainer.step()
    return counter.count


class _OperationCounter(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += not function.is_view
        return function(*arguments, **(options or {}))


# ── A rehearsed step ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Cost:
    """What one training step of a recipe costs; dictionaries are by network.

    `parameters`: weights; `images`: how many the network reads in a step; `forward`: FLOPs of one image, forward;
    `step`: FLOPs of the whole step, forward and backward; `counted`: the same in all, by PyTorch's own counter.
    `activations` and `indices`: bytes kept for the backward pass of encoders and decoders (the discriminator's comes
    after it and keeps less); what backward itself needs for a moment is not in it.
    """

    parameters: dict[str, int]
    images: dict[str, int]
    forward: dict[str, int]
    step: dict[str, int]
    counted: int
    activations: int
    indices: int

    @property
    def flops(self) -> int:
        """FLOPs of the step in all."""
        return sum(self.step.values())

    def memory(self) -> dict[str, int]:
        """Bytes by purpose. Weights, gradients and Adam's two moments are fp32 under bf16 autocast, too."""
        weights = 4 * sum(self.parameters.values())
        fixed = {"weights": weights, "gradients": weights, "Adam's moments": 2 * weights}
        return {**fixed, "activations": self.activations, "pooling indices": self.indices}


def cost(recipe: Recipe, objective, phase: int = 0, bf16: bool = False) -> Cost:
    """Rehearse one step of a recipe's phase (from 0), in fp32 or bf16 autocast.

    Of the objective's data only the modalities count. Latent noise and class weights are left out: they need numbers,
    and cost next to nothing.
    """
    recipe = recipe.replace(phases=(recipe.phases[phase],), latent_noise=0.0, class_balance=0.0)
    with shapes_only():
        trainer = _Rehearsal(recipe, objective, _Stage(torch.device("cpu"), bf16, channels_last=False))
        with FlopCounterMode(display=False) as counter, trainer.noting():
            calls = convolutions(trainer)
    parts = networks(trainer)
    depth = {name: sum(isinstance(m, nn.Conv2d) for m in network.modules()) for name, network in parts.items()}
    images = {
        name: sum(call.images * times for call, times in counts.items()) // depth[name]
        for name, counts in calls.items()
    }
    forward = {
        name: sum(call.forward * times for call, times in counts.items()) // max(images[name], 1)
        for name, counts in calls.items()
    }
    return Cost(
        parameters={name: sum(p.numel() for p in network.parameters()) for name, network in parts.items()},
        images=images,
        forward=forward,
        step={name: sum(call.flops * times for call, times in counts.items()) for name, counts in calls.items()},
        counted=counter.get_total_flops(),
        activations=trainer.kept["generator"][False],
        indices=trainer.kept["generator"][True],
    )


@dataclass(frozen=True)
class Parallel:
    """A data-parallel step on several GPUs, each with the whole batch of `cost`; all of it computed.

    `exchanged`: bytes that each GPU sends, and receives, to average its gradients (fp32; a ring passes each part on
    twice). `compute` and `exchange`: seconds, one after the other where nothing of the exchange is hidden behind the
    backward pass, and only the longer where all is.
    """

    gpus: int
    exchanged: float
    compute: float
    exchange: float

    @property
    def seconds(self) -> tuple[float, float]:
        """A step with nothing hidden, and with all."""
        return self.compute + self.exchange, max(self.compute, self.exchange)

    @property
    def speed(self) -> tuple[float, float]:
        """Images a second against one GPU's, with nothing hidden, and with all."""
        nothing, everything = self.seconds
        return self.gpus * self.compute / nothing, self.gpus * self.compute / everything


def parallel(cost: Cost, gpus: int, rate: float, bandwidth: float) -> Parallel:
    """`rate`: FLOP/s that one GPU reaches; `bandwidth`: bytes a second that it sends while it receives as many."""
    exchanged = 2 * (gpus - 1) / gpus * 4 * sum(cost.parameters.values())
    return Parallel(gpus, exchanged, cost.flops / rate, exchanged / bandwidth)


class _Stage(Machine):
    """Where rehearsals happen: nothing needs to be brought there."""

    def place(self, module_or_image):
        return module_or_image


class _Rehearsal(Trainer):
    """A trainer of shapes: it draws no rooms, changes no weights, and notes what each backward pass has to keep."""

    def __init__(self, recipe: Recipe, objective, machine: Machine):
        super().__init__(recipe, objective, machine)
        weights = [*self.model.parameters(), *self.discriminators.parameters()]
        self._weights = {weight.untyped_storage()._cdata for weight in weights}
        self._noted: dict[int, tuple] = {}
        self.kept: dict[str, Counter[bool]] = {}  # bytes by network and by whether they are pooling indices

    def batches(self, step: int) -> list[Pair]:
        size, batch = self.recipe.size, self.recipe.batch
        return [
            Pair(
                {name: torch.zeros(batch, record.channels, size, size) for name, record in rooms.records.items()},
                {name: torch.ones(batch, 1, size, size, dtype=torch.bool) for name in rooms.modalities},
            )
            for rooms in self.objective.sets
        ]

    @contextlib.contextmanager
    def noting(self):
        """Note the memory of every tensor that is kept for backward, once, and not that of weights."""

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            memory = tensor.untyped_storage()
            if memory._cdata not in self._weights:
                self._noted.setdefault(memory._cdata, (memory, tensor.dtype == torch.int64))
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            yield

    def _update(self, loss: torch.Tensor, terms: dict[str, torch.Tensor], name: str, *_) -> None:
        self.kept[name] = Counter()
        for memory, indices in self._noted.values():
            self.kept[name][indices] += memory.nbytes()
        self._noted = {}
        loss.backward()
