"""Exercises of notebook 03: pooling and unpooling by hand, whose indices a decoder takes, and how alike they are."""

import torch

from ...alignment import index_agreement
from ...blocks import ConvolutionBlock, pool, unpool, upper_left, upsample
from ...networks import Encoding
from . import checker, explained, generator, number, require, tensor


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=generator(seed))


# ── your_pool ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _pool(image):
    values, indices = pool(image[None, None])
    return values[0, 0], indices[0, 0]


def _numbered(number):
    """A wrong pooling whose indices are `number(row, column, height, width)` of each maximum."""

    def wrong(image):
        values, where = _pool(image)
        height, width = image.shape
        return values, number(where // width, where % width, height, width)

    return wrong


def _last_of_equals(image):
    values, where = _pool(image.flip(0, 1))
    return values.flip(0, 1), image.numel() - 1 - where.flip(0, 1)


POOL = [
    ("The two are swapped: first the values, then the indices.", lambda image: _pool(image)[::-1]),
    ("You keep the smallest of each window, not the largest.", lambda image: (-_pool(-image)[0], _pool(-image)[1])),
    ("You number the four pixels of each window anew; PyTorch numbers all pixels of the image's plane.",
     _numbered(lambda row, column, height, width: 2 * (row % 2) + column % 2)),
    ("You count column by column: rows and columns are swapped. PyTorch goes through the plane row by row.",
     _numbered(lambda row, column, height, width: column * height + row)),
    ("The row is multiplied by the wrong width: indices count the pixels of the image, not of the pooled one.",
     _numbered(lambda row, column, height, width: row * (width // 2) + column)),
    ("These are the upper left pixels of the windows: where is the maximum?",
     _numbered(lambda row, column, height, width: row // 2 * 2 * width + column // 2 * 2)),
    ("Right for a 4×6 image, wrong for one of 6×4: the row is multiplied by the image's width.",
     _numbered(lambda row, column, height, width: row * 6 + column)),
    ("Where several pixels are largest, PyTorch points at the first of them, row by row.", _last_of_equals),
]  # fmt: skip


@checker(_pool, POOL)
def your_pool(answer) -> str:
    image = torch.tensor([[1, 2, 0, 5, 4, 6], [3, 9, 4, 1, 8, 7], [7, 0, 2, 3, 1, 2], [6, 1, 8, 0, 9, 5]]).float()

    def pooled(f, image, part: int) -> torch.Tensor:
        result = f(image)
        two = isinstance(result, tuple | list) and len(result) == 2
        require(two, "Return two tensors, the values and the indices: `return values, indices`.")
        height, width = image.shape
        return [tensor(part, (height // 2, width // 2)) for part in result][part]

    answer.expect(
        lambda f: pooled(f, image, 0),
        "The values are not the largest of each 2×2 window; windows do not overlap.",
    )
    whole = not pooled(answer, image, 1).is_floating_point()
    require(whole, "Indices are whole numbers: give them as int64, not as floats.")
    for other, otherwise in (
        (image, "The values are right, the indices are not: row · width + column, in the image."),
        (_random(6, 4), "Right for a 4×6 image, wrong for one of 6×4."),
        (torch.zeros(4, 4), "For an image of 0 alone the indices should be {right}."),
    ):
        for part in (0, 1):
            answer.expect(lambda f, other=other, part=part: pooled(f, other, part), otherwise)
    return "Values and indices are those of F.max_pool2d, equal pixels included."


# ── your_unpool ────────────────────────────────────────────────────────────────────────────────────────────────────


def _unpool(values, indices):
    return unpool(values[None, None], indices[None, None])[0, 0]


def _column_by_column(values, indices):
    height, width = (2 * side for side in values.shape)
    plane = torch.zeros(height, width)
    plane[indices % height, indices // height] = values
    return plane


UNPOOL = [
    ("You repeat each value in its whole window: that is what a decoder does without indices.",
     lambda values, indices: upsample(values[None, None])[0, 0]),
    ("All values stand in the upper left corners: use the indices.",
     lambda values, indices: _unpool(values, upper_left(indices[None, None])[0, 0])),
    ("The indices are read column by column: index 7 of a plane 6 wide is row 1, column 1.", _column_by_column),
]  # fmt: skip


@checker(_unpool, UNPOOL)
def your_unpool(answer) -> str:
    values, indices = _pool(_random(4, 6, seed=1))
    values = 10 * values + 1

    def plane(f) -> torch.Tensor:
        result = tensor(f(values, indices))
        turned = "The result's shape is (6, 4): rows and columns are swapped, it should be (4, 6)."
        require(tuple(result.shape) != (6, 4), turned)
        return tensor(result, (4, 6))

    empty = (plane(answer) == 0).any()
    answer.expect(
        plane,
        "Some value is not where its index says; all other pixels are 0."
        if empty
        else "No pixel is 0: only the places that the indices name take a value.",
    )
    return "Each value is back where its maximum stood, as F.max_unpool2d puts it."


# ── your_decoder_step ──────────────────────────────────────────────────────────────────────────────────────────────


def _encoding(seed: int) -> Encoding:
    """Two rooms' random features through pooling alone: (2, 3, 8, 8) → (2, 3, 4, 4) → (2, 3, 2, 2)."""
    features = _random(2, 3, 8, 8, seed=seed)
    first, first_indices = pool(features)
    second, second_indices = pool(first)
    return Encoding(second, (first, second), (first_indices, second_indices), ())


def _unpooled(x, encodings, source, stage):
    return unpool(x, encodings[source].indices[stage])


def _other(encodings, source):
    return next(name for name in encodings if name != source)


DECODER_STEP = [
    ("The unpooled features still have to go through `block`.",
     lambda x, encodings, source, stage, block: _unpooled(x, encodings, source, stage)),
    ("The other way round: unpool first, then `block`.",
     lambda x, encodings, source, stage, block: _unpooled(block(x), encodings, source, stage)),
    ("You repeat the values instead of unpooling: this is a decoder without side information.",
     lambda x, encodings, source, stage, block: block(upsample(x))),
    ("These are the wrong encoder's indices: the image comes from `source`, so take the indices of that encoder.",
     lambda x, encodings, source, stage, block: block(_unpooled(x, encodings, _other(encodings, source), stage))),
    ("These indices carry no information: take the encoder's.",
     lambda x, encodings, source, stage, block: block(unpool(x, upper_left(encodings[source].indices[stage])))),
]  # fmt: skip


@checker(lambda x, encodings, source, stage, block: block(_unpooled(x, encodings, source, stage)), DECODER_STEP)
def your_decoder_step(answer) -> str:
    encodings = {"rgb": _encoding(1), "depth": _encoding(2)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = ConvolutionBlock(3, 3).eval()
    refused = (
        "It stopped ({message}): indices must have the shape of x. `stage` counts the encoder's stages from 0; so does "
        "`indices`."
    )
    for source, stage in (("depth", 0), ("depth", 1), ("rgb", 0)):
        x = _random(2, 3, 4 // 2**stage, 4 // 2**stage, seed=3)
        with torch.no_grad(), explained(refused, RuntimeError):
            answer.expect(
                lambda f, x=x, source=source, stage=stage: tensor(f(x, encodings, source, stage, block)).detach(),
                "This is not block(unpool(x, indices)) of the source at this stage.",
            )
    return "The decoder uses the indices of the encoder that it gets, for seen and unseen pairs."


# ── your_index_agreement ───────────────────────────────────────────────────────────────────────────────────────────


def _by_stage(measure):
    """A wrong agreement: `measure` of the indices of both encodings, stage by stage."""
    return lambda first, second: [measure(a, b).item() for a, b in zip(first.indices, second.indices)]


INDEX_AGREEMENT = [
    ("These are counts: divide by the number of indices.", _by_stage(lambda a, b: (a == b).sum())),
    ("These are percentages: give shares from 0 to 1.",
     lambda first, second: [100 * share for share in index_agreement(first, second)]),
    ("You compare the pooled values: compare the indices, where each maximum stood.",
     lambda first, second: [(a == b).double().mean().item() for a, b in zip(first.pooled, second.pooled)]),
    ("You measure how far the numbers are apart, but 0 and 12 may be neighbours: count equal indices.",
     _by_stage(lambda a, b: (a - b).abs().double().mean())),
    ("You ask whether all indices are equal: count each window for itself.",
     _by_stage(lambda a, b: (a == b).all().double()),
     _by_stage(lambda a, b: (a == b).flatten(1).all(1).double().mean())),
    ("These are the shares of unequal indices.", _by_stage(lambda a, b: (a != b).double().mean())),
    ("The stages are in the wrong order: the first stage of the encoder first.",
     lambda first, second: index_agreement(first, second)[::-1]),
]  # fmt: skip


@checker(index_agreement, INDEX_AGREEMENT)
def your_index_agreement(answer) -> str:
    first, second = _encoding(4), _encoding(5)
    # some windows of the second room alike in both, so that no two stages and no two mistakes give the same number
    second.indices[0][1, 0] = first.indices[0][1, 0]
    second.pooled[1][0, 0] = first.pooled[1][0, 0]

    def shares(f) -> list[float]:
        result = f(first, second)
        one = isinstance(result, int | float) or (isinstance(result, torch.Tensor) and result.numel() == 1)
        require(not one, "That is one number: give a list with a share for each stage, the first stage first.")
        right = isinstance(result, list | tuple | torch.Tensor)
        require(right, f"Return a list of shares, not a {type(result).__name__}.")
        require(len(result) == 2, f"These encodings have 2 stages, and the list has {len(result)} entries.")
        return [number(share) for share in result]

    answer.expect(shares, "Not the share of windows, over rooms, channels and pixels, with equal indices.")
    return "A share for each stage, as mmlib.alignment.index_agreement computes it."
