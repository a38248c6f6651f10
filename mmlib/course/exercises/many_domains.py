"""Exercises of notebook 07: unseen translations, the angle between normals, and plugging in a modality."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F

from ...modalities import modality
from ...networks import MixAndMatch
from ...recipes import preset
from . import checker, generator, number, require


def _unseen(domains, anchor):
    return [pair for pair in itertools.permutations(domains, 2) if anchor not in pair]


@checker(_unseen)
def your_unseen(answer) -> str:
    for domains, anchor in ((("rgb", "depth", "segmentation"), "rgb"), (("a", "b", "c", "d", "e"), "c")):
        result = answer(list(domains), anchor)
        wanted = set(_unseen(domains, anchor))
        case = f"For {', '.join(domains)} with the anchor {anchor}"
        require(
            not isinstance(result, int), f"Return the translations themselves, not how many they are: {len(wanted)}."
        )
        try:
            pairs: list[Any] = [tuple(pair) for pair in result]
        except TypeError:
            pairs = [None]
        require(
            all(isinstance(pair, tuple) and len(pair) == 2 and set(pair) <= set(domains) for pair in pairs),
            f"{case}, every element should be a pair (source, target) of names.",
        )
        require(
            not any(source == target for source, target in pairs),
            f"{case}, a domain is translated into itself: those are autoencoders, which training has.",
        )
        require(
            not any(anchor in pair for pair in pairs),
            f"{case}, there is a translation from or to {anchor}: those have been trained.",
        )
        require(len(set(pairs)) == len(pairs), f"{case}, a translation is there twice.")
        missing = wanted - set(pairs)
        require(
            not missing or not all((t, s) in pairs for s, t in missing),
            f"{case}, there is one direction of each pair: the way back is another translation.",
        )
        require(
            not missing, f"{case}, {len(missing)} are missing, among them {' → '.join(min(missing or [('', '')]))}."
        )
    return "N − 1 pairs are trained, (N − 1)(N − 2) translations come without training: with eleven domains, 90."


def _degrees(prediction, target, known=True, cosine=F.cosine_similarity):
    """Mean angle of the pixels that have a target; `known=False`: of all."""
    angles = torch.rad2deg(cosine(prediction.double(), target.double(), dim=1).clamp(-1, 1).acos())
    return angles[_known(target)].mean() if known else angles.mean()


def _known(target):
    return (target**2).sum(1) > 0


def _cosines(prediction, target, dim=1):
    return F.cosine_similarity(prediction, target, dim=dim)[_known(target)]


def _product(prediction, target, dim):
    return (prediction * target).sum(dim)


ANGLE = [
    ("It gives NaN: the cosine of two equal directions may come out as 1.0000001, of which there is no arc cosine.",
     lambda prediction, target: torch.rad2deg(_product(prediction, target, 1).acos())[_known(target)].mean()),
    ("That is in radians: 180° are π (torch.rad2deg converts).", lambda *images: torch.deg2rad(_degrees(*images))),
    ("Pixels whose target is (0, 0, 0) are counted: nothing was hit there, so there is no direction to compare.",
     lambda *images: _degrees(*images, known=False)),
    ("That is the angle of the mean cosine: take each pixel's angle first, and then the mean.",
     lambda *images: torch.rad2deg(_cosines(*images).mean().acos())),
    ("A decoder's vectors have any length: divide by it before the product is a cosine.",
     lambda *images: _degrees(*images, cosine=_product)),
    ("That is the mean cosine: the angle whose cosine it is was asked for.", lambda *images: _cosines(*images).mean()),
]  # fmt: skip


@checker(_degrees, ANGLE)
def your_angle(answer) -> str:
    random = generator(6)
    target = F.normalize(torch.randn(2, 3, 6, 6, generator=random), dim=1)
    prediction = 3 * F.normalize(target + 0.8 * torch.randn(2, 3, 6, 6, generator=random), dim=1)
    prediction[0, :, 0] = 0.3 * target[0, :, 0]  # exact directions, whose cosine may come out as 1.0000001
    target[0, :, 3:], target[1, :, :, :2] = 0, 0
    answer.expect(
        lambda f: number(f(prediction, target)),
        "For two small images it gives {found:.2f}°, it should be {right:.2f}°.",
        same=lambda found, right: abs(found - right) < 1e-3 * max(1, abs(right)) or found != found and right != right,
    )
    return "Only the direction counts: the length of a decoder's vector does not matter."


def _plug_in(model, name):
    model.requires_grad_(False).eval()
    new = [model.encoders[name], model.decoders[name]]
    for part in new:
        part.requires_grad_(True).train()
    return [weight for part in new for weight in part.parameters()]


@checker(_plug_in)
def your_plug_in(answer) -> str:
    name, model = "depth", MixAndMatch.from_recipe(preset("smoke")).train()
    parts = {f"{kind} of {key}": part for kind, group in (("encoder", model.encoders), ("decoder", model.decoders))
             for key, part in group.items()}  # fmt: skip
    before = {key: {k: v.clone() for k, v in part.state_dict().items()} for key, part in parts.items()}
    try:
        parameters = list(answer(model, name))
    except TypeError:
        parameters = [None]
    require(
        bool(parameters) and all(isinstance(weight, torch.nn.Parameter) for weight in parameters),
        "Return the parameters that the optimizer gets, as a list: `list(part.parameters())` has those of one part.",
    )
    _step(model, name, parameters)
    new, given = {f"encoder of {name}", f"decoder of {name}"}, {id(weight) for weight in parameters}
    for key, part in parts.items():
        weights = dict(part.named_parameters())
        changed = {k for k, v in part.state_dict().items() if not torch.equal(v, before[key][k])}
        if key in new:
            require(
                all(id(weight) in given for weight in weights.values()),
                f"The {key} is new, and not all of its parameters are in the list: it would never learn.",
            )
            require(
                bool(changed & weights.keys()),
                f"After a step the {key} is as it was: its parameters need requires_grad_(True).",
            )
            require(
                bool(changed - weights.keys()) or not any("running" in k for k in before[key]),
                f"The {key} is in eval mode: while it learns, its batch normalization must follow its own batches.",
            )
        else:
            require(
                not any(id(weight) in given for weight in weights.values()),
                f"The list has parameters of the {key}, which must stay as it is.",
            )
            require(
                not (changed - weights.keys()),
                f"After a step the running means of the {key} are others, though no weight changed: batch "
                "normalization counts along in training mode. Put what is frozen in eval mode.",
            )
            require(
                all(weight.grad is None for weight in weights.values()),
                f"Gradients of the {key} are computed for nothing: switch them off with requires_grad_(False).",
            )
    return "Every old translation is what it was, bit by bit, and the new modality has learnt their latent space."


def _step(model: MixAndMatch, name: str, parameters) -> None:
    """A training step of a modality's encoder and decoder against the others."""
    random = generator(7)
    depth = 1.5 + 4 * torch.rand(2, 1, 32, 32, generator=random)
    photo = torch.randint(0, 256, (2, 3, 32, 32), generator=random, dtype=torch.uint8)
    x, y = modality("rgb").to_input(photo), modality(name).to_input(depth)
    f, g = model.encode(x, "rgb"), model.encode(y, name)
    loss = (f.latent.detach() - g.latent).square().mean()
    loss = loss + sum((model.decode(encoding, name) - y).square().mean() for encoding in (f, g))
    loss = loss + (model.decode(g, "rgb") - x).square().mean() + model.decode(g, "segmentation").square().mean()
    if loss.requires_grad:
        loss.backward()
    torch.optim.SGD([weight for weight in parameters if weight.requires_grad] or parameters, lr=0.1).step()
