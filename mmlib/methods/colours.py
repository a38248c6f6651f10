"""Measuring translations between domains whose truth is known: colours against real re-renders, styles against exact
stylisations."""

from collections.abc import Callable

import numpy as np
import torch

from ..data.domains import COLOURS, MASK
from ..data.sets import Rooms
from ..data.shipped import SHIPPED
from ..modalities import domain, named


class Scenes(Rooms):
    """Scenes in all eleven colours, with the mask of the object."""

    records = named(*map(domain, COLOURS), MASK)


def shipped_scenes(size: int | None = None, split: str = "test") -> Scenes:
    """The 60 test scenes, or those of the validation split."""
    return Scenes(SHIPPED.parent / "colours" / f"{split}.zip", size)


class ColourNames:
    """Names the colour of an object by the nearest real render: mean CIELAB within the mask.

    `scenes` holds real renders of the same scenes in every colour, and their masks; the scene itself is left out.
    """

    def __init__(self, scenes: Rooms):
        self.names = [name for name in scenes.modalities if name != "mask"]
        mask = scenes.images["mask"][:, 0].numpy() > 0
        self.known = np.stack([mean_lab(lab(scenes.images[name]), mask) for name in self.names], 1)  # (N, colours, 3)

    def __call__(self, means: np.ndarray) -> list[str]:
        """The names of objects with these mean colours (N, 3), one per scene, in order."""
        distance = np.linalg.norm(self.known[None] - means[:, None, None], axis=-1)  # (N, N, colours)
        distance[np.arange(len(means)), np.arange(len(means))] = np.inf
        nearest = distance.reshape(len(means), -1).argmin(1)
        return [self.names[index % len(self.names)] for index in nearest]

    def accuracy(self) -> float:
        """The share of real renders that get their own name, each from the renders of the other scenes."""
        right = [[called == name for called in self(self.known[:, k])] for k, name in enumerate(self.names)]
        return float(np.mean(right))


def lab(raw: torch.Tensor) -> np.ndarray:
    """Raw RGB (N, 3, H, W) → CIELAB (N, H, W, 3), D65."""
    from skimage.color import rgb2lab  # noqa: PLC0415 - only colours and styles need it

    return rgb2lab(raw.permute(0, 2, 3, 1).numpy())


def mean_lab(colours: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of CIELAB colours (N, H, W, 3) within masks (N, H, W): (N, 3)."""
    return (colours * mask[..., None]).sum((1, 2)) / mask.sum((1, 2))[:, None]


def measure_colours(model, scenes: Rooms, seen: set[frozenset[str]], anchor: str) -> dict:
    """All translations of colours on scenes whose truth is known, as `recolouring` measures them; `seen` holds the
    trained pairs.

    Beside what `in_all_ways` gives, `colour_names`: how often real renders get their own name.
    """
    names, mask, images = ColourNames(scenes), scenes.images["mask"], scenes.images

    def measure(made: torch.Tensor, source: str, target: str) -> dict:
        row = recolouring(made, images[target], images[source], mask, names, target)
        return {**row, "seen": source == target or frozenset((source, target)) in seen}

    return {
        "rooms": len(scenes), "size": scenes.size, "split": scenes.split, "data_sha256": scenes.sha256,
        "colour_names": names.accuracy(), **in_all_ways(model, images, anchor, measure),
    }  # fmt: skip


def in_all_ways(model, images: dict[str, torch.Tensor], anchor: str, measure: Callable) -> dict[str, dict]:
    """`measure(made, source, target)` of the translations between all domains of raw images (N, 3, H, W).

    `translations`: direct; `through_anchor`: the unseen ones in two steps, where the model knows the anchor;
    `unchanged`: the source, as if it were the translation; `autoencoders`: each domain to itself.
    """
    result: dict[str, dict] = {"translations": {}, "through_anchor": {}, "unchanged": {}, "autoencoders": {}}
    for source in model.modalities:
        x, known = images[source], anchor in model.modalities
        itself = measure(translated(model, x, source, source), source, source)
        result["autoencoders"][f"{source}_to_{source}"] = itself
        between = translated(model, x, source, anchor) if known and source != anchor else x
        for target in model.modalities:
            if target == source:
                continue
            ways = {"translations": between if target == anchor else translated(model, x, source, target)}
            ways["unchanged"] = x
            if known and anchor not in (source, target):
                ways["through_anchor"] = translated(model, between, anchor, target)
            for way, made in ways.items():
                result[way][f"{source}_to_{target}"] = measure(made, source, target)
    return result


def recolouring(made: torch.Tensor, truth: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, names, target: str):
    """Measures of recoloured images against real re-renders; raw RGB (N, 3, H, W), mask (N, 1, H, W).

    `colour_error`: mean CIEDE2000 within the mask; `named`: the share whose colour `names` calls by the target's name;
    `psnr` (dB) and `ssim` to the truth; `background`: mean CIEDE2000 to the source outside the mask.
    """
    from skimage.color import deltaE_ciede2000  # noqa: PLC0415

    inside = mask[:, 0].numpy() > 0
    a, b, c = lab(made), lab(truth), lab(source)
    return {
        "colour_error": float(deltaE_ciede2000(a[inside], b[inside]).mean()),
        "named": float(np.mean([called == target for called in names(mean_lab(a, inside))])),
        **likeness(made, truth),
        "background": float(deltaE_ciede2000(a[~inside], c[~inside]).mean()),
    }


MOST = 60.0
"""The PSNR, in dB, that equal images are given: finer differences than that no 8-bit image shows."""


def likeness(made: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Mean `psnr` (dB) and `ssim` (Wang et al. 2004) of raw RGB images (N, 3, H, W) to the truth."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity  # noqa: PLC0415

    pairs = [(a.permute(1, 2, 0).numpy(), b.permute(1, 2, 0).numpy()) for a, b in zip(made, truth, strict=True)]
    psnr = [MOST if (a == b).all() else min(peak_signal_noise_ratio(b, a, data_range=255), MOST) for a, b in pairs]
    ssim = [structural_similarity(a, b, channel_axis=-1, data_range=255) for a, b in pairs]
    return {"psnr": float(np.mean(psnr)), "ssim": float(np.mean(ssim))}


@torch.inference_mode()
def translated(model, raw: torch.Tensor, source: str, target: str) -> torch.Tensor:
    """Raw images (N, 3, H, W) of one domain as a network translates them into another."""
    record, device = model.records[source], next(model.parameters()).device
    made = [
        model.records[target].to_raw(model.translate(record.to_input(part.to(device)), source, target)).cpu()
        for part in raw.split(30)
    ]
    return torch.cat(made)
