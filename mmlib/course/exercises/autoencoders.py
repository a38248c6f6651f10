"""Exercises of notebook 01: the losses of the modalities, and SegNet's decoder."""

import math

import torch
import torch.nn.functional as F

from ...blocks import unpool, upsample
from ...losses import berhu, discriminator_gan, generator_gan
from ...networks import Decoder, Encoder
from . import checker, explained, generator, number, require, tensor

# ── Exercise 1.1 ───────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── Exercise 1.2 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _cross_entropy(logits, classes):
    return F.cross_entropy(logits, classes[:, 0], ignore_index=0, reduction="sum") / (classes > 0).sum().clamp_min(1)


def _of_true_class(values, classes):
    """The mean over the known pixels of the values (N, K, H, W) that stand at the true class."""
    return values.gather(1, classes)[classes > 0].mean()


CROSS_ENTROPY = [
    ("The sign is missing: ln p is below 0, a loss is not.", lambda logits, classes: -_cross_entropy(logits, classes)),
    ("That is the sum over the pixels; the loss is their mean.",
     lambda logits, classes: (classes > 0).sum() * _cross_entropy(logits, classes)),
    ("The logarithm is missing: cross-entropy is −ln p of the true class, not −p or 1 − p.",
     lambda logits, classes: -_of_true_class(logits.softmax(1), classes),
     lambda logits, classes: 1 - _of_true_class(logits.softmax(1), classes)),
    ("Those are the logits as they are: softmax has to make probabilities of them first.",
     lambda logits, classes: -_of_true_class(logits, classes)),
    ("The probabilities of one pixel must add up to 1: take softmax over dimension 1, the classes.",
     *(lambda logits, classes, dim=dim: -_of_true_class(logits.log_softmax(dim), classes) for dim in (0, 2, 3))),
    ("The channels are shifted: class k stands in channel k, and Unknown has the channel 0 for itself.",
     lambda logits, classes: -_of_true_class(logits.roll(1, 1).log_softmax(1), classes)),
    ("That is in bits: use the natural logarithm.", lambda *inputs: _cross_entropy(*inputs) / math.log(2)),
    ("Pixels of class 0 counted: Unknown is no answer to learn, leave them out.",
     lambda logits, classes: F.cross_entropy(logits, classes[:, 0])),
    ("Unknown pixels count as losses of 0: divide by the number of known pixels, not by that of all.",
     lambda logits, classes: (classes > 0).float().mean() * _cross_entropy(logits, classes)),
    ("That is a mean over images of means over pixels: every known pixel of the batch weighs the same.",
     lambda logits, classes: sum(map(_cross_entropy, logits.split(1), classes.split(1))) / len(logits)),
]  # fmt: skip


@checker(_cross_entropy, CROSS_ENTROPY)
def your_masked_cross_entropy(answer):
    logits = torch.randn(2, 4, 3, 5, generator=generator(1))
    known = torch.randint(1, 4, (2, 1, 3, 5), generator=generator(2))
    some = known * (torch.rand(2, 1, 3, 5, generator=generator(3)) < 0.6)
    for classes, otherwise in (
        (known, "With every class known the loss is {right:.4g}, yours is {found:.4g}."),
        (some, "With some pixels unknown the loss is {right:.4g}, yours is {found:.4g}."),
        (torch.zeros_like(some), "Where every pixel is Unknown the loss should be 0; yours is {found}."),
    ):
        answer.expect(lambda f, classes=classes: number(f(logits, classes)), otherwise)
    answer.expect(
        lambda f: number(f(300 * logits, some)),
        "With logits in the hundreds it should be {right:.1f}, yours is {found:.1f}: exp leaves the range of float32 "
        "there. `log_softmax` takes logarithm and softmax in one step, and does not.",
        same=lambda found, right: math.isclose(found, right, rel_tol=1e-4),
    )
    return "It also stays finite for a network that is very sure and very wrong."


# ── Exercise 1.3 ───────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── Exercise 1.4 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _shapes(widths, channels, size):
    """What the stages of a decoder return: (channels, height, width), from the latent outwards."""
    return [(w, size >> k, size >> k) for k, w in reversed(list(enumerate([channels, *widths[:-1]])))]


