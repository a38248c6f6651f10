"""Objectives: what a training minimises, on which sets, with which networks. `ZeroPair` is the paper's (section 4.3).

`mmlib.training.fit` takes any `Objective`; the baselines of `mmlib.methods` are others.
"""

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import nn

from .blocks import PatchDiscriminator
from .data.batches import Pair
from .data.sets import AnchoredPairs, DepthPairs, Rooms, SegmentationPairs
from .hardware import processes
from .hardware.processes import shard
from .losses import LOSSES, latent_consistency
from .modalities import known_modalities, modality
from .networks import Encoding, MixAndMatch
from .recipes import Phase, Recipe


def add_noise(encoding: Encoding, deviation: float, random: torch.Generator) -> Encoding:
    """N(0, deviation) on the latent at the output of an encoder (section 3.2)."""
    if deviation == 0:
        return encoding
    h = encoding.latent
    noise = shard(torch.randn(processes.world_size() * len(h), *h.shape[1:], generator=random, device=random.device))
    return encoding.with_latent(h + deviation * noise.to(h.device, h.dtype))


class Objective:
    """What a training minimises: its sets, its networks, its loss terms and their sum.

    `sets`: the training sets; each gives a batch to every step. `inherited`: the records of data that frozen parts were
    trained on before. `partly`: some weights have no part in some steps. A subclass writes `terms`, and overrides the
    rest where it differs.
    """

    sets: tuple[Rooms, ...]
    inherited: tuple[dict, ...] = ()
    partly = False

    def networks(self, recipe: Recipe) -> nn.Module:
        """The networks that are trained, from `recipe.seed`; they offer `encode`, `decode` and `modalities`."""
        return MixAndMatch.from_recipe(recipe)

    def discriminators(self, recipe: Recipe) -> dict[str, nn.Module]:
        """Discriminators by name; none unless overridden."""
        return {}

    def freeze(self, model: nn.Module, phase: Phase) -> None:
        """Hold still what the phase says (section 5.1), after all has been put in training mode."""
        if isinstance(model, MixAndMatch):
            encoder = model.encoders["rgb"].requires_grad_(not phase.freeze_rgb_encoder)
            encoder.train(not phase.freeze_rgb_encoder)

    def terms(
        self,
        model: nn.Module,
        batches: list[Pair],
        recipe: Recipe,
        phase: Phase,
        random: torch.Generator,
        average: nn.Module | None = None,
    ) -> tuple[dict[str, torch.Tensor], dict[str, tuple[torch.Tensor, torch.Tensor]]]:
        """All loss terms of the networks but the GANs', and for each discriminator (real images, made ones).

        `average`: the networks with averaged weights, where `recipe.teacher` asks for them.
        """
        raise NotImplementedError

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        """The weighted sum that the networks minimise."""
        return total(terms, phase)


class OnZeroPairs(Objective):
    """An objective on the paper's two training sets: (x, y) of D1 and (x, z) of D2, never (z, y) (section 4.1)."""

    def __init__(self, d1: SegmentationPairs, d2: DepthPairs):
        if not isinstance(d1, SegmentationPairs) or not isinstance(d2, DepthPairs):
            raise TypeError("zero-pair training takes SegmentationPairs (D1) and DepthPairs (D2), nothing else")
        self.sets: tuple[Rooms, ...] = apart(d1, d2)


def apart(*sets: AnchoredPairs) -> tuple[AnchoredPairs, ...]:
    """The sets; `ValueError` where two of them share rooms, so that a pair that is to be unseen would be seen."""
    for first, second in itertools.combinations(sets, 2):
        if shared := set(first.rooms) & set(second.rooms):
            one, other = first.modalities[1], second.modalities[1]
            raise ValueError(
                f"the sets with {one} and with {other} share {len(shared)} rooms, the first is {min(shared)}: {other} "
                f"and {one} of a room would both be seen; give sets of different rooms"
            )
    return sets


