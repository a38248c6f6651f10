"""CycleGAN (Zhu et al. 2017): depth ↔ segmentation from unpaired images, without RGB (section 5.3)."""

import itertools

import torch
from torch import nn

from ..blocks import Discriminator, initialise
from ..data.sets import DepthPairs, Rooms, SegmentationPairs
from ..modalities import Modality
from ..objectives import Objective, apart
from ..recipes import Phase, Recipe
from .networks import ImagePool, Pairwise, PatchGAN, ResNetGenerator

LAMBDA_CYCLE = 10.0  # CycleGAN, section 4


class OnZeroPairs(Objective):
    """An objective on the paper's two training sets: (x, y) of D1 and (x, z) of D2, never (z, y) (section 4.1)."""

    def __init__(self, d1: SegmentationPairs, d2: DepthPairs):
        if not isinstance(d1, SegmentationPairs) or not isinstance(d2, DepthPairs):
            raise TypeError("zero-pair training takes SegmentationPairs (D1) and DepthPairs (D2), nothing else")
        self.sets: tuple[Rooms, ...] = apart(d1, d2)


class CycleGAN(OnZeroPairs):
    """Least-squares GANs on both sides, and cycle consistency by each modality's own loss.

    Segmentation comes from D1 and depth from D2: of rooms that differ, so unpaired. Recipe: `widths` of the generator,
    `discriminator_widths`; λ_GAN weighs the GANs.
    """

    translations = (("depth", "segmentation"), ("segmentation", "depth"))

    def networks(self, recipe: Recipe) -> Pairwise:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            records = {name: self.records[name] for name in ("depth", "segmentation")}
            channels = {name: record.channels for name, record in records.items()}
            generators = {
                f"{source}_to_{target}": ResNetGenerator(channels[source], channels[target], recipe.widths)
                for source, target in itertools.permutations(records, 2)
            }
            return initialise(Pairwise(generators, records))

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        return {name: cycle_judge(self.records[name].channels, recipe) for name in ("depth", "segmentation")}

    def terms(self, model: Pairwise, batches, recipe: Recipe, phase: Phase, random, average=None):
        d1, d2 = batches
        y, z = d1.images["segmentation"], d2.images["depth"]
        y_hat = image(self.records["segmentation"], model.translate(z, "depth", "segmentation"))
        z_hat = model.translate(y, "segmentation", "depth")
        terms = {
            "cycle/DSD": self.loss("depth", model.translate(y_hat, "segmentation", "depth"), d2),
            "cycle/SDS": self.loss("segmentation", model.translate(z_hat, "depth", "segmentation"), d1),
        }
        return terms, {"depth": (z, z_hat), "segmentation": (y, y_hat)}

    def weights(self, phase: Phase) -> dict[str, float]:
        return {"cycle": LAMBDA_CYCLE, "gan": phase.lambda_gan}


def cycle_judge(channels: int, recipe: Recipe) -> PatchGAN:
    """CycleGAN's discriminator of images with so many channels: a PatchGAN with a pool of 50 images."""
    pool = ImagePool((channels, recipe.size, recipe.size))
    return initialise(PatchGAN(channels, recipe.discriminator_widths, nn.InstanceNorm2d, pool))


def image(record: Modality, output: torch.Tensor) -> torch.Tensor:
    """A generator's output as an image that encoders and discriminators read: class probabilities for logits."""
    return record.soft_target(output.float())
