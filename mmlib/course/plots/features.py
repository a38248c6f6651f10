"""What happens inside: pooling and its indices."""

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.patches import Rectangle

from ...blocks import pool, unpool, upper_left
from .picture import COLOURS, Picture


def pooling(values: torch.Tensor) -> Picture:
    """Max pooling of one small image (H, W) with its indices, and unpooling with these and with all upper left.

    The pixels of the image carry their number, row by row from 0, small in a corner. The maxima, and the places
    to which the values go back, are framed in orange.
    """
    pooled, indices = pool(values[None, None].float())
    corners = upper_left(indices)
    parts = [
        ("image", values, indices),
        ("pooled:\nthe maxima", pooled[0, 0], None),
        ("their indices", indices[0, 0], None),
        ("unpooled\nby the indices", unpool(pooled, indices)[0, 0], indices),
        ("unpooled without:\nall upper left", unpool(pooled, corners)[0, 0], corners),
    ]
    words = "; ".join(f"{title}: {[[f'{v:g}' for v in row] for row in part.tolist()]}" for title, part, _ in parts)
    figure = Picture(12, 2.9, words.replace("\n", " ").replace("'", ""))
    figure.set_layout_engine("none")  # nothing to make room for: fixed places are found in half the time
    space = {"left": 0.01, "right": 0.99, "bottom": 0.02, "top": 0.82, "wspace": 0.08}
    largest = max(float(values.max()), 1.0)
    for axis, (title, part, framed) in zip(figure.subplots(1, len(parts), gridspec_kw=space), parts):
        height, width = part.shape
        full = part.shape == values.shape
        shown = torch.zeros_like(pooled[0, 0]) if title == "their indices" else part
        axis.imshow(shown.numpy(), cmap=colormaps["Blues"], vmin=0, vmax=1.6 * largest)
        for place, value in enumerate(part.flatten().tolist()):
            y, x = divmod(place, width)
            axis.text(x, y, f"{value:g}", ha="center", va="center", fontsize=12)
            if title == "image":
                axis.text(x - 0.38, y - 0.36, place, ha="left", va="top", fontsize=7, color="#444444")
        for place in framed.flatten().tolist() if full else []:
            y, x = divmod(place, width)
            axis.add_patch(_frame(x, y))
        side = 2 if full else 1
        axis.vlines(np.arange(0, width + 1, side) - 0.5, -0.5, height - 0.5, color="black", linewidth=1)
        axis.hlines(np.arange(0, height + 1, side) - 0.5, -0.5, width - 0.5, color="black", linewidth=1)
        axis.set(xlim=(-0.55, width - 0.45), ylim=(height - 0.45, -0.55), frame_on=False)
        axis.xaxis.set_visible(False)
        axis.yaxis.set_visible(False)
        axis.set_title(title, fontsize=11, y=1.0)
    return figure


def _frame(x: int, y: int):
    return Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, fill=False, edgecolor=COLOURS[1], linewidth=2.5)
