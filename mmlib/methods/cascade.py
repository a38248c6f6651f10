"""Cascades: two seen translations one after the other, through an image of the modality between (D → R → S)."""

import torch

from ..networks import Encoding, Translator


class Cascade(Translator):
    """A trained network whose every translation goes through an image of modality `via` (section 5.2, Table 3).

    The image between is what a user would be given: `to_raw`, then `to_input` again.
    """

    def __init__(self, model: Translator, via: str = "rgb"):
        super().__init__(model.records, model.stride)
        self.check(via)
        self.model, self.via = model, model.records[via]

    def encode(self, image: torch.Tensor, source: str) -> Encoding:
        """The encoding, by the encoder of `via`, of the image of `via` that `image` is translated into."""
        if source == self.via.name:
            return self.model.encode(image, source)
        return self.model.encode(self.via.to_input(self.between(image, source)), self.via.name)

    def between(self, image: torch.Tensor, source: str) -> torch.Tensor:
        """The raw image of `via` that `image` is translated into."""
        return self.via.to_raw(self.model.translate(image, source, self.via.name))

    def decode(self, encoding: Encoding, target: str) -> torch.Tensor:
        return self.model.decode(encoding, target)
