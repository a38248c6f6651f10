"""Exercises of notebook 01: an encoder's and a decoder's loop over their stages, and the losses of the modalities."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ...blocks import upsample
from ...losses import berhu, discriminator_gan, generator_gan
from . import checker, explained, generator, number, require, tensor

# ── Exercise 1.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _stages(count: int) -> nn.ModuleList:
    """Stages of equal width, so that they fit in a wrong order, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(count)
        return nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(count))


def _walk(answer, side: int, otherwise: str) -> None:
    """Look at what an answer makes of images (2, 4, side, side), with three stages and with one."""
    image = torch.randn(2, 4, side, side, generator=generator(1))
    for count in (3, 1):
        stages = _stages(count)
        answer.expect(lambda f, stages=stages: tensor(f(image, stages)), otherwise)
    require(answer(image, stages).requires_grad, "The values are right, but no gradient reaches the stages.")


def _encode(x, stages):
    for stage in stages:
        x = F.max_pool2d(stage(x), 2)
    return x


def _pooled_first(x, stages):
    for stage in stages:
        x = stage(F.max_pool2d(x, 2))
    return x


def _averaged(x, stages):
    for stage in stages:
        x = F.avg_pool2d(stage(x), 2)
    return x


def _thinned(x, stages):
    for stage in stages:
        x = stage(x)[..., ::2, ::2]
    return x


def _through(x, stages):
    for stage in stages:
        x = stage(x)
    return x


ENCODE = [
    ("You pool first and convolve after it: it is the other way round.", _pooled_first),
    ("The stages come in the wrong order: `stages[0]` is the one that reads the image.",
     lambda x, stages: _encode(x, stages[::-1])),
    ("That is the mean of each window: keep its largest value.", _averaged),
    ("That keeps the upper left value of each window: keep its largest.", _thinned),
    ("Nothing is pooled: the result is still as large as the image.", _through),
    ("You pool once, after all stages: each stage ends in a pooling of its own.",
     lambda x, stages: F.max_pool2d(_through(x, stages), 2)),
    ("The last stage ends in a pooling, too.", lambda x, stages: stages[-1](_encode(x, stages[:-1]))),
    ("Every stage reads the image: each should read what the one before has pooled.",
     lambda x, stages: F.max_pool2d(stages[-1](x), 2)),
    ("Only the first stage is there: the loop ends too early.", lambda x, stages: F.max_pool2d(stages[0](x), 2)),
    ("Nothing is convolved: call each stage before you pool.", lambda x, stages: F.max_pool2d(x, 2 ** len(stages))),
]  # fmt: skip


@checker(_encode, ENCODE)
def your_encode(answer):
    _walk(answer, 32, "Your latent {found.shape} is not the right one {right.shape}: call a stage, pool, and again.")
    return "It takes any number of stages: the Encoder below calls it."


# ── Exercise 1.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _decode(latent, stages):
    for stage in stages:
        latent = stage(upsample(latent))
    return latent


def _convolved_first(latent, stages):
    for stage in stages:
        latent = upsample(stage(latent))
    return latent


def _interpolated(latent, stages):
    for stage in stages:
        latent = stage(F.interpolate(latent, scale_factor=2, mode="bilinear"))
    return latent


def _sparse(latent, stages):
    for stage in stages:
        spread = latent.new_zeros(*latent.shape[:2], 2 * latent.shape[2], 2 * latent.shape[3])
        spread[..., ::2, ::2] = latent
        latent = stage(spread)
    return latent


DECODE = [
    ("You convolve first and enlarge after it: it is the other way round.", _convolved_first),
    ("The stages come in the wrong order: `stages[0]` is the one next to the latent.",
     lambda latent, stages: _decode(latent, stages[::-1])),
    ("Values are interpolated between neighbours: repeat each value 2 × 2, as mode nearest does.", _interpolated),
    ("Each value stands alone among zeros: repeat it 2 × 2.", _sparse),
    ("Nothing is enlarged: the result is still as small as the latent.", _through),
    ("You enlarge once, before all stages: each stage begins with an enlargement of its own.",
     lambda latent, stages: _through(F.interpolate(latent, scale_factor=2 ** len(stages)), stages),
     lambda latent, stages: _through(upsample(latent), stages)),
    ("Every stage reads the latent: each should read what the one before returned.",
     lambda latent, stages: stages[-1](upsample(latent))),
    ("Nothing is convolved: call each stage on what was enlarged.",
     lambda latent, stages: F.interpolate(latent, scale_factor=2 ** len(stages))),
    ("No ReLU here: the stages have their own.", lambda *inputs: _decode(*inputs).relu()),
]  # fmt: skip


