"""Exercises of notebook 03: pooling and unpooling by hand, whose indices a decoder takes, and how alike they are."""

import torch

from ...alignment import index_agreement, statistics_shift
from ...blocks import ConvolutionBlock, pool, unpool, upper_left, upsample
from ...networks import Encoding
from . import Hint, checker, close, number, require, tensor


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@checker
def your_pool(answer) -> str:
    image = torch.tensor([[1, 2, 0, 5, 4, 6], [3, 9, 4, 1, 8, 7], [7, 0, 2, 3, 1, 2], [6, 1, 8, 0, 9, 5]]).float()
    result = answer(image)
    two = isinstance(result, tuple | list) and len(result) == 2
    require(two, "Return two tensors, the values and the indices: `return values, indices`.")
    values, indices = (tensor(part, (2, 3)) for part in result)
    largest, where = (part[0, 0] for part in pool(image[None, None]))
    rows, columns = where // 6, where % 6
    require(not close(indices, largest), "The two are swapped: first the values, then the indices.")
    require(
        not close(values, -pool(-image[None, None])[0][0, 0]), "You keep the smallest of each window, not the largest."
    )
    require(close(values, largest), "The values are not the largest of each 2×2 window; windows do not overlap.")
    require(not indices.is_floating_point(), "Indices are whole numbers: give them as int64, not as floats.")
    require(
        not close(indices, 2 * (rows % 2) + columns % 2),
        "You number the four pixels of each window anew; PyTorch numbers all pixels of the image's plane.",
    )
    require(
        not close(indices, columns * 4 + rows),
        "You count column by column: rows and columns are swapped. PyTorch goes through the plane row by row.",
    )
    require(
        not close(indices, rows * 3 + columns),
        "The row is multiplied by the wrong width: indices count the pixels of the image, not of the pooled one.",
    )
    require(
        not close(indices, upper_left(where)), "These are the upper left pixels of the windows: where is the maximum?"
    )
    require(close(indices, where), "The values are right, the indices are not: row · width + column, in the image.")
    other = _random(6, 4)
    values, indices = answer(other)
    largest, where = (part[0, 0] for part in pool(other[None, None]))
    require(close(values, largest) and close(indices, where), "Right for a 4×6 image, wrong for one of 6×4.")
    _, indices = answer(torch.zeros(4, 4))
    require(
        close(indices, torch.tensor([[0, 2], [8, 10]])),
        "Where several pixels are largest, PyTorch points at the first of them, row by row.",
    )
    return "Values and indices are those of F.max_pool2d, equal pixels included."


