"""Wrong answers that the exercises recognise by a property (a type, a shape, a gradient, a leak) and not by its result.

By exercise: an answer, and a part of the hint meant for it. Mistakes that are known by their results are the
exercises' own data (`Checker.mistakes`).
"""

import itertools

import torch
import torch.nn.functional as F

from mmlib import modality
from mmlib.course.exercises import CHECKERS


def right(name: str):
    return CHECKERS[name].right


# ── Notebook 01 ──


def berhu_of_some(p, t, valid):
    error = (p - t).abs()
    c = 0.2 * error[valid].max().detach()
    return torch.where(error <= c, error, (error**2 + c**2) / (2 * c))[valid].mean()


def unstable_cross_entropy(logits, classes, weights):
    nats = -(logits.exp() / logits.exp().sum(1, keepdim=True)).log().gather(1, classes[:, None])[:, 0]
    weight = weights[classes] * (classes > 0)
    return (weight * nats).sum() / weight.sum().clamp_min(1e-6)


def mean_of_none(logits, classes, weights):
    return F.cross_entropy(logits, classes, weights, ignore_index=0)


# ── Notebook 02 ──


def gaussian(h, generator):
    return torch.randn(h.shape, generator=generator)


def cka_of_as_many_features(first, second):
    width = min(first[0].numel(), second[0].numel())
    return right("your_cka")(first.flatten(1)[:, :width], second.flatten(1)[:, :width])


def cka_by_matrix_product(first, second):
    k, m = ((x.flatten(1) @ x.flatten(1).T).fill_diagonal_(0) for x in (first, second))
    n = len(k)

    def hsic(a, b):
        return (a @ b).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a.sum(0) @ b.sum(0)) / (n - 2)

    return hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()


# ── Notebook 04 ──


def autoencoders(sets):
    return {(name, name) for held in sets for name in held}


def across(sets):
    return {pair for held in sets for pair in itertools.permutations(held, 2)}


def every_pair(sets):
    return set(itertools.product({name for held in sets for name in held}, repeat=2))


def the_course_by_heart(sets):
    return {pair for pair in itertools.product(("rgb", "depth", "segmentation"), repeat=2)
            if set(pair) != {"depth", "segmentation"}}  # fmt: skip


def last_term_of_each_kind(terms, lambdas):
    return right("your_total")({name: terms[name] for name in {n.split("/")[0]: n for n in terms}.values()}, lambdas)


# ── Notebooks 06 and 07 ──


def mixed_stages(rgb, depth, alpha, indices_of):
    encoding = right("your_fuse")(rgb, depth, alpha, indices_of)
    pooled = tuple((a + b) / 2 for a, b in zip(rgb.pooled, depth.pooled))
    return type(encoding)(encoding.latent, pooled, encoding.indices, encoding.features)


def fused_scores(model, rgb, depth, alpha):
    f, g = (model.encode(modality(name).to_input(x), name) for name, x in (("rgb", rgb), ("depth", depth)))
    return model.decode(f.fuse(g, alpha), "segmentation")


def others(domains, anchor):
    return [name for name in domains if name != anchor]


def neighbours(domains, anchor):
    pairs = list(itertools.pairwise(others(domains, anchor)))
    return pairs + [pair[::-1] for pair in pairs]


def plug_in(frozen=True, old_mode=False, new_mode=True, learning=True, parts=2):
    """An answer that freezes the old parts, sets the modes of old and new ones, and returns some of the new ones'."""

    def answer(model, name):
        new = [model.encoders[name], model.decoders[name]]
        model.train(old_mode).requires_grad_(not frozen)
        for part in new:
            part.train(new_mode).requires_grad_(learning)
        return [weight for part in new[:parts] for weight in part.parameters()]

    return answer


