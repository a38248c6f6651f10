"""Objectives: what a training minimises, on which sets, with which networks. `ZeroPair` is the paper's (section 4.3).

`mmlib.training.fit` takes any `Objective`; the baselines of `mmlib.baselines` are others.
"""

import dataclasses
import functools
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from . import processes
from .blocks import PatchDiscriminator
from .data import AnchoredPairs, DepthPairs, Rooms, SegmentationPairs
from .losses import LOSSES, latent_consistency, pseudo_pair, total
from .modalities import modality
from .networks import Encoding, MixAndMatch
from .processes import mine
from .recipes import Phase, Recipe


@dataclass
class Pair:
    """A batch of one training set on the device: network-form images and valid masks, by modality name."""

    images: dict[str, torch.Tensor]
    valid: dict[str, torch.Tensor]


def add_noise(encoding: Encoding, deviation: float, random: torch.Generator) -> Encoding:
    """N(0, deviation) on the latent at the output of an encoder (section 3.2)."""
    if deviation == 0:
        return encoding
    h = encoding.latent
    noise = mine(torch.randn(processes.count() * len(h), *h.shape[1:], generator=random, device=random.device))
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


def plugged_in(recipe: Recipe, name: str, steps: int = 1000) -> Recipe:
    """The recipe by which a modality is plugged into a network of that recipe.

    It has one phase, with the weights of the last one, in which the frozen network teaches the unseen translations.
    """
    last = dataclasses.replace(recipe.phases[-1], lambda_pseudo=1.0, lambda_gan=0.0, steps=steps)
    return recipe.replace(modalities=(*recipe.modalities, modality(name).name), phases=(last,), teacher="self")


class PlugIn(Objective):
    """A new modality's encoder and decoder against a trained, frozen network, from pairs of RGB with it (section 3.3).

    Only f_N and g_N are trained: by T_RN and T_NN, by T_NR through the frozen decoder, by latent consistency with the
    frozen f_R, and, with `lambda_pseudo`, by what the frozen network says of the same rooms in every other modality.
    No old weight and no old statistic changes, so no old translation does.
    """

    def __init__(self, pairs: AnchoredPairs, base: MixAndMatch):
        if not isinstance(pairs, AnchoredPairs):
            raise TypeError("a modality is plugged in from AnchoredPairs, RGB with that modality; nothing else")
        name = pairs.modalities[1]
        if name in base.modalities:
            raise ValueError(f"{name} is in the network already: it knows {', '.join(base.modalities)}")
        rooms = sorted(pairs.rooms)
        try:
            seen = [entry for entry in base.record["data"] if entry["role"] == "training"]
            runs = [(entry["split"], first, last) for entry in seen for first, last in entry["rooms"]]
            shared = [split for split, *run in runs if bisect_left(rooms, run[0]) < bisect_right(rooms, run[1])]
        except (KeyError, TypeError, ValueError):
            raise ValueError("the network's record does not say on which rooms it was trained: copy it again") from None
        if shared:
            raise ValueError(
                f"split {pairs.split} shares rooms with {shared[0]}, on which the network was trained: give "
                f"pairs of RGB and {name} of other rooms"
            )
        self.sets: tuple[Rooms, ...] = (pairs,)
        self.base, self.name, self.inherited = base, name, tuple(seen)

    def networks(self, recipe: Recipe) -> MixAndMatch:
        """The frozen network's, with an encoder and a decoder more."""
        model = MixAndMatch.from_recipe(recipe)
        new = (f"encoders.{self.name}.", f"decoders.{self.name}.")
        try:
            missing, extra = model.load_state_dict(self.base.state_dict(), strict=False)
            fits = not extra and all(key.startswith(new) for key in missing)
        except RuntimeError:  # tensors of other shapes
            fits = False
        if not fits:
            raise ValueError(f"recipe: its networks are not the frozen ones with {self.name} more: use plugged_in's")
        return model

    def freeze(self, model: MixAndMatch, phase: Phase) -> None:
        model.requires_grad_(False).eval()
        for part in (model.encoders[self.name], model.decoders[self.name]):
            part.requires_grad_(True).train()

    def terms(self, model: MixAndMatch, batches: list[Pair], recipe, phase, random, average=None):
        (pair,) = batches
        x, y, valid, name = pair.images["rgb"], pair.images[self.name], pair.valid[self.name], self.name
        letter = modality(name).letter
        with torch.no_grad():
            f_R = model.encode(x, "rgb")
        f_N = model.encode(y, name)
        terms = {f"latent/R{letter}": latent_consistency(f_R, f_N, recipe.consistency)}
        x_h, f_N = (add_noise(f, recipe.latent_noise, random) for f in (f_R, f_N))
        from_rgb, own = model.decode(Encoding.cat([x_h, f_N]), name).chunk(2)
        loss = LOSSES[modality(name).loss]
        terms[f"{name}/R{letter}"], terms[f"{name}/{letter}{letter}"] = loss(from_rgb, y, valid), loss(own, y, valid)
        terms[f"rgb/{letter}R"] = LOSSES[modality("rgb").loss](model.decode(f_N, "rgb"), x, pair.valid["rgb"])
        if phase.lambda_pseudo > 0:
            for target in self.base.modalities:
                if target != "rgb":
                    with torch.no_grad():
                        said = model.decode(f_R, target)
                    terms[f"pseudo_{target}/{letter}{modality(target).letter}"] = pseudo_pair(
                        model.decode(f_N, target), said, target, recipe.confidence
                    )
        return terms, {}


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
