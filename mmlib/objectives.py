"""Objectives: what a training minimises, on which sets, with which networks.

Section 4.3 comes first in its plain form, `PlainZeroPair`, one line per term. `ZeroPair` has the same terms and encodes
each image once. `mmlib.training.fit` takes any `Objective`; the baselines of `mmlib.methods` are others.
"""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator

from .blocks import Discriminator, PatchDiscriminator
from .data.batches import Pair
from .data.sets import AnchoredPairs, Rooms
from .hardware import processes
from .hardware.processes import shard
from .losses import Joint, discriminator_gan, generator_gan, latent_consistency
from .modalities import KNOWN, Modality
from .networks import Encoding, MixAndMatch, Translator
from .recipes import Phase, Recipe

Pairs = list[Pair]
Terms = dict[str, torch.Tensor]
"""Loss terms by kind and translation: `rgb/SR`, `depth/RD`, `latent/RS`, `gan/*R`, `pseudo_segmentation/DS`."""

Judged = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""For each discriminator: real images, and images that the networks made."""

JOINT = Joint(processes.joint_mean, processes.joint_max)


class Objective:
    """What a training minimises: its sets, its networks, its loss terms and their sum.

    `sets`: the training sets; each gives a batch to every step. `inherited`: the records of data that its
    networks were given before. `partly`: some weights have no part in some steps. `translations`: what it trains, where
    that is not all that its networks can do. A subclass writes `terms`, and overrides the rest where it differs.
    """

    sets: tuple[Rooms, ...]
    inherited: tuple[dict[str, Any], ...] = ()
    partly = False
    translations: tuple[tuple[str, str], ...] = ()

    @property
    def records(self) -> dict[str, Modality]:
        """The records of all modalities that the terms name."""
        return {name: record for rooms in self.sets for name, record in rooms.records.items()}

    def networks(self, recipe: Recipe) -> Translator:
        """The networks that are trained, from `recipe.seed`."""
        return MixAndMatch.from_recipe(recipe, self.records.values())

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        """Discriminators by name; none unless overridden."""
        return {}

    def freeze(self, model: Any, phase: Phase) -> None:
        """Freeze what the phase says (section 5.1), after all has been put in training mode."""
        if isinstance(model, MixAndMatch) and "rgb" in model.modalities:
            encoder = model.encoders["rgb"].requires_grad_(not phase.freeze_rgb_encoder)
            encoder.train(not phase.freeze_rgb_encoder)

    def terms(
        self, model: Any, batches: Pairs, recipe: Recipe, phase: Phase, random: Generator, average: Any = None
    ) -> tuple[Terms, Judged]:
        """All loss terms of the networks but the GANs', and what each discriminator judges.

        `model`: what `networks` made. `average`: they with averaged or with their first weights, where `recipe.teacher`
        asks for it.
        """
        raise NotImplementedError

    def fool(self, C: Mapping[str, Discriminator], judged: Judged) -> Terms:
        """L_GAN, the decoders' side: the discriminators C should take translated images x̂ for real ones."""
        return {f"gan/*{name}": generator_gan(C[name](x_hat)) for name, (_, x_hat) in judged.items()}

    def judge(self, C: Mapping[str, Discriminator], judged: Judged, random: Generator) -> Terms:
        """L_GAN, the side of the discriminators C: real images x should score 1, translated ones x̂ 0.

        x and x̂ have one pass each, because batch normalization would tell mixed batches apart.
        """
        losses = {}
        for name, (x, x_hat) in judged.items():
            shown = C[name].shown(x_hat.detach(), random)
            losses[f"discriminator/{name}"] = discriminator_gan(C[name](x), C[name](shown))
        return losses

    def loss(self, target: str, prediction: torch.Tensor, pair: Pair, class_balance: float = 0.0) -> torch.Tensor:
        """The loss of translations into `target` against a pair's images; each class weighs frequency ** −balance."""
        record, options = self.records[target], dict[str, torch.Tensor]()
        if record.classes and class_balance > 0:
            rooms = next(rooms for rooms in self.sets if target in rooms.modalities)
            options = {"class_weights": class_weights(rooms, class_balance, target)}
        return record.loss(prediction, pair.images[target], pair.valid[target], joint=JOINT, **options)

    def weights(self, phase: Phase) -> dict[str, float]:
        """The weight of each kind of term."""
        return weights(phase, self.records)

    def total(self, terms: Terms, phase: Phase) -> torch.Tensor:
        """The weighted sum that the networks minimise."""
        return weighted(terms, self.weights(phase))


