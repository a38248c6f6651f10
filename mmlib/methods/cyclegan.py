"""CycleGAN (Zhu et al. 2017): depth ↔ segmentation from unpaired images, without RGB (section 5.3)."""

import torch
from torch import nn

from ..blocks import Discriminator, ImagePool
from ..losses import LOSSES
from ..modalities import modality
from ..objectives import OnZeroPairs
from ..recipes import Phase, Recipe
from .networks import Pairwise, PatchGAN, ResNetGenerator, initialise

LAMBDA_CYCLE = 10.0  # CycleGAN, section 4


class CycleGAN(OnZeroPairs):
    """Least-squares GANs on both sides, and cycle consistency by each modality's own loss.

    Segmentation comes from D1 and depth from D2: of rooms that differ, so unpaired. Recipe: `widths` of the generator,
    `discriminator_widths`; λ_GAN weighs the GANs.
    """

    def networks(self, recipe: Recipe) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            channels = {name: modality(name).channels for name in ("depth", "segmentation")}
            generators = {
                f"{source}_to_{target}": ResNetGenerator(channels[source], channels[target], recipe.widths)
                for source, target in (("depth", "segmentation"), ("segmentation", "depth"))
            }
            return initialise(Pairwise(generators))

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        judges = {}
        for name in ("depth", "segmentation"):
            pool = ImagePool((modality(name).channels, recipe.size, recipe.size))
            widths, channels = recipe.discriminator_widths, modality(name).channels
            judges[name] = initialise(PatchGAN(channels, widths, nn.InstanceNorm2d, pool))
        return judges

    def terms(self, model: Pairwise, batches, recipe: Recipe, phase: Phase, random, average=None):
        d1, d2 = batches
        y, z = d1.images["segmentation"], d2.images["depth"]
        y_hat = image("segmentation", model.translate(z, "depth", "segmentation"))
        z_hat = model.translate(y, "segmentation", "depth")
        terms = {
            "cycle/DSD": LOSSES[modality("depth").loss](
                model.translate(y_hat, "segmentation", "depth"), z, d2.valid["depth"]
            ),
            "cycle/SDS": LOSSES[modality("segmentation").loss](
                model.translate(z_hat, "depth", "segmentation"), y, d1.valid["segmentation"]
            ),
        }
        return terms, {"depth": (z, z_hat), "segmentation": (y, y_hat)}

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        weights = {"cycle": LAMBDA_CYCLE, "gan": phase.lambda_gan}
        return sum(weights[name.split("/")[0]] * value for name, value in terms.items())


def image(name: str, output: torch.Tensor) -> torch.Tensor:
    """A generator's output as an image that encoders and discriminators read: class probabilities for logits."""
    return modality(name).soft_target(output.float())
