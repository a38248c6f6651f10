"""The pseudo-label student: a seen translation's predictions are the labels of another encoder and decoder.

The strongest simple baseline: RGB → segmentation is trained on D1, labels the RGB of D2, and depth → segmentation is
trained on those labels; the other way round for segmentation → depth. No true depth–segmentation pair is involved.
"""

import torch

from ..data.sets import Rooms
from ..modalities import Modality
from ..networks import MixAndMatch
from ..objectives import Objective, add_noise, pseudo_pair
from ..recipes import Phase, Recipe


class Student(Objective):
    """T_source→target on pairs of source and anchor, taught by T_anchor→target of a trained, frozen `teacher`."""

    def __init__(self, pairs: Rooms, teacher: MixAndMatch, source: str, target: str, anchor: str = "rgb"):
        for name in (source, anchor):
            if name not in pairs.modalities:
                raise ValueError(f"split {pairs.split} holds {', '.join(pairs.modalities)}, not {name}")
        self.sets: tuple[Rooms, ...] = (pairs,)
        self.teacher, self.source, self.target, self.anchor = teacher.eval(), source, target, anchor
        self.translations = ((source, target),)

    @property
    def records(self) -> dict[str, Modality]:
        return {**self.teacher.records, **super().records}

    def terms(self, model: MixAndMatch, batches, recipe: Recipe, phase: Phase, random, average=None):
        (pair,) = batches
        with torch.no_grad():
            label = self.teacher.translate(pair.images[self.anchor], self.anchor, self.target)
        encoding = add_noise(model.encode(pair.images[self.source], self.source), recipe.latent_noise, random)
        prediction = model.decode(encoding, self.target)
        source, target = self.records[self.source], self.records[self.target]
        return {f"pseudo_{target.name}/{source.letter}{target.letter}": pseudo_pair(prediction, label, target)}, {}

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        return self.records[self.target].weight(phase) * sum(terms.values())
