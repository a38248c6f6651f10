"""Checkers of notebook 01: the losses of the modalities, and SegNet's decoder."""

import math

import torch
import torch.nn.functional as F

from ...blocks import unpool, upsample
from ...losses import berhu, cross_entropy, discriminator_gan, generator_gan
from ...networks import Decoder, Encoder
from . import Hint, checker, close, number, require, tensor

# ── Exercise 1.1 ───────────────────────────────────────────────────────────────────────────────────────────────────


@checker
def your_berhu(answer):
    error = torch.tensor([0.1, -0.2, 0.3, 2.0]).view(1, 1, 2, 2)
    target = torch.tensor([0.5, 0.0, -1.0, 0.25]).view(1, 1, 2, 2)
    everywhere = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    found = number(answer(target + error, target, everywhere))
    require(not close(found, 5.8), "That is the sum over the pixels; the loss is their mean.")
    require(not close(found, 1.35), "Predictions that are too small count as negative errors: the sign must go first.")
    require(not close(found, 0.65), "That is the mean of |e| alone: with c = max |e| nothing is ever above c.")
    require(not close(found, 1.035), "That is the mean of e² alone: up to c an error counts |e|.")
    require(not close(found, 2.68125), "Your c is 0.2 itself; it should be 0.2 of the largest error of this batch.")
    require(
        not close(found, (0.2125 + 0.25 + 0.3125 + 2.0) / 4),
        "The two branches have changed places: |e| is for errors up to c, the square for those above (Huber is the "
        "other way round).",
    )
    require(
        close(found, 1.45),
        f"For errors of 0.1, −0.2, 0.3 and 2.0 the loss is 1.45, yours is {found:.4g}: c is 0.4 there.",
    )

    prediction, target = (torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    valid = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(3)) < 0.7
    prediction = torch.where(valid, prediction, prediction + 40.0)
    found, expected = number(answer(prediction, target, valid)), berhu(prediction, target, valid).item()
    error = (prediction - target).abs()
    c = 0.2 * error.max()
    late = torch.where(error <= c, error, (error**2 + c**2) / (2 * c))
    require(
        not close(found, late.mean()),
        "Pixels where `valid` is False counted: there depth was never measured, so leave them out.",
    )
    require(
        not close(found, late[valid].mean()),
        "The mean leaves the invalid pixels out, but c does not: the largest error must be that of a valid pixel.",
    )
    require(
        not close(found, expected * valid.double().mean()),
        "Invalid pixels count as errors of 0: divide by the number of valid pixels, not by that of all.",
    )
    require(close(found, expected), f"With some pixels invalid the loss is {expected:.4g}, yours is {found:.4g}.")

    try:
        found = number(answer(prediction, target, torch.zeros_like(valid)))
    except (RuntimeError, IndexError, ValueError) as error:
        raise Hint(
            f"Where no pixel is valid the loss should be 0; yours stops ({str(error).splitlines()[0]})."
        ) from None
    require(found == 0, f"Where no pixel is valid the loss should be 0; yours is {found}.")

    leaf = prediction.clone().requires_grad_()
    loss = tensor(answer(leaf, target, valid))
    require(loss.requires_grad, "No gradient reaches the prediction: stay with tensors, without `.item()`.")
    slope = torch.autograd.grad(loss, leaf)[0]
    expected = torch.autograd.grad(berhu(leaf, target, valid), leaf)[0]
    require(
        close(slope, expected),
        "The value is right, the gradient is not: c is a constant of the batch, so no gradient may flow through it.",
    )
    return "Small errors keep the slope of |e|, and the largest pulls five times as much, in every batch."


# ── Exercise 1.2 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _nats(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """−ln p of the true class at each pixel: (N, 1, H, W)."""
    return -logits.log_softmax(1).gather(1, classes)


