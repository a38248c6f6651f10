"""Many domains from unpaired images: CycleGANs that share encoders and decoders, mixed and matched (sections 3.3, 5.5).

A *domain* is a kind of RGB image (objects painted blue, photos, a style) of which there are images, but no pairs. One
domain is the anchor: the N − 1 pairs with it are trained, and any encoder with any decoder makes all N (N − 1)
translations.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn

from .baselines.networks import PatchGAN, initialise, resnet_down, resnet_up
from .blocks import ImagePool
from .data import SHIPPED, Rooms, opened_image
from .modalities import RGB, Modality, register
from .networks import Encoding, MixAndMatch
from .objectives import Objective, Pair, add_noise
from .recipes import Phase, Recipe
from .untrusted import FILE_BYTES, require_file

COLOURS = ("blue", "black", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
"""The eleven basic colour terms, the anchor first."""

LAMBDA_CYCLE = 10.0  # CycleGAN, section 4
LAMBDA_AUTOENCODER = 5.0  # in the place of CycleGAN's identity loss, with its weight


def domain(name: str) -> Modality:
    """The record of a domain: RGB under another name."""
    return register(dataclasses.replace(RGB, name=name, letter=name, folder=name, loss_weight=1.0))


MASK = register(
    dataclasses.replace(
        RGB, name="mask", letter="mask", channels=1, folder="mask", suffix=".png", pixels="8-bit grey",
        resample="nearest", loss_weight=0.0,
    )
)  # fmt: skip
"""Where the object is, 0 or 1: for evaluation alone."""


class Domain(Rooms):
    """The images of one domain, which no other domain shares."""

    def __init__(self, source: str | Path, name: str, size: int | None = None):
        self.modalities = (domain(name).name,)
        super().__init__(source, size)

    @classmethod
    def of(cls, images: dict[str, torch.Tensor], rooms: Sequence[int], split: str = "memory") -> "Domain":
        """Raw images in memory, under the domain's name."""
        (name,) = images
        kind = type("Domain", (cls,), {"modalities": (domain(name).name,)})
        return super(Domain, kind).of(images, rooms, split)


def shipped_colours(size: int | None = None) -> tuple[Domain, ...]:
    """The training images of all eleven colours, the anchor first."""
    return tuple(Domain(SHIPPED.parent / "colours" / f"{name}.zip", name, size) for name in COLOURS)


def folder_domains(folder: str | Path, size: int, anchor: str = "", part: str = "train") -> tuple[Domain, ...]:
    """The domains of a folder of images, the anchor first (by default the first by name).

    Either `trainA`, `trainB` and so on, as CycleGAN's sets have them, or one sub-folder a domain. `part`: `train`, or
    `test` for `testA` and so on, where there are such. Images are cut square in the middle and resized. `ValueError`
    names what is missing: two sub-folders with images, an anchor among them, an image that can be read.
    """
    folder = Path(folder)
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    for prefix in (part, "train"):
        if chosen := [path for path in found if path.name.startswith(prefix)]:
            found = chosen
            break
    names = [path.name.removeprefix("train").removeprefix("test") for path in found]
    if len(found) < 2:
        raise ValueError(f"{folder} holds {len(found)} domains: give a folder with trainA and trainB, or one a domain")
    if anchor and anchor not in names:
        raise ValueError(f"{folder} holds {', '.join(names)}, not the anchor {anchor}")
    domains, number = [], 0
    for name, path in zip(names, found):
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if len(files) < 2:
            raise ValueError(f"{path} holds {len(files)} images (.jpg, .png): a domain needs at least 2")
        images = torch.stack([_square(file, size) for file in files])
        domains.append(Domain.of({domain(name).name: images}, range(number, number + len(files)), name))
        number += len(files)
    return tuple(sorted(domains, key=lambda rooms: rooms.split != (anchor or names[0])))


def _square(file: Path, size: int) -> torch.Tensor:
    try:
        require_file(file, FILE_BYTES)
        with opened_image(file) as image:
            pixels = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}): delete it, or copy it again") from None
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).contiguous()


def group_norm(width: int) -> nn.Module:
    """Group normalization, groups of four, in the place of CycleGAN's instance normalization, which takes each
    channel's brightness and contrast out of every image: autoencoders then learn much more slowly."""
    return nn.GroupNorm(max(1, width // 4), width)


class DomainEncoder(nn.Module):
    """The first half of CycleGAN's generator: (N, 3, H, W) → `Encoding` with a latent (N, widths[-1], H / 4, W / 4)."""

    def __init__(self, widths: tuple[int, ...], residuals: int):
        super().__init__()
        self.layers = nn.Sequential(*resnet_down(3, widths, residuals, group_norm))

    def forward(self, image: torch.Tensor) -> Encoding:
        latent = self.layers(image)
        return Encoding(latent, (latent,), (), ())


class DomainDecoder(nn.Module):
    """The other half: `Encoding` → (N, 3, H, W), through tanh."""

    def __init__(self, widths: tuple[int, ...], residuals: int):
        super().__init__()
        self.layers = nn.Sequential(*resnet_up(3, widths, residuals, group_norm))

    def forward(self, encoding: Encoding) -> torch.Tensor:
        return torch.tanh(self.layers(encoding.latent))


def networks(recipe: Recipe) -> MixAndMatch:
    """An encoder and a decoder for each of `recipe.modalities`; the last of `recipe.convolutions` counts the residual
    blocks of each."""
    for name in recipe.modalities:
        domain(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        parts = [
            {name: kind(recipe.widths, recipe.convolutions[-1]) for name in recipe.modalities}
            for kind in (DomainEncoder, DomainDecoder)
        ]
        return initialise(MixAndMatch(*parts, stride=2 ** (len(recipe.widths) - 1)))


class MixedCycles(Objective):
    """CycleGANs between an anchor, the first domain, and each other one, with autoencoders and aligned latents.

    Each step trains one pair, drawn anew: least-squares GANs on both sides, cycles, both autoencoders, and, where
    λ_latent says so, latent consistency between an image and its translation, which stands for the pair that there is
    not. `pairs="all"` draws from all pairs of domains, as ComboGAN does (Anoosheh et al. 2018).

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

    def networks(self, recipe: Recipe) -> MixAndMatch:
        return networks(recipe)

    def freeze(self, model: MixAndMatch, phase: Phase) -> None:
        """Nothing is held still; but copies are made where there is but one autoencoder."""
        if phase.one_autoencoder:
            for first, *others in (model.encoders.values(), model.decoders.values()):
                for part in others:
                    part.load_state_dict(first.state_dict())

    def discriminators(self, recipe: Recipe) -> dict[str, nn.Module]:
        """A PatchGAN with a pool of 50 images for each domain."""
        shape = (3, recipe.size, recipe.size)
        widths = recipe.discriminator_widths
        return {
            name: initialise(PatchGAN(3, widths, nn.InstanceNorm2d, ImagePool(shape))) for name in recipe.modalities
        }

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

    def total(self, terms: dict[str, torch.Tensor], phase: Phase) -> torch.Tensor:
        weights = {"cycle": LAMBDA_CYCLE, "autoencoder": LAMBDA_AUTOENCODER, "latent": phase.lambda_latent,
                   "gan": phase.lambda_gan}  # fmt: skip
        return sum(weights[name.split("/")[0]] * value for name, value in terms.items())
