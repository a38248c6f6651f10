"""Latent alignment: how far encoders agree on one scene, and what a decoder makes of two latents (section 5.4)."""

from collections.abc import Sequence

import torch

from .data.sets import Rooms
from .evaluation import device_of, eval_mode
from .networks import Encoding


@torch.inference_mode()
def fusion(
    model,
    rooms: Rooms,
    first: str,
    second: str,
    target: str,
    alphas: Sequence[float],
    indices: str = "",
    batch_size: int = 25,
) -> list[dict]:
    """(`first`, `second`) → `target` for each α, the weight of the latent of `second` (section 5.4, Figure 7).

    `indices` names the source whose side information the decoder gets, `first` by default. A module is put in eval
    mode, and back. Each input is encoded once. Returns what the target's metric computes, with its `alpha`, for each
    α. `ValueError` where `rooms` lack a modality, or `indices` names neither source.
    """
    if absent := [name for name in dict.fromkeys((first, second, target)) if name not in rooms.modalities]:
        raise ValueError(f"{rooms.split} holds {', '.join(rooms.modalities)}; {', '.join(absent)} was asked for")
    if indices not in ("", first, second):
        raise ValueError(f"indices of {indices!r} were asked for, but the sources are {first} and {second}")
    metrics = [rooms.records[target].metric() for _ in alphas]
    device, sources = device_of(model), [rooms.records[name] for name in (first, second)]
    with eval_mode(model):
        for start in range(0, len(rooms), batch_size):
            batch = rooms.batch(range(start, min(start + batch_size, len(rooms))))
            f, g = (model.encode(r.to_input(batch[r.name].to(device)), r.name) for r in sources)
            for alpha, metric in zip(alphas, metrics, strict=True):
                fused = f.fuse(g, alpha) if indices in ("", first) else g.fuse(f, 1 - alpha)
                metric.update(rooms.records[target].to_raw(model.decode(fused, target)), batch[target])
    return [{"alpha": alpha, **metric.compute()} for alpha, metric in zip(alphas, metrics)]


@torch.inference_mode()
def agreement(model, rooms: Rooms, source: str, target: str, batch_size: int = 50) -> dict:
    """How far the unseen translation of a room agrees with the seen one, by the target's metric.

    The answer of RGB → `target` stands for the truth, so `rooms` need RGB and `source` alone: of the unseen pair this
    is all that can be measured without a true pair. High where one is right and where both are wrong alike.
    """
    record, device = model.records[target], device_of(model)
    metric = record.metric()
    with eval_mode(model):
        for start in range(0, len(rooms), batch_size):
            batch = rooms.batch(range(start, min(start + batch_size, len(rooms))))
            predictions = [
                record.to_raw(model.translate(model.records[name].to_input(batch[name].to(device)), name, target))
                for name in (source, "rgb")
            ]
            metric.update(*(raw.cpu() for raw in predictions))
    return metric.compute()


@torch.inference_mode()
def alignment(model, rooms: Rooms, first: str, second: str) -> dict:
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
    batch = {name: raw.to(device_of(model)) for name, raw in rooms.batch(range(len(rooms))).items()}
    f, g = (model.encode(rooms.records[name].to_input(batch[name]), name) for name in (first, second))
    distances = [
        torch.cdist(a.flatten(1).double().cpu(), b.flatten(1).double().cpu()) for a, b in zip(f.pooled, g.pooled)
    ]
    right = distances[-1].argmin(1) == torch.arange(len(rooms))
    return {
        "retrieval_at_1": right.double().mean().item(),
        "distance": [_own_over_others(stage) for stage in distances],
        "cka": [cka(a.flatten(1), b.flatten(1)) for a, b in zip(f.pooled, g.pooled)],
        "index_agreement": index_agreement(f, g),
    }


def cka(first: torch.Tensor, second: torch.Tensor) -> float:
    """Linear centred kernel alignment of features (rooms, …) of the same rooms in order; at least 4 rooms.

    From unbiased estimates of the Hilbert–Schmidt independence criterion (Song et al. 2012), so that few rooms with
    many features do not look alike by themselves; it can fall a little below 0.
    """
    if len(first) < 4 or len(first) != len(second):
        raise ValueError(f"CKA compares at least 4 rooms, the same in both: got {len(first)} and {len(second)}")
    grams = []
    for features in (first, second):
        features = features.flatten(1).double().cpu()
        gram = features @ features.T
        grams.append(gram.fill_diagonal_(0))

    def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        n = len(a)
        mean = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * a.sum(0) @ b.sum(0)
        return (a * b).sum() + mean

    own = hsic(grams[0], grams[0]) * hsic(grams[1], grams[1])
    return (hsic(*grams) / own.clamp_min(1e-30).sqrt()).item()


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
