"""Encoders, decoders, and `MixAndMatch`, which composes any encoder with any decoder (section 4.2)."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from .blocks import ConvolutionBlock, group_norm, initialise, pool, resnet_down, resnet_up, unpool, upper_left, upsample
from .modalities import Modality, domain, modality, named
from .recipes import Recipe

Networks = Mapping[str, nn.Module]
Ints = tuple[int, ...]  # a number for each stage of an encoder; the first stage reads the image


@dataclass(frozen=True)
class Encoding:
    """What an encoder hands to a decoder: the latent representation h and the side information of every stage.

    `pooled[k]` is stage k's output (N, widths[k], H / 2 ** (k + 1), …), the last one being `latent`; `indices[k]` its
    pooling indices (same shape; int64, or uint8 where the encoder codes them); `features[k]` its features before
    pooling, kept only for skip connections.
    """

    latent: torch.Tensor
    pooled: tuple[torch.Tensor, ...]
    indices: tuple[torch.Tensor, ...]
    features: tuple[torch.Tensor, ...]

    def __len__(self) -> int:
        return len(self.latent)

    def __getitem__(self, images: slice) -> "Encoding":
        """The encodings of some images of the batch."""
        return self._map(lambda tensor: tensor[images])

    def split(self, counts: Sequence[int]) -> "list[Encoding]":
        """`cat` undone: the encodings of the batch's first images, of the next ones, and so on."""
        return [self[end - count : end] for count, end in zip(counts, itertools.accumulate(counts))]

    def with_latent(self, latent: torch.Tensor) -> "Encoding":
        """The same side information around another latent (noise, fusion)."""
        return Encoding(latent, self.pooled, self.indices, self.features)

    def without_indices(self) -> "Encoding":
        """The same latent with pooling indices that say nothing: the upper left pixel of every window."""
        return Encoding(self.latent, self.pooled, tuple(map(upper_left, self.indices)), self.features)

    def fuse(self, other: "Encoding", alpha: float) -> "Encoding":
        """(1 − α) · this latent + α · the other's, with the side information of this one (section 5.4, appendix B).

        `ValueError` where α is not between 0 and 1, or the latents differ in shape.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha = {alpha} must be between 0 (only the first) and 1 (only the second)")
        if self.latent.shape != other.latent.shape:
            shapes = f"{tuple(self.latent.shape)} and {tuple(other.latent.shape)}"
            raise ValueError(f"latents of {shapes} cannot be fused: encode the same rooms at the same size")
        return self.with_latent((1 - alpha) * self.latent + alpha * other.latent)

    def detach(self) -> "Encoding":
        """The same values, cut from the graph."""
        return self._map(torch.Tensor.detach)

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Encoding":
        stages = (tuple(map(function, part)) for part in (self.pooled, self.indices, self.features))
        return Encoding(function(self.latent), *stages)

    @staticmethod
    def cat(encodings: "list[Encoding]") -> "Encoding":
        """One batch of several, in order."""
        parts = ("pooled", "indices", "features")
        stages = (tuple(map(torch.cat, zip(*(getattr(e, part) for e in encodings)))) for part in parts)
        return Encoding(torch.cat([e.latent for e in encodings]), *stages)


class Encoder(nn.Module):
    """SegNet encoder (Table 7): (N, channels, H, W) → `Encoding`, latent (N, widths[-1], H / stride, W / stride).

    `window_codes`: pooling indices as `blocks.pool` codes them; a matter of speed alone.
    """

    window_codes = False
    compiles = True

    def __init__(self, channels: int, widths: Ints, convolutions: Ints, batch_norm: bool = True, skips: bool = False):
        super().__init__()
        self.keep_features = skips
        self.stages = nn.ModuleList()
        for stage, (width, count) in enumerate(zip(widths, convolutions)):
            inputs = [channels] + [width] * (count - 1)
            blocks = [ConvolutionBlock(i, width, batch_norm, stage == k == 0) for k, i in enumerate(inputs)]
            self.stages.append(nn.Sequential(*blocks))
            channels = width

    def forward(self, image: torch.Tensor) -> Encoding:
        x, pooled, indices, features = image, [], [], []
        for stage in self.stages:
            x = stage(x)
            if self.keep_features:
                features.append(x)
            x, where = pool(x, self.window_codes)
            pooled.append(x)
            indices.append(where)
        return Encoding(x, tuple(pooled), tuple(indices), tuple(features))


class Decoder(nn.Module):
    """SegNet decoder (Table 8), the encoder's mirror: `Encoding` → (N, channels, H, W), linear output.

    `side_information`: `pooling` unpools with the encoder's indices; `skip` repeats values and concatenates the
    encoder's features of the same size, as U-Net does; `none` only repeats values (Table 1's three variants).
    """

    compiles = True

    def __init__(self, channels: int, widths: Ints, convolutions: Ints, side_information: str = "pooling"):
        super().__init__()
        self.side_information = side_information
        self.stages = nn.ModuleList()
        for stage in reversed(range(len(widths))):
            width, output = widths[stage], widths[stage - 1] if stage else channels
            first = 2 * width if side_information == "skip" else width
            inputs = [first] + [width] * (convolutions[stage] - 1)
            outputs = [width] * (convolutions[stage] - 1) + [output]
            blocks: list[nn.Module] = [ConvolutionBlock(i, o) for i, o in zip(inputs, outputs)]
            if stage == 0:
                blocks[-1] = nn.Conv2d(inputs[-1], channels, 3, padding=1)
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, encoding: Encoding) -> torch.Tensor:
        x = encoding.latent
        for depth, stage in enumerate(self.stages, start=1):  # from the latent outwards
            if self.side_information == "pooling":
                x = unpool(x, encoding.indices[-depth])
            elif self.side_information == "skip":
                x = torch.cat([upsample(x), encoding.features[-depth]], 1)
            else:
                x = upsample(x)
            x = stage(x)
        return x


class RGBDecoder(nn.Module):
    """RGB decoder (Table 5), no side information (footnote 4): `Encoding` → (N, 3, H, W).

    The table gives stride-1 3×3 convolutions between sizes that double, and not what doubles them. We repeat values
    (nearest neighbour) before each stage: unlike a strided transposed convolution it leaves no checkerboard, and it
    keeps the table's kernel and stride. No normalization at the output; tanh, for RGB in [−1, 1]. `convolutions` of
    each encoder stage make it the encoder's mirror; without, a stage has one, as in the table.
    """

    compiles = True

    def __init__(self, channels: int, widths: Ints, convolutions: Ints | None = None):
        super().__init__()
        stages = cast(list[nn.Sequential], Decoder(channels, widths, convolutions or (1,) * len(widths), "none").stages)
        # a stage of one convolution is that convolution: so it is named in checkpoints
        self.stages = nn.ModuleList(stage[0] if len(stage) == 1 else stage for stage in stages)

    def forward(self, encoding: Encoding) -> torch.Tensor:
        x = encoding.latent
        for stage in self.stages:
            x = stage(upsample(x))
        return torch.tanh(x)


class ResNetEncoder(nn.Module):
    """The first half of CycleGAN's generator: image → `Encoding` with a latent (N, widths[-1], H / 4, W / 4) alone."""

    def __init__(self, channels: int, widths: Ints, residuals: int):
        super().__init__()
        self.layers = nn.Sequential(*resnet_down(channels, widths, residuals, group_norm))

    def forward(self, image: torch.Tensor) -> Encoding:
        latent = self.layers(image)
        return Encoding(latent, (latent,), (), ())


