"""2×pix2pix (Isola et al. 2017): two paired translations, to be chained through RGB (section 5.3, Table 3)."""

import torch
from torch import nn

from ..blocks import Discriminator, initialise
from ..recipes import Phase, Recipe
from .cyclegan import OnZeroPairs, image
from .networks import Pairwise, PatchGAN, UNetGenerator

LAMBDA_TARGET = 100.0  # pix2pix's λ of L1, section 3.3; here of the target modality's own loss


class Pix2Pix(OnZeroPairs):
    """U-Nets with conditional GANs for depth → RGB on D2 and RGB → segmentation on D1, each by itself.

    Recipe: `widths` of the U-Net, `discriminator_widths`; λ_GAN weighs the GANs.
    """

    translations = (("rgb", "segmentation"), ("depth", "rgb"))  # a pair for each set

    def networks(self, recipe: Recipe) -> Pairwise:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            channels = {name: record.channels for name, record in self.records.items()}
            generators = {
                f"{source}_to_{target}": UNetGenerator(channels[source], channels[target], recipe.widths)
                for source, target in self.translations
            }
            return initialise(Pairwise(generators, self.records))

    def discriminators(self, recipe: Recipe) -> dict[str, Discriminator]:
        judges = {}
        for source, target in self.translations:
            channels = self.records[source].channels + self.records[target].channels
            judges[target] = initialise(PatchGAN(channels, recipe.discriminator_widths, nn.BatchNorm2d))
        return judges

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

    def weights(self, phase: Phase) -> dict[str, float]:
        return {"gan": phase.lambda_gan, **dict.fromkeys(self.records, LAMBDA_TARGET)}
