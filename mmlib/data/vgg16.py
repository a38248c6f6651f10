"""VGG-16's weights from a user's file: torchvision's state dict, or ONNX.

The repository does not contain VGG-16 (Simonyan & Zisserman 2014).
"""

from collections.abc import Mapping
from pathlib import Path

import torch

COUNTS, WIDTHS = (2, 2, 3, 3, 3), (64, 128, 256, 512, 512)
"""VGG-16's convolutions by stage, and their channels."""

Convolutions = list[tuple[torch.Tensor, torch.Tensor]]


def read_vgg16(path: str | Path) -> Convolutions:
    """The weights and biases of VGG-16's 13 convolutions, in order, made to read RGB in [−1, 1].

    `path`: torchvision's plain `vgg16` state dict, as `torch.save` wrote it; or an ONNX file whose first 13
    convolutions are Keras's VGG16 (BGR, 0 to 255, minus ImageNet's means). The normalisation is folded into the first
    convolution: exact but at the border, where zero padding now means mid-grey. `ValueError` on anything else.
    """
    return _read_onnx(path) if Path(path).suffix == ".onnx" else _read_torchvision(path)


def shapes() -> list[tuple[int, int, int, int]]:
    outputs = [width for width, count in zip(WIDTHS, COUNTS) for _ in range(count)]
    return [(output, inputs, 3, 3) for output, inputs in zip(outputs, [3, *outputs])]


def _read_torchvision(path: str | Path) -> Convolutions:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; save torchvision's vgg16().state_dict() there") from None
    except Exception as error:
        raise ValueError(f"{path}: not a PyTorch state dict ({type(error).__name__})") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: holds a {type(state).__name__}, not a state dict; save vgg16().state_dict()")
    # torchvision numbers every layer of features: 13 convolutions, the ReLU after each, 5 poolings
    layers, first = [], 0
    for count in COUNTS:
        layers += [first + 2 * block for block in range(count)]
        first += 2 * count + 1
    for layer, shape in zip(layers, shapes()):
        for part, expected in (("weight", shape), ("bias", shape[:1])):
            value = state.get(f"features.{layer}.{part}")
            if not isinstance(value, torch.Tensor) or value.shape != expected:
                found = "missing" if value is None else f"{tuple(getattr(value, 'shape', ()))}"
                raise ValueError(
                    f"{path}: features.{layer}.{part} is {found}, expected {expected}: "
                    "this is not torchvision's plain vgg16 state dict, or the recipe is not the paper's"
                )
    convolutions = [(state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]) for layer in layers]
    # VGG reads (x01 − mean) / std; ours reads x = 2 · x01 − 1, so x01 = (x + 1) / 2
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return _folded(convolutions, 0.5 / std, (0.5 - mean) / std)


def _read_onnx(path: str | Path) -> Convolutions:
    try:
        import onnx  # noqa: PLC0415 - the extra `pretrained`
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: reading ONNX needs the package onnx: pip install onnx") from None
    try:
        graph = onnx.load(path).graph
    except Exception as error:
        raise ValueError(f"{path}: not an ONNX file ({type(error).__name__})") from error
    held = {entry.name: entry for entry in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"][:13]
    found = [[torch.tensor(onnx.numpy_helper.to_array(held[n])) for n in node.input[1:] if n in held] for node in nodes]
    if [[tuple(part.shape) for part in parts] for parts in found] != [[shape, shape[:1]] for shape in shapes()]:
        raise ValueError(f"{path}: its first 13 convolutions are not VGG-16's, each with a bias")
    # it reads BGR, 255 · x01 − mean; ours reads RGB, x = 2 · x01 − 1, so 255 · x01 = 127.5 · (x + 1)
    convolutions = [(weight.flip(1) if k == 0 else weight, bias) for k, (weight, bias) in enumerate(found)]
    mean = torch.tensor([123.68, 116.779, 103.939])  # of red, green and blue
    return _folded(convolutions, torch.full((3,), 127.5), 127.5 - mean)


def _folded(convolutions: Convolutions, scale: torch.Tensor, shift: torch.Tensor) -> Convolutions:
    """The first convolution made to read x where it read scale · x + shift, channel by channel."""
    weight, bias = convolutions[0]
    first = weight * scale.view(1, 3, 1, 1), bias + (weight * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    return [first, *convolutions[1:]]
