"""A trained network with a part of it taken away, to see what that part is worth."""

import torch

from ..networks import Encoding, Translator


class Disturbed(Translator):
    """A trained network whose decoders get less than they were trained with: to see what each part is worth.

    `indices=False` replaces the pooling indices by ones that say nothing; `noise` is the standard deviation of Gaussian
    noise on the latent, the same in every call.
    """

    def __init__(self, model: Translator, indices: bool = True, noise: float = 0.0, seed: int = 0):
        super().__init__(model.records, model.stride)
        self.model, self.indices, self.noise, self.seed = model, indices, noise, seed

    def encode(self, image: torch.Tensor, source: str) -> Encoding:
        encoding = self.model.encode(image, source)
        if not self.indices:
            encoding = encoding.without_indices()
        if self.noise == 0:
            return encoding
        latent = encoding.latent
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(self.seed)).to(latent)
        return encoding.with_latent(latent + self.noise * noise)

    def decode(self, encoding: Encoding, target: str) -> torch.Tensor:
        return self.model.decode(encoding, target)
