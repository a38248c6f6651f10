"""The paper's figures from results: the same rooms by every method, and what zero-pair transfer correlates with."""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from ...data.sets import Rooms
from ...modalities import modality
from .images import _columns
from .picture import COLOURS, MARKERS, Picture, label


def qualitative(made: Mapping[str, str], rooms: Rooms, places: Sequence[int], source: str, target: str) -> Picture:
    """Several methods on the same rooms, as in the paper's figures 3 to 5: one row per room, one column per method.

    `made`: method → PNG in base64, the rooms `places` side by side, as results keep them.
    """
    batch = rooms.batch(places)
    columns = [(f"input:\n{label(source)}", source, batch[source], False)]
    columns += [(_wrapped(title), target, unpacked(png, target, len(places)), False) for title, png in made.items()]
    columns.append((f"truth:\n{label(target)}", target, batch[target], False))
    return _columns(columns, batch)


def _wrapped(title: str) -> str:
    """Lines of at most 26 letters, none of which begins or ends with an arrow."""
    return textwrap.fill(title.replace(" → ", "\u00a0→\u00a0"), 26, break_on_hyphens=False).replace("\u00a0", " ")


def unpacked(png: str, target: str, count: int) -> torch.Tensor:
    """Raw images (count, 1, H, W) from a PNG in base64 that holds them side by side, as files store them."""
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(png)))).astype(np.int64)
    stored = torch.from_numpy(pixels).unflatten(1, (count, -1)).permute(1, 0, 2)[:, None]
    return modality(target).from_stored(stored)


def scattered(points: Mapping[str, Sequence[tuple[float, float]]], across: str) -> Picture:
    """Zero-pair mIoU (vertical, per cent) over `across`: each recipe's seeds have one colour and one mark."""
    figure = Picture(9.5, 4.8, "")
    axis = figure.subplots()
    for number, (name, pairs) in enumerate(points.items()):
        x, y = zip(*pairs)
        look = {"color": COLOURS[number % 6], "marker": MARKERS[(number + number // 6) % 6], "s": 55}
        axis.scatter(x, [100 * value for value in y], label=name, **look)
    axis.set(xlabel=across, ylabel="depth → segmentation, zero-pair: mIoU (%)")
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, fontsize=9, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    words = [f"{name} {np.mean([100 * y for _, y in pairs]):.1f} % at {np.mean([x for x, _ in pairs]):.2f}"
            for name, pairs in points.items()]  # fmt: skip
    figure.alt = f"zero-pair mIoU over {across}: {'; '.join(words)}"
    return figure
