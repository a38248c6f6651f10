"""Plausible mistakes in the exercises of notebook 03, with the hint meant for each."""

import torch

from mmlib.blocks import unpool, upper_left, upsample


def named(name: str):
    """Give a mistake the name that the exercise demands."""

    def rename(function):
        function.__name__ = name
        return function

    return rename


def windows(image):
    return image.unfold(0, 2, 2).unfold(1, 2, 2).flatten(2)  # (H/2, W/2, 4)


def places(image):
    """Values, and row and column of each window's maximum."""
    values, place = windows(image).max(2)
    height, width = image.shape
    rows = 2 * torch.arange(height // 2)[:, None] + place // 2
    return values, rows, 2 * torch.arange(width // 2) + place % 2


@named("your_pool")
def window_places(image):
    return windows(image).max(2)


@named("your_pool")
def columns_first(image):
    values, rows, columns = places(image)
    return values, columns * image.shape[0] + rows


@named("your_pool")
def pooled_width(image):
    values, rows, columns = places(image)
    return values, rows * (image.shape[1] // 2) + columns


@named("your_pool")
def window_corners(image):
    values, rows, columns = places(image)
    return values, (rows // 2 * 2) * image.shape[1] + columns // 2 * 2


@named("your_pool")
def smallest(image):
    values, place = windows(image).min(2)
    return values, place


@named("your_pool")
def means(image):
    return windows(image).mean(2), windows(image).max(2)[1]


@named("your_pool")
def indices_first(image):
    values, rows, columns = places(image)
    return rows * image.shape[1] + columns, values


@named("your_pool")
def values_alone(image):
    return windows(image).max(2)[0]


@named("your_pool")
def always_six_wide(image):
    values, rows, columns = places(image)
    return values, rows * 6 + columns


@named("your_pool")
def last_of_equals(image):
    values = windows(image).max(2)[0]
    place = 3 - windows(image).flip(2).max(2)[1]
    rows = 2 * torch.arange(image.shape[0] // 2)[:, None] + place // 2
    return values, rows * image.shape[1] + 2 * torch.arange(image.shape[1] // 2) + place % 2


@named("your_unpool")
def repeats(values, indices):
    return upsample(values[None, None])[0, 0]


@named("your_unpool")
def corners(values, indices):
    return unpool(values[None, None], upper_left(indices)[None, None])[0, 0]


@named("your_unpool")
def swapped_axes(values, indices):
    height, width = (2 * side for side in values.shape)
    result = torch.zeros(height, width)
    result[indices % height, indices // height] = values
    return result


@named("your_unpool")
def transposed(values, indices):
    return unpool(values[None, None], indices[None, None])[0, 0].T


@named("your_unpool")
def numbers_for_values(values, indices):
    return unpool(indices[None, None].float(), indices[None, None])[0, 0]


@named("your_unpool")
def not_reshaped(values, indices):
    result = torch.zeros(4 * values.numel())
    result[indices.flatten()] = values.flatten()
    return result


@named("your_decoder_step")
def wrong_encoder(x, encodings, source, stage, block):
    return block(unpool(x, encodings["rgb"].indices[stage]))


@named("your_decoder_step")
def no_block(x, encodings, source, stage, block):
    return unpool(x, encodings[source].indices[stage])


@named("your_decoder_step")
def block_first(x, encodings, source, stage, block):
    return unpool(block(x), encodings[source].indices[stage])


@named("your_decoder_step")
def repeated(x, encodings, source, stage, block):
    return block(upsample(x))


@named("your_decoder_step")
def stages_from_the_latent(x, encodings, source, stage, block):
    return block(unpool(x, encodings[source].indices[-1 - stage]))


@named("your_index_agreement")
def one_number(first, second):
    return sum((a == b).float().mean() for a, b in zip(first.indices, second.indices)) / len(first.indices)


@named("your_index_agreement")
def values_compared(first, second):
    return [(a == b).float().mean().item() for a, b in zip(first.pooled, second.pooled)]


@named("your_index_agreement")
def counts(first, second):
    return [(a == b).sum().item() for a, b in zip(first.indices, second.indices)]


@named("your_index_agreement")
def distances(first, second):
    return [(a - b).abs().float().mean().item() for a, b in zip(first.indices, second.indices)]


@named("your_index_agreement")
def everything_equal(first, second):
    return [float(torch.equal(a, b)) for a, b in zip(first.indices, second.indices)]


@named("your_index_agreement")
def last_stage_alone(first, second):
    return [(first.indices[-1] == second.indices[-1]).float().mean().item()]


@named("your_statistics_shift")
def signed(reference, other):
    across = (0, 2, 3)
    return ((other.mean(across) - reference.mean(across)) / reference.std(across)).mean()


@named("your_statistics_shift")
def not_divided(reference, other):
    return (other.mean((0, 2, 3)) - reference.mean((0, 2, 3))).abs().mean()


@named("your_statistics_shift")
def wrong_deviation(reference, other):
    across = (0, 2, 3)
    return ((other.mean(across) - reference.mean(across)).abs() / other.std(across)).mean()


@named("your_statistics_shift")
def all_channels_at_once(reference, other):
    return (other.mean() - reference.mean()).abs() / reference.std()


@named("your_statistics_shift")
def rooms_alone(reference, other):
    return ((other.mean(0) - reference.mean(0)).abs() / reference.std(0)).mean()


@named("your_statistics_shift")
def not_averaged(reference, other):
    across = (0, 2, 3)
    return (other.mean(across) - reference.mean(across)).abs() / reference.std(across)


WRONG_ANSWERS = [
    (window_places, "numbers all pixels of the image's plane"),
    (columns_first, "rows and columns are swapped"),
    (pooled_width, "multiplied by the wrong width"),
    (window_corners, "where is the maximum?"),
    (smallest, "smallest of each window"),
    (means, "not the largest of each 2×2 window"),
    (indices_first, "The two are swapped"),
    (values_alone, "Return two tensors"),
    (always_six_wide, "wrong for one of 6×4"),
    (last_of_equals, "the first of them, row by row"),
    (repeats, "You repeat each value"),
    (corners, "use the indices"),
    (swapped_axes, "read column by column"),
    (transposed, "rows and columns are swapped"),
    (numbers_for_values, "not where its index says"),
    (not_reshaped, "it should be (4, 6)"),
    (wrong_encoder, "wrong encoder's indices"),
    (no_block, "still have to go through `block`"),
    (block_first, "unpool first, then `block`"),
    (repeated, "without side information"),
    (stages_from_the_latent, "`stage` counts the encoder's stages from 0"),
    (one_number, "a list with a share for each stage"),
    (values_compared, "You compare the pooled values"),
    (counts, "divide by the number of indices"),
    (distances, "0 and 12 may be neighbours"),
    (everything_equal, "count each window for itself"),
    (last_stage_alone, "the list has 1 entries"),
    (signed, "cancel out"),
    (not_divided, "divide each by the standard deviation"),
    (wrong_deviation, "the decoder knows the reference"),
    (all_channels_at_once, "one mean over all channels"),
    (rooms_alone, "over rooms alone"),
    (not_averaged, "a number for each channel"),
]
