"""Plausible mistakes in the exercises of notebook 06, and a part of the hint meant for each."""

import torch

from mmlib import Encoding, modality
from mmlib.modalities import SEGMENTATION


def fuse(latent, indices=None, pooled=None):
    """An answer to `your_fuse` from functions of (rgb, depth, alpha, indices)."""

    def your_fuse(rgb, depth, alpha, indices_of):
        lender = rgb if indices_of == "rgb" else depth
        places = indices(rgb, depth, indices_of) if indices else lender.indices
        stages = pooled(rgb, depth, alpha) if pooled else lender.pooled
        return Encoding(latent(rgb.latent, depth.latent, alpha, indices_of), stages, places, lender.features)

    return your_fuse


def right(r, d, alpha, indices_of):
    return (1 - alpha) * r + alpha * d


def averaged(rgb, depth, indices_of):
    return tuple((a + b) // 2 for a, b in zip(rgb.indices, depth.indices))


def just_the_latent():
    def your_fuse(rgb, depth, alpha, indices_of):
        return (1 - alpha) * rgb.latent + alpha * depth.latent

    return your_fuse


def encode(model, image, name, convert=True):
    return model.encode(modality(name).to_input(image) if convert else image.float(), name)


def translation(fused, finish=SEGMENTATION.to_raw, convert=True):
    """An answer to `your_fused_translation` from a function of both encodings, α and the decoder."""

    def your_fused_translation(model, rgb, depth, alpha):
        f, g = encode(model, rgb, "rgb", convert), encode(model, depth, "depth", convert)
        return finish(fused(f, g, alpha, lambda encoding: model.decode(encoding, "segmentation")))

    return your_fused_translation


def mean_of_ids():
    def your_fused_translation(model, rgb, depth, alpha):
        ids = (
            SEGMENTATION.to_raw(model.decode(encode(model, image, name), "segmentation"))
            for image, name in ((rgb, "rgb"), (depth, "depth"))
        )
        return (1 - alpha) * next(ids) + alpha * next(ids)

    return your_fused_translation


def complementary(share):
    def your_complementary(first, second, target):
        return share(first == target, second == target, target > 0, first != second)

    return your_complementary


def best(choose):
    def your_best_of_two(first, second, target):
        return choose(first, second, target)

    return your_best_of_two


def mean_over_images(a, b, valid, differ):
    return torch.stack([(x != y)[v].float().mean() for x, y, v in zip(a, b, valid)]).mean()


WRONG_ANSWERS = [
    (fuse(lambda r, d, alpha, of: alpha * r + (1 - alpha) * d), "α on the wrong side"),
    (fuse(lambda r, d, alpha, of: right(r, d, alpha if of == "rgb" else 1 - alpha, of)), "weights have changed places"),
    (fuse(lambda r, d, alpha, of: (r + d) / 2), "plain mean of the two"),
    (fuse(lambda r, d, alpha, of: r + alpha * d), "do not add up to 1"),
    (fuse(right, lambda rgb, depth, of: rgb.indices), "the indices of the other encoder"),
    (fuse(right, averaged), "the indices were mixed"),
    (
        fuse(right, pooled=lambda rgb, depth, alpha: tuple((a + b) / 2 for a, b in zip(rgb.pooled, depth.pooled))),
        "field `pooled` has changed",
    ),
    (just_the_latent(), "Return an Encoding"),
    (translation(lambda f, g, alpha, decode: decode(f.fuse(g, alpha)), lambda scores: scores), "14 scores a pixel"),
    (translation(lambda f, g, alpha, decode: decode(f.fuse(g, 1 - alpha))), "α is the weight of depth"),
    (translation(lambda f, g, alpha, decode: decode(g.fuse(f, 1 - alpha))), "given depth's indices"),
    (translation(lambda f, g, alpha, decode: decode(g.fuse(f, alpha))), "α is the weight of depth"),
    (translation(lambda f, g, alpha, decode: decode(f.fuse(g, alpha)), convert=False), "were given raw images"),
    (translation(lambda f, g, alpha, decode: (1 - alpha) * decode(f) + alpha * decode(g)), "decoded both and averaged"),
    (
        translation(
            lambda f, g, alpha, decode: decode(f.fuse(g, alpha)), lambda scores: scores.argmax(1, keepdim=True)
        ),
        "Unknown is no answer",
    ),
    (translation(lambda f, g, alpha, decode: decode(f)), "one source alone"),
    (mean_of_ids(), "average of ids is no class"),
    (complementary(lambda a, b, valid, differ: (a != b).float().mean()), "Unknown, are counted"),
    (complementary(lambda a, b, valid, differ: differ[valid].float().mean()), "how often the two differ"),
    (complementary(lambda a, b, valid, differ: (a | b)[valid].float().mean()), "where both are right as well"),
    (complementary(lambda a, b, valid, differ: (a & ~b)[valid].float().mean()), "one direction alone"),
    (complementary(lambda a, b, valid, differ: (a != b)[valid].sum()), "how many pixels"),
    (complementary(mean_over_images), "mean over images"),
    (best(lambda first, second, target: torch.where(first == second, first, target)), "neither of the two said"),
    (best(lambda first, second, target: torch.where(first == target, second, first)), "order of torch.where"),
    (best(lambda first, second, target: torch.maximum(first, second)), "names, not amounts"),
    (best(lambda first, second, target: (first == target) | (second == target)), "Return class ids"),
    (best(lambda first, second, target: second), "the chooser answers the other"),
    (best(lambda first, second, target: torch.where(first == target, first, second)), "what the first says"),
]