@checker(_decode, DECODE)
def your_decode(answer):
    _walk(answer, 4, "Your result {found.shape} is not the right one {right.shape}: enlarge, call a stage, and again.")
    return "It takes any number of stages: the Decoder below calls it."


# ── Exercise 1.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _known(classes, weights):
    """What each pixel counts: the weight of its class, 0 where it is Unknown."""
    return torch.where(classes > 0, weights[classes], 0.0)


def _mean(values, weight):
    return (weight * values).sum() / weight.sum().clamp_min(1e-6)


def _cross_entropy(logits, classes, weights):
    return _mean(F.cross_entropy(logits, classes, reduction="none"), _known(classes, weights))


def _of_true_class(values, classes, weights):
    """The weighted mean over the known pixels of the values (N, K, H, W) that stand at the true class."""
    return _mean(values.gather(1, classes[:, None])[:, 0], _known(classes, weights))


CROSS_ENTROPY = [
    ("The sign is missing: ln p is below 0, a loss is not.", lambda *inputs: -_cross_entropy(*inputs)),
    ("That is the sum over the pixels; the loss is their weighted mean.",
     lambda logits, *rest: _known(*rest).sum() * _cross_entropy(logits, *rest)),
    ("The logarithm is missing: cross-entropy is −ln p of the true class, not −p or 1 − p.",
     lambda logits, *rest: -_of_true_class(logits.softmax(1), *rest),
     lambda logits, *rest: 1 - _of_true_class(logits.softmax(1), *rest)),
    ("Those are the logits as they are: softmax has to make probabilities of them first.",
     lambda logits, *rest: -_of_true_class(logits, *rest)),
    ("The probabilities of one pixel must add up to 1: take softmax over dimension 1, the classes.",
     *(lambda logits, *rest, dim=dim: -_of_true_class(logits.log_softmax(dim), *rest) for dim in (0, 2, 3))),
    ("The channels are shifted: class k stands in channel k, and Unknown has the channel 0 for itself.",
     lambda logits, *rest: -_of_true_class(logits.roll(1, 1).log_softmax(1), *rest)),
    ("That is in bits: use the natural logarithm.", lambda *inputs: _cross_entropy(*inputs) / math.log(2)),
    ("Pixels of class 0 counted: Unknown is no answer to learn, leave them out whatever their weight.",
     F.cross_entropy),
    ("Unknown pixels count as losses of 0: leave their weights out of the sum that you divide by.",
     lambda logits, classes, weights: _mean(
         F.cross_entropy(logits, classes, reduction="none") * (classes > 0), weights[classes])),
    ("That is a mean over images of means over pixels: every known pixel of the batch weighs the same.",
     lambda logits, classes, weights: sum(
         _cross_entropy(*one, weights) for one in zip(logits.split(1), classes.split(1))) / len(logits)),
    ("The weights are not used: multiply the loss of each pixel by the weight of its true class.",
     lambda logits, classes, weights: _cross_entropy(logits, classes, torch.ones_like(weights))),
    ("Divide by the sum of the weights, not by the number of pixels: weights twice as large leave the loss as it is.",
     lambda logits, *rest: (_cross_entropy(logits, *rest) * _known(*rest).sum() / (rest[0] > 0).sum().clamp_min(1))),
    ("The weight of a pixel is that of its true class, not that of the likeliest one.",
     lambda logits, classes, weights: _mean(
         F.cross_entropy(logits, classes, reduction="none"), _known(logits.argmax(1), weights) * (classes > 0))),
]  # fmt: skip


