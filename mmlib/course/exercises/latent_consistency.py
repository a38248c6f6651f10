"""Exercises of notebook 02: latent consistency, latent noise, retrieval and CKA."""

import torch
import torch.nn.functional as F

from ... import losses
from ...alignment import cka
from ...networks import Encoding
from . import checker, close, number, require, tensor


def _random(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def _encoding(stages: list[torch.Tensor]) -> Encoding:
    """An encoding of these pooled stages, whose latent is the last of them, as an encoder makes it."""
    indices = tuple(torch.zeros_like(stage, dtype=torch.int64) for stage in stages)
    return Encoding(stages[-1], tuple(stages), indices, ())


# ── Latent consistency ─────────────────────────────────────────────────────────────────────────────────────────────


def _stages(number: int) -> list[torch.Tensor]:
    """Three pooled stages of 3 images, each of its own size and spread."""
    shapes = ((3, 2, 4, 4), (3, 4, 2, 2), (3, 5, 1, 1))
    return [k * torch.randn(shape, generator=_random(10 * number + k)) for k, shape in enumerate(shapes, start=1)]


@checker
def your_latent_consistency(answer) -> str:
    first, second = _stages(1), _stages(2)
    result = answer(list(first), list(second))
    require(isinstance(result, torch.Tensor), "Return a tensor, not a number: a gradient must flow through it.")
    value = tensor(result, ()).detach()
    square = [(a - b) ** 2 for a, b in zip(first, second)]
    means = torch.stack([s.mean() for s in square])
    absolute = torch.stack([(a - b).abs().mean() for a, b in zip(first, second)])
    require(
        not close(value, means[-1]),
        "It compares the last stage alone. That is the form the paper writes; here every stage should count.",
    )
    require(
        not close(value, means.sum()),
        "The stages are added up: divide by their number, so that λ means the same whatever the depth.",
    )
    sums = [sum(s.sum() for s in square) / k for k in (1, 3, 9)]
    require(
        not any(close(value, total) for total in sums),
        "A sum over all numbers is left where a mean should be: a larger image or batch would weigh more.",
    )
    require(
        not close(value, torch.cat([s.flatten() for s in square]).mean()),
        "All numbers are thrown into one mean, so the first stage, which has the most, decides. Take a mean for each "
        "stage, then the mean of those.",
    )
    require(
        not close(value, absolute.mean()) and not close(value, absolute.sum()),
        "These are absolute differences; the distance here is of squares.",
    )
    require(
        not close(value, means.sqrt().mean()) and not close(value, means.mean().sqrt()),
        "There is a square root too many: the course, like the authors' code, uses the mean squared difference itself.",
    )
    expected = losses.latent_consistency(_encoding(first), _encoding(second), "all_stages")
    require(
        close(value, expected),
        f"For stages drawn at random it gives {value.item():.4f}, expected {expected.item():.4f}: for each stage the "
        "mean of the squared differences, then the mean over the stages.",
    )
    for side, name in enumerate(("first", "second")):
        sides = [[stage.requires_grad_(k == side) for stage in _stages(k + 1)] for k in range(2)]
        loss = tensor(answer(*sides), ())
        slopes = torch.autograd.grad(loss, sides[side], allow_unused=True) if loss.requires_grad else (None,)
        require(
            all(slope is not None and slope.abs().sum() > 0 for slope in slopes),
            f"No gradient reaches the {name} encoder at every stage: then only the other one moves. Both should come "
            "towards each other.",
        )
    return "Squared, averaged stage by stage, and both encoders are drawn towards each other."


# ── Noise ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _feature_maps(gradient: bool = False) -> Encoding:
    """Two pooled stages of 4 images after a ReLU: half of the numbers are 0."""
    shapes = ((4, 8, 16, 16), (4, 16, 8, 8))
    stages = [F.relu(2 * torch.randn(shape, generator=_random(k))) for k, shape in enumerate(shapes)]
    return _encoding([stage.requires_grad_(gradient) for stage in stages])


@checker
def your_noise(answer) -> str:
    encoding, untouched = _feature_maps(), _feature_maps()
    result = answer(encoding, 0.5, _random(7))
    require(
        isinstance(result, Encoding),
        f"Return an Encoding, not a {type(result).__name__}: `encoding.with_latent(…)` makes one around a new latent.",
    )
    require(
        torch.equal(encoding.latent, untouched.latent)
        and all(map(torch.equal, encoding.pooled, untouched.pooled))
        and all(map(torch.equal, encoding.indices, untouched.indices)),
        "It changes the encoding that it was given, in place. The latent there is also the last pooled stage, which "
        "latent consistency compares without noise: make a new tensor.",
    )
    require(
        len(result.pooled) == len(untouched.pooled)
        and all(map(torch.equal, result.pooled, untouched.pooled))
        and all(map(torch.equal, result.indices, untouched.indices)),
        "The pooled stages or the pooling indices are disturbed as well: the noise belongs to the latent alone.",
    )
    noise = (tensor(result.latent, tuple(untouched.latent.shape)) - untouched.latent).detach().float()
    require(noise.abs().sum().item() > 0, "The latent comes out as it went in: nothing was added.")
    require(
        noise[untouched.latent == 0].abs().mean().item() > 0.01,
        "Where the latent is 0 no noise arrives: it is multiplied onto the latent. Add it.",
    )
    require(
        not torch.allclose(noise[0], noise[1], atol=1e-5),
        "Every image of the batch gets the same noise: draw it in the latent's whole shape.",
    )
    require(
        abs(noise.mean().item()) < 0.03,
        f"The noise has mean {noise.mean().item():.2f}, it should be 0: is it Gaussian, or uniform from 0 on?",
    )
    spread = noise.std().item()
    require(
        abs(spread - 0.25) > 0.01 and abs(spread - 0.5**0.5) > 0.01,
        f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}: is a variance involved? `deviation` is "
        "the factor itself, neither its square nor its root.",
    )
    require(abs(spread - 0.5) < 0.02, f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}.")
    far = (noise.abs() > 1.0).float().mean().item()
    require(
        0.03 < far < 0.06,
        f"{100 * far:.1f} % of the noise lies beyond two standard deviations; of a Gaussian it would be 4.6 %.",
    )
    again = answer(_feature_maps(), 0.5, _random(7))
    require(
        isinstance(again, Encoding) and torch.equal(again.latent, result.latent),
        "The same generator gives other noise each time: draw from `random`, or no run can be repeated.",
    )
    silent = answer(_feature_maps(), 0.0, _random(7))
    require(
        isinstance(silent, Encoding) and torch.equal(silent.latent, untouched.latent),
        "With deviation 0 the latent should come out as it went in.",
    )
    learning = answer(_feature_maps(gradient=True), 0.5, _random(7))
    require(
        isinstance(learning, Encoding) and learning.latent.requires_grad,
        "The gradient ends at the noise: the encoder would learn nothing from any translation.",
    )
    return "Gaussian, on the latent alone, repeatable, and the gradient passes."


