"""A pretrained RGB encoder (section 4.2): VGG-16 of ImageNet for the paper's, one distilled from it for slim ones."""

from pathlib import Path

from torch import nn

from .. import checkpoints
from ..data.vgg16 import read_vgg16, shapes
from ..networks import Encoder


def load_vgg16(encoder: Encoder, path: str | Path) -> None:
    """Fill the paper's RGB encoder with VGG-16's convolutions; `path` as in `read_vgg16`.

    `ValueError` where the file or the encoder is another; the encoder is then unchanged.
    """
    read = read_vgg16(path)
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    if any(convolution.bias is None for convolution in convolutions):
        raise ValueError("the RGB encoder has batch normalization: only the paper's, without it, loads VGG-16")
    if [tuple(convolution.weight.shape) for convolution in convolutions] != shapes():
        raise ValueError(f"{path}: VGG-16 fits the paper's RGB encoder alone, and the recipe is not the paper's")
    for convolution, (weight, bias) in zip(convolutions, read):
        convolution.load_state_dict({"weight": weight, "bias": bias})


def load_rgb_encoder(encoder: Encoder, path: str | Path) -> None:
    """Start an RGB encoder from a file: one that `distil` wrote (.safetensors), or VGG-16's weights.

    Where a distilled encoder has more stages than this one, the first are read. `ValueError` where the file does not
    fit; the encoder is then unchanged.
    """
    if Path(path).suffix != ".safetensors":
        return load_vgg16(encoder, path)
    weights, _ = checkpoints.read_tensors(path)
    own = encoder.state_dict()
    stages = tuple(f"stages.{stage}." for stage in range(len(encoder.stages)))
    held = {name: weight for name, weight in weights.items() if name.startswith(stages)}
    if {n: (w.shape, w.dtype) for n, w in held.items()} != {n: (w.shape, w.dtype) for n, w in own.items()}:
        raise ValueError(f"{path}: not an encoder of these widths and convolutions; distil one for this recipe")
    encoder.load_state_dict(held)
