"""Recipes: everything that decides a training run, as one frozen record, and the presets from `smoke` to `paper`."""

import math
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, json

from .hardware.files import BATCH, LAYERS, NAME, PHASES, SIDE, STEPS, WIDTH, brief, fit_fields, fitted

SideInformation = Literal["none", "skip", "pooling"]
SIDE_INFORMATION = get_args(SideInformation)
Weight = Annotated[float, Meta(ge=0, lt=2.0**63)]
Share = Annotated[float, Meta(ge=0, le=1)]
Widths = Annotated[tuple[Annotated[int, Meta(ge=1, le=WIDTH)], ...], Meta(max_length=LAYERS)]


@dataclass(frozen=True)
class Phase:
    """One phase of the two-phase schedule (section 5.1); `ValueError` names a field that makes no sense."""

    steps: Annotated[int, Meta(ge=0, le=STEPS)]
    """How many steps it lasts."""
    lambda_rgb: Weight = 1.0
    """The weight of L_RGB, λ_R."""
    lambda_segmentation: Weight = 100.0
    """The weight of L_SEG, λ_S."""
    lambda_depth: Weight = 10.0
    """The weight of L_DEPTH, λ_D."""
    lambda_latent: Weight = 1.0
    """The weight of latent consistency L_LAT."""
    lambda_l2: Weight = 1.0
    """The weight of the L2 distance in L_RGB."""
    lambda_gan: Weight = 1.0
    """The weight of the GAN in L_RGB."""
    lambda_pseudo: Weight = 0.0
    """The weight of pseudo-pairs against true pairs of the same modality (journal version, IJCV 2020)."""
    freeze_rgb_encoder: bool = False
    """Whether the encoder of RGB stays as it is, its batch normalization too."""
    one_autoencoder: bool = False
    """Of domains (`mmlib.methods.mixed_cycles`): all encoders are one, all decoders are one, and they reconstruct."""

    def __post_init__(self) -> None:
        fit_fields(self)


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained; `ValueError` names a field that makes no sense."""

    name: str
    """The preset that it comes from."""
    size: Annotated[int, Meta(ge=1, le=SIDE)]
    """Side of the square images in pixels, a multiple of 2 ** stages."""
    widths: Widths
    """Channels of each encoder stage; each stage ends in 2×2 pooling."""
    convolutions: tuple[Annotated[int, Meta(ge=1, le=LAYERS)], ...]
    """3×3 convolutions of each encoder stage."""
    discriminator_widths: Widths
    """Channels of each stage of the discriminator."""
    phases: Annotated[tuple[Phase, ...], Meta(max_length=PHASES)]
    """The phases of training, one after the other."""
    modalities: tuple[str, ...] = ("rgb", "depth", "segmentation")
    """The modalities; each has an encoder and a decoder."""
    architecture: Literal["segnet", "resnet"] = "segnet"
    """The paper's networks, or, of domains, the halves of CycleGAN's generator with its residual blocks."""
    batch: Annotated[int, Meta(ge=2, le=BATCH)] = 6
    """Pairs of each training set in a step; batch normalization needs two."""
    rgb_batch_norm: bool = True
    """Whether the encoder of RGB has batch normalization, too."""
    side_information: SideInformation = "pooling"
    """What a decoder gets besides the latent: nothing, skip connections, or pooling indices."""
    autoencoders: bool = True
    """Whether each modality is also translated to itself (T_RR, T_SS, T_DD)."""
    consistency: Literal["latent", "all_stages"] = "latent"
    """Latent consistency of the last stage, or of all stages."""
    latent_noise: Weight = 0.5
    """Standard deviation of the noise on the latent."""
    learning_rate: Weight = 2e-4
    """The largest learning rate of Adam."""
    schedule: Literal["constant", "one_cycle", "linear_decay"] = "constant"
    """The learning rate: constant; up for a tenth of the steps, then down as a cosine; or down in the second half."""
    augment: bool = False
    """Whether training images are cut to windows, mirrored and lit differently."""
    windows: tuple[Annotated[float, Meta(gt=0, le=4)], Annotated[float, Meta(gt=0, le=4)]] = (0.6, 1.0)
    """The smallest and largest window, as shares of the image's shorter side; depth is scaled with them."""
    full_frames: Share = 0.0
    """The share of the steps, the last ones, that have whole images."""
    class_balance: Weight = 0.0
    """The exponent b: each class weighs frequency ** −b."""
    optimizer: Literal["adam", "muon"] = "adam"
    """Adam for all weights, or Muon for the convolutions' and Adam for the others."""
    muon_rate: Weight = 0.06
    """The largest learning rate of Muon."""
    anchor_gradient: bool = True
    """Whether latent consistency moves the encoder of RGB, too, as in the paper."""
    mirrored_rgb_decoder: bool = False
    """Whether the decoder of RGB has the convolutions of the encoder's stages, not Table 5's one per stage."""
    teacher: Literal["self", "average", "start"] = "self"
    """Who makes pseudo-pairs: the networks themselves, their average over the past steps, or they as they started."""
    teacher_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    """How much of that average remains after a step."""
    precise_statistics: bool = False
    """Whether the statistics of batch normalization are measured anew at the end, on latents without noise."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """The arithmetic of the networks; auto takes what is fastest."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """The seed of all randomness."""

    def __post_init__(self) -> None:
        fit_fields(self)
        stages, counts, names = len(self.widths), self.convolutions, self.modalities
        for wrong, problem in (
            (not 0 < stages == len(counts), f"widths {self.widths} and convolutions {counts} must be equally long"),
            (sum(counts) * len(names) > LAYERS, f"convolutions of all encoders must be at most {LAYERS}"),
            (not 0 < len(names) == len(set(names)), f"modalities {names} must be at least one, and none twice"),
            (not all(name.isprintable() and 0 < len(name) <= NAME and not set(name) & set("./\\") for name in names),
             f"modalities {names} must have 1 to {NAME} letters each, not . / \\"),  # they name tensors and files
            (self.size % self.stride, f"size = {self.size} must be a multiple of {self.stride} (2 ** stages)"),
            (self.windows[0] > self.windows[1], f"windows = {self.windows} must begin with the smaller one"),
            (self.steps < 1, "phases must hold at least one step"),
        ):  # fmt: skip
            if wrong:
                raise ValueError(f"recipe: {brief(problem)}")

    @property
    def stride(self) -> int:
        """Input pixels for one latent pixel."""
        return 2 ** len(self.widths)

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> Phase:
        """The phase that `step` (from 0) belongs to."""
        ends = accumulate(phase.steps for phase in self.phases)
        return next((phase for phase, end in zip(self.phases, ends) if step < end), self.phases[-1])

    def rate_at(self, step: int) -> float:
        """The learning rate at `step` (from 0) as a share of its largest, by the `schedule`."""
        if self.schedule == "linear_decay":
            return min(1.0, 2 * (1 - step / self.steps))
        rise = max(1, self.steps // 10)
        fall = 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
        return 1.0 if self.schedule == "constant" else (step + 1) / rise if step < rise else fall

    def windows_at(self, step: int) -> tuple[float, float]:
        """The range of windows that augmentation cuts at `step` (from 0)."""
        return (1.0, 1.0) if step >= (1 - self.full_frames) * self.steps else self.windows

    def with_steps(self, steps: int) -> "Recipe":
        """The same recipe stretched or cut to `steps` in all, its phases in the same proportion."""
        ends = [round(steps * done / self.steps) for done in accumulate(phase.steps for phase in self.phases)]
        phases = [replace(phase, steps=end - start) for phase, start, end in zip(self.phases, [0, *ends], ends)]
        return replace(self, phases=tuple(phases))

    def replace(self, steps: int | None = None, **changes: Any) -> "Recipe":
        """A changed copy; unknown keys raise `ValueError` naming the known ones."""
        known = [field.name for field in fields(self)]
        if unknown := [key for key in changes if key not in known]:
            raise ValueError(f"unknown recipe key {unknown[0]!r}: known are {', '.join(['steps', *known])}")
        if steps is not None and (type(steps) is not int or steps < 1):
            raise ValueError(f"recipe: steps = {steps!r} must be a whole number of at least 1")
        changed = replace(self, **changes)
        return changed.with_steps(steps) if steps else changed

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.decode(json.encode(self))


RETIRED = (("pseudo_inputs", False), ("shared_stages", 0), ("confidence", 0.0))
"""Keys of earlier versions, with the value that switched off what they did."""


def from_dict(record: dict[str, Any]) -> Recipe:
    """The recipe that `to_dict` wrote, in this version or an earlier one; `ValueError` on unknown or missing keys."""
    try:
        values = {key: value for key, value in record.items() if (key, value) not in RETIRED}
        if "architecture" not in values and values["name"] in PRESETS:  # a record of before that key
            values["architecture"] = PRESETS[values["name"]].architecture
        if "schedule" not in values:  # there were two switches once, of which the second won
            cycle, decay = (fitted(values.pop(key, False), bool) for key in ("one_cycle", "linear_decay"))
            values["schedule"] = "linear_decay" if decay else "one_cycle" if cycle else "constant"
        phases = tuple(Phase(**phase) for phase in values.pop("phases")[: PHASES + 1])  # more are refused
        return Recipe(phases=phases, **values)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"recipe: not a recipe of this version ({error}); use one of the presets") from error


PAPER = Recipe(
    name="paper",
    size=256,
    widths=(64, 128, 256, 512, 512),
    convolutions=(2, 2, 3, 3, 3),
    discriminator_widths=(64, 128, 256, 512),
    rgb_batch_norm=False,
    phases=(
        Phase(steps=200_000),
        Phase(steps=200_000, lambda_rgb=10.0, lambda_latent=10.0, lambda_l2=10.0, freeze_rgb_encoder=True),
    ),
)
"""The paper (section 5.1, Tables 5 to 8), from VGG-16's weights (`train --rgb-weights`). It was never trained here."""

