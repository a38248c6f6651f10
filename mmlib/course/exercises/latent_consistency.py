"""Exercises of notebook 02: latent consistency, latent noise, retrieval and CKA."""

import torch
import torch.nn.functional as F

from ...alignment import cka
from ...networks import Encoding
from . import checker, close, generator, number, require, tensor

# ── Latent consistency ─────────────────────────────────────────────────────────────────────────────────────────────


def _consistency(first, second, distance=F.mse_loss):
    return sum(map(distance, first, second)) / len(first)


def _sum(first, second):
    return sum(F.mse_loss(a, b, reduction="sum") for a, b in zip(first, second))


CONSISTENCY = [
    ("It compares the last stage alone. That is the form the paper writes; here every stage should count.",
     lambda first, second: F.mse_loss(first[-1], second[-1])),
    ("The stages are added up: divide by their number, so that λ means the same whatever the depth.",
     lambda first, second: len(first) * _consistency(first, second)),
    ("A sum over all numbers is left where a mean should be: a larger image or batch would weigh more.",
     _sum,
     lambda first, second: _sum(first, second) / len(first[0]),
     lambda first, second: _sum(first, second) / len(first[0]) / len(first)),
    ("All numbers are thrown into one mean, so the first stage, which has the most, decides. Take a mean for each "
     "stage, then the mean of those.",
     lambda first, second: torch.cat([((a - b) ** 2).flatten() for a, b in zip(first, second)]).mean()),
    ("These are absolute differences; the distance here is of squares.",
     lambda first, second: _consistency(first, second, F.l1_loss),
     lambda first, second: len(first) * _consistency(first, second, F.l1_loss)),
    ("There is a square root too many: the course, like the authors' code, uses the mean squared difference "
     "itself.",
     lambda first, second: _consistency(first, second).sqrt(),
     lambda first, second: _consistency(first, second, lambda a, b: F.mse_loss(a, b).sqrt())),
]  # fmt: skip


@checker(_consistency, CONSISTENCY)
def your_latent_consistency(answer) -> str:
    def stages(number: int, gradient: bool = False) -> list[torch.Tensor]:
        """Three pooled stages of 3 images, each of its own size and spread."""
        shapes = ((3, 2, 4, 4), (3, 4, 2, 2), (3, 5, 1, 1))
        drawn = [k * torch.randn(s, generator=generator(10 * number + k)) for k, s in enumerate(shapes, start=1)]
        return [stage.requires_grad_(gradient) for stage in drawn]

    def value(f) -> torch.Tensor:
        result = f(stages(1), stages(2))
        require(isinstance(result, torch.Tensor), "Return a tensor, not a number: a gradient must flow through it.")
        return tensor(result, ()).detach()

    answer.expect(
        value,
        "For stages drawn at random it gives {found:.4f}, expected {right:.4f}: for each stage the mean of the squared "
        "differences, then the mean over the stages.",
    )
    for side, name in enumerate(("first", "second")):
        sides = [stages(k + 1, gradient=k == side) for k in range(2)]
        loss = tensor(answer(*sides), ())
        gradients = torch.autograd.grad(loss, sides[side], allow_unused=True) if loss.requires_grad else (None,)
        require(
            all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients),
            f"No gradient reaches the {name} encoder at every stage: then only the other one moves. Both should come "
            "towards each other.",
        )
    return "Squared, averaged stage by stage, and both encoders move towards each other."


# ── Noise ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _feature_maps(gradient: bool = False) -> Encoding:
    """Two pooled stages of 4 images after a ReLU: half of the numbers are 0."""
    shapes = ((4, 8, 16, 16), (4, 16, 8, 8))
    stages = [F.relu(2 * torch.randn(shape, generator=generator(seed))) for seed, shape in enumerate(shapes)]
    stages = [stage.requires_grad_(gradient) for stage in stages]
    indices = tuple(torch.zeros_like(stage, dtype=torch.int64) for stage in stages)
    return Encoding(stages[-1], tuple(stages), indices, ())


