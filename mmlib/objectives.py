"""Objectives: what a training minimises, on which sets, with which networks. `ZeroPair` is the paper's (section 4.3).

`mmlib.training.fit` takes any `Objective`; the baselines of `mmlib.baselines` are others.
"""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from .blocks import PatchDiscriminator
from .data import DepthPairs, Rooms, SegmentationPairs
from .losses import LOSSES, latent_consistency, pseudo_pair, total
from .modalities import CLASSES, DEPTH, MODALITIES, SEGMENTATION
from .networks import Encoding, MixAndMatch
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
    noise = torch.randn(h.shape, generator=random, device=random.device).to(h.device, h.dtype)
    return encoding.with_latent(h + deviation * noise)


class Objective:
    """What a training minimises: its sets, its networks, its loss terms and their sum.

    `sets`: the training sets; each gives a batch to every step. A subclass writes `terms`, and overrides the rest where
    it differs.
    """

    sets: tuple[Rooms, ...]

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
        if shared := set(d1.rooms) & set(d2.rooms):
            raise ValueError(
                f"D1 and D2 share {len(shared)} rooms, the first is {min(shared)}: depth and segmentation of a room "
                "would both be seen; give two sets of different rooms"
            )
        self.sets: tuple[Rooms, ...] = (d1, d2)