class ZeroPair(Objective):
    """The paper's own objective (section 4.3), on sets each of which pairs RGB, the anchor, with another modality.

    With D1 and D2 it is the paper's; with more sets that of section 3.3, where N − 1 trained pairs make all N (N − 1)
    translations.
    """

    def __init__(self, *sets: AnchoredPairs):
        if len(sets) < 2 or not all(isinstance(rooms, AnchoredPairs) for rooms in sets):
            raise TypeError(
                "zero-pair training takes AnchoredPairs, each RGB with one other modality: SegmentationPairs (D1), "
                "DepthPairs (D2) and further ones; nothing else"
            )
        if len({rooms.modalities for rooms in sets}) < len(sets):
            raise TypeError("zero-pair training takes one set of each pair: two of these hold the same modalities")
        self.sets: tuple[Rooms, ...] = apart(*sets)

    def discriminators(self, recipe: Recipe) -> dict[str, nn.Module]:
        """C(x), which judges RGB from all sources."""
        return {"R": PatchDiscriminator(modality("rgb").channels, recipe.discriminator_widths)}

    def terms(self, model: MixAndMatch, batches: list[Pair], recipe, phase, random, average=None):
        """All terms of section 4.3 but the GAN's, and (real, translated) RGB for the discriminator.

        Each input is encoded once, and each decoder runs once on the latents of all its translations.
        """
        pairs = {rooms.modalities[1]: pair for rooms, pair in zip(self.sets, batches, strict=True)}
        x = {name: pair.images["rgb"] for name, pair in pairs.items()}
        y = {name: pair.images[name] for name, pair in pairs.items()}
        letter = {name: modality(name).letter for name in pairs}

        f_R = model.encode(torch.cat(list(x.values())), "rgb")
        f = {name: model.encode(image, name) for name, image in y.items()}

        terms = {}
        if phase.lambda_latent > 0:
            for name, x_h in by_set(f_R if recipe.anchor_gradient else f_R.detach(), x).items():
                terms[f"latent/R{letter[name]}"] = latent_consistency(x_h, f[name], recipe.consistency)

        f_R = add_noise(f_R, recipe.latent_noise, random)
        f = {name: add_noise(encoding, recipe.latent_noise, random) for name, encoding in f.items()}
        x_h = by_set(f_R, x)

        def decode(target: str, sources: dict[str, tuple[Encoding, torch.Tensor | None, torch.Tensor | None]]):
            """Decode the sources in one pass; a loss term for each source that has a target image."""
            output = model.decode(Encoding.cat([encoding for encoding, _, _ in sources.values()]), target)
            parts = dict(zip(sources, output.split([len(encoding) for encoding, _, _ in sources.values()])))
            loss = target_loss(target, recipe, self.sets)
            for source, (_, image, valid) in sources.items():
                if image is not None:
                    terms[f"{target}/{source}{modality(target).letter}"] = loss(parts[source], image, valid)
            return output, parts

        rgb = {letter[name]: (f[name], x[name], pair.valid["rgb"]) for name, pair in pairs.items()}
        everything = torch.cat(list(x.values()))
        if recipe.autoencoders:
            rgb["R"] = (f_R, everything, torch.cat([pair.valid["rgb"] for pair in batches]))
        translated, _ = decode("rgb", rgb)

        for target, pair in pairs.items():
            sources = {"R": (x_h[target], y[target], pair.valid[target])}
            if recipe.autoencoders:
                sources[letter[target]] = (f[target], y[target], pair.valid[target])
            # rooms of the other sets: their target is what RGB → target says of them
            unlabelled = [name for name in pairs if name != target and phase.lambda_pseudo > 0]
            for name in unlabelled:
                sources[letter[name]] = (f[name], None, None)
                if average is None:
                    sources[f"R of {name}"] = (x_h[name].detach(), None, None)
            _, y_hat = decode(target, sources)
            for name in unlabelled:
                said = y_hat[f"R of {name}"] if average is None else self._said(average, x[name], target)
                terms[f"pseudo_{target}/{letter[name]}{letter[target]}"] = pseudo_pair(
                    y_hat[letter[name]], said, target, recipe.confidence
                )
        return terms, {"R": (everything, translated)}

    @staticmethod
    @torch.no_grad()
    def _said(average: MixAndMatch, x: torch.Tensor, target: str) -> torch.Tensor:
        """What the averaged networks say of rooms, from their RGB."""
        return average.translate(x, "rgb", target)