SHAPES = [
    ("These are the right shapes from the image inwards: begin next to the latent.",
     lambda *inputs: _shapes(*inputs)[::-1]),
    ("The first shape is that of the latent, given to the decoder: begin with what stage 1 returns.",
     lambda widths, channels, size: [(widths[-1], *[size >> len(widths)] * 2), *_shapes(widths, channels, size)]),
    ("Every stage doubles height and width by unpooling before it returns anything.",
     lambda *inputs: [(width, height // 2, height // 2) for width, height, _ in _shapes(*inputs)]),
    ("Each stage's last convolution already narrows to the width of the *next* stage, because its indices must fit.",
     lambda widths, channels, size: [(w, size >> k, size >> k) for k, w in reversed(list(enumerate(widths)))]),
    ("The last stage returns the image: it has the modality's channels.",
     lambda widths, channels, size: _shapes(widths, widths[0], size)),
]  # fmt: skip


@checker(_shapes, SHAPES)
def your_decoder_shapes(answer):
    def shapes(f, *inputs) -> list[tuple[int, ...]]:
        found = f(*inputs)
        require(isinstance(found, tuple | list), f"Return a list of shapes, not a {type(found).__name__}.")
        found = [tuple(shape) if isinstance(shape, tuple | list) else shape for shape in found]
        numbers = all(isinstance(shape, tuple) and len(shape) == 3 for shape in found)
        require(bool(found) and numbers, "Each shape has three numbers: (channels, height, width).")
        return found

    small = ((3, 5, 7), 2, 24)
    answer.expect(
        lambda f: [shape[1:] for shape in shapes(f, *small)],
        "For widths (3, 5, 7) and 24 × 24 pixels heights and widths are {right}, because each of the 3 stages doubles "
        "both by unpooling; yours are {found}.",
    )
    answer.expect(
        lambda f: [shape[0] for shape in shapes(f, *small)],
        "For widths (3, 5, 7) and 2 channels the stages return {right} channels, yours {found}.",
    )
    answer.expect(
        lambda f: shapes(f, (64, 128, 256, 512, 512), 14, 256),
        "For the paper's segmentation decoder it should be {right} (Table 8); yours is {found}.",
    )
    return "The second network that was checked is the paper's own: these are the lines of Table 8."


# ── Exercise 1.5 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _decode(latent, indices, stages):
    x = latent
    for stage, where in zip(stages, reversed(indices)):
        x = stage(unpool(x, where))
    return x


def _convolved_first(latent, indices, stages):
    x = latent
    for stage, where in zip(stages, reversed(indices)):
        x = unpool(stage(x), where)
    return x


def _repeated(latent, indices, stages):
    x = latent
    for stage in stages:
        x = stage(upsample(x))
    return x


DECODE = [
    ("You convolve first and unpool after it: it is the other way round.", _convolved_first),
    ("The stages come in the wrong order: unlike the indices, `stages[0]` is the one next to the latent.",
     lambda latent, indices, stages: _decode(latent, indices, stages[::-1])),
    ("Values are repeated where they should go back to where each maximum stood: unpool with the indices.", _repeated),
    ("Nothing is convolved: call each stage on what was unpooled.",
     lambda latent, indices, stages: _decode(latent, indices, [torch.nn.Identity()] * len(stages))),
    ("The output should be linear: no ReLU after the last convolution.", lambda *inputs: _decode(*inputs).relu()),
]  # fmt: skip


@checker(_decode, DECODE)
def your_decode(answer):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # equal widths everywhere, so that bricks in a wrong order still fit
        encoder, decoder = Encoder(1, (4, 4, 4), (1, 1, 1)).eval(), Decoder(4, (4, 4, 4), (1, 1, 1)).eval()
        for brick in (*encoder.modules(), *decoder.modules()):
            if isinstance(brick, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(brick.weight, nonlinearity="relu")
        encoding = encoder(torch.randn(2, 1, 16, 16))
        expected = decoder(encoding)

    @torch.no_grad()
    def decoded(f) -> torch.Tensor:
        found = f(encoding.latent, encoding.indices, list(decoder.stages))
        require(isinstance(found, torch.Tensor), f"Return the decoded image, a tensor, not a {type(found).__name__}.")
        small = "The image is still as small as the latent, 2 × 2: each stage unpools before it convolves."
        require(found.dim() != 4 or found.shape[-1] != 2, small)
        return tensor(found, tuple(expected.shape))

    refused = (
        "A brick refused ({message}): `indices[0]` belongs to the encoder's first stage, the largest; the decoder "
        "meets the last one first."
    )
    with explained(refused, RuntimeError):
        answer.expect(decoded, "The shape is right, the values are not those of mmlib's decoder.")
    return "It agrees with mmlib's decoder, for any number of stages."