@checker
def your_masked_cross_entropy(answer):
    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1))
    classes = torch.randint(1, 4, (2, 1, 3, 5), generator=torch.Generator().manual_seed(2))
    found, nats = number(answer(logits, classes)), _nats(logits, classes)
    require(not close(found, -nats.mean()), "The sign is missing: ln p is below 0, a loss is not.")
    require(not close(found, nats.sum()), "That is the sum over the pixels; the loss is their mean.")
    require(
        not close(found, -(-nats).exp().mean()) and not close(found, 1 - (-nats).exp().mean()),
        "The logarithm is missing: cross-entropy is −ln p of the true class, not −p or 1 − p.",
    )
    require(
        not close(found, -logits.gather(1, classes).mean()),
        "Those are the logits as they are: softmax has to make probabilities of them first.",
    )
    wrong = [-logits.log_softmax(k).gather(1, classes).mean() for k in (0, 2, 3)]
    require(
        not any(close(found, value) for value in wrong),
        "The probabilities of one pixel must add up to 1: take softmax over dimension 1, the classes.",
    )
    require(
        not close(found, _nats(logits, classes - 1).mean()),
        "The channels are shifted: class k stands in channel k, and Unknown has the channel 0 for itself.",
    )
    require(not close(found, nats.mean() / math.log(2)), "That is in bits: use the natural logarithm.")
    expected = nats.mean().item()
    require(close(found, expected), f"With every class known the loss is {expected:.4g}, yours is {found:.4g}.")

    classes = classes * (torch.rand(2, 1, 3, 5, generator=torch.Generator().manual_seed(3)) < 0.6)
    found, nats = number(answer(logits, classes)), _nats(logits, classes)
    require(not close(found, nats.mean()), "Pixels of class 0 counted: Unknown is no answer to learn, leave them out.")
    require(
        not close(found, (nats * (classes > 0)).mean()),
        "Unknown pixels count as losses of 0: divide by the number of known pixels, not by that of all.",
    )
    apart = torch.stack([nats[k][classes[k] > 0].mean() for k in range(2)]).mean()
    require(
        not close(found, apart),
        "That is a mean over images of means over pixels: every known pixel of the batch weighs the same.",
    )
    valid = classes > 0
    expected = cross_entropy(logits, F.one_hot(classes[:, 0], 4).movedim(-1, 1).float(), valid).item()
    require(close(found, expected), f"With some pixels unknown the loss is {expected:.4g}, yours is {found:.4g}.")

    found = number(answer(logits, torch.zeros_like(classes)))
    require(found == 0, f"Where every pixel is Unknown the loss should be 0; yours is {found}.")

    found = number(answer(300 * logits, classes))
    expected = _nats(300 * logits, classes)[valid].mean().item()
    require(
        math.isfinite(found) and math.isclose(found, expected, rel_tol=1e-4),
        f"With logits in the hundreds it should be {expected:.1f}, yours is {found:.1f}: exp leaves the range of "
        "float32 there. `log_softmax` takes logarithm and softmax in one step, and does not.",
    )
    return "And it stays finite for a network that is very sure and very wrong."


# ── Exercise 1.3 ───────────────────────────────────────────────────────────────────────────────────────────────────


@checker
def your_lsgan(answer):
    real, fake = torch.tensor([0.9, 0.5, 1.2]).view(3, 1, 1, 1), torch.tensor([0.1, 0.4]).view(2, 1, 1, 1)
    pair = answer(real, fake)
    require(
        isinstance(pair, tuple | list) and len(pair) == 2,
        "Return two numbers, a loss each.",
    )
    critic, decoder = map(number, pair)
    right = discriminator_gan(real, fake).item(), generator_gan(fake).item()
    require(
        not (close(critic, right[1]) and close(decoder, right[0])),
        "Both are right, in the wrong order: the discriminator's loss comes first.",
    )
    require(
        not close(critic, (real**2).mean() + ((fake - 1) ** 2).mean()),
        "Your discriminator wants 0 for photographs and 1 for what the decoder made: the other way round.",
    )
    require(
        not close(critic, ((real - 1) ** 2).mean()) and not close(critic, (fake**2).mean()),
        "The discriminator's loss has two parts, one of photographs and one of made images.",
    )
    require(not close(critic, ((real - 1) ** 2).sum() + (fake**2).sum()), "Take means over the scores, not sums.")
    require(
        not close(critic, torch.cat([(real - 1) ** 2, fake**2]).mean()),
        "One mean over all scores together lets the larger batch weigh more: add the means of the two.",
    )
    require(
        not close(critic, right[0] / 2),
        "Yours is half of the paper's: section 4.3 adds the two means, without a factor of ½.",
    )
    require(
        close(critic, right[0]),
        f"The discriminator's loss is {right[0]:.4g} for scores 0.9, 0.5, 1.2 and 0.1, 0.4; yours is {critic:.4g}.",
    )
    require(
        not close(decoder, (fake**2).mean()),
        "Your decoder wants made images to score 0, which is what the discriminator wants: it should deceive it.",
    )
    require(
        not close(decoder, -right[0]) and not close(decoder, -(fake**2).mean()),
        "The decoder does not minimise the discriminator's loss with a minus sign: that has no lower bound. It wants "
        "made images to score 1.",
    )
    require(
        not close(decoder, ((real - 1) ** 2).mean() + ((fake - 1) ** 2).mean()),
        "Nothing that the decoder does changes the scores of photographs: its loss is of made images alone.",
    )
    require(
        close(decoder, right[1]),
        f"The decoder's loss is {right[1]:.4g} for scores 0.1 and 0.4; yours is {decoder:.4g}.",
    )
    return "One score, two wishes: the discriminator pulls it to 0, the decoder to 1."


