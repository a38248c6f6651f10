"""Exercises of notebook 02: latent consistency, latent noise, retrieval and CKA."""

import torch
import torch.nn.functional as F

from ...alignment import cka
from . import checker, generator, number, require, tensor

# ── Latent consistency ─────────────────────────────────────────────────────────────────────────────────────────────


def _consistency(anchor, other):
    """The form that the course trains with: it does not move the anchor."""
    return ((anchor.detach() - other) ** 2).mean()


def _lengths(anchor, other):
    """The root of the sum of squares of each room."""
    return (anchor - other).flatten(1).norm(dim=1)


CONSISTENCY = [
    ("A sum over all numbers is left where a mean should be: a larger image or batch would weigh more.",
     lambda a, b: ((a - b) ** 2).sum(),
     lambda a, b: ((a - b) ** 2).sum() / len(a),
     lambda a, b: (_lengths(a, b) ** 2).sum()),
    ("The differences are not squared: positive and negative ones cancel out.",
     lambda a, b: (a - b).mean(), lambda a, b: (b - a).mean()),
    ("These are absolute differences; the distance here is of squares.", lambda a, b: (a - b).abs().mean()),
    ("There is a square root too many: the course, like the authors' code, uses the mean squared difference itself.",
     lambda a, b: ((a - b) ** 2).mean().sqrt(),
     lambda a, b: _lengths(a, b).mean(),
     lambda a, b: _lengths(a, b).sum()),
    ("The latents are averaged over their pixels first: then only the sums must agree, and *where* things are is free.",
     lambda a, b: ((a.mean((2, 3)) - b.mean((2, 3))) ** 2).mean()),
    ("There is a factor of one half: leave the weight to λ_A.", lambda a, b: ((a - b) ** 2).mean() / 2),
]  # fmt: skip


@checker(_consistency, CONSISTENCY)
def your_latent_consistency(answer) -> str:
    anchor, other = (torch.randn(3, 4, 2, 5, generator=generator(seed)) for seed in (1, 2))

    def value(f) -> torch.Tensor:
        result = f(anchor, other)
        require(isinstance(result, torch.Tensor), "Return a tensor, not a number: a gradient must flow through it.")
        return tensor(result, ()).detach()

    answer.expect(
        value,
        "For latents drawn at random it gives {found:.4f}, expected {right:.4f}: the mean, over all numbers, of the "
        "squared differences.",
    )
    anchor.requires_grad_()
    other.requires_grad_()
    loss = tensor(answer(anchor, other), ())
    wanted = (anchor, other)
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if loss.requires_grad else (None, None)
    to_anchor, to_other = (gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)
    require(to_other, "No gradient reaches `other`: its encoder would never come nearer. Detach the anchor or nothing.")
    if to_anchor:
        return "Mean squared difference, and both encoders move towards each other: the paper's form."
    return "Mean squared difference, and the anchor stands still while the other encoder moves: the course's form."


# ── Noise ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _noise(latent, sigma, generator):
    return latent + sigma * torch.randn(latent.shape, generator=generator, device=latent.device)


def _latent() -> torch.Tensor:
    """Of 4 images after a ReLU: half of the numbers are 0."""
    return F.relu(2 * torch.randn(4, 16, 8, 8, generator=generator(1)))


@checker(_noise)
def your_noise(answer) -> str:
    latent = _latent()
    result = tensor(answer(latent, 0.5, generator(7)), tuple(latent.shape))
    answer.function(latent, 0.5, generator(7))  # not on a copy
    require(
        torch.equal(latent, _latent()),
        "It changes the latent that it was given, in place; but latent consistency compares it without noise. Make a "
        "new tensor.",
    )
    noise = (result - latent).detach().float()
    mean, spread, far = noise.mean().item(), noise.std().item(), (noise.abs() > 1.0).float().mean().item()
    for holds, hint in (
        (noise.abs().sum() > 0, "The latent comes out as it went in: nothing was added."),
        (
            noise[latent == 0].abs().mean() > 0.01,
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
            f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}: is a variance involved? `sigma` is "
            "the factor itself, neither its square nor its root.",
        ),
        (
            abs(spread - 0.5) < 0.02,
            f"Asked for a standard deviation of 0.5, the noise has {spread:.2f}: multiply it by `sigma`.",
        ),
        (
            0.03 < far < 0.06,
            f"{100 * far:.1f} % of the noise lies beyond two standard deviations; of a Gaussian it would be 4.6 %.",
        ),
    ):
        require(bool(holds), hint)
    for sigma, expected, hint in (
        (
            0.5,
            result,
            "The same generator gives other noise each time: draw from `generator`, or no run can be repeated.",
        ),
        (0.0, latent, "With sigma 0 the latent should come out as it went in."),
    ):
        require(torch.equal(tensor(answer(latent, sigma, generator(7))), expected), hint)
    require(
        answer(_latent().requires_grad_(), 0.5, generator(7)).requires_grad,
        "The gradient ends at the noise: the encoder would learn nothing from any translation.",
    )
    return "Gaussian, added to a new latent, repeatable, and the gradient passes."


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