# ── Retrieval ──────────────────────────────────────────────────────────────────────────────────────────────────────


@checker
def your_retrieval_at_1(answer) -> str:
    count = 40
    first = torch.randn(count, 3, 2, 2, generator=_random(1))
    lengths = 0.5 + torch.rand(count, 1, 1, 1, generator=_random(2))
    second = lengths * first + 0.9 * torch.randn(first.shape, generator=_random(3))
    own = torch.arange(count)
    a, b = first.flatten(1), second.flatten(1)

    def share(nearest: torch.Tensor) -> float:
        return (nearest == own).double().mean().item()

    distances = torch.cdist(a, b)
    value, expected = number(answer(first, second)), share(distances.argmin(1))
    require(
        not close(value, count * expected),
        "That is the number of rooms that find themselves: return the share, between 0 and 1.",
    )
    require(
        not close(value, share(distances.argmin(0))),
        "It asks the other way round: for each room of `second` it looks among `first`. Look at which axis of the "
        "distances counts the rooms of `first`.",
    )
    require(
        not close(value, share(distances.argmax(1))),
        "It picks the room that is farthest away, not the nearest.",
    )
    require(
        not close(value, share((a @ b.T).argmax(1))),
        "A large inner product is not a small distance: latents of great length win it whatever the room.",
    )
    require(
        not close(value, share(F.cosine_similarity(a[:, None], b[None], 2).argmax(1))),
        "That compares directions (cosine) and forgets the lengths: use Euclidean distances.",
    )
    require(
        not close(value, share(torch.cdist(first.mean((2, 3)), second.mean((2, 3))).argmin(1))),
        "The latent is averaged over its pixels first, which forgets where things are: flatten it instead.",
    )
    require(
        not close(value, 1.0),
        "It says that every room finds itself, and here some do not: is `first` compared with `second`?",
    )
    require(
        close(value, expected),
        f"For 40 rooms drawn at random it gives {value:.3f}, expected {expected:.3f}: for each room of `first`, is the "
        "nearest latent of `second`, by Euclidean distance over all its numbers, that of the same room?",
    )
    require(close(number(answer(first, first)), 1.0), "Compared with itself, every room should find itself: 1.")
    order = torch.arange(count).roll(1)
    require(close(number(answer(first, first[order])), 0.0), "With all rooms out of order, none should find itself: 0.")
    return "Each room of the first asks, and only its own room in the second is a right answer."