# ── Exercise 1.4 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _stage_outputs(widths: tuple[int, ...], channels: int, size: int) -> list[tuple[int, ...]]:
    """What the stages of mmlib's decoder hand on, without the batch."""
    ones = (1,) * len(widths)
    encoder, decoder = Encoder(1, widths, ones).eval(), Decoder(channels, widths, ones).eval()
    shapes: list[tuple[int, ...]] = []
    for stage in decoder.stages:
        stage.register_forward_hook(lambda _stage, _inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        decoder(encoder(torch.zeros(1, 1, size, size)))
    return shapes


@checker
def your_decoder_shapes(answer):
    widths, channels, size = (3, 5, 7), 2, 24
    with torch.random.fork_rng(devices=[]):
        right = _stage_outputs(widths, channels, size)
    found = answer(widths, channels, size)
    require(isinstance(found, tuple | list), f"Return a list of shapes, not a {type(found).__name__}.")
    shapes = [tuple(shape) if isinstance(shape, tuple | list) else shape for shape in found]
    require(
        len(shapes) > 0 and all(isinstance(shape, tuple) and len(shape) == 3 for shape in shapes),
        "Each shape has three numbers: (channels, height, width).",
    )
    require(shapes != right[::-1], "These are the right shapes from the image inwards: begin next to the latent.")
    latent = (widths[-1], size // 8, size // 8)
    require(shapes[0] != latent, f"{latent} is the latent, given to the decoder: begin with what stage 1 hands on.")
    require(len(shapes) == 3, f"A decoder of 3 widths has 3 stages; you return {len(shapes)} shapes.")
    sides, correct = ([shape[1:] for shape in some] for some in (shapes, right))
    require(
        sides == correct,
        f"The sides should be {', '.join(str(side[0]) for side in correct)}: every stage doubles both by unpooling.",
    )
    require(
        [shape[0] for shape in shapes] != [7, 5, 3],
        "Each stage's last convolution already narrows to the width of the *next* stage, for its indices must fit.",
    )
    require(
        shapes[-1][0] == channels,
        f"The last stage hands over the image: {channels} channels for this modality, not {shapes[-1][0]}.",
    )
    require(shapes == right, f"For widths (3, 5, 7), 2 channels and 24 × 24 pixels it is {right}, yours is {shapes}.")
    paper = [(512, 16, 16), (256, 32, 32), (128, 64, 64), (64, 128, 128), (14, 256, 256)]
    found = [tuple(shape) for shape in answer((64, 128, 256, 512, 512), 14, 256)]
    require(found == paper, f"For the paper's segmentation decoder it should be {paper} (Table 8); yours is {found}.")
    return "The second network that was checked is the paper's own: these are the lines of Table 8."


# ── Exercise 1.5 ───────────────────────────────────────────────────────────────────────────────────────────────────


@checker
def your_decode(answer):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # equal widths everywhere, so that bricks in a wrong order still fit
        encoder, decoder = Encoder(1, (4, 4, 4), (1, 1, 1)).eval(), Decoder(4, (4, 4, 4), (1, 1, 1)).eval()
        for brick in (*encoder.modules(), *decoder.modules()):
            if isinstance(brick, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(brick.weight, nonlinearity="relu")
        encoding = encoder(torch.randn(2, 1, 16, 16))
        expected = decoder(encoding)
        backwards = list(encoding.indices)[::-1]
        stages = list(decoder.stages)

        def compose(bricks) -> torch.Tensor:
            x = encoding.latent
            for brick in bricks:
                x = brick(x)
            return x

        unpools = [lambda x, where=where: unpool(x, where) for where in backwards]
        convolved_first = compose(brick for pair in zip(stages, unpools) for brick in pair)
        inside_out = compose(brick for pair in zip(unpools, stages[::-1]) for brick in pair)
        repeated = compose(brick for stage in stages for brick in (upsample, stage))
        unconvolved = compose(unpools)
        try:
            found = answer(encoding.latent, encoding.indices, stages)
        except (RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0]
            require(
                not any(word in said.lower() for word in ("indices", "shape", "size")),
                f"A brick refused ({said}): `indices[0]` belongs to the encoder's first stage, the largest; the "
                "decoder meets the last one first.",
            )
            raise
    require(isinstance(found, torch.Tensor), f"Return the decoded image, a tensor, not a {type(found).__name__}.")
    side = found.shape[-1] if found.dim() == 4 else 0
    require(
        side != 2,
        "The image is still as small as the latent, 2 × 2: each stage unpools before it convolves.",
    )
    tensor(found, tuple(expected.shape))
    require(not close(found, convolved_first), "You convolve first and unpool after it: it is the other way round.")
    require(
        not close(found, inside_out),
        "The stages come in the wrong order: unlike the indices, `stages[0]` is the one next to the latent.",
    )
    require(
        not close(found, repeated),
        "Values are repeated where they should go back to where each maximum stood: unpool with the indices.",
    )
    require(not close(found, unconvolved), "Nothing is convolved: call each stage on what was unpooled.")
    require(not close(found, expected.relu()), "The output should be linear: no ReLU after the last convolution.")
    require(close(found, expected), "The shape is right, the values are not those of mmlib's decoder.")
    return "It agrees with mmlib's decoder, for any number of stages."
