"""Exercises of notebook 06: fusing encodings, and where the mistakes of two sources differ."""

import dataclasses

import torch

from ...modalities import DEPTH, RGB, SEGMENTATION
from ...networks import Encoding, MixAndMatch
from ...recipes import preset
from . import checker, close, generator, number, require, tensor

# ── your_fuse ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _fuse(rgb: Encoding, depth: Encoding, alpha: float, indices_of: str) -> Encoding:
    return rgb.fuse(depth, alpha) if indices_of == "rgb" else depth.fuse(rgb, 1 - alpha)


def _latent(mixed):
    """A wrong answer whose latent is `mixed(latent of RGB, latent of depth, alpha)`."""
    return lambda rgb, depth, alpha, of: _fuse(rgb, depth, alpha, of).with_latent(
        mixed(rgb.latent, depth.latent, alpha)
    )


def _mixed_indices(rgb: Encoding, depth: Encoding, alpha: float, indices_of: str) -> Encoding:
    indices = tuple((a + b) // 2 for a, b in zip(rgb.indices, depth.indices))
    return dataclasses.replace(_fuse(rgb, depth, alpha, indices_of), indices=indices)


FUSE = [
    ("The weights have changed places with the indices of depth: whose indices are used must not change what α "
     "means.",
     lambda rgb, depth, alpha, of: _fuse(rgb, depth, alpha if of == "rgb" else 1 - alpha, of)),
    ("The latent has α on the wrong side: α = 0 means RGB only, α = 1 depth only.",
     lambda rgb, depth, alpha, of: _fuse(rgb, depth, 1 - alpha, of)),
    ("The latent is the plain mean of the two: let α decide the weights.", _latent(lambda r, d, alpha: (r + d) / 2)),
    ("The two weights do not add up to 1: what depth gains, RGB must lose.",
     _latent(lambda r, d, alpha: r + alpha * d)),
    ("The encoding always carries the indices of RGB: `indices_of` names the encoder that gives them.",
     lambda rgb, depth, alpha, of: _fuse(rgb, depth, alpha, "rgb")),
    ("The encoding carries the indices of the other encoder: `indices_of` names the encoder that gives them.",
     lambda rgb, depth, alpha, of: _fuse(rgb, depth, alpha, "depth" if of == "rgb" else "rgb")),
    ("The indices were mixed, too. They are places, not amounts, and have no mean.", _mixed_indices),
]  # fmt: skip


def _encoding(seed: int) -> Encoding:
    """Two rooms as an encoder of two stages might return them."""
    random = generator(seed)
    pooled = tuple(torch.rand(2, width, side, side, generator=random) for width, side in ((3, 4), (4, 2)))
    indices = tuple(torch.randint(0, 4 * stage.shape[-1] ** 2, stage.shape, generator=random) for stage in pooled)
    features = (torch.rand(2, 3, 8, 8, generator=random),)
    return Encoding(pooled[-1], pooled, indices, features)


@checker(_fuse, FUSE)
def your_fuse(answer) -> str:
    rgb, depth = _encoding(1), _encoding(2)
    for alpha, source in ((0.25, "rgb"), (0.25, "depth"), (0.0, "rgb"), (1.0, "depth")):
        case = f"With α = {alpha:g} and the indices of {source}"

        def fused(f, alpha=alpha, source=source) -> Encoding:
            result = f(_encoding(1), _encoding(2), alpha, source)
            require(
                isinstance(result, Encoding),
                f"Return an Encoding, not a {type(result).__name__}: rgb.with_latent(…) makes one around a new latent.",
            )
            tensor(result.latent, tuple(rgb.latent.shape))
            require(not any(where.is_floating_point() for where in result.indices), FUSE[-1][0])
            return result

        answer.expect(
            lambda f: fused(f).latent, f"{case}, the latent is not the average of the two with weights 1 − α and α."
        )
        answer.expect(
            lambda f: tuple(fused(f).indices), f"{case}, the indices are not those of that encoder, stage by stage."
        )
        right = _fuse(rgb, depth, alpha, source)
        for name in ("pooled", "features"):
            require(
                close(tuple(getattr(fused(answer), name)), getattr(right, name)),
                f"{case}, latent and indices are right, but the field `{name}` has changed: all side information stays "
                "as the one encoder made it.",
            )
    return "The mean of two latents, the side information of one: that is all of fusion."


# ── your_fused_translation ─────────────────────────────────────────────────────────────────────────────────────────


def _translation(fused, finish=SEGMENTATION.to_raw, convert=True):
    """An answer from `fused(encoding of RGB, encoding of depth, alpha, decode)`, the scores."""

    def answer(model, rgb, depth, alpha):
        rgb, depth = (RGB.to_input(rgb), DEPTH.to_input(depth)) if convert else (rgb.float(), depth)
        f, g = model.encode(rgb, "rgb"), model.encode(depth, "depth")
        return finish(fused(f, g, alpha, lambda encoding: model.decode(encoding, "segmentation")))

    return answer


_right_translation = _translation(lambda f, g, alpha, decode: decode(f.fuse(g, alpha)))

FUSED_TRANSLATION = [
    ("The encoders were given raw images: each modality's to_input makes what they read.",
     _translation(lambda f, g, alpha, decode: decode(f.fuse(g, alpha)), convert=False)),
    ("You decoded both and averaged what came out. Here the latents are fused, and then decoded once.",
     _translation(lambda f, g, alpha, decode: (1 - alpha) * decode(f) + alpha * decode(g)),
     _translation(lambda f, g, alpha, decode: (1 - alpha) * decode(f).softmax(1) + alpha * decode(g).softmax(1))),
    ("α is the weight of depth: the fused latent has it on RGB.",
     _translation(lambda f, g, alpha, decode: decode(f.fuse(g, 1 - alpha))),
     _translation(lambda f, g, alpha, decode: decode(g.fuse(f, alpha)))),
    ("The latent is right, but the decoder is given depth's indices: use RGB's.",
     _translation(lambda f, g, alpha, decode: decode(g.fuse(f, 1 - alpha)))),
    ("This is the translation of one source alone: α = 0.4 should mix in the other.",
     _translation(lambda f, g, alpha, decode: decode(f)),
     _translation(lambda f, g, alpha, decode: decode(g))),
    ("Some pixels are class 0. Unknown is no answer: to_raw leaves it out when it looks for the highest score.",
     _translation(
         lambda f, g, alpha, decode: decode(f.fuse(g, alpha)), lambda scores: scores.argmax(1, keepdim=True)
     )),
]  # fmt: skip


@checker(_right_translation, FUSED_TRANSLATION)
def your_fused_translation(answer) -> str:
    random = generator(3)
    image = torch.randint(0, 256, (2, 3, 32, 32), generator=random, dtype=torch.uint8)
    metres = 1.5 + 4 * torch.rand(2, 1, 32, 32, generator=random)
    model = MixAndMatch.from_recipe(preset("smoke")).eval()
    model.decoders["segmentation"].stages[-1][-1].bias.data[0] = 2.0  # Unknown is tempting

    @torch.no_grad()
    def ids(f) -> torch.Tensor:
        result = tensor(f(model, image, metres, 0.4))
        require(
            tuple(result.shape) != (2, 14, 32, 32),
            'These are the decoder\'s 14 scores per pixel: modality("segmentation").to_raw makes class ids of them.',
        )
        tensor(result, (2, 1, 32, 32))
        require(
            not result.is_floating_point(),
            "Class ids are whole numbers: to_raw gives them; an average of ids is no class.",
        )
        return result

    require(not (ids(answer) == 0).any(), FUSED_TRANSLATION[-1][0])
    answer.expect(
        ids,
        "The classes are not those of the fused latent decoded with RGB's indices; go through it step by step.",
        same=lambda found, right: (found == right).float().mean() > 0.999,
    )
    return "Two encoders, one mean, one decoder: a translation that no training step ever took."


# ── your_complementary and your_best_of_two ────────────────────────────────────────────────────────────────────────


def _maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two predictions (never 0) and a target (0 where nothing is known), int64 (3, 1, 8, 8)."""
    random = generator(4)
    target = torch.randint(1, 5, (3, 1, 8, 8), generator=random)

    def predicted(share: float) -> torch.Tensor:
        guess = torch.randint(1, 5, target.shape, generator=random)
        return torch.where(torch.rand(target.shape, generator=random) < share, target, guess)

    first, second = predicted(0.5), predicted(0.3)
    target[0, :, :5] = 0
    target[1, :, :, :2] = 0
    return first, second, target


def _share(where):
    """The share of the known pixels at which `where(first is right, second is right)`."""
    return lambda first, second, target: where(first == target, second == target)[target > 0].double().mean()


_complementary = _share(torch.logical_xor)

COMPLEMENTARY = [
    ("That is in percent: return the share itself, between 0 and 1.", lambda *maps: 100 * _complementary(*maps)),
    ("That is how many pixels there are: divide by the number of pixels that count.",
     lambda first, second, target: ((first == target) != (second == target)).sum()),
    ("Pixels whose target is 0, Unknown, are counted in the whole: nobody can be right there, so leave them out.",
     lambda first, second, target: ((first == target) != (second == target)).double().mean()),
    ("That is how often the two differ. Both may be wrong in two different ways: exactly one of them must be right.",
     lambda first, second, target: (first != second)[target > 0].double().mean()),
    ("That counts pixels where both are right as well. Which logical operation is true for exactly one of two?",
     _share(torch.logical_or)),
    ("That is one direction alone: count also the pixels where only the other one is right.",
     _share(lambda a, b: a & ~b),
     _share(lambda a, b: b & ~a)),
    ("That is a mean over images, which have different numbers of known pixels: count over all pixels together.",
     lambda *maps: sum(map(_complementary, *maps)) / len(maps[0])),
    ("That is where both are right or both are wrong: the share asked for is what remains.",
     _share(lambda a, b: a == b)),
]  # fmt: skip


@checker(_complementary, COMPLEMENTARY)
def your_complementary(answer) -> str:
    answer.expect(lambda f: number(f(*_maps())), "For three small maps it gives {found:.4f}, it should be {right:.4f}.")
    return "Where exactly one is right there is something to gain, if one knows which."


BEST_OF_TWO = [
    ("It changes sides just where the first is right: look at the order of torch.where's arguments.",
     lambda first, second, target: torch.where(first == target, second, first)),
    ("Class ids are names, not amounts: the larger one is not the better one.",
     lambda first, second, target: torch.maximum(first, second),
     lambda first, second, target: torch.minimum(first, second)),
    ("Where neither is right, answer what the first says, so that the result is the same for everybody.",
     lambda first, second, target: torch.where(first == target, first, second)),
]  # fmt: skip


@checker(lambda first, second, target: torch.where(second == target, second, first), BEST_OF_TWO)
def your_best_of_two(answer) -> str:
    first, second, target = _maps()

    def chosen(f) -> torch.Tensor:
        result = tensor(f(first, second, target), tuple(target.shape))
        require(
            result.dtype != torch.bool and not result.is_floating_point(),
            f"Return class ids (int64), not {result.dtype}: the class that the chooser answers at each pixel.",
        )
        return result

    result = chosen(answer)
    require(
        bool(((result == first) | (result == second)).all()),
        "At some pixels it answers a class that neither of the two gives: the chooser knows who is right, but may only "
        "pick one of the two answers.",
    )
    missed = ((first == target) | (second == target)) & (result != target)
    answer.expect(
        chosen,
        f"At {int(missed.sum())} pixels one of the two is right, and the chooser answers the other."
        if missed.any()
        else BEST_OF_TWO[-1][0],
    )
    return "Nobody can choose like this without the truth. That is why it is a bound and not a method."