COURSE = Recipe(
    name="course",
    size=96,
    widths=(16, 32, 64),
    convolutions=(2, 2, 3),
    discriminator_widths=(16, 32, 64),
    side_information="none",
    batch=16,
    learning_rate=4e-3,
    optimizer="muon",
    schedule="one_cycle",
    augment=True,
    windows=(1.0, 1.0),
    class_balance=0.25,
    anchor_gradient=False,
    mirrored_rgb_decoder=True,
    precise_statistics=True,
    phases=(Phase(steps=740, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.0),),
)
"""The same method, slim, for CPU minutes; every choice was made by seen translations. It differs from the
paper in three stages, which keep the detail of small things; batch normalization in f_R, which starts from nothing; an
RGB decoder that mirrors the encoder; no side information and no GAN; consistency that does not move f_R, with λ_latent
10; Muon and a one-cycle learning rate; precise statistics; mirrored images, changed light; balanced classes."""

ABLATION = COURSE.replace(
    400,
    name="ablation",
    size=48,
    batch=32,
    side_information="pooling",
    anchor_gradient=True,
    mirrored_rgb_decoder=False,
    precise_statistics=False,
)
"""The networks of `course` at half its side, with the paper's pooling indices, RGB decoder and consistency to both
sides: for the tables of `mmlib.evidence.grids`, in two minutes a run."""

