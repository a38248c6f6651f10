"""Plausible mistakes in the exercises of notebook 01, each with words of the hint meant for it."""

import torch
import torch.nn.functional as F

from mmlib.blocks import unpool, upsample


def berhu(reduce="valid mean", c_of="valid", absolute=True, c_is=0.2, swap=False, detach=True, empty=True, plain=None):
    def your_berhu(prediction, target, valid):
        error = prediction - target
        if absolute:
            error = error.abs()
        if empty and not valid.any():
            return error.sum() * 0
        c = (error[valid] if c_of == "valid" else error).abs().max() * c_is
        if c_of == "constant":
            c = torch.tensor(0.2)
        if detach:
            c = c.detach()
        square = (error**2 + c**2) / (2 * c)
        values = torch.where(error <= c, error, square) if not swap else torch.where(error <= c, square, error)
        if plain is not None:
            values = plain(error)
        if reduce == "sum":
            return values[valid].sum()
        if reduce == "all":
            return values.mean()
        if reduce == "zeros":
            return (values * valid).mean()
        return values[valid].mean()

    return your_berhu


def cross_entropy(
    logarithm=True, sign=-1.0, dim=1, shift=0, mask=True, reduce="mean", stable=True, softmax=True, empty=True
):
    def your_masked_cross_entropy(logits, classes):
        known = classes > 0 if mask else torch.ones_like(classes, dtype=torch.bool)
        if empty and not known.any():
            return logits.sum() * 0
        if not softmax:
            scores = logits
        elif stable:
            scores = logits.log_softmax(dim)
        else:
            scores = (logits.exp() / logits.exp().sum(dim, keepdim=True)).log()
        if not logarithm:
            scores = scores.exp()
        values = sign * scores.gather(1, (classes - shift).clamp_min(0))
        if reduce == "all":
            return (values * known).mean()
        if reduce == "sum":
            return values[known].sum()
        return values[known].mean()

    return your_masked_cross_entropy


def lsgan(critic, decoder, swapped=False):
    def your_lsgan(scores_of_real, scores_of_fake):
        losses = critic(scores_of_real, scores_of_fake), decoder(scores_of_real, scores_of_fake)
        return losses[::-1] if swapped else losses

    return your_lsgan


def right_critic(real, fake):
    return ((real - 1) ** 2).mean() + (fake**2).mean()


def right_decoder(real, fake):
    return ((fake - 1) ** 2).mean()


def one_number():
    def your_lsgan(scores_of_real, scores_of_fake):
        return right_critic(scores_of_real, scores_of_fake)

    return your_lsgan


def shapes(make):
    def your_decoder_shapes(widths, channels, size):
        return make(list(widths), channels, size)

    return your_decoder_shapes


def right_shapes(widths, channels, size):
    outputs = [*widths[-2::-1], channels]
    return [(output, size >> k, size >> k) for output, k in zip(outputs, reversed(range(len(widths))))]


def same_widths(widths, channels, size):
    return [(width, size >> k, size >> k) for k, width in reversed(list(enumerate(widths)))]


def ends_with_a_width(widths, channels, size):
    return [*right_shapes(widths, channels, size)[:-1], (widths[0], size, size)]


def with_the_latent(widths, channels, size):
    return [(widths[-1], size >> len(widths), size >> len(widths)), *right_shapes(widths, channels, size)]