def by_set(encoding: Encoding, images: dict[str, torch.Tensor]) -> dict[str, Encoding]:
    """The encoding of the sets' images, one set after the other, taken apart again."""
    parts, first = {}, 0
    for name, image in images.items():
        parts[name] = encoding[first : first + len(image)]
        first += len(image)
    return parts


def target_loss(target: str, recipe: Recipe, sets: Sequence[Rooms]):
    """The target modality's loss, the classes of the set that holds them weighted where the recipe balances them."""
    loss = LOSSES[modality(target).loss]
    if target == "segmentation" and recipe.class_balance > 0:
        rooms = next(rooms for rooms in sets if target in rooms.modalities)
        weights = class_weights(rooms, recipe.class_balance)
        return lambda prediction, image, valid: loss(
            prediction, image, valid, weights.to(prediction.device, non_blocking=True)
        )
    return loss


@functools.lru_cache(maxsize=8)
def class_weights(rooms: Rooms, balance: float) -> torch.Tensor:
    """(14,) weights ∝ frequency ** −balance of the classes in `rooms`, 1 on the average pixel; 0 for Unknown."""
    counts = rooms.class_counts().double()
    counts[0] = 0
    frequency = counts / counts.sum().clamp_min(1)
    weights = torch.where(frequency > 0, frequency.clamp_min(1e-12) ** -balance, 0.0)
    return (weights / (weights * frequency).sum().clamp_min(1e-12)).float()


def pseudo_pair(translated: torch.Tensor, teacher: torch.Tensor, target: str, confidence: float = 0.0) -> torch.Tensor:
    """L_PSEUDO: an unseen translation against what the seen one says of the same room, no gradient to the teacher.

    T_DS(z) learns from T_RS(x) on D2, T_SD(y) from T_RD(x) on D1: the pseudo-pairs of the journal version (Wang et al.,
    IJCV 2020). No true depth–segmentation pair is involved. Of classes, the target is their distribution, and pixels
    count where the teacher's favourite has at least the probability `confidence`; a depth says nothing of how sure it
    is, so it counts everywhere.
    """
    record = modality(target)
    said = record.soft_target(teacher.detach().float())
    counts = torch.ones_like(said[:, :1], dtype=torch.bool)
    if record.loss == "cross_entropy":
        counts = said.amax(1, keepdim=True) >= confidence
    return LOSSES[record.loss](translated, said, counts)


def total(terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
    """L = λ_R L_RGB + λ_S L_SEG + λ_D L_DEPTH + λ_A L_LAT, with L_RGB = λ_L2 L_L2 + λ_GAN L_GAN (section 4.3).

    A term is named by its kind and its translation: `rgb/SR`, `gan/*R`, `depth/RD`, `segmentation/RS`, `latent/RS`,
    and `pseudo_segmentation/DS`, whose weight is λ_pseudo · λ_S.
    """
    weights = {
        name: getattr(phase, record.loss_weight) if isinstance(record.loss_weight, str) else record.loss_weight
        for name, record in known_modalities().items()
    }
    weights |= {f"pseudo_{name}": phase.lambda_pseudo * weight for name, weight in weights.items()}
    weights["gan"] = phase.lambda_gan * weights["rgb"]
    weights["rgb"] *= phase.lambda_l2
    weights["latent"] = phase.lambda_latent
    return sum(weights[name.split("/")[0]] * value for name, value in terms.items())