class PlainZeroPair(Objective):
    """Section 4.3 as the paper writes it: each term encodes and decodes for itself.

    Each set pairs RGB, the anchor, with another modality. With D1 and D2 it is the paper's objective; with more sets
    that of section 3.3, where N − 1 trained pairs make all N (N − 1) translations. `ValueError` where sets share rooms,
    or two modalities have one letter.
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
        letters = [record.letter for record in self.records.values()]
        if twice := {letter for letter in letters if letters.count(letter) > 1}:
            raise ValueError(f"two modalities have the letter {min(twice)}, which names their terms: give each its own")

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        """C(x), which judges RGB from all sources."""
        return {"R": PatchDiscriminator(self.records["rgb"].channels, recipe.discriminator_widths)}

    def terms(
        self, model: MixAndMatch, batches: Pairs, recipe: Recipe, phase: Phase, random: Generator, average: Any = None
    ) -> tuple[Terms, Judged]:
        """All terms of section 4.3 but the GAN's, which `Objective.fool` and `Objective.judge` add, from (x, x̂), RGB.

        x is RGB and y the other modality of a set, whose letter is Y; Z is the other modality of another set.
        """
        L = functools.partial(self.loss, class_balance=recipe.class_balance)
        f, g, terms, x_hat = model.encode, model.decode, {}, []

        def T(image: torch.Tensor, source: str, target: str) -> torch.Tensor:
            return g(add_noise(f(image, source), recipe.latent_noise, random), target)

        for (_, y_name), pair in zip((rooms.modalities for rooms in self.sets), batches, strict=True):
            x, y, Y = pair.images["rgb"], pair.images[y_name], self.records[y_name].letter
            x_hat.append(T(y, y_name, "rgb"))
            terms[f"rgb/{Y}R"] = L("rgb", x_hat[-1], pair)  # L_L2
            terms[f"{y_name}/R{Y}"] = L(y_name, T(x, "rgb", y_name), pair)  # L_SEG, L_DEPTH
            if recipe.autoencoders:
                terms[f"{y_name}/{Y}{Y}"] = L(y_name, T(y, y_name, y_name), pair)
            if phase.lambda_latent > 0:
                h = f(x, "rgb") if recipe.anchor_gradient else f(x, "rgb").detach()
                terms[f"latent/R{Y}"] = latent_consistency(h, f(y, y_name), recipe.consistency)
            for z_name in self.unseen(y_name, phase):
                record = self.records[z_name]
                label = T(x, "rgb", z_name) if average is None else self.label(average, pair, y_name, z_name)
                terms[f"pseudo_{z_name}/{Y}{record.letter}"] = pseudo_pair(T(y, y_name, z_name), label, record)
        every = anchors(batches)
        if recipe.autoencoders:
            x_hat.append(T(every.images["rgb"], "rgb", "rgb"))
            terms["rgb/RR"] = L("rgb", x_hat[-1], every)
        return terms, {"R": (every.images["rgb"], torch.cat(x_hat))}

    def label(self, teacher: MixAndMatch, pair: Pair, source: str, target: str) -> torch.Tensor:
        """What a teacher says of `target` in rooms of which RGB and `source` are there."""
        return teacher.translate(pair.images["rgb"], "rgb", target)

    def unseen(self, name: str, phase: Phase) -> list[str]:
        """The modalities of the other sets, where the phase has pseudo-pairs: no pair with `name` was seen."""
        others = [rooms.modalities[1] for rooms in self.sets if rooms.modalities[1] != name]
        return others if phase.lambda_pseudo > 0 else []


class ZeroPair(PlainZeroPair):
    """The paper's objective (section 4.3), as it is trained: each image is encoded once, and each decoder runs once, on
    the latents of all its translations."""

    def terms(
        self, model: MixAndMatch, batches: Pairs, recipe: Recipe, phase: Phase, random: Generator, average: Any = None
    ) -> tuple[Terms, Judged]:
        pairs = {rooms.modalities[1]: pair for rooms, pair in zip(self.sets, batches, strict=True)}
        letter = {name: self.records[name].letter for name in pairs}
        every, counts = anchors(batches), [len(pair.images["rgb"]) for pair in batches]

        f_R = model.encode(every.images["rgb"], "rgb")
        f = {name: model.encode(pair.images[name], name) for name, pair in pairs.items()}

        terms = {}
        if phase.lambda_latent > 0:
            parts = (f_R if recipe.anchor_gradient else f_R.detach()).split(counts)
            for (name, f_Y), h in zip(f.items(), parts):
                terms[f"latent/R{letter[name]}"] = latent_consistency(h, f_Y, recipe.consistency)

        f_R = add_noise(f_R, recipe.latent_noise, random)
        f = {name: add_noise(encoding, recipe.latent_noise, random) for name, encoding in f.items()}
        x = dict(zip(pairs, f_R.split(counts)))

        def decode(target: str, sources: dict[str, Encoding]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            """The translations of all sources, in one pass, and by source."""
            output = model.decode(Encoding.cat(list(sources.values())), target)
            return output, dict(zip(sources, output.split([len(encoding) for encoding in sources.values()])))

        def add(target: str, source: str, prediction: torch.Tensor, pair: Pair) -> None:
            loss = self.loss(target, prediction, pair, recipe.class_balance)
            terms[f"{target}/{source}{self.records[target].letter}"] = loss

        x_hat, to_rgb = decode("rgb", {**f, "rgb": f_R} if recipe.autoencoders else f)
        for name, pair in pairs.items():
            add("rgb", letter[name], to_rgb[name], pair)
        if recipe.autoencoders:
            add("rgb", "R", to_rgb["rgb"], every)

        for target, pair in pairs.items():
            sources = {"rgb": x[target]} | ({target: f[target]} if recipe.autoencoders else {})
            unlabelled = self.unseen(target, phase)  # rooms of the other sets: RGB → target stands for their target
            for name in unlabelled:
                sources[name] = f[name]
                if average is None:
                    sources[f"rgb of {name}"] = x[name].detach()
            _, y_hat = decode(target, sources)
            add(target, "R", y_hat["rgb"], pair)
            if recipe.autoencoders:
                add(target, letter[target], y_hat[target], pair)
            for name in unlabelled:
                if average is None:
                    label = y_hat[f"rgb of {name}"]
                else:
                    with torch.no_grad():
                        label = self.label(average, pairs[name], name, target)
                loss = pseudo_pair(y_hat[name], label, self.records[target])
                terms[f"pseudo_{target}/{letter[name]}{letter[target]}"] = loss
        return terms, {"R": (every.images["rgb"], x_hat)}


def apart(*sets: AnchoredPairs) -> tuple[AnchoredPairs, ...]:
    """The sets; `ValueError` where two of them share rooms, because their unseen pair would be seen."""
    for first, second in itertools.combinations(sets, 2):
        if shared := set(first.rooms) & set(second.rooms):
            one, other = first.modalities[1], second.modalities[1]
            raise ValueError(
                f"the sets with {one} and with {other} share {len(shared)} rooms, the first is {min(shared)}: {other} "
                f"and {one} of a room would both be seen; give sets of different rooms"
            )
    return sets


def add_noise(encoding: Encoding, deviation: float, random: Generator) -> Encoding:
    """N(0, deviation) on the latent at the output of an encoder (section 3.2)."""
    if deviation == 0:
        return encoding
    h = encoding.latent
    noise = shard(torch.randn(processes.world_size() * len(h), *h.shape[1:], generator=random, device=random.device))
    return encoding.with_latent(h + deviation * noise.to(h.device, h.dtype))


def anchors(batches: list[Pair]) -> Pair:
    """The RGB of all sets as one batch."""
    images, valid = ([getattr(pair, part)["rgb"] for pair in batches] for part in ("images", "valid"))
    return Pair({"rgb": torch.cat(images)}, {"rgb": torch.cat(valid)})


@functools.lru_cache(maxsize=8)
def class_weights(rooms: Rooms, balance: float, name: str = "segmentation") -> torch.Tensor:
    """(K,) weights ∝ frequency ** −balance of the classes in `rooms`, 1 on the average pixel; 0 for Unknown."""
    counts = rooms.class_counts(name).double()
    counts[0] = 0
    frequency = counts / counts.sum().clamp_min(1)
    weights = torch.where(frequency > 0, frequency.clamp_min(1e-12) ** -balance, 0.0)
    return (weights / (weights * frequency).sum().clamp_min(1e-12)).float()


def pseudo_pair(translated: torch.Tensor, teacher: torch.Tensor, target: Modality) -> torch.Tensor:
    """L_PSEUDO: an unseen translation against the seen one of the same room, without a gradient to the teacher.

    T_DS(z) learns from T_RS(x) on D2, T_SD(y) from T_RD(x) on D1: the pseudo-pairs of the journal version (Wang et al.,
    IJCV 2020). No true depth–segmentation pair is involved. Of classes, the target is their distribution.
    """
    label = target.soft_target(teacher.detach().float())
    return target.loss(translated, label, torch.ones_like(label[:, :1], dtype=torch.bool), joint=JOINT)


def total(terms: Terms, phase: Phase, records: Mapping[str, Modality] = KNOWN) -> torch.Tensor:
    """L = λ_R L_RGB + λ_S L_SEG + λ_D L_DEPTH + λ_A L_LAT, with L_RGB = λ_L2 L_L2 + λ_GAN L_GAN (section 4.3).

    A term is named by its kind and its translation: `rgb/SR`, `gan/*R`, `depth/RD`, `segmentation/RS`, `latent/RS`,
    and `pseudo_segmentation/DS`, whose weight is λ_pseudo · λ_S.
    """
    return weighted(terms, weights(phase, records))


def weights(phase: Phase, records: Mapping[str, Modality]) -> dict[str, float]:
    """The weight of each kind of term in a phase."""
    targets = {name: record.weight(phase) for name, record in records.items()}
    pseudo = {f"pseudo_{name}": phase.lambda_pseudo * weight for name, weight in targets.items()}
    rgb = {"rgb": phase.lambda_l2 * phase.lambda_rgb, "gan": phase.lambda_gan * phase.lambda_rgb}
    return targets | pseudo | rgb | {"latent": phase.lambda_latent}


def weighted(terms: Terms, weights: Mapping[str, float]) -> torch.Tensor:
    """The sum of the terms, each weighed by its kind."""
    return functools.reduce(torch.add, [weights[name.split("/")[0]] * value for name, value in terms.items()])
