"""2×pix2pix (Isola et al. 2017): two paired translations, to be chained through RGB (section 5.3, Table 3)."""

import torch
from torch import nn

from ..blocks import Discriminator, initialise
from ..objectives import OnZeroPairs
from ..recipes import Phase, Recipe
from .cyclegan import image
from .networks import Pairwise, PatchGAN, UNetGenerator

LAMBDA_TARGET = 100.0  # pix2pix's λ of L1, section 3.3; here of the target modality's own loss


class Pix2Pix(OnZeroPairs):
    """U-Nets with conditional GANs for depth → RGB on D2 and RGB → segmentation on D1, each by itself.

    Recipe: `widths` of the U-Net, `discriminator_widths`; λ_GAN weighs the GANs.
    """

    translations = (("rgb", "segmentation"), ("depth", "rgb"))  # a pair for each set

    def networks(self, recipe: Recipe) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generators = {
                f"{source}_to_{target}": UNetGenerator(
                    self.records[source].channels, self.records[target].channels, recipe.widths
                )
                for source, target in self.translations
            }
            return initialise(Pairwise(generators, self.records))

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        return {
            target: initialise(
                PatchGAN(
                    self.records[source].channels + self.records[target].channels,
                    recipe.discriminator_widths,
                    nn.BatchNorm2d,
                )
            )
            for source, target in self.translations
        }

    def terms(self, model: Pairwise, batches, recipe: Recipe, phase: Phase, random, average=None):
        terms, judged = {}, {}
        for (source, target), pair in zip(self.translations, batches):
            x, y = pair.images[source], pair.images[target]
            y_hat = model.translate(x, source, target)
            record = self.records[target]
            loss = self.loss(target, y_hat, pair, recipe.class_balance)
            terms[f"{target}/{self.records[source].letter}{record.letter}"] = loss
            judged[target] = (torch.cat([x, y], 1), torch.cat([x, image(record, y_hat)], 1))
        return terms, judged

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        return sum(
            (phase.lambda_gan if name.startswith("gan/") else LAMBDA_TARGET) * value for name, value in terms.items()
        )