# ── CKA ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gram(features: torch.Tensor, diagonal: bool = False) -> torch.Tensor:
    gram = features.flatten(1) @ features.flatten(1).T
    return gram if diagonal else gram.clone().fill_diagonal_(0)


def _hsic(k: torch.Tensor, m: torch.Tensor, second: float = 1.0, third: float = 2.0) -> torch.Tensor:
    n = len(k)
    return (k * m).sum() + second * k.sum() * m.sum() / ((n - 1) * (n - 2)) - third * (k.sum(0) @ m.sum(0)) / (n - 2)


def _normalised(k: torch.Tensor, m: torch.Tensor, **terms: float) -> float:
    own = _hsic(k, k, **terms) * _hsic(m, m, **terms)
    return (_hsic(k, m, **terms) / own.abs().sqrt()).item()


@checker
def your_cka(answer) -> str:
    first = torch.randn(7, 3, 2, 2, generator=_random(4)).double() + 0.5
    second = 0.7 * first.flip(1) + torch.randn(first.shape, generator=_random(5)).double()

    def same(value: float, other: float) -> bool:
        return abs(value - other) < 1e-4 * max(1.0, abs(other))

    value, expected = number(answer(first, second)), cka(first, second)
    k, m = _gram(first), _gram(second)
    full = _gram(first, diagonal=True), _gram(second, diagonal=True)
    centred = [_gram(x - x.mean(0), diagonal=True) for x in (first, second)]
    columns = [x.flatten(1).T for x in (first, second)]
    require(
        not same(value, _normalised(k, m, second=0.0, third=0.0)),
        "Only the first of the three terms is there. The other two do what centring does in the plain form.",
    )
    require(
        not same(value, _normalised(*centred, second=0.0, third=0.0)),
        "That is the plain CKA of centred features: with few rooms it is far above 0 even where nothing is shared. Set "
        "the diagonals to 0 and use the three terms.",
    )
    require(
        not same(value, _normalised(*full)),
        "The diagonals are still there: a room compared with itself is always alike. Set them to 0 in both.",
    )
    require(
        not same(value, _normalised(*map(_gram, columns))),
        "The Gram matrix should be rooms × rooms; this one compares features with features.",
    )
    require(
        not same(value, _normalised(k, m, third=1.0)),
        "In the third term one factor is missing: it is 2 / (n − 2).",
    )
    require(
        not same(value, (_hsic(k, m) / (_hsic(k, k) * _hsic(m, m))).item()),
        "The denominator lacks its square root: doubling all features should change nothing.",
    )
    n = len(k)
    require(
        not any(same(value, (_hsic(k, m) / divisor).item()) for divisor in (1, n * (n - 3))),
        "That is HSIC by itself, whose size depends on the features'. Divide by the square root of HSIC of each "
        "with itself.",
    )
    require(
        same(value, expected),
        f"For 7 rooms drawn at random it gives {value:.4f}, expected {expected:.4f}. Look at the three terms one by "
        "one: the first multiplies the matrices element by element, the third multiplies their row sums.",
    )
    wide = torch.randn(7, 30, generator=_random(6)).double()
    require(
        same(number(answer(first, wide)), cka(first, wide)),
        "It goes wrong where the two have different numbers of features (12 and 30): only the rooms are the same.",
    )
    return "Free of the bias of few rooms, and blind to rotation and scale."