@checker(_cross_entropy, CROSS_ENTROPY)
def your_cross_entropy(answer):
    logits = torch.randn(2, 4, 3, 5, generator=generator(1))
    known = torch.randint(1, 4, (2, 3, 5), generator=generator(2))
    some = known * (torch.rand(2, 3, 5, generator=generator(3)) < 0.6)
    alike, weights = torch.ones(4), torch.tensor([3.0, 0.5, 1.0, 2.5])
    for classes, by, otherwise in (
        (known, alike, "With every class known the loss is {right:.4g}, yours is {found:.4g}."),
        (some, alike, "With some pixels unknown the loss is {right:.4g}, yours is {found:.4g}."),
        (torch.zeros_like(some), alike, "Where every pixel is Unknown the loss should be 0; yours is {found}."),
        (some, weights, "With weights 0.5, 1 and 2.5 of the classes the loss is {right:.4g}, yours is {found:.4g}."),
    ):
        answer.expect(lambda f, classes=classes, by=by: number(f(logits, classes, by)), otherwise)
    answer.expect(
        lambda f: number(f(300 * logits, some, alike)),
        "With logits in the hundreds it should be {right:.1f}, yours is {found:.1f}: exp leaves the range of float32 "
        "there. `log_softmax` takes logarithm and softmax in one step, and does not.",
        same=lambda found, right: math.isclose(found, right, rel_tol=1e-4),
    )
    loss = tensor(answer(logits.requires_grad_(), some, weights))
    require(loss.requires_grad, "No gradient reaches the logits: stay with tensors, without `.item()`.")
    return "It also stays finite for a network that is very sure and very wrong."


# ── Exercise 1.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _berhu(error, c, swapped=False):
    """BerHu of each error, for any c."""
    return torch.where((error <= c) != swapped, error, (error**2 + c**2) / (2 * c))


def _undetached(error):
    return _berhu(error, (0.2 * error.max()).clamp_min(1e-6))


BERHU = [
    ("That is the sum over the pixels; the loss is their mean.", lambda p, t, valid: valid.sum() * berhu(p, t, valid)),
    ("Predictions that are too small count as negative errors: remove the sign first.",
     lambda p, t, valid: _berhu(p - t, 0.2 * (p - t).abs().max())[valid].mean()),
    ("That is the mean of |e| alone: with c = max |e| nothing is ever above c.",
     lambda p, t, valid: (p - t).abs()[valid].mean()),
    ("That is the mean of e² alone: up to c an error counts |e|.", lambda p, t, valid: ((p - t) ** 2)[valid].mean()),
    ("Your c is 0.2 itself; it should be 0.2 of the largest error of this batch.",
     lambda p, t, valid: _berhu((p - t).abs(), 0.2)[valid].mean()),
    ("The two branches have changed places: |e| is for errors up to c, the square for those above (Huber is the "
     "other way round).",
     lambda p, t, valid: _berhu((p - t).abs(), 0.2 * (p - t).abs().max(), swapped=True)[valid].mean()),
    ("Pixels where `valid` is False counted: their depth was never measured, so leave them out.",
     lambda p, t, valid: berhu(p, t, torch.ones_like(valid))),
    ("The mean leaves the invalid pixels out, but c does not: the largest error must be that of a valid pixel.",
     lambda p, t, valid: _berhu((p - t).abs(), 0.2 * (p - t).abs().max())[valid].mean()),
    ("Invalid pixels count as errors of 0: divide by the number of valid pixels, not by that of all.",
     lambda p, t, valid: valid.float().mean() * berhu(p, t, valid)),
    ("The value is right, the gradient is not: c is a constant of the batch, so no gradient may flow through it.",
     lambda p, t, valid: _undetached(((p - t) * valid).abs()).sum() / valid.sum().clamp_min(1)),
]  # fmt: skip


