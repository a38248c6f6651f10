"""What happens inside: pooling and its indices, and latents that are mixed."""

import torch
from matplotlib import colormaps
from matplotlib.patches import Rectangle

from ..blocks import pool, unpool, upper_left
from ..modalities import modality
from .images import _farthest, _grid
from .picture import COLOURS, Picture, label


def pooling(values: torch.Tensor) -> Picture:
    """Max pooling of one small image (H, W) with its indices, and unpooling with them and with ones that say nothing.

    Maxima are framed in orange; indices count the pixels of the image row by row from 0.
    """
    image = values[None, None].float()
    pooled, indices = pool(image)
    parts = [
        ("image", values, indices),
        ("pooled: the maxima", pooled[0, 0], None),
        ("their indices", indices[0, 0], None),
        ("unpooled by the indices", unpool(pooled, indices)[0, 0], indices),
        ("unpooled without:\nupper left corners", unpool(pooled, upper_left(indices))[0, 0], upper_left(indices)),
    ]
    alt = "; ".join(f"{title}: {part.int().tolist()}" for title, part, _ in parts).replace("\n", " ")
    figure = Picture(12, 2.9, alt)
    largest = max(float(values.max()), 1.0)
    for axis, (title, part, framed) in zip(figure.subplots(1, len(parts)), parts):
        shown = torch.zeros_like(part, dtype=torch.float32) if title == "their indices" else part
        axis.imshow(shown, cmap=colormaps["Blues"], vmin=0, vmax=1.6 * largest)
        height, width = part.shape
        for y in range(height):
            for x in range(width):
                axis.text(x, y, f"{part[y, x].item():.0f}", ha="center", va="center", fontsize=12)
        for place in [] if framed is None else framed.flatten().tolist():
            y, x = divmod(place, width)
            axis.add_patch(_frame(x, y))
        for edge in range(0, width + 1, 2 if width == values.shape[1] else 1):
            axis.axvline(edge - 0.5, color="black", linewidth=1)
        for edge in range(0, height + 1, 2 if height == values.shape[0] else 1):
            axis.axhline(edge - 0.5, color="black", linewidth=1)
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=11)
    return figure


def _frame(x: int, y: int):
    return Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, fill=False, edgecolor=COLOURS[1], linewidth=2.5)


@torch.inference_mode()
def fused(model, batch: dict[str, torch.Tensor], first: str, second: str, target: str, alphas) -> Picture:
    """(`first`, `second`) → `target` for some α, the weight of `second`, with the pooling indices of `first`.

    A row an image of the raw batch: both inputs, the translation for each α, the truth.
    """
    f, g = (model.encode(modality(name).to_input(batch[name]), name) for name in (first, second))
    columns = [(f"input:\n{label(name)}", name, batch[name], False) for name in (first, second)]
    for alpha in alphas:
        raw = modality(target).to_raw(model.decode(f.fuse(g, alpha), target))
        title = f"{100 * (1 - alpha):.0f} % {label(first)},\n{100 * alpha:.0f} % {label(second)}"
        columns.append((title, target, raw, False))
    columns.append((f"truth:\n{label(target)}", target, batch[target], False))
    rows = [[(t, name, raw[i], zero_pair) for t, name, raw, zero_pair in columns] for i in range(len(batch[first]))]
    return _grid(rows, _farthest(batch["depth"]) if "depth" in batch else 1.0)