@checker()
def your_noise(answer) -> str:
    encoding, untouched = _feature_maps(), _feature_maps()
    result = answer(encoding, 0.5, generator(7))
    require(
        isinstance(result, Encoding),
        f"Return an Encoding, not a {type(result).__name__}: `encoding.with_latent(…)` makes one around a new latent.",
    )
    require(
        close((encoding.latent, encoding.pooled, encoding.indices), (untouched.latent, *_stages(untouched))),
        "It changes the encoding that it was given, in place. The latent there is also the last pooled stage, which "
        "latent consistency compares without noise: make a new tensor.",
    )
    require(
        close(_stages(result), _stages(untouched)),
        "The pooled stages or the pooling indices are disturbed as well: the noise belongs to the latent alone.",
    )
    noise = (tensor(result.latent, tuple(untouched.latent.shape)) - untouched.latent).detach().float()
    mean, spread, far = noise.mean().item(), noise.std().item(), (noise.abs() > 1.0).float().mean().item()
    for holds, hint in (
        (noise.abs().sum() > 0, "The latent comes out as it went in: nothing was added."),
        (
            noise[untouched.latent == 0].abs().mean() > 0.01,
            "Where the latent is 0 no noise arrives: it is multiplied onto the latent. Add it.",
        ),
        (
            not torch.allclose(noise[0], noise[1], atol=1e-5),
            "Every image of the batch gets the same noise: draw it in the latent's whole shape.",
        ),
        (
            abs(mean) < 0.03,
            f"The noise has mean {mean:.2f}, it should be 0: is it Gaussian, or uniform from 0 on?",
        ),
        (
            abs(spread - 0.25) > 0.01 and abs(spread - 0.5**0.5) > 0.01,
            f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}: is a variance involved? `deviation` "
            "is the factor itself, neither its square nor its root.",
        ),
        (abs(spread - 0.5) < 0.02, f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}."),
        (
            0.03 < far < 0.06,
            f"{100 * far:.1f} % of the noise lies beyond two standard deviations; of a Gaussian it would be 4.6 %.",
        ),
    ):
        require(bool(holds), hint)
    for deviation, latent, hint in (
        (
            0.5,
            result.latent,
            "The same generator gives other noise each time: draw from `random`, or no run can be repeated.",
        ),
        (0.0, untouched.latent, "With deviation 0 the latent should come out as it went in."),
    ):
        again = answer(_feature_maps(), deviation, generator(7))
        require(isinstance(again, Encoding) and torch.equal(again.latent, latent), hint)
    learning = answer(_feature_maps(gradient=True), 0.5, generator(7))
    require(
        isinstance(learning, Encoding) and learning.latent.requires_grad,
        "The gradient ends at the noise: the encoder would learn nothing from any translation.",
    )
    return "Gaussian, on the latent alone, repeatable, and the gradient passes."


def _stages(encoding: Encoding) -> tuple:
    return encoding.pooled, encoding.indices


# ── Retrieval ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _retrieval(nearest=lambda a, b: torch.cdist(a, b).argmin(1)):
    """An answer from `nearest(first, second)`, the place that each room finds; both are flattened to (N, D)."""

    def answer(first, second):
        found = nearest(first.flatten(1), second.flatten(1))
        return (found == torch.arange(len(first))).double().mean()

    return answer


RETRIEVAL = [
    ("That is the number of rooms that find themselves: return the share, between 0 and 1.",
     lambda first, second: len(first) * _retrieval()(first, second)),
    ("It asks the other way round: for each room of `second` it looks among `first`. Look at which axis of the "
     "distances counts the rooms of `first`.",
     _retrieval(lambda a, b: torch.cdist(a, b).argmin(0))),
    ("It picks the room that is farthest away, not the nearest.", _retrieval(lambda a, b: torch.cdist(a, b).argmax(1))),
    ("A large inner product is not a small distance: latents of great length win it whatever the room.",
     _retrieval(lambda a, b: (a @ b.T).argmax(1))),
    ("That compares directions (cosine) and forgets the lengths: use Euclidean distances.",
     _retrieval(lambda a, b: (F.normalize(a) @ F.normalize(b).T).argmax(1))),
    ("The latent is averaged over its pixels first, which forgets where things are: flatten it instead.",
     lambda first, second: _retrieval()(first.mean((2, 3)), second.mean((2, 3)))),
    ("It says that every room finds itself, and here some do not: is `first` compared with `second`?",
     _retrieval(lambda a, b: torch.cdist(a, a).argmin(1))),
]  # fmt: skip