SKETCH = ABLATION.replace(
    name="sketch", convolutions=(2, 2, 2), discriminator_widths=(16, 32), batch=6, optimizer="adam", windows=(0.6, 1.0)
)
"""Smaller still, and with windows of the images: a notebook trains variants of the method live."""

SPEEDRUN = ABLATION.replace(
    name="speedrun",
    side_information="none",
    anchor_gradient=False,
    precise_statistics=True,
    muon_rate=0.13,
    phases=(Phase(steps=325, lambda_latent=40.0, lambda_l2=10.0, lambda_gan=0.0),),
)
"""The networks of `ablation` without indices, trained to a depth → segmentation mIoU of 0.40 as fast as we know how
(`data/results/records/`)."""

DOMAINS = Recipe(
    name="domains",
    architecture="resnet",
    size=64,
    widths=(16, 32, 32),
    convolutions=(1, 1, 2),
    discriminator_widths=(16, 32, 64),
    batch=4,
    learning_rate=1e-3,
    schedule="linear_decay",
    augment=True,
    latent_noise=0.1,
    phases=(
        Phase(steps=600, lambda_latent=0.0, lambda_gan=0.0, one_autoencoder=True),
        Phase(steps=6400, lambda_gan=3.0),
    ),
)
"""CycleGANs that share encoders and decoders, slim. The GANs weigh three times as much as CycleGAN's, because the steps
are so few. 34 to 42 minutes on a CPU (`data/checkpoints/colours.json` and `styles.json`)."""

SMOKE = Recipe(
    name="smoke",
    size=32,
    widths=(4, 8),
    convolutions=(1, 1),
    discriminator_widths=(4, 8),
    batch=2,
    consistency="all_stages",
    learning_rate=1e-3,
    schedule="one_cycle",
    augment=True,
    precision="fp32",
    phases=(Phase(steps=4, lambda_latent=10.0), Phase(steps=4, lambda_pseudo=10.0, freeze_rgb_encoder=True)),
)
"""Seconds, for tests: every part of the method, nothing learnt."""

PRESETS = {recipe.name: recipe for recipe in (PAPER, COURSE, SKETCH, ABLATION, DOMAINS, SMOKE, SPEEDRUN)}


def preset(name: str, **changes: Any) -> Recipe:
    """A preset by name, with changes; `ValueError` names the known presets or keys."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: known are {', '.join(PRESETS)}")
    return PRESETS[name].replace(**changes)
