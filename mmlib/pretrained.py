"""A pretrained RGB encoder (section 4.2): ImageNet's VGG-16 for the paper's, and one distilled from it for slim ones.

VGG-16 (Simonyan & Zisserman 2014) is read from a file that the user has and never comes with this repository.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from . import checkpoints
from .blocks import pool
from .data import Rooms
from .networks import Encoder
from .objectives import Objective
from .recipes import Recipe

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


def _shapes() -> list[tuple[int, int, int, int]]:
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
    places, layer = [], 0
    for count in COUNTS:
        places += [layer + 2 * block for block in range(count)]
        layer += 2 * count + 1
    for place, shape in zip(places, _shapes()):
        for part, expected in (("weight", shape), ("bias", shape[:1])):
            theirs = state.get(f"features.{place}.{part}")
            if not isinstance(theirs, torch.Tensor) or theirs.shape != expected:
                found = "missing" if theirs is None else f"{tuple(getattr(theirs, 'shape', ()))}"
                raise ValueError(
                    f"{path}: features.{place}.{part} is {found}, expected {expected}: "
                    "this is not torchvision's plain vgg16 state dict, or the recipe is not the paper's"
                )
    convolutions = [(state[f"features.{place}.weight"], state[f"features.{place}.bias"]) for place in places]
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
    if [[tuple(part.shape) for part in parts] for parts in found] != [[shape, shape[:1]] for shape in _shapes()]:
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


def load_vgg16(encoder: Encoder, path: str | Path) -> None:
    """Fill the paper's RGB encoder with VGG-16's convolutions; `path` as in `read_vgg16`.

    `ValueError` where the file or the encoder is another; the encoder is then unchanged.
    """
    read = read_vgg16(path)
    convolutions = [block[0] for stage in encoder.stages for block in stage]
    if any(convolution.bias is None for convolution in convolutions):
        raise ValueError("the RGB encoder has batch normalization: only the paper's, without it, loads VGG-16")
    if [tuple(convolution.weight.shape) for convolution in convolutions] != _shapes():
        raise ValueError(f"{path}: VGG-16 fits the paper's RGB encoder alone, and the recipe is not the paper's")
    with torch.no_grad():
        for convolution, (weight, bias) in zip(convolutions, read):
            convolution.weight.copy_(weight)
            convolution.bias.copy_(bias)


def load_rgb_encoder(encoder: Encoder, path: str | Path) -> None:
    """Start an RGB encoder from a file: one that `distil` wrote (.safetensors), or VGG-16's weights.

    A distilled encoder may have more stages than this one: the first are read. `ValueError` where the file does not
    fit; the encoder is then unchanged.
    """
    if Path(path).suffix != ".safetensors":
        return load_vgg16(encoder, path)
    weights, _ = checkpoints.read_tensors(path)
    mine = encoder.state_dict()
    stages = tuple(f"stages.{stage}." for stage in range(len(encoder.stages)))
    ours = {name: weight for name, weight in weights.items() if name.startswith(stages)}
    if {n: (w.shape, w.dtype) for n, w in ours.items()} != {n: (w.shape, w.dtype) for n, w in mine.items()}:
        raise ValueError(f"{path}: not an encoder of these widths and convolutions; distil one for this recipe")
    encoder.load_state_dict(ours)


# ── Distillation ───────────────────────────────────────────────────────────────────────────────────────────────────


class VGG16(nn.Module):
    """The frozen teacher: RGB in [−1, 1] (N, 3, H, W) → what its first `stages` poolings hand over."""

    def __init__(self, convolutions: Convolutions, stages: int):
        super().__init__()
        self.stages, convolutions = nn.ModuleList(), list(convolutions)
        for count in COUNTS[:stages]:
            stage = []
            for weight, bias in (convolutions.pop(0) for _ in range(count)):
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.load_state_dict({"weight": weight, "bias": bias})
                stage += [layer, nn.ReLU(inplace=True)]
            self.stages.append(nn.Sequential(*stage))
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        pooled = []
        for stage in self.stages:
            image, _ = pool(stage(image))
            pooled.append(image)
        return pooled


class Student(nn.Module):
    """A slim encoder, and for each stage a 1×1 convolution by which it is compared with VGG-16's; those are dropped."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.encoder = Encoder(3, recipe.widths, recipe.convolutions, recipe.rgb_batch_norm)
        self.heads = nn.ModuleList(nn.Conv2d(mine, theirs, 1) for mine, theirs in zip(recipe.widths, WIDTHS))


class Distillation(Objective):
    """The RGB encoder regresses the pooled features of VGG-16 on the training sets' RGB, stage by stage.

    VGG-16's channels differ in scale by hundreds, so each is brought to mean 0 and deviation 1 over the batch: a mean
    squared error of 1 says that nothing is learnt.
    """

    def __init__(self, sets: tuple[Rooms, ...], vgg: Convolutions):
        self.sets, self.vgg, self.teacher = sets, vgg, None

    def networks(self, recipe: Recipe) -> nn.Module:
        self.teacher = VGG16(self.vgg, len(recipe.widths))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return Student(recipe)

    def terms(self, model: Student, batches, recipe, phase, random, average=None):
        x = torch.cat([batch.images["rgb"] for batch in batches])
        self.teacher.to(x.device)
        terms = {}
        for number, (mine, head, theirs) in enumerate(zip(model.encoder(x).pooled, model.heads, self.teacher(x)), 1):
            deviation, mean = torch.std_mean(theirs.float(), (0, 2, 3), keepdim=True)
            terms[f"distillation/{number}"] = F.mse_loss(head(mine).float(), (theirs - mean) / (deviation + 1e-3))
        return terms, {}

    def total(self, terms, phase):
        return sum(terms.values())


def distil(vgg: str | Path, recipe: Recipe, sets: tuple[Rooms, ...], folder: str | Path, out: str | Path, **options):
    """Distil VGG-16 into the RGB encoder of a recipe, on the RGB of `sets`; returns the record.

    `folder` keeps state and log; `out` (.safetensors) gets the encoder in half precision, with its record beside it.
    `options` go to `fit`. `ValueError` as in `read_vgg16`.
    """
    from .training import fit  # noqa: PLC0415 - it reads what this module makes

    objective = Distillation(sets, read_vgg16(vgg))
    model = fit(recipe, objective, folder, **options)
    checkpoints.save_checkpoint(out, model.encoder, model.record, half=True)
    return checkpoints.read_record(out)
