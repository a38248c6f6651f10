"""The networks of CycleGAN and pix2pix: ResNet and U-Net generators, PatchGAN, and one module that holds generators."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..blocks import Discriminator, resnet_down, resnet_up
from ..modalities import Modality
from ..networks import Translator


class ResNetGenerator(nn.Sequential):
    """CycleGAN's generator: (N, inputs, H, W) → (N, outputs, H, W), linear output."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...]):
        super().__init__(*resnet_down(inputs, widths, residuals=6), *resnet_up(outputs, widths))


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


class ImagePool(nn.Module):
    """The last images made, of which a discriminator is shown an older one every other time (CycleGAN, section 4).

    `shape`: (C, H, W) of an image; its buffers are part of the training state.
    """

    def __init__(self, shape: tuple[int, int, int], size: int = 50):
        super().__init__()
        self.images: torch.Tensor
        self.filled: torch.Tensor
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, made: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """The images to show in place of `made` (N, C, H, W), which the pool remembers."""
        shown = made.clone()
        for index, image in enumerate(made):
            filled, size = int(self.filled), len(self.images)
            if filled < size:
                self.images[filled] = image
                self.filled += 1
            elif torch.rand((), generator=random, device=random.device) < 0.5:
                older = int(torch.randint(size, (), generator=random, device=random.device))
                shown[index] = self.images[older]
                self.images[older] = image
        return shown


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


class Pairwise(Translator):
    """A generator for each translation, in place of encoders and decoders.

    `generators`: by `SOURCE_to_TARGET`. RGB leaves through tanh, as everywhere.
    """

    def __init__(self, generators: Mapping[str, nn.Module], records: Mapping[str, Modality]):
        super().__init__(records)
        self.generators = nn.ModuleDict(generators)

    def encode(self, image: torch.Tensor, source: str) -> Unread:
        """The image itself."""
        self.check_image(image, source)
        return Unread(image, source)

    def decode(self, encoding: Unread, target: str) -> torch.Tensor:
        """The translation; `ValueError` where no generator makes it."""
        name = f"{encoding.source}_to_{target}"
        if name not in self.generators:
            raise ValueError(f"no generator for {encoding.source} → {target}: there are {', '.join(self.generators)}")
        output = self.generators[name](encoding.image)
        return torch.tanh(output) if target == "rgb" else output