class ZeroPair(OnZeroPairs):
    """The paper's own objective (section 4.3)."""

    def discriminators(self, recipe: Recipe) -> dict[str, nn.Module]:
        """C(x), which judges RGB from all sources."""
        return {"R": PatchDiscriminator(MODALITIES["rgb"].channels, recipe.discriminator_widths)}

    def terms(self, model: MixAndMatch, batches: list[Pair], recipe, phase, random, average=None):
        """All terms of section 4.3 but the GAN's, and (real, translated) RGB for the discriminator.

        Each input is encoded once, and each decoder runs once on the latents of all its translations.
        """
        d1, d2 = batches
        x1, y = d1.images["rgb"], d1.images["segmentation"]
        x2, z = d2.images["rgb"], d2.images["depth"]
        x, n = torch.cat([x1, x2]), len(x1)
        y_read, z_read = y, z
        if phase.lambda_pseudo > 0 and average is not None:
            said_y = self._said(average, {"rgb": x2, "depth": z}, "segmentation", recipe.teacher)
            said_z = self._said(average, {"rgb": x1, "segmentation": y}, "depth", recipe.teacher)
            if recipe.pseudo_inputs:
                y_read = torch.cat([y, SEGMENTATION.soft_target(said_y)])
                z_read = torch.cat([z, DEPTH.soft_target(said_z)])
        f_R, f_S, f_D = model.encode(x, "rgb"), model.encode(y_read, "segmentation"), model.encode(z_read, "depth")

        terms = {}
        if phase.lambda_latent > 0:
            terms["latent/RS"] = latent_consistency(f_R[:n], f_S[: len(y)], recipe.consistency)
            terms["latent/RD"] = latent_consistency(f_R[n:], f_D[: len(z)], recipe.consistency)

        f_R, f_S, f_D = (add_noise(f, recipe.latent_noise, random) for f in (f_R, f_S, f_D))
        x1_h, x2_h = f_R[:n], f_R[n:]
        f_S, y2_h = f_S[: len(y)], f_S[len(y) :]
        f_D, z1_h = f_D[: len(z)], f_D[len(z) :]

        def decode(target: str, sources: dict[str, tuple[Encoding, torch.Tensor, torch.Tensor]]):
            """Decode the sources in one pass; a loss term for each source that has a target image."""
            output = model.decode(Encoding.cat([f for f, _, _ in sources.values()]), target)
            parts = dict(zip(sources, output.split([len(f) for f, _, _ in sources.values()])))
            loss = target_loss(target, recipe, self.sets[0])
            for source, (_, image, valid) in sources.items():
                if image is not None:
                    name = f"{target}/{source}{MODALITIES[target].letter}"
                    terms[name] = loss(parts[source], image, valid)
            return output, parts

        everywhere = torch.cat([d1.valid["rgb"], d2.valid["rgb"]])
        rgb = {"S": (f_S, x1, d1.valid["rgb"]), "D": (f_D, x2, d2.valid["rgb"])}
        segmentation = {"R": (x1_h, y, d1.valid["segmentation"])}
        depth = {"R": (x2_h, z, d2.valid["depth"])}
        if recipe.autoencoders:
            rgb["R"] = (f_R, x, everywhere)
            segmentation["S"] = (f_S, y, d1.valid["segmentation"])
            depth["D"] = (f_D, z, d2.valid["depth"])
        if phase.lambda_pseudo > 0:
            segmentation["D"] = (f_D, None, None)
            depth["S"] = (f_S, None, None)
            if average is None:
                segmentation["teacher"] = (x2_h.detach(), None, None)
                depth["teacher"] = (x1_h.detach(), None, None)
            elif recipe.teacher == "both":
                segmentation["unlabelled"] = (x2_h, None, None)
                depth["unlabelled"] = (x1_h, None, None)
            if recipe.pseudo_inputs:
                segmentation["made"] = (z1_h, None, None)
                depth["made"] = (y2_h, None, None)
        translated, _ = decode("rgb", rgb)
        _, y_hat = decode("segmentation", segmentation)
        _, z_hat = decode("depth", depth)
        if phase.lambda_pseudo > 0:
            if average is None:
                said_y, said_z = y_hat["teacher"], z_hat["teacher"]
            terms["pseudo_segmentation/DS"] = pseudo_pair(y_hat["D"], said_y, "segmentation", recipe.confidence)
            terms["pseudo_depth/SD"] = pseudo_pair(z_hat["S"], said_z, "depth")
            if "unlabelled" in y_hat:
                terms["pseudo_segmentation/RS"] = pseudo_pair(
                    y_hat["unlabelled"], said_y, "segmentation", recipe.confidence
                )
                terms["pseudo_depth/RD"] = pseudo_pair(z_hat["unlabelled"], said_z, "depth")
            if recipe.pseudo_inputs:  # an input that was made, a target that is true
                loss = target_loss("segmentation", recipe, self.sets[0])
                terms["pseudo_segmentation/*S"] = loss(y_hat["made"], y, d1.valid["segmentation"])
                terms["pseudo_depth/*D"] = target_loss("depth", recipe, self.sets[1])(
                    z_hat["made"], z, d2.valid["depth"]
                )
        return terms, {"R": (x, translated)}

    @staticmethod
    @torch.no_grad()
    def _said(average: MixAndMatch, room: dict[str, torch.Tensor], target: str, teacher: str) -> torch.Tensor:
        """What the averaged networks say of rooms seen from RGB, or the mean of what they say from both sides."""
        sources = room if teacher == "both" else ["rgb"]
        return torch.stack([average.translate(room[source], source, target).float() for source in sources]).mean(0)


def target_loss(target: str, recipe: Recipe, rooms: Rooms):
    """The target modality's loss, with the classes of `rooms` weighted where the recipe balances them."""
    loss = LOSSES[MODALITIES[target].loss]
    if target == "segmentation" and recipe.class_balance > 0:
        weights = class_weights(rooms, recipe.class_balance)
        return lambda prediction, image, valid: loss(prediction, image, valid, weights.to(prediction.device))
    return loss


@functools.lru_cache(maxsize=8)
def class_weights(rooms: Rooms, balance: float) -> torch.Tensor:
    """(14,) weights ∝ frequency ** −balance of the classes in `rooms`, 1 on the average pixel; 0 for Unknown."""
    counts = torch.bincount(rooms.images["segmentation"].flatten().long(), minlength=len(CLASSES)).double()
    counts[0] = 0
    frequency = counts / counts.sum().clamp_min(1)
    weights = torch.where(frequency > 0, frequency.clamp_min(1e-12) ** -balance, 0.0)
    return (weights / (weights * frequency).sum().clamp_min(1e-12)).float()
