"""Latent alignment: how far encoders agree on one scene, and what a decoder makes of two latents (section 5.4)."""

from collections.abc import Sequence
from typing import Any

import torch

from .data.sets import Rooms
from .data.sources import require
from .evaluation import eval_mode, in_batches
from .networks import Encoding, Translator


@torch.inference_mode()
def fusion(
    model: Translator, rooms: Rooms, first: str, second: str, target: str, alphas: Sequence[float], indices: str = "",
    batch_size: int = 25,
) -> list[dict[str, Any]]:  # fmt: skip
    """(`first`, `second`) → `target` for each α, the weight of the latent of `second` (section 5.4, Figure 7).

    `indices` names the source whose side information the decoder gets, `first` by default. A module is put in eval
    mode, and back. Each input is encoded once. Returns what the target's metric computes, with its `alpha`, for each
    α. `ValueError` where `rooms` lack a modality, or `indices` names neither source.
    """
    require(rooms.split, rooms.modalities, dict.fromkeys((first, second, target)))
    if indices not in ("", first, second):
        raise ValueError(f"indices of {indices!r} were asked for, but the sources are {first} and {second}")
    metrics = [rooms.records[target].metric() for _ in alphas]
    with eval_mode(model):
        for _, batch in in_batches(model, rooms, batch_size):
            f, g = (model.encode(rooms.records[name].to_input(batch[name]), name) for name in (first, second))
            for alpha, metric in zip(alphas, metrics, strict=True):
                fused = f.fuse(g, alpha) if indices in ("", first) else g.fuse(f, 1 - alpha)
                metric.update(rooms.records[target].to_raw(model.decode(fused, target)), batch[target])
    return [{"alpha": alpha, **metric.compute()} for alpha, metric in zip(alphas, metrics)]


@torch.inference_mode()
def agreement(model: Translator, rooms: Rooms, source: str, target: str, batch_size: int = 50) -> dict[str, Any]:
    """How far the unseen translation of a room agrees with the seen one, by the target's metric.

    The answer of RGB → `target` stands for the truth, so `rooms` need RGB and `source` alone: of the unseen pair this
    is all that can be measured without a true pair. High where one is right and where both are wrong alike.
    """
    record = model.records[target]
    metric = record.metric()
    with eval_mode(model):
        for _, batch in in_batches(model, rooms, batch_size):
            images = ((name, model.records[name].to_input(batch[name])) for name in (source, "rgb"))
            metric.update(*(record.to_raw(model.translate(image, name, target)) for name, image in images))
    return metric.compute()


@torch.inference_mode()
def alignment(model: Translator, rooms: Rooms, first: str, second: str) -> dict[str, Any]:
    """How well two encodings of one room agree, over `rooms` (at least 4), all of them in one batch.

    `retrieval_at_1`: the share of rooms whose latent of `first` is nearer (Euclidean) to their own room's latent of
    `second` than to any other room's. `distance`: for each pooled stage, the last being the latent, the mean distance
    between features of one room over that between features of different rooms; 0 is perfect, 1 says that the room makes
    no difference. `cka`: for each stage, centred kernel alignment with a linear kernel (Kornblith et al. 2019), without
    the bias of few rooms; 1 says that rooms resemble each other alike in both, whatever the axes, 0 that nothing is
    shared. `index_agreement`: for each stage, the share of equal pooling indices; chance is what different rooms give.
    """
    if len(rooms) < 4:
        raise ValueError(f"split {rooms.split}: alignment compares rooms, at least 4, and has only {len(rooms)}")
    ((_, batch),) = in_batches(model, rooms, len(rooms))
    f, g = (model.encode(rooms.records[name].to_input(batch[name]), name) for name in (first, second))
    stages = [(a.flatten(1).double().cpu(), b.flatten(1).double().cpu()) for a, b in zip(f.pooled, g.pooled)]
    distances = [torch.cdist(a, b) for a, b in stages]
    right = distances[-1].argmin(1) == torch.arange(len(rooms))
    return {
        "retrieval_at_1": right.double().mean().item(),
        "distance": [_own_over_others(stage) for stage in distances],
        "cka": [cka(a, b) for a, b in stages],
        "index_agreement": index_agreement(f, g),
    }


def cka(first: torch.Tensor, second: torch.Tensor) -> float:
    """Linear centred kernel alignment of features (rooms, …) of the same rooms in order; at least 4 rooms.

    From unbiased estimates of the Hilbert–Schmidt independence criterion (Song et al. 2012), so that few rooms with
    many features do not look alike by themselves; it can fall a little below 0.
    """
    if len(first) < 4 or len(first) != len(second):
        raise ValueError(f"CKA compares at least 4 rooms, the same in both: got {len(first)} and {len(second)}")
    n = len(first)
    x, y = (features.flatten(1).double().cpu() for features in (first, second))
    K, L = ((features @ features.T).fill_diagonal_(0) for features in (x, y))

    def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        mean = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * a.sum(0) @ b.sum(0)
        return (a * b).sum() + mean

    return (hsic(K, L) / (hsic(K, K) * hsic(L, L)).clamp_min(1e-30).sqrt()).item()


def index_agreement(first: Encoding, second: Encoding, alive: bool = False) -> list[float]:
    """For each stage, the share of equal pooling indices in two encodings of the same rooms (section 4.2).

    Chance is what encodings of different rooms reach; a quarter only where all four pixels of a window are as likely to
    hold its maximum. In a window whose pixels are all 0 after ReLU the index is the upper left one, in any encoder:
    `alive` leaves out the windows whose maximum is 0 in either encoding (NaN where none is left).
    """
    shares = []
    for a, b, p, q in zip(first.indices, second.indices, first.pooled, second.pooled):
        equal = a == b
        counted = equal[(p > 0) & (q > 0)] if alive else equal
        shares.append(counted.double().mean().item())
    return shares


def _own_over_others(distances: torch.Tensor) -> float:
    own, count = distances.diagonal(), len(distances)
    return (own.mean() / ((distances.sum() - own.sum()) / (count * (count - 1)))).item()
