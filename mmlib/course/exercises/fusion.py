"""Notebook 06: fusing encodings, and where the mistakes of two sources differ."""

import torch

from ...modalities import DEPTH, RGB, SEGMENTATION
from ...networks import Encoding, MixAndMatch
from ...recipes import preset
from . import checker, close, number, require, tensor


def _encoding(seed: int) -> Encoding:
    """Two rooms as an encoder of two stages might hand them over."""
    random = torch.Generator().manual_seed(seed)
    pooled = tuple(torch.rand(2, width, side, side, generator=random) for width, side in ((3, 4), (4, 2)))
    indices = tuple(torch.randint(0, 4 * stage.shape[-1] ** 2, stage.shape, generator=random) for stage in pooled)
    features = (torch.rand(2, 3, 8, 8, generator=random),)
    return Encoding(pooled[-1], pooled, indices, features)


@checker
def your_fuse(answer) -> str:
    rgb, depth = _encoding(1), _encoding(2)
    for alpha, source in ((0.25, "rgb"), (0.25, "depth"), (0.0, "rgb"), (1.0, "depth")):
        result = answer(_encoding(1), _encoding(2), alpha, source)
        said = f"With α = {alpha:g} and the indices of {source}"
        require(
            isinstance(result, Encoding),
            f"Return an Encoding, not a {type(result).__name__}: rgb.with_latent(…) makes one around another latent.",
        )
        latent = tensor(result.latent, tuple(rgb.latent.shape))
        if not close(latent, (1 - alpha) * rgb.latent + alpha * depth.latent):
            mirrored = close(latent, alpha * rgb.latent + (1 - alpha) * depth.latent)
            require(
                not (mirrored and source == "rgb"),
                f"{said}, the latent has α on the wrong side: α = 0 means RGB only, α = 1 depth only.",
            )
            require(
                not mirrored,
                f"{said}, the weights have changed places: whose indices are used must not change what α means.",
            )
            require(
                not close(latent, (rgb.latent + depth.latent) / 2),
                f"{said}, the latent is the plain mean of the two: let α decide the weights.",
            )
            require(
                not close(latent, rgb.latent + alpha * depth.latent),
                f"{said}, the two weights do not add up to 1: what depth gains, RGB must lose.",
            )
            require(False, f"{said}, the latent is not the average of the two with weights 1 − α and α.")
        mine, other = (rgb, depth) if source == "rgb" else (depth, rgb)
        indices = tuple(result.indices)
        require(len(indices) == 2, f"{said}, there are indices of {len(indices)} stages instead of 2.")
        right = [close(a, b) for a, b in zip(indices, mine.indices)]
        if not all(right):
            require(
                not all(close(a, b) for a, b in zip(indices, other.indices)),
                f"{said}, the encoding carries the indices of the other encoder.",
            )
            require(
                not any(
                    a.is_floating_point() or close(a, (x + y) // 2)
                    for a, x, y in zip(indices, rgb.indices, depth.indices)
                ),
                f"{said}, the indices were mixed, too. They are places, not amounts, and have no mean.",
            )
            require(False, f"{said}, the indices are not those of that encoder, stage by stage.")
        for name in ("pooled", "features"):
            mixed = not all(close(a, b) for a, b in zip(getattr(result, name), getattr(mine, name)))
            require(
                not mixed and len(getattr(result, name)) == len(getattr(mine, name)),
                f"{said}, latent and indices are right, but the field `{name}` has changed: all side information stays "
                "as the one encoder made it.",
            )
    return "A mean of what is said, the places of one: that is the whole of fusion."


@checker
def your_fused_translation(answer) -> str:
    random = torch.Generator().manual_seed(3)
    photo = torch.randint(0, 256, (2, 3, 32, 32), generator=random, dtype=torch.uint8)
    metres = 1.5 + 4 * torch.rand(2, 1, 32, 32, generator=random)
    model = MixAndMatch.from_recipe(preset("smoke")).eval()
    with torch.no_grad():
        model.decoders["segmentation"].stages[-1][-1].bias[0] = 2.0  # Unknown is tempting
        f, g = model.encode(RGB.to_input(photo), "rgb"), model.encode(DEPTH.to_input(metres), "depth")
        rough = model.encode(photo.float(), "rgb").fuse(model.encode(metres, "depth"), 0.4)
        scores = {
            "right": model.decode(f.fuse(g, 0.4), "segmentation"),
            "mirrored": model.decode(f.fuse(g, 0.6), "segmentation"),
            "depth's indices": model.decode(g.fuse(f, 0.6), "segmentation"),
            "mirrored, depth's indices": model.decode(g.fuse(f, 0.4), "segmentation"),
            "raw": model.decode(rough, "segmentation"),
            "rgb": model.decode(f, "segmentation"),
            "depth": model.decode(g, "segmentation"),
        }
        scores["outputs"] = 0.6 * scores["rgb"] + 0.4 * scores["depth"]
        shares = 0.6 * scores["rgb"].softmax(1) + 0.4 * scores["depth"].softmax(1)
        result = answer(model, photo, metres, 0.4)
    ids = {name: SEGMENTATION.to_raw(logits) for name, logits in scores.items()}
    ids["shares"] = SEGMENTATION.to_raw(shares)
    tensor(result)
    require(
        tuple(result.shape) != tuple(scores["right"].shape),
        'These are the decoder\'s 14 scores a pixel: modality("segmentation").to_raw makes class ids of them.',
    )
    tensor(result, tuple(ids["right"].shape))
    require(
        not result.is_floating_point(), "Class ids are whole numbers: to_raw gives them; an average of ids is no class."
    )
    require(
        not (result == 0).any(),
        "Some pixels are class 0. Unknown is no answer: to_raw leaves it out when it looks for the highest score.",
    )

    def same(*names: str) -> bool:
        return any((result == ids[name]).float().mean() > 0.999 for name in names)

    if not same("right"):
        require(not same("raw"), "The encoders were given raw images: each modality's to_input makes what they read.")
        require(
            not same("outputs", "shares"),
            "You decoded both and averaged what came out. Here the latents are fused, and then decoded once.",
        )
        require(
            not same("mirrored", "mirrored, depth's indices"),
            "α is the weight of depth: the fused latent has it on RGB.",
        )
        require(
            not same("depth's indices"), "The latent is right, but the decoder is given depth's indices: use RGB's."
        )
        require(
            not same("rgb", "depth"), "This is the translation of one source alone: α = 0.4 should mix in the other."
        )
        require(
            False,
            "The classes are not those of the fused latent decoded with RGB's indices; go through it step by step.",
        )
    return "Two encoders, one mean, one decoder: a translation that no training step ever took."


def _maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two predictions (never 0) and a target (0 where nothing is known), int64 (3, 1, 8, 8)."""
    random = torch.Generator().manual_seed(4)
    target = torch.randint(1, 5, (3, 1, 8, 8), generator=random)

    def predicted(share: float) -> torch.Tensor:
        guess = torch.randint(1, 5, target.shape, generator=random)
        return torch.where(torch.rand(target.shape, generator=random) < share, target, guess)

    first, second = predicted(0.5), predicted(0.3)
    target[0, :, :5] = 0
    target[1, :, :, :2] = 0
    return first, second, target


@checker
def your_complementary(answer) -> str:
    first, second, target = _maps()
    a, b, valid = first == target, second == target, target > 0
    right = ((a != b) & valid).sum() / valid.sum()
    result = number(answer(first, second, target))
    require(not close(result, 100 * right), "That is in percent: return the share itself, between 0 and 1.")
    require(
        not close(result, (a != b).sum()),
        "That is how many pixels there are: divide by the number of pixels that count.",
    )
    require(
        not close(result, (a != b).double().mean()),
        "Pixels whose target is 0, Unknown, are counted in the whole: nobody can be right there, so leave them out.",
    )
    require(
        not close(result, (first != second)[valid].double().mean()),
        "That is how often the two differ. Both may be wrong in two different ways: exactly one of them must be right.",
    )
    require(
        not close(result, (a | b)[valid].double().mean()),
        "That counts pixels where both are right as well. Which logical operation is true for exactly one of two?",
    )
    require(
        not any(close(result, share[valid].double().mean()) for share in (a & ~b, b & ~a)),
        "That is one direction alone: count also the pixels where only the other one is right.",
    )
    require(
        not close(result, ((a != b) & valid).flatten(1).sum(1).div(valid.flatten(1).sum(1)).mean()),
        "That is a mean over images, which have different numbers of known pixels: count over all pixels together.",
    )
    require(
        not close(result, ((a == b) & valid).sum() / valid.sum()),
        "That is where both are right or both are wrong: the share asked for is what remains.",
    )
    require(close(result, right), f"For three small maps it gives {result:.4f}, it should be {right:.4f}.")
    return "Where exactly one is right there is something to gain, for whoever knows which."


@checker
def your_best_of_two(answer) -> str:
    first, second, target = _maps()
    result = tensor(answer(first, second, target), tuple(target.shape))
    require(
        result.dtype != torch.bool and not result.is_floating_point(),
        f"Return class ids (int64), not {result.dtype}: the class that the chooser answers at each pixel.",
    )
    right = torch.where(second == target, second, first)
    if not torch.equal(result, right):
        neither = ((result != first) & (result != second)).any()
        require(
            not neither,
            "At some pixels it answers a class that neither of the two said: the chooser knows who is right, but may "
            "only pick one of the two answers.",
        )
        require(
            not torch.equal(result, torch.where(first == target, second, first)),
            "It changes sides just where the first is right: look at the order of torch.where's arguments.",
        )
        require(
            not (
                torch.equal(result, torch.maximum(first, second)) or torch.equal(result, torch.minimum(first, second))
            ),
            "Class ids are names, not amounts: the larger one is not the better one.",
        )
        missed = ((first == target) | (second == target)) & (result != target)
        require(
            not missed.any(),
            f"At {int(missed.sum())} pixels one of the two is right, and the chooser answers the other.",
        )
        require(
            False, "Where neither is right, answer what the first says, so that the result is the same for everybody."
        )
    return "Nobody can choose like this without the truth. That is why it is a bound and not a method."