@checker
def your_unpool(answer) -> str:
    image = _random(4, 6, seed=1)
    values, indices = (part[0, 0] for part in pool(image[None, None]))
    values = 10 * values + 1
    expected = unpool(values[None, None], indices[None, None])[0, 0]
    result = tensor(answer(values, indices))
    require(
        tuple(result.shape) != (6, 4),
        "The result's shape is (6, 4): rows and columns are swapped, it should be (4, 6).",
    )
    result = tensor(result, (4, 6))
    require(
        not close(result, upsample(values[None, None])[0, 0]),
        "You repeat each value in its whole window: that is what a decoder does without indices.",
    )
    corners = unpool(values[None, None], upper_left(indices)[None, None])[0, 0]
    require(not close(result, corners), "All values stand in the upper left corners: use the indices.")
    swapped = torch.zeros(4, 6)
    swapped[indices % 4, indices // 4] = values
    require(
        not close(result, swapped),
        "The indices are read column by column: index 7 of a plane 6 wide is row 1, column 1.",
    )
    require(not close((result != 0).sum(), 24), "No pixel is 0: only the places that the indices name take a value.")
    require(close(result, expected), "Some value is not where its index says; all other pixels are 0.")
    return "Each value is back where its maximum stood, as F.max_unpool2d puts it."


def _encoding(seed: int, widths: tuple[int, ...] = (3, 3), side: int = 8) -> Encoding:
    """Two rooms' random features through pooling alone: (2, 3, 8, 8) → (2, 3, 4, 4) → (2, 3, 2, 2)."""
    pooled, indices = [], []
    features = _random(2, widths[0], side, side, seed=seed)
    for _ in widths:
        features, where = pool(features)
        pooled.append(features)
        indices.append(where)
    return Encoding(features, tuple(pooled), tuple(indices), ())


@checker
def your_decoder_step(answer) -> str:
    encodings = {"rgb": _encoding(1), "depth": _encoding(2)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = ConvolutionBlock(3, 3).eval()
    for source, stage in (("depth", 0), ("depth", 1), ("rgb", 0)):
        x = _random(2, 3, 4 // 2**stage, 4 // 2**stage, seed=3)
        indices = encodings[source].indices[stage]
        other = encodings["rgb" if source == "depth" else "depth"].indices[stage]
        with torch.no_grad():
            try:
                result = tensor(answer(x, encodings, source, stage, block)).detach()
            except RuntimeError as error:
                said = str(error).splitlines()[0]
                hint = (
                    "indices must have the shape of x. `stage` counts the encoder's stages from 0; so does `indices`."
                )
                raise Hint(f"It stopped ({said}): {hint}") from error
            unpooled = unpool(x, indices)
            require(not close(result, unpooled), "The unpooled features still have to go through `block`.")
            require(not close(result, unpool(block(x), indices)), "The other way round: unpool first, then `block`.")
            require(
                not close(result, block(upsample(x))),
                "You repeat the values instead of unpooling: this is a decoder without side information.",
            )
            require(
                not close(result, block(unpool(x, other))),
                f"These are the wrong encoder's indices: the decoder listens to {source}, so it takes {source}'s.",
            )
            require(
                not close(result, block(unpool(x, upper_left(indices)))),
                "These indices say nothing: take the encoder's.",
            )
            tensor(result, tuple(unpooled.shape))
            require(
                close(result, block(unpooled)), "This is not block(unpool(x, indices)) of the source at this stage."
            )
    return "The decoder follows whichever encoder it listens to, seen pair or not."


@checker
def your_index_agreement(answer) -> str:
    first, second = _encoding(4), _encoding(5)
    # some windows of the second room alike in both, so that no two stages and no two mistakes give the same number
    second.indices[0][1, 0] = first.indices[0][1, 0]
    second.pooled[1][0, 0] = first.pooled[1][0, 0]
    right = index_agreement(first, second)
    result = answer(first, second)
    if isinstance(result, int | float) or (isinstance(result, torch.Tensor) and result.numel() == 1):
        raise Hint("That is one number: give a list with a share for each stage, the first stage first.")
    require(isinstance(result, list | tuple | torch.Tensor), f"Return a list of shares, not a {type(result).__name__}.")
    require(len(result) == 2, f"These encodings have 2 stages, and the list has {len(result)} entries.")
    shares = [number(share) for share in result]
    pairs = list(zip(first.indices, second.indices))
    require(
        not close(shares, [(a == b).sum().item() for a, b in pairs]),
        "These are counts: divide by the number of indices.",
    )
    require(not close(shares, [100 * share for share in right]), "These are percentages: give shares from 0 to 1.")
    values = [(a == b).double().mean().item() for a, b in zip(first.pooled, second.pooled)]
    require(not close(shares, values), "You compare the pooled values: compare the indices, where each maximum stood.")
    distances = [(a - b).abs().double().mean().item() for a, b in pairs]
    require(
        not close(shares, distances),
        "You measure how far the numbers are apart, but 0 and 12 may be neighbours: count equal indices.",
    )
    rooms = [(a == b).flatten(1).all(1).double().mean().item() for a, b in pairs]
    require(not close(shares, rooms), "You ask whether all indices are equal: count each window for itself.")
    require(not close(shares, [1 - share for share in right]), "These are the shares of unequal indices.")
    require(not close(shares, right[::-1]), "The stages are in the wrong order: the first stage of the encoder first.")
    require(close(shares, right), "Not the share of windows, over rooms, channels and pixels, with equal indices.")
    return "A share for each stage, as mmlib.alignment.index_agreement computes it."


@checker
def your_statistics_shift(answer) -> str:
    scale = torch.tensor([1.0, 4.0, 0.5]).view(1, 3, 1, 1)
    reference = scale * _random(5, 3, 4, 6, seed=6)
    other = 2 * scale * _random(3, 3, 4, 6, seed=7) + torch.tensor([-1.0, 2.0, 0.25]).view(1, 3, 1, 1)
    result = answer(reference, other)
    if isinstance(result, torch.Tensor) and tuple(result.shape) == (3,):
        raise Hint("That is a number for each channel: return their mean.")
    shift = number(result)
    across = (0, 2, 3)
    means = other.mean(across) - reference.mean(across)
    deviation = reference.std(across)
    require(
        not close(shift, (means / deviation).mean()),
        "Channels that rise and channels that fall cancel out: take each channel's distance, without its sign.",
    )
    require(
        not close(shift, means.abs().mean()),
        "The distances are in the features' own units: divide each by the standard deviation of its channel.",
    )
    require(
        not close(shift, (means.abs() / other.std(across)).mean()),
        "You divide by the standard deviation of the other encoder: the decoder knows the reference.",
    )
    require(
        not close(shift, (means.abs() / reference.var(across)).mean()), "You divide by the variance: take its root."
    )
    require(
        not close(shift, (other.mean() - reference.mean()).abs() / reference.std()),
        "You take one mean over all channels: a decoder reads each channel for itself.",
    )
    places = ((other.mean(0) - reference.mean(0)).abs() / reference.std(0)).mean()
    require(not close(shift, places), "You average over rooms alone: a channel's mean is over rooms and pixels.")
    right = statistics_shift(reference, other)
    biased = (means.abs() / reference.std(across, unbiased=False)).mean().item()
    require(
        close(shift, right) or close(shift, biased), "Not the mean over channels of |difference of means| / deviation."
    )
    return "The mean shift of a channel, in standard deviations of what the decoder was trained with."