class ResNetDecoder(nn.Module):
    """The other half: `Encoding` → (N, channels, H, W), through tanh."""

    def __init__(self, channels: int, widths: Ints, residuals: int):
        super().__init__()
        self.layers = nn.Sequential(*resnet_up(channels, widths, residuals, group_norm))

    def forward(self, encoding: Encoding) -> torch.Tensor:
        return torch.tanh(self.layers(encoding.latent))


class Translator(nn.Module):
    """What translates between modalities: T_xy(x) = g_y(f_x(x)) (section 3.1), images in network form.

    `records`: by name. A subclass writes `encode` and `decode`. `recipe` and `record`: how the weights came about.
    """

    recipe: Recipe
    record: dict[str, Any]

    def __init__(self, records: Mapping[str, Modality], stride: int = 1):
        super().__init__()
        self.records, self.stride = dict(records), stride

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that this model translates."""
        return tuple(self.records)

    def encode(self, image: torch.Tensor, source: str) -> Any:
        raise NotImplementedError

    def decode(self, encoding: Any, target: str) -> torch.Tensor:
        raise NotImplementedError

    def translate(self, image: torch.Tensor, source: str, target: str) -> torch.Tensor:
        """T_source→target of images; `ValueError` as in `encode` and `decode`."""
        return self.decode(self.encode(image, source), target)

    def check(self, name: str) -> None:
        """`ValueError` for a modality that this model does not know."""
        if name not in self.records:
            raise ValueError(f"unknown modality {name!r}: this model knows {', '.join(self.modalities)}")

    def check_image(self, image: torch.Tensor, source: str) -> None:
        """`ValueError` where modality, channels or size of an image do not fit."""
        self.check(source)
        channels = self.records[source].channels
        if image.dim() != 4 or image.shape[1] != channels:
            raise ValueError(
                f"a {source} image for the network is (N, {channels}, H, W), but its shape is {tuple(image.shape)}: "
                f'convert raw pixels with modality("{source}").to_input'
            )
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride or 0 in (height, width):
            fits = [max(side // self.stride, 1) * self.stride for side in (height, width)]
            above = [-(-max(side, 1) // self.stride) * self.stride for side in (height, width)]
            raise ValueError(
                f"an image of {height}×{width} pixels does not fit: height and width must be multiples of "
                f"{self.stride}; crop to {fits[0]}×{fits[1]} or pad to {above[0]}×{above[1]}"
            )


class MixAndMatch(Translator):
    """One encoder and one decoder for each modality, all sharing a latent space (Figure 2).

    `Translator.translate` composes any two; pairs that never met in training are the *unseen*, zero-pair translations.
    """

    def __init__(self, encoders: Networks, decoders: Networks, records: Mapping[str, Modality], stride: int):
        super().__init__({name: records[name] for name in encoders}, stride)
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)

    @classmethod
    def from_recipe(cls, recipe: Recipe, records: Iterable[Modality] = ()) -> "MixAndMatch":
        """Build the networks of a recipe, randomly initialised from `recipe.seed`; global randomness is untouched.

        `records`: those of modalities that are not the library's; `ValueError` where one is missing.
        """
        own, known = named(*records), domain if recipe.architecture == "resnet" else modality
        held = {name: own[name] if name in own else known(name) for name in recipe.modalities}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            if recipe.architecture == "resnet":
                widths, residuals = recipe.widths, recipe.convolutions[-1]
                encoders: Networks = {n: ResNetEncoder(r.channels, widths, residuals) for n, r in held.items()}
                decoders: Networks = {n: ResNetDecoder(r.channels, widths, residuals) for n, r in held.items()}
                return initialise(cls(encoders, decoders, held, 2 ** (len(recipe.widths) - 1)))
            shape, side = (recipe.widths, recipe.convolutions), recipe.side_information
            encoders = {
                name: Encoder(r.channels, *shape, r.encoder_batch_norm or recipe.rgb_batch_norm, side == "skip")
                for name, r in held.items()
            }
            of_rgb = (recipe.widths, recipe.convolutions if recipe.mirrored_rgb_decoder else None)
            decoders = {
                name: Decoder(r.channels, *shape, side)
                if r.decoder_uses_side_information
                else RGBDecoder(r.channels, *of_rgb)
                for name, r in held.items()
            }
            model = cls(encoders, decoders, held, recipe.stride)
            for layer in model.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)
        return model

    def encode(self, image: torch.Tensor, source: str) -> Encoding:
        """f_source of images (N, channels, H, W); `ValueError` where modality, channels or size do not fit."""
        self.check_image(image, source)
        return self.encoders[source](image)

    def decode(self, encoding: Encoding, target: str) -> torch.Tensor:
        """g_target of an encoding: images (N, channels, H, W); `ValueError` for an unknown modality."""
        self.check(target)
        return self.decoders[target](encoding)