@checker(_retrieval(), RETRIEVAL)
def your_retrieval_at_1(answer) -> str:
    first = torch.randn(40, 3, 2, 2, generator=generator(1))
    lengths = 0.5 + torch.rand(40, 1, 1, 1, generator=generator(2))
    second = lengths * first + 0.9 * torch.randn(first.shape, generator=generator(3))
    for other, otherwise in (
        (
            second,
            "For 40 rooms drawn at random it gives {found:.3f}, expected {right:.3f}: for each room of `first`, is the "
            "nearest latent of `second`, by Euclidean distance over all its numbers, that of the same room?",
        ),
        (first, "Compared with itself, every room should find itself: 1."),
        (first.roll(1, 0), "With all rooms out of order, none should find itself: 0."),
    ):
        answer.expect(lambda f, other=other: number(f(first, other)), otherwise)
    return "Each room of the first looks for its own room in the second, and nothing else counts."


# ── CKA ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gram(x: torch.Tensor) -> torch.Tensor:
    return (x @ x.T).fill_diagonal_(0)


def _hsic(k: torch.Tensor, m: torch.Tensor, second: float = 1.0, third: float = 2.0) -> torch.Tensor:
    n = len(k)
    return (k * m).sum() + second * k.sum() * m.sum() / ((n - 1) * (n - 2)) - third * (k.sum(0) @ m.sum(0)) / (n - 2)


def _cka(gram=_gram, hsic=_hsic, normalised=lambda k, m, hsic: hsic(k, m) / (hsic(k, k) * hsic(m, m)).abs().sqrt()):
    def answer(first, second):
        k, m = (gram(x.flatten(1)) for x in (first, second))
        return normalised(k, m, hsic)

    return answer


CKA = [
    ("Only the first of the three terms is there. The other two do what centring does in the plain form.",
     _cka(hsic=lambda k, m: (k * m).sum())),
    ("That is the plain CKA of centred features: with few rooms it is far above 0 even where nothing is shared. Set "
     "the diagonals to 0 and use the three terms.",
     _cka(lambda x: (x - x.mean(0)) @ (x - x.mean(0)).T, lambda k, m: (k * m).sum())),
    ("The diagonals are still there: a room compared with itself is always alike. Set them to 0 in both.",
     _cka(lambda x: x @ x.T)),
    ("The Gram matrix should be rooms × rooms; this one compares features with features.", _cka(lambda x: _gram(x.T))),
    ("In the third term one factor is missing: it is 2 / (n − 2).", _cka(hsic=lambda k, m: _hsic(k, m, third=1.0))),
    ("The denominator lacks its square root: doubling all features should change nothing.",
     _cka(normalised=lambda k, m, hsic: hsic(k, m) / (hsic(k, k) * hsic(m, m)))),
    ("That is HSIC by itself, whose size depends on the features'. Divide by the square root of HSIC of each "
     "with itself.",
     _cka(normalised=lambda k, m, hsic: hsic(k, m)),
     _cka(normalised=lambda k, m, hsic: hsic(k, m) / (len(k) * (len(k) - 3)))),
]  # fmt: skip


@checker(cka, CKA)
def your_cka(answer) -> str:
    first = torch.randn(7, 3, 2, 2, generator=generator(4)).double() + 0.5
    second = 0.7 * first.flip(1) + torch.randn(first.shape, generator=generator(5)).double()
    wide = torch.randn(7, 30, generator=generator(6)).double()
    for other, otherwise in (
        (
            second,
            "For 7 rooms drawn at random it gives {found:.4f}, expected {right:.4f}. Look at the three terms one by "
            "one: the first multiplies the matrices element by element, the third multiplies their row sums.",
        ),
        (
            wide,
            "It goes wrong where the numbers of features differ (12 and 30): only the rooms are the same.",
        ),
    ):
        answer.expect(
            lambda f, other=other: number(f(first, other)),
            otherwise,
            same=lambda found, right: abs(found - right) < 1e-4 * max(1.0, abs(right)),
        )
    return "Free of the bias of few rooms, and blind to rotation and scale."
