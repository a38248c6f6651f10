"""Many domains from unpaired images: CycleGANs that share encoders and decoders, mixed and matched (sections 3.3, 5.5).

A *domain* is a kind of RGB image (objects painted blue, photos, a style) of which there are images, but no pairs. One
domain is the anchor: the N − 1 pairs with it are trained, and any encoder with any decoder makes all N (N − 1)
translations.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .. import checkpoints
from ..data.batches import Pair
from ..data.domains import Domain, folder_domains
from ..data.sets import Rooms
from ..networks import MixAndMatch
from ..objectives import Objective, add_noise
from ..recipes import Phase, Recipe, preset
from ..training import fit
from .cyclegan import LAMBDA_CYCLE, cycle_judge

LAMBDA_AUTOENCODER = 5.0  # in the place of CycleGAN's identity loss, with its weight


class MixedCycles(Objective):
    """CycleGANs between an anchor, the first domain, and each other one, with autoencoders and aligned latents.

    Each step trains one pair, drawn anew: least-squares GANs on both sides, cycles, both autoencoders, and, where
    λ_latent says so, latent consistency between an image and its translation, which takes the place of a true
    pair. `pairs="all"` draws from all pairs of domains, as ComboGAN does (Anoosheh et al. 2018).

    In a phase of `one_autoencoder`, the anchor's encoder and decoder learn to reconstruct the images of all domains,
    and all others are copies of them: encoders that begin alike need not find each other first.
    """

    partly = True  # a step trains two domains

    def __init__(self, domains: Sequence[Domain], pairs: str = "anchor"):
        if len({rooms.modalities for rooms in domains}) < max(2, len(domains)):
            raise ValueError("mixing CycleGANs takes at least two domains, each once")
        if pairs not in ("anchor", "all"):
            raise ValueError(f"pairs = {pairs!r} is not one of anchor, all")
        self.sets: tuple[Rooms, ...] = tuple(domains)
        names = [rooms.modalities[0] for rooms in domains]
        self.pairs = [pair for pair in itertools.combinations(names, 2) if pairs == "all" or names[0] in pair]

    def freeze(self, model: MixAndMatch, phase: Phase) -> None:
        """Nothing is frozen; where there is one autoencoder, the others become copies of it."""
        if phase.one_autoencoder:
            for first, *others in (model.encoders.values(), model.decoders.values()):
                for part in others:
                    part.load_state_dict(first.state_dict())

    def discriminators(self, recipe: Recipe) -> dict[str, nn.Module]:
        return {name: cycle_judge(3, recipe) for name in recipe.modalities}

    def terms(self, model: MixAndMatch, batches: list[Pair], recipe: Recipe, phase: Phase, random, average=None):
        images = {name: pair.images[name] for pair in batches for name in pair.images}
        if phase.one_autoencoder:
            anchor, x = model.modalities[0], torch.cat(list(images.values()))
            noisy = add_noise(model.encode(x, anchor), recipe.latent_noise, random)
            return {"autoencoder/all": F.l1_loss(model.decode(noisy, anchor).float(), x)}, {}
        a, b = self.pairs[int(torch.randint(len(self.pairs), (), generator=random, device=random.device))]
        terms, judged = {}, {}
        for source, target in ((a, b), (b, a)):
            x = images[source]
            f = model.encode(x, source)
            noisy = add_noise(f, recipe.latent_noise, random)
            terms[f"autoencoder/{source}"] = F.l1_loss(model.decode(noisy, source).float(), x)
            y = model.decode(noisy, target)
            back = model.encode(y, target)
            terms[f"cycle/{source}"] = F.l1_loss(model.decode(back, source).float(), x)
            if phase.lambda_latent > 0:
                terms[f"latent/{source}"] = F.mse_loss(back.latent.float(), f.latent.float())
            judged[target] = (images[target], y)
        return terms, judged

    def weights(self, phase: Phase) -> dict[str, float]:
        own = {"cycle": LAMBDA_CYCLE, "autoencoder": LAMBDA_AUTOENCODER}
        return {**own, "latent": phase.lambda_latent, "gan": phase.lambda_gan}


def run_folders(
    images: str | Path, folder: str | Path, anchor: str = "", preset_name: str = "domains", device: str = "auto"
) -> MixAndMatch:
    """Mixed CycleGANs on a folder of a user's own domains (`domains.folder_domains`), in `folder`; goes on where an
    earlier call stopped.

    `ValueError` says what is wrong with the images.
    """
    recipe, folder = preset(preset_name), Path(folder)
    sets = folder_domains(images, recipe.size, anchor)
    names = tuple(rooms.modalities[0] for rooms in sets)
    recipe = recipe.replace(modalities=names, architecture="resnet")
    fit(recipe, MixedCycles(sets), folder, device=device, resume=True)
    return checkpoints.load(folder / "checkpoint.safetensors")
