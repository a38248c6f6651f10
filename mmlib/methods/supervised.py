"""Supervised translation: one encoder and one decoder of `MixAndMatch`, trained on true pairs.

On depth–segmentation pairs of rooms rendered for it alone it is the *oracle*: what these networks could do had the pair
been seen. No part of it reaches the zero-pair networks.
"""

from ..data.sets import Rooms
from ..data.sources import require
from ..networks import MixAndMatch
from ..objectives import Objective, add_noise
from ..recipes import Phase, Recipe


class Supervised(Objective):
    """The objective of T_source→target alone, on pairs of both."""

    def __init__(self, pairs: Rooms, source: str, target: str):
        require(f"split {pairs.split}", pairs.modalities, (source, target))
        self.sets: tuple[Rooms, ...] = (pairs,)
        self.source, self.target = source, target
        self.translations = ((source, target),)

    def terms(self, model: MixAndMatch, batches, recipe: Recipe, phase: Phase, random, average=None):
        """The target's loss; nothing to judge."""
        (pair,) = batches
        encoding = model.encode(pair.images[self.source], self.source)
        prediction = model.decode(add_noise(encoding, recipe.latent_noise, random), self.target)
        name = f"{self.target}/{self.records[self.source].letter}{self.records[self.target].letter}"
        return {name: self.loss(self.target, prediction, pair, recipe.class_balance)}, {}
