"""Plausible mistakes in the exercises of notebook 02, each with a fragment of the hint meant for it."""

import torch
import torch.nn.functional as F

from mmlib.alignment import cka

# ── Latent consistency ──


def consistency(form):
    """An answer that computes `form(list of (a, b))`."""

    def your_latent_consistency(first, second):
        return form(list(zip(first, second)))

    return your_latent_consistency


def mean_of(pairs, distance=F.mse_loss):
    return sum(distance(a, b) for a, b in pairs) / len(pairs)


CONSISTENCY = [
    (consistency(lambda pairs: F.mse_loss(*pairs[-1])), "the last stage alone"),
    (consistency(lambda pairs: mean_of(pairs) * len(pairs)), "divide by their number"),
    (consistency(lambda pairs: sum(((a - b) ** 2).sum() for a, b in pairs)), "where a mean should be"),
    (consistency(lambda pairs: mean_of(pairs, lambda a, b: ((a - b) ** 2).sum() / len(a))), "where a mean should be"),
    (consistency(lambda pairs: torch.cat([((a - b) ** 2).flatten() for a, b in pairs]).mean()), "into one mean"),
    (consistency(lambda pairs: mean_of(pairs, F.l1_loss)), "absolute differences"),
    (consistency(lambda pairs: mean_of(pairs).sqrt()), "a square root too many"),
    (consistency(lambda pairs: mean_of([(a, b.detach()) for a, b in pairs])), "reaches the second encoder"),
    (consistency(lambda pairs: mean_of([(a.detach(), b) for a, b in pairs])), "reaches the first encoder"),
    (consistency(lambda pairs: mean_of(pairs).item()), "Return a tensor, not a number"),
    (consistency(lambda pairs: mean_of(pairs, lambda a, b: (a - b).mean())), "expected"),
]

# ── Noise ──


def noisy(change):
    def your_noise(encoding, deviation, random):
        return change(encoding, deviation, random)

    return your_noise


def gaussian(h, random):
    return torch.randn(h.shape, generator=random)


def in_place(encoding, deviation, random):
    encoding.latent.add_(deviation * gaussian(encoding.latent, random))
    return encoding


def everywhere(encoding, deviation, random):
    pooled = tuple(p + deviation * gaussian(p, random) for p in encoding.pooled)
    return type(encoding)(pooled[-1], pooled, encoding.indices, encoding.features)


def indices_too(encoding, deviation, random):
    indices = tuple(i + (deviation * gaussian(i, random)).round().long() for i in encoding.indices)
    latent = encoding.latent + deviation * gaussian(encoding.latent, random)
    return type(encoding)(latent, encoding.pooled, indices, encoding.features)


def latent(change):
    """An answer that puts `change(h, deviation, random)` in the latent's place."""
    return noisy(lambda encoding, *rest: encoding.with_latent(change(encoding.latent, *rest)))


NOISE = [
    (noisy(lambda e, d, random: e.latent + d * gaussian(e.latent, random)), "Return an Encoding"),
    (noisy(in_place), "in place"),
    (noisy(everywhere), "belongs to the latent alone"),
    (noisy(indices_too), "belongs to the latent alone"),
    (latent(lambda h, d, random: h), "nothing was added"),
    (latent(lambda h, d, random: h * (1 + d * gaussian(h, random))), "multiplied onto the latent"),
    (latent(lambda h, d, random: h + d * gaussian(h[:1], random)), "the same noise"),
    (latent(lambda h, d, random: h + d * torch.rand(h.shape, generator=random)), "uniform from 0 on"),
    (latent(lambda h, d, random: h + d**2 * gaussian(h, random)), "is a variance involved"),
    (latent(lambda h, d, random: h + d**0.5 * gaussian(h, random)), "is a variance involved"),
    (latent(lambda h, d, random: h + gaussian(h, random)), "the noise has 1.0"),
    (latent(lambda h, d, random: h + 12**0.5 * d * (torch.rand(h.shape, generator=random) - 0.5)), "4.6 %"),
    (latent(lambda h, d, random: h + d * torch.randn_like(h)), "draw from `random`"),
    (latent(lambda h, d, random: (h + d * gaussian(h, random)).detach()), "gradient ends"),
]

# ── Retrieval ──


def retrieved(nearest):
    """An answer that takes `nearest(first, second)`, flattened to (N, D), for the rooms that were found."""

    def your_retrieval_at_1(first, second):
        found = nearest(first.flatten(1), second.flatten(1))
        return (found == torch.arange(len(first))).double().mean()

    return your_retrieval_at_1


def your_retrieval_at_1(first, second):
    found = torch.cdist(first.flatten(1), second.flatten(1)).argmin(1)
    return (found == torch.arange(len(first))).sum()


counted = your_retrieval_at_1


def your_retrieval_at_1(first, second):  # noqa: F811
    found = torch.cdist(first.mean((2, 3)), second.mean((2, 3))).argmin(1)
    return (found == torch.arange(len(first))).double().mean()


averaged = your_retrieval_at_1

RETRIEVAL = [
    (counted, "the share, between 0 and 1"),
    (retrieved(lambda a, b: torch.cdist(a, b).argmin(0)), "the other way round"),
    (retrieved(lambda a, b: torch.cdist(a, b).argmax(1)), "farthest away"),
    (retrieved(lambda a, b: (a @ b.T).argmax(1)), "inner product"),
    (retrieved(lambda a, b: (F.normalize(a) @ F.normalize(b).T).argmax(1)), "directions (cosine)"),
    (averaged, "forgets where things are"),
    (retrieved(lambda a, b: torch.cdist(a, a).argmin(1)), "is `first` compared with `second`"),
    (retrieved(lambda a, b: torch.zeros(len(a)).long()), "is the nearest latent of `second`"),
]

# ── CKA ──


def compared(gram, hsic, root=True, normalise=True):
    def your_cka(first, second):
        k, m = (gram(x.flatten(1)) for x in (first, second))
        own = hsic(k, k) * hsic(m, m)
        return hsic(k, m) / ((own.sqrt() if root else own) if normalise else 1)

    return your_cka


def zeroed(x):
    return (x @ x.T).fill_diagonal_(0)


def three_terms(k, m, factor=2.0):
    n = len(k)
    return (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - factor * (k.sum(0) @ m.sum(0)) / (n - 2)


def your_cka(first, second):
    width = min(first[0].numel(), second[0].numel())
    return cka(first.flatten(1)[:, :width], second.flatten(1)[:, :width])


CKA = [
    (compared(zeroed, lambda k, m: (k * m).sum()), "Only the first of the three terms"),
    (compared(lambda x: (x - x.mean(0)) @ (x - x.mean(0)).T, lambda k, m: (k * m).sum()), "the plain CKA"),
    (compared(lambda x: x @ x.T, three_terms), "The diagonals are still there"),
    (compared(lambda x: zeroed(x.T), three_terms), "features with features"),
    (compared(zeroed, lambda k, m: three_terms(k, m, 1.0)), "2 / (n − 2)"),
    (compared(zeroed, three_terms, root=False), "lacks its square root"),
    (compared(zeroed, three_terms, normalise=False), "HSIC by itself"),
    (compared(zeroed, lambda k, m: three_terms(k, m) - (k * m).sum() + (k @ m).sum()), "element by element"),
    (your_cka, "different numbers of features"),
]

WRONG_ANSWERS = CONSISTENCY + NOISE + RETRIEVAL + CKA
