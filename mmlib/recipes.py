"""Recipes: everything that decides a training run, as one frozen record, and the presets from `smoke` to `paper`."""

import dataclasses
import json
import math
from dataclasses import dataclass

from .files import BATCH, LAYERS, NAME, PHASES, SIDE, STEPS, WIDTH

SIDE_INFORMATION = ("none", "skip", "pooling")
CONSISTENCY = ("latent", "all_stages")
ARCHITECTURES = ("segnet", "resnet")
TEACHERS = ("self", "average")
OPTIMIZERS = ("adam", "muon")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Phase:
    """One phase of the two-phase schedule (section 5.1): its length, its loss weights λ, what it freezes.

    `freeze_rgb_encoder` holds f_R still, its batch normalization too. `lambda_pseudo` weighs pseudo-pairs against true
    pairs of the same modality (journal version, IJCV 2020; 0 = the CVPR paper). `one_autoencoder`: of domains
    (`mmlib.methods.mixed_cycles`), all encoders are one, all decoders are one, and they but reconstruct.
    """

    steps: int
    lambda_rgb: float = 1.0
    lambda_segmentation: float = 100.0
    lambda_depth: float = 10.0
    lambda_latent: float = 1.0
    lambda_l2: float = 1.0
    lambda_gan: float = 1.0
    lambda_pseudo: float = 0.0
    freeze_rgb_encoder: bool = False
    one_autoencoder: bool = False

    def __post_init__(self):
        _check_types(self)
        _check_sign(self)
        if self.steps > STEPS:
            raise ValueError(f"phase: steps must be at most {STEPS}, not {self.steps}")


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    `widths` and `convolutions` give channels and 3×3 convolutions of each encoder stage, each stage ending in 2×2
    pooling; images must be divisible by 2 ** stages. `modalities` each have an encoder and a decoder. `size` is the
    side of the square images in pixels. `architecture`: the paper's `segnet`, or of domains `resnet`, the halves of
    CycleGAN's generator; of it the last of `convolutions` counts the residual blocks of each half. `batch` is the
    number of pairs of *each* training set in a step. `rgb_batch_norm`: batch normalization in f_R, too. `autoencoders`:
    the terms of T_RR, T_SS, T_DD. `consistency`: of the last `latent`, or of `all_stages`. `latent_noise`: its standard
    deviation. `one_cycle`: the learning rate rises over the first tenth of the steps, then falls as a cosine;
    `linear_decay`: it is constant for half of them, then falls to zero, as CycleGAN's and pix2pix's. `teacher` of
    pseudo-pairs: the networks themselves (`self`), or their `average` over the past steps, whose weights decay by
    `teacher_decay` a step. `augment`: windows, mirrors, light; `windows` is the range of the square windows' side as a
    share of the image's shorter one (1 to 1: the whole image), and depth is scaled with them; the last `full_frames` of
    the steps, a share, have the whole image. `class_balance` b weighs each class by frequency ** −b. `optimizer`:
    `adam` for all weights, or `muon` for the convolutions', at `muon_rate`, and Adam for the others; one schedule for
    both. `anchor_gradient`: latent consistency moves the encoder of RGB, too, as in the paper; without, only the others
    move. `mirrored_rgb_decoder`: g_R has the convolutions of the encoder's stages in place of Table 5's one per stage.
    """

    name: str
    size: int
    widths: tuple[int, ...]
    convolutions: tuple[int, ...]
    discriminator_widths: tuple[int, ...]
    phases: tuple[Phase, ...]
    modalities: tuple[str, ...] = ("rgb", "depth", "segmentation")
    architecture: str = "segnet"
    batch: int = 6
    rgb_batch_norm: bool = True
    side_information: str = "pooling"
    autoencoders: bool = True
    consistency: str = "latent"
    latent_noise: float = 0.5
    learning_rate: float = 2e-4
    one_cycle: bool = False
    linear_decay: bool = False
    augment: bool = False
    windows: tuple[float, float] = (0.6, 1.0)
    full_frames: float = 0.0
    class_balance: float = 0.0
    optimizer: str = "adam"
    muon_rate: float = 0.06
    anchor_gradient: bool = True
    mirrored_rgb_decoder: bool = False
    teacher: str = "self"
    teacher_decay: float = 0.998
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self):
        _check_types(self)
        _check_sign(self)
        for name, known in (
            ("side_information", SIDE_INFORMATION),
            ("consistency", CONSISTENCY),
            ("architecture", ARCHITECTURES),
            ("teacher", TEACHERS),
            ("optimizer", OPTIMIZERS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"recipe: {name} = {getattr(self, name)!r} is not one of {', '.join(known)}")
        if len(self.widths) != len(self.convolutions) or not self.widths:
            raise ValueError(
                f"recipe: widths {self.widths} and convolutions {self.convolutions} must be equally long, one a stage"
            )
        for name in ("widths", "convolutions", "discriminator_widths"):
            if not all(type(count) is int and count > 0 for count in getattr(self, name)):
                raise ValueError(f"recipe: {name} = {getattr(self, name)} must hold whole numbers of at least 1")
        self._check_modalities()
        self._check_limits()
        if self.teacher_decay >= 1:
            raise ValueError(f"recipe: teacher_decay = {self.teacher_decay} must be below 1")
        numbers = len(self.windows) == 2 and all(type(side) in (int, float) for side in self.windows)
        if not numbers or not 0 < self.windows[0] <= self.windows[1] <= 4:
            raise ValueError(f"recipe: windows = {self.windows} must be two shares above 0, the larger at most 4")
        if self.full_frames > 1:
            raise ValueError(f"recipe: full_frames = {self.full_frames} must be at most 1, a share")
        if self.size < self.stride or self.size % self.stride:
            raise ValueError(f"recipe: size = {self.size} must be a multiple of {self.stride} (2 ** stages)")
        if self.batch < 2:
            raise ValueError(f"recipe: batch = {self.batch} must be at least 2, for batch normalization")
        if not all(isinstance(phase, Phase) for phase in self.phases) or self.steps < 1:
            raise ValueError("recipe: phases must hold at least one step")

    def _check_modalities(self) -> None:
        for name in self.modalities:
            # names become parts of the names of tensors and of files
            is_name = isinstance(name, str) and name.isprintable() and 0 < len(name) <= NAME
            if not is_name or set(name) & set("./\\"):
                raise ValueError(f"recipe: {name!r} in modalities is no name for a modality")
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"recipe: modalities must name at least one, and none twice: {self.modalities}")

    def _check_limits(self) -> None:
        for what, value, most in (
            ("the widest of widths", max(self.widths), WIDTH),
            ("the widest of discriminator_widths", max(self.discriminator_widths, default=0), WIDTH),
            ("convolutions of all encoders", sum(self.convolutions) * len(self.modalities), LAYERS),
            ("the number of discriminator_widths", len(self.discriminator_widths), LAYERS),
            ("the number of phases", len(self.phases), PHASES),
            ("size", self.size, SIDE),
            ("batch", self.batch, BATCH),
        ):
            if value > most:
                raise ValueError(f"recipe: {what} must be at most {most}, not {value}")

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
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]

    def schedule(self, step: int) -> float:
        """The learning rate at `step` as a share of its largest: constant; or one cycle, a linear rise over the first
        tenth, then a cosine to zero; or constant and a linear decay to zero over the second half."""
        if self.linear_decay:
            return min(1.0, 2 * (1 - step / self.steps))
        if not self.one_cycle:
            return 1.0
        rise = max(1, self.steps // 10)
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))

    def windows_at(self, step: int) -> tuple[float, float]:
        """The range of windows that augmentation cuts at `step` (from 0)."""
        return (1.0, 1.0) if step >= (1 - self.full_frames) * self.steps else self.windows

    def with_steps(self, steps: int) -> "Recipe":
        """The same recipe stretched or cut to `steps` in all, its phases in the same proportion."""
        phases, start, done = [], 0, 0
        for phase in self.phases:
            done += phase.steps
            end = round(steps * done / self.steps)
            phases.append(dataclasses.replace(phase, steps=end - start))
            start = end
        return dataclasses.replace(self, phases=tuple(phases))

    def replace(self, **changes) -> "Recipe":
        """A changed copy; unknown keys raise `ValueError` naming the known ones."""
        if "steps" in changes:
            steps = changes.pop("steps")
            if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
                raise ValueError(f"recipe: steps = {steps!r} must be a whole number of at least 1")
            return self.replace(**changes).with_steps(steps)
        known = [field.name for field in dataclasses.fields(self)]
        for key in changes:
            if key not in known:
                raise ValueError(f"unknown recipe key {key!r}: known are {', '.join(['steps', *known])}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict:
        """Plain JSON types."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


