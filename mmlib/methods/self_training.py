"""Self-training: a trained network goes on, and what it said of two latents together teaches its unseen translations.

A room of D2 has RGB and depth, and the mean of their latents says more of its segmentation than either alone (section
5.4). T_DS learns from what the network, as it was, says of that mean; on D1 T_SD learns from RGB and segmentation. Both
views teach, as in co-training (xMUDA, Jaritz et al. 2020). No true depth–segmentation pair is involved.
"""

import dataclasses

import torch

from ..audit import given
from ..data.batches import Pair
from ..data.indices import require_classes
from ..data.sets import AnchoredPairs
from ..networks import MixAndMatch
from ..objectives import ZeroPair
from ..recipes import Recipe

MEAN = 0.5
"""The share of each of the two latents: fixed beforehand."""


def self_taught(recipe: Recipe) -> Recipe:
    """The recipe by which a network of that recipe goes on and teaches itself, for a quarter of its steps. It has one
    phase, with the weights of the last one."""
    last = dataclasses.replace(recipe.phases[-1], lambda_pseudo=1.0, steps=max(1, recipe.steps // 4))
    return recipe.replace(phases=(last,), teacher="start")


class SelfTraining(ZeroPair):
    """Zero-pair training that starts from a trained network, `base`; its recipe's `teacher` is `start`.

    `ValueError` where the record of `base` does not say what it has seen, the sets have other modalities or classes,
    or the recipe has another teacher or other networks.
    """

    def __init__(self, *sets: AnchoredPairs, base: MixAndMatch):
        super().__init__(*sets)
        now, seen = [rooms.describe() for rooms in sets], given(base)
        require_classes("the data", self.records, base.records)
        self.base, self.inherited = base, tuple(entry for entry in seen if entry not in now)

    def networks(self, recipe: Recipe) -> MixAndMatch:
        """Those of the base, with its weights."""
        if recipe.teacher != "start":
            raise ValueError(f"recipe: teacher = {recipe.teacher}, but the teacher of self-training is start")
        model, same = super().networks(recipe), recipe.side_information == self.base.recipe.side_information
        try:
            model.load_state_dict(self.base.state_dict())
        except RuntimeError:  # other tensors
            same = False
        if not same or set(self.records) != set(model.modalities):
            raise ValueError("recipe: its networks are not those that were trained before; use their recipe and sets")
        return model

    def label(self, teacher: MixAndMatch, pair: Pair, source: str, target: str) -> torch.Tensor:
        """What a teacher says of `target` from the mean of two latents, that of RGB and that of `source`."""
        f_R, f = (teacher.encode(pair.images[name], name) for name in ("rgb", source))
        return teacher.decode(f_R.fuse(f, MEAN), target)
