"""A new modality plugged into a trained, frozen network (section 3.3)."""

import dataclasses
from bisect import bisect_left, bisect_right

import torch

from ..audit import given
from ..data.batches import Pair
from ..data.sets import AnchoredPairs, Rooms
from ..losses import latent_consistency
from ..modalities import Modality
from ..networks import Encoding, MixAndMatch
from ..objectives import Objective, add_noise, pseudo_pair
from ..recipes import Phase, Recipe


def plugged_in(recipe: Recipe, name: str, steps: int = 1000) -> Recipe:
    """The recipe by which a modality is plugged into a network of that recipe.

    It has one phase, with the weights of the last one, in which the frozen network teaches the unseen translations.
    """
    last = dataclasses.replace(recipe.phases[-1], lambda_pseudo=1.0, lambda_gan=0.0, steps=steps)
    return recipe.replace(modalities=(*recipe.modalities, name), phases=(last,), teacher="self")


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
        seen = given(base)
        runs = [(e["split"], *run) for e in seen if e["role"] == "training" for run in e["rooms"]]
        shared = [split for split, *run in runs if bisect_left(rooms, run[0]) < bisect_right(rooms, run[1])]
        if shared:
            raise ValueError(
                f"split {pairs.split} shares rooms with {shared[0]}, on which the network was trained: give "
                f"pairs of RGB and {name} of other rooms"
            )
        self.sets: tuple[Rooms, ...] = (pairs,)
        self.base, self.name, self.inherited = base, name, tuple(seen)

    @property
    def records(self) -> dict[str, Modality]:
        return {**self.base.records, **super().records}

    def networks(self, recipe: Recipe) -> MixAndMatch:
        """The frozen network's, with an encoder and a decoder more."""
        model = super().networks(recipe)
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
        x, y, name = pair.images["rgb"], pair.images[self.name], self.name
        letter = self.records[name].letter
        with torch.no_grad():
            f_R = model.encode(x, "rgb")
        f_N = model.encode(y, name)
        terms = {f"latent/R{letter}": latent_consistency(f_R, f_N, recipe.consistency)}
        x_h, f_N = (add_noise(f, recipe.latent_noise, random) for f in (f_R, f_N))
        from_rgb, own = model.decode(Encoding.cat([x_h, f_N]), name).chunk(2)
        terms[f"{name}/R{letter}"] = self.loss(name, from_rgb, pair)
        terms[f"{name}/{letter}{letter}"] = self.loss(name, own, pair)
        terms[f"rgb/{letter}R"] = self.loss("rgb", model.decode(f_N, "rgb"), pair)
        if phase.lambda_pseudo > 0:
            for target in self.base.modalities:
                if target != "rgb":
                    with torch.no_grad():
                        label = model.decode(f_R, target)
                    record = self.records[target]
                    loss = pseudo_pair(model.decode(f_N, target), label, record)
                    terms[f"pseudo_{target}/{letter}{record.letter}"] = loss
        return terms, {}