RETIRED = (("pseudo_inputs", False), ("shared_stages", 0), ("confidence", 0.0))
"""Keys of earlier versions, with the value that switched off what they did."""


def from_dict(record: dict) -> Recipe:
    """The recipe that `to_dict` wrote; `ValueError` on unknown or missing keys."""
    try:
        values = {key: value for key, value in record.items() if (key, value) not in RETIRED}
        if "architecture" not in values and values["name"] in PRESETS:  # a record of before that key
            values["architecture"] = PRESETS[values["name"]].architecture
        phases = tuple(Phase(**phase) for phase in values.pop("phases")[: PHASES + 1])  # more are refused below
        lists = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return Recipe(phases=phases, **lists)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"recipe: not a recipe of this version ({error}); use one of the presets") from error


def _check_types(record) -> None:
    """Reject a value of another type than its field's, with the field's name."""
    kinds = {str: str, int: int, bool: bool, float: (int, float), tuple[int, ...]: tuple, tuple[str, ...]: tuple,
             tuple[float, float]: tuple, tuple[Phase, ...]: tuple}  # fmt: skip
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not isinstance(value, kinds[field.type]) or (isinstance(value, bool) and field.type is not bool):
            kind = getattr(field.type, "__name__", str(field.type))
            raise ValueError(f"{type(record).__name__.lower()}: {field.name} = {value!r} must be of type {kind}")


