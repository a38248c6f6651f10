"""The bricks of networks: SegNet's convolution, pooling and unpooling; discriminators; CycleGAN's residual halves."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from .hardware.window_codes import CodedPool, CodedUnpool, is_channels_last

Normalization = Callable[[int], nn.Module]
"""A width → a layer."""


class ImageConvolution(nn.Conv2d):
    """A network's first convolution: it computes in fp32 even under autocast, and hands over autocast's precision.

    bf16 keeps 8 bits: it would round depth beyond 5 m to steps of 1.6 cm, and blur the 3 cm of a picture on the wall.
    """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        kind = image.device.type
        if not torch.is_autocast_enabled(kind):
            return super().forward(image)
        with torch.autocast(kind, enabled=False):
            return super().forward(image.float()).to(torch.get_autocast_dtype(kind))


class ConvolutionBlock(nn.Sequential):
    """3×3 convolution, batch normalization, ReLU: (N, in, H, W) → (N, out, H, W) (appendix A).

    With `batch_norm=False` the convolution has a bias instead, as VGG-16's have. `first`: it reads an image.
    """

    def __init__(self, inputs: int, outputs: int, batch_norm: bool = True, first: bool = False):
        convolution = ImageConvolution if first else nn.Conv2d
        layers: list[nn.Module] = [convolution(inputs, outputs, 3, padding=1, bias=not batch_norm)]
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        super().__init__(*layers, nn.ReLU(inplace=True))


def pool(features: torch.Tensor, codes: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """2×2 max pooling: (N, C, H, W) → (N, C, H/2, W/2), and where in each (H, W) plane the maxima stood (int64).

    With `codes` it is where in its window each stood, 0 to 3, row by row (uint8): an eighth of the memory.
    """
    return CodedPool.apply(features) if codes else F.max_pool2d(features, 2, return_indices=True)


def unpool(features: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Put each value back where its maximum stood, zeros elsewhere: (N, C, H, W) → (N, C, 2H, 2W) (section 4.2).

    `indices`: what `pool` gave, in either form.
    """
    if indices.dtype == torch.uint8:
        return CodedUnpool.apply(features, indices)
    unpooled = F.max_unpool2d(features, indices, (2, 2))
    if is_channels_last(features):  # CUDA answers NCHW whatever it was given
        unpooled = unpooled.contiguous(memory_format=torch.channels_last)
    return unpooled


def upper_left(indices: torch.Tensor) -> torch.Tensor:
    """Indices, or codes, of the same shape (…, H, W) that point at the upper left pixel of every 2×2 window."""
    if indices.dtype == torch.uint8:
        return torch.zeros_like(indices)
    height, width = indices.shape[-2:]
    rows, columns = (2 * torch.arange(side, device=indices.device) for side in (height, width))
    return (rows[:, None] * 2 * width + columns).expand_as(indices).contiguous()


def upsample(features: torch.Tensor) -> torch.Tensor:
    """Repeat each value 2×2, for decoders without pooling indices: (N, C, H, W) → (N, C, 2H, 2W)."""
    return F.interpolate(features, scale_factor=2, mode="nearest")


class Discriminator(nn.Module):
    """What judges images: scores (N, 1, h, w) that should be 1 for real images and 0 for made ones.

    With a `pool` it is shown older images, too.
    """

    compiles = True
    pool: nn.Module | None = None

    def shown(self, made: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """The made images that a step of its own training judges."""
        return made if self.pool is None else self.pool(made, random)


class PatchDiscriminator(Discriminator):
    """The RGB discriminator C(x) of Table 6: (N, channels, H, W) → scores (N, 1, H / 2 ** stages, …).

    Strided 5×5 convolutions, one stage per width, each with batch normalization and LeakyReLU (appendix A). The table
    stops at 16×16×512; the head is our choice: a 5×5 convolution to one score per patch, without activation, for least
    squares (section 4.3).
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (64, 128, 256, 512)):
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers.append(nn.Conv2d(channels, width, 5, stride=2, padding=2, bias=False))
            layers += [nn.BatchNorm2d(width), nn.LeakyReLU(0.2, inplace=True)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image))


Module = TypeVar("Module", bound=nn.Module)


def initialise(module: Module) -> Module:
    """Weights from N(0, 0.02), as both papers' code."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)
    return module


class Residual(nn.Module):
    """Two 3×3 convolutions whose output is added to their input (CycleGAN, appendix 7.2)."""

    def __init__(self, width: int, normalization: Normalization):
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), normalization(width)]
            layers += [] if last else [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def group_norm(width: int) -> nn.Module:
    """Group normalization, groups of four, in the place of CycleGAN's instance normalization, which takes each
    channel's brightness and contrast out of every image: autoencoders then learn much more slowly."""
    return nn.GroupNorm(max(1, width // 4), width)


def resnet_down(
    inputs: int, widths: Sequence[int], residuals: int, normalization: Normalization = nn.InstanceNorm2d
) -> list[nn.Module]:
    """The first half of CycleGAN's generator (appendix 7.2): (N, inputs, H, W) → (N, widths[-1], H / 4, W / 4).

    `widths`, here three: of the first 7×7 convolution and of each strided one; then residual blocks.
    """
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, widths[0], 7)]
    layers += [normalization(widths[0]), nn.ReLU(inplace=True)]
    for narrow, wide in zip(widths, widths[1:]):
        layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), normalization(wide), nn.ReLU(inplace=True)]
    return layers + [Residual(widths[-1], normalization) for _ in range(residuals)]


def resnet_up(
    outputs: int, widths: Sequence[int], residuals: int = 0, normalization: Normalization = nn.InstanceNorm2d
) -> list[nn.Module]:
    """The other half, residual blocks first, with a linear output."""
    layers: list[nn.Module] = [Residual(widths[-1], normalization) for _ in range(residuals)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1]):
        layers.append(nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1))
        layers += [normalization(narrow), nn.ReLU(inplace=True)]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(widths[0], outputs, 7)]