@checker(berhu, BERHU)
def your_berhu(answer):
    error = torch.tensor([0.1, -0.2, 0.3, 2.0]).view(1, 1, 2, 2)
    target = torch.tensor([0.5, 0.0, -1.0, 0.25]).view(1, 1, 2, 2)
    everywhere = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    answer.expect(
        lambda f: number(f(target + error, target, everywhere)),
        "For errors of 0.1, −0.2, 0.3 and 2.0 the loss is {right:.4g}, yours is {found:.4g}: c is 0.4 there.",
    )
    prediction, target = (torch.randn(2, 1, 4, 4, generator=generator(seed)) for seed in (1, 2))
    valid = torch.rand(2, 1, 4, 4, generator=generator(3)) < 0.7
    prediction = torch.where(valid, prediction, prediction + 40.0)
    answer.expect(
        lambda f: number(f(prediction, target, valid)),
        "With some pixels invalid the loss is {right:.4g}, yours is {found:.4g}.",
    )
    nowhere = "Where no pixel is valid the loss should be 0; yours"
    with explained(nowhere + " stops ({message}).", RuntimeError, IndexError, ValueError):
        found = number(answer(prediction, target, torch.zeros_like(valid)))
    require(found == 0, f"{nowhere} is {found}.")

    def gradient(f) -> torch.Tensor:
        leaf = prediction.clone().requires_grad_()
        loss = tensor(f(leaf, target, valid))
        require(loss.requires_grad, "No gradient reaches the prediction: stay with tensors, without `.item()`.")
        return torch.autograd.grad(loss, leaf)[0]

    answer.expect(gradient, "The value is right, the gradient is not: the prediction gets it through the errors alone.")
    return "Small errors keep the gradient of |e|, and the largest error has five times as much, in every batch."


# ── Exercise 1.5 ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _lsgan(discriminator=discriminator_gan, decoder=lambda real, fake: generator_gan(fake)):
    return lambda real, fake: (discriminator(real, fake), decoder(real, fake))


LSGAN = [
    ("The two losses are in the wrong order: the discriminator's comes first.",
     lambda real, fake: (generator_gan(fake), discriminator_gan(real, fake))),
    ("Your discriminator wants 0 for real images and 1 for what the decoder made: it is the other way round.",
     _lsgan(lambda real, fake: (real**2).mean() + ((fake - 1) ** 2).mean())),
    ("The discriminator's loss has two parts, one of real images and one of made images.",
     _lsgan(lambda real, fake: ((real - 1) ** 2).mean()),
     _lsgan(lambda real, fake: (fake**2).mean())),
    ("Take means over the scores, not sums.", _lsgan(lambda real, fake: ((real - 1) ** 2).sum() + (fake**2).sum())),
    ("One mean over all scores together lets the larger batch weigh more: add the means of the two.",
     _lsgan(lambda real, fake: torch.cat([(real - 1) ** 2, fake**2]).mean())),
    ("Yours is half of the paper's: section 4.3 adds the two means, without a factor of ½.",
     _lsgan(lambda real, fake: discriminator_gan(real, fake) / 2)),
    ("Your decoder wants made images to score 0, which is what the discriminator wants: it should deceive it.",
     _lsgan(decoder=lambda real, fake: (fake**2).mean())),
    ("The decoder does not minimise the discriminator's loss with a minus sign: that has no lower bound. It "
     "wants made images to score 1.",
     _lsgan(decoder=lambda real, fake: -discriminator_gan(real, fake)),
     _lsgan(decoder=lambda real, fake: -(fake**2).mean())),
    ("Nothing that the decoder does changes the scores of real images: its loss is of made images alone.",
     _lsgan(decoder=lambda real, fake: ((real - 1) ** 2).mean() + ((fake - 1) ** 2).mean())),
]  # fmt: skip


@checker(_lsgan(), LSGAN)
def your_lsgan(answer):
    real, fake = torch.tensor([0.9, 0.5, 1.2]).view(3, 1, 1, 1), torch.tensor([0.1, 0.4]).view(2, 1, 1, 1)

    def loss(f, place: int) -> float:
        pair = f(real, fake)
        require(isinstance(pair, tuple | list) and len(pair) == 2, "Return two numbers, a loss each.")
        return number(pair[place])

    answer.expect(
        lambda f: loss(f, 0),
        "The discriminator's loss is {right:.4g} for scores 0.9, 0.5, 1.2 and 0.1, 0.4; yours is {found:.4g}.",
    )
    answer.expect(
        lambda f: loss(f, 1), "The decoder's loss is {right:.4g} for scores 0.1 and 0.4; yours is {found:.4g}."
    )
    return "One score, two goals: the discriminator pulls it to 0, the decoder to 1."
