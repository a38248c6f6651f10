"""2×pix2pix (Isola et al. 2017): two paired translations, to be chained through RGB (section 5.3, Table 3)."""

import torch
from torch import nn

from ..blocks import Discriminator
from ..modalities import modality
from ..objectives import OnZeroPairs, target_loss
from ..recipes import Phase, Recipe
from .cyclegan import image
from .networks import Pairwise, PatchGAN, UNetGenerator, initialise

LAMBDA_TARGET = 100.0  # pix2pix's λ of L1, section 3.3; here of the target modality's own loss


class Pix2Pix(OnZeroPairs):
    """U-Nets with conditional GANs for depth → RGB on D2 and RGB → segmentation on D1, each by itself.

    Recipe: `widths` of the U-Net, `discriminator_widths`; λ_GAN weighs the GANs.
    """

    pairs = (("rgb", "segmentation"), ("depth", "rgb"))  # a pair for each set

    def networks(self, recipe: Recipe) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generators = {
                f"{source}_to_{target}": UNetGenerator(
                    modality(source).channels, modality(target).channels, recipe.widths
                )
                for source, target in self.pairs
            }
            return initialise(Pairwise(generators))

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        return {
            target: initialise(
                PatchGAN(
                    modality(source).channels + modality(target).channels,
                    recipe.discriminator_widths,
                    nn.BatchNorm2d,
                )
            )
            for source, target in self.pairs
        }

    def terms(self, model: Pairwise, batches, recipe: Recipe, phase: Phase, random, average=None):
        terms, judged = {}, {}
        for (source, target), pair in zip(self.pairs, batches):
            x, y = pair.images[source], pair.images[target]
            y_hat = model.translate(x, source, target)
            loss = target_loss(target, recipe, self.sets)
            terms[f"{target}/{modality(source).letter}{modality(target).letter}"] = loss(y_hat, y, pair.valid[target])
            judged[target] = (torch.cat([x, y], 1), torch.cat([x, image(target, y_hat)], 1))
        return terms, judged

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        return sum(
            (phase.lambda_gan if name.startswith("gan/") else LAMBDA_TARGET) * value for name, value in terms.items()
        )
