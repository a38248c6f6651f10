"""The pseudo-label student: a seen translation's predictions are the labels of another encoder and decoder.

The strongest simple baseline: RGB → segmentation is trained on D1, labels the RGB of D2, and depth → segmentation is
trained on those labels; the other way round for segmentation → depth. No true depth–segmentation pair is involved.
"""

import torch

from ..data.sets import Rooms
from ..data.sources import require
from ..modalities import Modality
from ..networks import MixAndMatch
from ..objectives import Objective, add_noise, pseudo_pair
from ..recipes import Phase, Recipe


class Student(Objective):
    """T_source→target on pairs of source and RGB, taught by T_RGB→target of a trained, frozen `teacher`."""

    def __init__(self, pairs: Rooms, teacher: MixAndMatch, source: str, target: str):
        require(f"split {pairs.split}", pairs.modalities, (source, "rgb"))
        self.sets: tuple[Rooms, ...] = (pairs,)
        self.teacher, self.source, self.target = teacher.eval(), source, target
        self.translations = ((source, target),)

    @property
    def records(self) -> dict[str, Modality]:
        return {**self.teacher.records, **super().records}

    def terms(self, model: MixAndMatch, batches, recipe: Recipe, phase: Phase, random, average=None):
        (pair,) = batches
        with torch.no_grad():
            label = self.teacher.translate(pair.images["rgb"], "rgb", self.target)
        encoding = add_noise(model.encode(pair.images[self.source], self.source), recipe.latent_noise, random)
        prediction = model.decode(encoding, self.target)
        source, target = self.records[self.source], self.records[self.target]
        return {f"pseudo_{target.name}/{source.letter}{target.letter}": pseudo_pair(prediction, label, target)}, {}

    def weights(self, phase: Phase) -> dict[str, float]:
        return {f"pseudo_{self.target}": self.records[self.target].weight(phase)}