WRONG_ANSWERS = {
    "your_berhu": [
        (berhu_of_some, "Where no pixel is valid"),
        (lambda *inputs: right("your_berhu")(*inputs).item(), "Return a tensor"),
        (lambda *inputs: right("your_berhu")(*inputs).detach(), "No gradient reaches the prediction"),
    ],
    "your_cross_entropy": [
        (mean_of_none, "Where every pixel is Unknown"),
        (unstable_cross_entropy, "exp leaves the range of float32"),
        (lambda *inputs: right("your_cross_entropy")(*inputs).detach(), "No gradient reaches the logits"),
    ],
    "your_lsgan": [(lambda real, fake: F.mse_loss(fake, torch.ones_like(fake)), "Return two numbers")],
    "your_encode": [
        (lambda x, stages: right("your_encode")(x, stages).detach(), "no gradient reaches the stages"),
        (lambda x, stages: [right("your_encode")(x, stages)], "Return a tensor, not a list"),
        (lambda x, stages: right("your_encode")(x, stages) + 1, "is not the right one"),
    ],
    "your_decode": [
        (lambda latent, stages: right("your_decode")(latent, stages).detach(), "no gradient reaches the stages"),
        (lambda latent, stages: right("your_decode")(latent, stages) + 1, "is not the right one"),
    ],
    "your_latent_consistency": [
        (lambda a, b: ((a - b.detach()) ** 2).mean(), "No gradient reaches `other`"),
        (lambda a, b: right("your_latent_consistency")(a, b).item(), "Return a tensor, not a number"),
        (lambda a, b: ((a - b) ** 2).mean((2, 3)), "The result's shape"),
        (lambda a, b: 3 * ((a - b) ** 2).mean(), "expected"),
    ],
    "your_noise": [
        (lambda h, s, random: (s * gaussian(h, random)).mean(), "The result's shape"),
        (lambda h, s, random: h.add_(s * gaussian(h, random)), "in place"),
        (lambda h, s, random: h, "nothing was added"),
        (lambda h, s, random: h * (1 + s * gaussian(h, random)), "multiplied onto the latent"),
        (lambda h, s, random: h + s * gaussian(h[:1], random), "the same noise"),
        (lambda h, s, random: h + s * torch.rand(h.shape, generator=random), "uniform from 0 on"),
        (lambda h, s, random: h + s**2 * gaussian(h, random), "is a variance involved"),
        (lambda h, s, random: h + s**0.5 * gaussian(h, random), "is a variance involved"),
        (lambda h, s, random: h + gaussian(h, random), "the noise has 1.0"),
        (lambda h, s, random: h + 12**0.5 * s * (torch.rand(h.shape, generator=random) - 0.5), "4.6 %"),
        (lambda h, s, random: h + s * torch.randn_like(h), "draw from `generator`"),
        (lambda h, s, random: h + max(s, 0.1) / 0.5 * 0.5 * gaussian(h, random), "With sigma 0"),
        (lambda h, s, random: (h + s * gaussian(h, random)).detach(), "gradient ends"),
    ],
    "your_retrieval_at_1": [(lambda first, second: 1 / len(first), "is the nearest latent of `second`")],
    "your_cka": [
        (cka_by_matrix_product, "element by element"),
        (cka_of_as_many_features, "the numbers of features differ"),
    ],
    "your_pool": [
        (lambda image: right("your_pool")(image)[0], "Return two tensors"),
        (lambda image: (right("your_pool")(image)[0] / 2, right("your_pool")(image)[1]), "not the largest of each 2×2"),
        (lambda image: (right("your_pool")(image)[0], right("your_pool")(image)[1] / 1), "whole numbers"),
    ],
    "your_unpool": [
        (lambda *inputs: right("your_unpool")(*inputs).T, "rows and columns are swapped"),
        (lambda values, indices: right("your_unpool")(indices.float(), indices), "not where its index says"),
        (lambda *inputs: right("your_unpool")(*inputs).flatten(), "it should be (4, 6)"),
        (lambda *inputs: right("your_unpool")(*inputs) + 1, "No pixel is 0"),
    ],
    "your_decoder_step": [
        (lambda x, e, source, stage, block: right("your_decoder_step")(x, e, source, -1 - stage, block),
         "`stage` counts the encoder's stages from 0"),
    ],
    "your_index_agreement": [
        (lambda *inputs: sum(right("your_index_agreement")(*inputs)) / 2, "a list with a share for each stage"),
        (lambda *inputs: right("your_index_agreement")(*inputs)[1:], "the list has 1 entries"),
    ],
    "your_pairs_in_the_loss": [
        (every_pair, "combine the modalities within a set only"),
        (across, "count the autoencoders"),
        (lambda sets: across(sets) | {("rgb", "rgb")}, "One of the autoencoders is missing"),
        (lambda sets: autoencoders(sets) | {pair for held in sets for pair in itertools.combinations(held, 2)},
         "A pair serves both ways"),
        (the_course_by_heart, "Right for the course's sets, wrong for others"),
        (lambda sets: {f"{s} → {t}" for s, t in across(sets)}, "Each element should be a pair of two names"),
    ],
    "your_total": [
        (last_term_of_each_kind, "a kind has several terms"),
        (lambda *inputs: right("your_total")(*inputs).item(), "cut from the graph: nothing could be learnt from it"),
        (lambda *inputs: 2 * right("your_total")(*inputs), "yours count {'rgb/SR': 4.0"),
    ],
    "your_audit": [(lambda data: [[room, room] for room in right("your_audit")(data)], "one by one")],
    "your_bootstrap": [
        (lambda a, b, drawn: right("your_bootstrap")(a, b, drawn).repeat(2), "it should be (2,)"),
    ],
    "your_fuse": [
        (mixed_stages, "field `pooled` has changed"),
        (lambda rgb, depth, alpha, indices_of: rgb.latent, "Return an Encoding"),
    ],
    "your_fused_translation": [
        (fused_scores, "14 scores per pixel"),
        (lambda *inputs: right("your_fused_translation")(*inputs) / 2, "average of ids is no class"),
    ],
    "your_best_of_two": [
        (lambda first, second, target: torch.where(first == second, first, target), "neither of the two gives"),
        (lambda first, second, target: (first == target) | (second == target), "Return class ids"),
        (lambda first, second, target: second, "the chooser answers the other"),
    ],
    "your_unseen": [
        (lambda domains, anchor: (len(domains) - 1) * (len(domains) - 2), "not how many"),
        (lambda domains, anchor: set(itertools.permutations(domains, 2)), "have been trained"),
        (lambda domains, anchor: list(itertools.combinations(others(domains, anchor), 2)), "the way back"),
        (lambda domains, anchor: list(itertools.product(others(domains, anchor), repeat=2)), "autoencoders"),
        (others, "a pair (source, target)"),
        (lambda *inputs: neighbours(*inputs) * 2, "is there twice"),
        (neighbours, "are missing"),
    ],
    "your_plug_in": [
        (lambda model, name: list(model.parameters()), "which must stay as it is"),
        (plug_in(old_mode=True), "running means"),
        (plug_in(new_mode=False), "is in eval mode"),
        (plug_in(learning=False), "requires_grad_(True)"),
        (plug_in(frozen=False), "computed for nothing"),
        (plug_in(parts=1), "would never learn"),
        (lambda model, name: 3, "as a list"),
    ],
    "your_convolution": [(lambda inputs, outputs, side, images: 9 * inputs * outputs, "Return three numbers")],
}  # fmt: skip

RIGHT_ANSWERS = {
    "your_retrieval_at_1": lambda a, b: sum(
        int((b - room).flatten(1).norm(dim=1).argmin()) == place for place, room in enumerate(a)
    ) / len(a),
    "your_pool": lambda image: tuple(x[0] for x in F.max_pool2d(image[None], 2, return_indices=True)),
    "your_index_agreement": lambda a, b: torch.stack([(x == y).float().mean() for x, y in zip(a.indices, b.indices)]),
    "your_cross_entropy": lambda logits, classes, weights: (
        F.cross_entropy(logits, classes, weights, ignore_index=0) if (classes > 0).any() else 0 * logits.sum()
    ),
    "your_psnr": lambda p, t: -10 * torch.log10(F.mse_loss(p.float() / 255, t.float() / 255)),
    "your_unseen": lambda domains, anchor: ((a, b) for a in others(domains, anchor) for b in others(domains, anchor)
                                            if a != b),
    "your_audit": lambda data: set(right("your_audit")(data)),
    "your_latent_consistency": F.mse_loss,
    "your_noise": lambda h, s, random: torch.normal(h, s * torch.ones_like(h), generator=random) if s else h,
}  # fmt: skip
"""Answers that are right in a way of their own: other operations, types or shapes."""
