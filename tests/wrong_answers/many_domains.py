"""Plausible mistakes in the exercises of notebook 07, and a part of the hint meant for each."""

import itertools

import torch
import torch.nn.functional as F


def unseen(make):
    def your_unseen(domains, anchor):
        return make(domains, anchor)

    return your_unseen


def others(domains, anchor):
    return [name for name in domains if name != anchor]


def angle(make):
    """An answer to `your_angle` from a function of predicted and true vectors (pixels, 3), all or the known ones."""

    def your_angle(prediction, target):
        known = (target**2).sum(1) > 0
        flat = [image.movedim(1, -1) for image in (prediction, target)]
        return make(*flat, known)

    return your_angle


def cosine(p, t):
    return F.cosine_similarity(p, t, dim=-1).clamp(-1, 1)


def plug_in(prepare):
    def your_plug_in(model, name):
        return prepare(model, name, [model.encoders[name], model.decoders[name]])

    return your_plug_in


def weights(parts):
    return [weight for part in parts for weight in part.parameters()]


def frozen_weights_alone(model, name, new):
    model.requires_grad_(False)
    for part in new:
        part.requires_grad_(True)
    return weights(new)


def everything_in_eval_mode(model, name, new):
    model.eval()
    return frozen_weights_alone(model, name, new)


def nothing_learns(model, name, new):
    model.eval().requires_grad_(False)
    for part in new:
        part.train()
    return weights(new)


def modes_alone(model, name, new):
    model.eval()
    for part in new:
        part.train()
    return weights(new)


def encoder_alone(model, name, new):
    model.eval().requires_grad_(False)
    for part in new:
        part.train().requires_grad_(True)
    return weights(new[:1])


WRONG_ANSWERS = [
    (unseen(lambda domains, anchor: (len(domains) - 1) * (len(domains) - 2)), "not how many"),
    (unseen(lambda domains, anchor: set(itertools.permutations(domains, 2))), "have been trained"),
    (unseen(lambda domains, anchor: list(itertools.combinations(others(domains, anchor), 2))), "the way back"),
    (unseen(lambda domains, anchor: list(itertools.product(others(domains, anchor), repeat=2))), "autoencoders"),
    (unseen(lambda domains, anchor: others(domains, anchor)), "a pair (source, target)"),
    (unseen(lambda domains, anchor: [(a, b) for a, b in zip(others(domains, anchor), others(domains, anchor)[1:])]
            + [(b, a) for a, b in zip(others(domains, anchor), others(domains, anchor)[1:])]), "are missing"),
    (angle(lambda p, t, known: cosine(p, t).acos()[known].mean()), "in radians"),
    (angle(lambda p, t, known: torch.rad2deg(cosine(p, t).acos()).mean()), "nothing was hit there"),
    (angle(lambda p, t, known: torch.rad2deg(cosine(p, t)[known].mean().acos())), "angle of the mean cosine"),
    (angle(lambda p, t, known: torch.rad2deg((p * t).sum(-1).clamp(-1, 1).acos())[known].mean()), "any length"),
    (angle(lambda p, t, known: torch.rad2deg((p * t).sum(-1).acos())[known].mean()), "It gives NaN"),
    (angle(lambda p, t, known: cosine(p, t)[known].mean()), "the mean cosine"),
    (plug_in(lambda model, name, new: weights([model])), "which must stay as it is"),
    (plug_in(frozen_weights_alone), "running means"),
    (plug_in(everything_in_eval_mode), "is in eval mode"),
    (plug_in(nothing_learns), "requires_grad_(True)"),
    (plug_in(modes_alone), "computed for nothing"),
    (plug_in(encoder_alone), "would never learn"),
    (plug_in(lambda model, name, new: 3), "as a list"),
]  # fmt: skip
