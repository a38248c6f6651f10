"""The networks of CycleGAN and pix2pix: ResNet and U-Net generators, PatchGAN, and one module that holds generators."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..blocks import Discriminator, ImagePool


def initialise(module: nn.Module) -> nn.Module:
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


class _Residual(nn.Module):
    def __init__(self, width: int, normalization):
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), normalization(width)]
            layers += [] if last else [nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def resnet_down(
    inputs: int, widths: tuple[int, ...], residuals: int, normalization=nn.InstanceNorm2d
) -> list[nn.Module]:
    """The first half of CycleGAN's generator (appendix 7.2): (N, inputs, H, W) → (N, widths[-1], H / 4, W / 4).

    `widths`, here three: of the first 7×7 convolution and of each strided one; then residual blocks. `normalization`: a
    width → a layer.
    """
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, widths[0], 7)]
    layers += [normalization(widths[0]), nn.ReLU(inplace=True)]
    for narrow, wide in zip(widths, widths[1:]):
        layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), normalization(wide), nn.ReLU(inplace=True)]
    return layers + [_Residual(widths[-1], normalization) for _ in range(residuals)]


def resnet_up(
    outputs: int, widths: tuple[int, ...], residuals: int = 0, normalization=nn.InstanceNorm2d
) -> list[nn.Module]:
    """The other half, residual blocks first, with a linear output."""
    layers: list[nn.Module] = [_Residual(widths[-1], normalization) for _ in range(residuals)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1]):
        layers.append(nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1))
        layers += [normalization(narrow), nn.ReLU(inplace=True)]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(widths[0], outputs, 7)]


class ResNetGenerator(nn.Sequential):
    """CycleGAN's generator: (N, inputs, H, W) → (N, outputs, H, W), linear output."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...], residuals: int = 6):
        super().__init__(*resnet_down(inputs, widths, residuals), *resnet_up(outputs, widths))


class UNetGenerator(nn.Module):
    """pix2pix's generator (appendix 6.1.1): a U-Net of strided 4×4 convolutions with skip connections, linear output.

    `widths`: of each strided convolution; the sides must be multiples of 2 ** len(widths). Dropout in the three
    innermost stages of the decoder but the first.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...]):
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        last = len(widths) - 1
        for stage, (narrow, wide) in enumerate(zip((inputs, *widths), widths)):
            layers: list[nn.Module] = [] if stage == 0 else [nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(narrow, wide, 4, stride=2, padding=1))
            if 0 < stage < last:
                layers.append(nn.BatchNorm2d(wide))
            self.down.append(nn.Sequential(*layers))
        for stage in range(last, -1, -1):
            wide = widths[stage] * (1 if stage == last else 2)  # the skip's features beside those from below
            narrow = widths[stage - 1] if stage else outputs
            layers = [nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)]
            if stage:
                layers.append(nn.BatchNorm2d(narrow))
                layers += [nn.Dropout(0.5)] if last - 3 <= stage < last else []
            self.up.append(nn.Sequential(*layers))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = [image]
        for stage in self.down:
            features.append(stage(features[-1]))
        x = features[-1]
        for stage, skip in zip(self.up, [None, *features[-2:0:-1]]):
            x = stage(x if skip is None else torch.cat([x, skip], 1))
        return x


class PatchGAN(Discriminator):
    """The PatchGAN of both papers (pix2pix, appendix 6.1.2): 4×4 convolutions, all but two of them strided.

    `normalization`: `nn.BatchNorm2d` (pix2pix) or `nn.InstanceNorm2d` (CycleGAN). Scores (N, 1, h, w).
    """

    def __init__(self, channels: int, widths: tuple[int, ...], normalization, pool: ImagePool | None = None):
        super().__init__()
        self.pool = pool
        layers: list[nn.Module] = []
        for stage, (narrow, wide) in enumerate(zip((channels, *widths), widths)):
            stride = 1 if stage == len(widths) - 1 else 2
            layers.append(nn.Conv2d(narrow, wide, 4, stride=stride, padding=1))
            layers += [normalization(wide)] if stage else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)


@dataclass(frozen=True)
class Unread:
    """An image that waits for its target: in a pairwise method the generator depends on both ends."""

    image: torch.Tensor
    source: str

    def __len__(self) -> int:
        return len(self.image)


class Pairwise(nn.Module):
    """A generator for each translation, behind the face of `MixAndMatch`: `encode`, `decode`, `translate`.

    `generators`: by `SOURCE_to_TARGET`. RGB leaves through tanh, as everywhere.
    """

    def __init__(self, generators: Mapping[str, nn.Module]):
        super().__init__()
        self.generators = nn.ModuleDict(generators)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that some generator reads or writes."""
        return tuple(dict.fromkeys(name for pair in self.generators for name in pair.split("_to_")))

    def encode(self, image: torch.Tensor, source: str) -> Unread:
        """The image itself."""
        return Unread(image, source)

    def decode(self, unread: Unread, target: str) -> torch.Tensor:
        """The translation; `ValueError` where no generator makes it."""
        name = f"{unread.source}_to_{target}"
        if name not in self.generators:
            raise ValueError(f"no generator for {unread.source} → {target}: there are {', '.join(self.generators)}")
        output = self.generators[name](unread.image)
        return torch.tanh(output) if target == "rgb" else output

    def translate(self, image: torch.Tensor, source: str, target: str) -> torch.Tensor:
        """T_source→target, network form in and out."""
        return self.decode(self.encode(image, source), target)