def undoubled(widths, channels, size):
    return [(output, height // 2, width // 2) for output, height, width in right_shapes(widths, channels, size)]


def only_three_stages(widths, channels, size):
    return right_shapes(widths[:3], channels, size)


def decode(step, order=lambda indices: reversed(indices), stage_order=lambda stages: stages, end=lambda x: x):
    def your_decode(latent, indices, stages):
        x = latent
        for stage, where in zip(stage_order(stages), order(indices)):
            x = step(stage, x, where)
        return end(x)

    return your_decode


def right_step(stage, x, where):
    return stage(unpool(x, where))


WRONG_ANSWERS = [
    (berhu(reduce="sum"), "the loss is their mean"),
    (berhu(absolute=False), "the sign must go first"),
    (berhu(c_is=1.0), "nothing is ever above c"),
    (berhu(plain=torch.abs), "the mean of |e| alone"),
    (berhu(plain=torch.square), "the mean of e² alone"),
    (berhu(c_of="constant"), "Your c is 0.2 itself"),
    (berhu(swap=True), "changed places"),
    (berhu(reduce="all", c_of="all"), "there depth was never measured"),
    (berhu(c_of="all"), "but c does not"),
    (berhu(reduce="zeros"), "divide by the number of valid pixels"),
    (berhu(empty=False), "Where no pixel is valid"),
    (berhu(detach=False), "no gradient may flow through it"),
    (cross_entropy(sign=1.0), "The sign is missing"),
    (cross_entropy(reduce="sum"), "the sum over the pixels"),
    (cross_entropy(logarithm=False), "The logarithm is missing"),
    (cross_entropy(softmax=False), "softmax has to make probabilities"),
    (cross_entropy(dim=-1), "take softmax over dimension 1"),
    (cross_entropy(shift=1), "The channels are shifted"),
    (cross_entropy(mask=False), "Pixels of class 0 counted"),
    (cross_entropy(reduce="all"), "divide by the number of known pixels"),
    (cross_entropy(empty=False), "Where every pixel is Unknown"),
    (cross_entropy(stable=False), "exp leaves the range of float32"),
    (one_number(), "Return two numbers"),
    (lsgan(right_critic, right_decoder, swapped=True), "in the wrong order"),
    (lsgan(lambda r, f: (r**2).mean() + ((f - 1) ** 2).mean(), right_decoder), "the other way round"),
    (lsgan(lambda r, f: (f**2).mean(), right_decoder), "has two parts"),
    (lsgan(lambda r, f: ((r - 1) ** 2).sum() + (f**2).sum(), right_decoder), "means over the scores"),
    (lsgan(lambda r, f: torch.cat([(r - 1) ** 2, f**2]).mean(), right_decoder), "lets the larger batch weigh more"),
    (lsgan(lambda r, f: right_critic(r, f) / 2, right_decoder), "without a factor of ½"),
    (lsgan(right_critic, lambda r, f: (f**2).mean()), "it should deceive it"),
    (lsgan(right_critic, lambda r, f: -right_critic(r, f)), "no lower bound"),
    (lsgan(right_critic, lambda r, f: ((r - 1) ** 2).mean() + ((f - 1) ** 2).mean()), "of made images alone"),
    (shapes(lambda *inputs: right_shapes(*inputs)[::-1]), "begin next to the latent"),
    (shapes(with_the_latent), "begin with what stage 1 hands on"),
    (shapes(lambda *inputs: right_shapes(*inputs)[:2]), "has 3 stages"),
    (shapes(undoubled), "every stage doubles both"),
    (shapes(same_widths), "narrows to the width of the *next* stage"),
    (shapes(ends_with_a_width), "hands over the image"),
    (shapes(only_three_stages), "Table 8"),
    (shapes(lambda w, c, s: [(1, *shape) for shape in right_shapes(w, c, s)]), "three numbers"),
    (decode(right_step, order=lambda indices: indices), "meets the last one first"),
    (decode(lambda stage, x, where: unpool(stage(x), where)), "the other way round"),
    (decode(right_step, stage_order=lambda stages: stages[::-1]), "`stages[0]` is the one next to the latent"),
    (decode(lambda stage, x, where: stage(upsample(x))), "unpool with the indices"),
    (decode(lambda stage, x, where: unpool(x, where)), "Nothing is convolved"),
    (decode(lambda stage, x, where: stage(x)), "still as small as the latent"),
    (decode(right_step, end=F.relu), "should be linear"),
]