def _check_sign(record) -> None:
    """Reject numbers below zero or not finite, with the field's name."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.type in (int, float) and not 0 <= value < 2**63:
            raise ValueError(
                f"{type(record).__name__.lower()}: {field.name} = {value} must not be negative, nor 2 ** 63 or more"
            )


PRESETS = {
    # The paper (section 5.1, Tables 5 to 8): batch 6, 200,000 + 200,000 steps. Its RGB encoder starts from ImageNet,
    # which a preset cannot hold: give VGG-16's weights to `fit` or `train --rgb-weights`.
    "paper": Recipe(
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
    ),
    # The same shape, slim, for CPU minutes. It differs from the paper in batch normalization in f_R, which starts from
    # nothing and is never frozen; consistency at every pooled stage (`data/results/consistency_*.json` has both), with
    # λ_latent 10 throughout; less of the GAN in L_RGB, for in so few steps it paints colours of its own; a one-cycle
    # learning rate; augmentation; balanced classes; and pseudo-pairs in the second phase.
    "course": Recipe(
        name="course",
        size=96,
        widths=(16, 32, 64, 128),
        convolutions=(2, 2, 3, 3),
        discriminator_widths=(16, 32, 64),
        batch=8,
        consistency="all_stages",
        learning_rate=2e-3,
        one_cycle=True,
        augment=True,
        class_balance=0.25,
        phases=(
            Phase(steps=750, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.1),
            Phase(steps=750, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.1, lambda_pseudo=1.0),
        ),
    ),
    # Half the side, three stages, neither GAN nor pseudo-pairs: variants of the paper's method live in a notebook, in
    # a minute each.
    "sketch": Recipe(
        name="sketch",
        size=48,
        widths=(16, 32, 64),
        convolutions=(2, 2, 2),
        discriminator_widths=(16, 32),
        batch=6,
        learning_rate=4e-3,
        one_cycle=True,
        augment=True,
        class_balance=0.25,
        phases=(Phase(steps=400, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.0),),
    ),
    # The networks of `course` without their last stage (with it a latent would have 3 × 3 pixels, and in as many steps
    # RGB → segmentation learns far less), at half its side, without GAN or pseudo-pairs: for the tables of
    # `mmlib.evidence.grids`, in minutes a run.
    "ablation": Recipe(
        name="ablation",
        size=48,
        widths=(16, 32, 64),
        convolutions=(2, 2, 3),
        discriminator_widths=(16, 32, 64),
        batch=8,
        learning_rate=4e-3,
        one_cycle=True,
        augment=True,
        class_balance=0.25,
        phases=(Phase(steps=1500, lambda_latent=10.0, lambda_l2=10.0, lambda_gan=0.0),),
    ),
    # CycleGANs that share encoders and decoders, slim: `widths` and the last of `convolutions` are those of
    # CycleGAN's generator, whose residual blocks each half has. Schedule, pool and the weights of cycles and
    # autoencoders are CycleGAN's; the GANs weigh three times as much, for in so few steps they would not be heard. All
    # domains begin as one autoencoder.
    "domains": Recipe(
        name="domains",
        architecture="resnet",
        size=64,
        widths=(16, 32, 32),
        convolutions=(1, 1, 2),
        discriminator_widths=(16, 32, 64),
        batch=4,
        learning_rate=1e-3,
        linear_decay=True,
        augment=True,
        latent_noise=0.1,
        phases=(
            Phase(steps=600, lambda_latent=0.0, lambda_gan=0.0, one_autoencoder=True),
            Phase(steps=6400, lambda_gan=3.0),
        ),
    ),
    # Seconds, for tests: every part of the method, nothing learnt.
    "smoke": Recipe(
        name="smoke",
        size=32,
        widths=(4, 8),
        convolutions=(1, 1),
        discriminator_widths=(4, 8),
        batch=2,
        consistency="all_stages",
        learning_rate=1e-3,
        one_cycle=True,
        augment=True,
        precision="fp32",
        phases=(Phase(steps=4, lambda_latent=10.0), Phase(steps=4, lambda_pseudo=10.0, freeze_rgb_encoder=True)),
    ),
}

PRESETS |= {
    # `ablation` with whole images and Muon, for the paper's tables anew; consistency as in the paper, to both sides.
    "tables": PRESETS["ablation"].replace(
        name="tables", batch=16, windows=(1.0, 1.0), optimizer="muon", steps=1000
    ),
    # The same networks without indices, trained to a depth → segmentation mIoU of 0.40 as fast as we know how
    # (`mmlib.evidence.speedrun`).
    "speedrun": PRESETS["ablation"].replace(
        name="speedrun", batch=32, side_information="none", windows=(1.0, 1.0), optimizer="muon", anchor_gradient=False,
        phases=(Phase(steps=370, lambda_latent=40.0, lambda_l2=10.0, lambda_gan=0.0),),
    ),
}  # fmt: skip


def preset(name: str, **changes) -> Recipe:
    """A preset by name, with changes; `ValueError` names the known presets or keys."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: known are {', '.join(PRESETS)}")
    return PRESETS[name].replace(**changes)
