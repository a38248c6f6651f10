"""Two sources mixed: the translation for every α, and where the mistakes of the sources differ."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from ...modalities import modality
from .images import _columns, _legends, _show
from .picture import COLOURS, Picture, label, line

MEASURES = {
    "miou": ("mIoU over 13 classes (%)", 100, max),
    "delta1": ("share of pixels with δ < 1.25 (%)", 100, max),
    "psnr": ("PSNR (dB)", 1, max),
    "distance": ("squared distance to the target's latent\n(the first source alone: 100 %)", 100, min),
}
"""What may be drawn over α: axis label, factor, which end is the better."""

MARKERS = ("o", "s", "^", "D")


def reads_indices(model, target: str) -> bool:
    """Whether the decoder of `target` unpools with the pooling indices of an encoder."""
    return getattr(model.decoders[target], "side_information", "none") == "pooling"


@torch.inference_mode()
def fused(
    model,
    batch: dict[str, torch.Tensor],
    first: str,
    second: str,
    target: str,
    alphas: Sequence[float],
    indices: str = "",
) -> Picture:
    """(`first`, `second`) → `target` for some α, the weight of `second`.

    A decoder that reads pooling indices gets those of `first`, or of the source that `indices` names. One row per image
    of the raw batch: both inputs, the translation for each α, the truth.
    """
    f, g = (model.encode(model.records[name].to_input(batch[name]), name) for name in (first, second))
    columns = [(f"input:\n{label(name)}", name, batch[name], False) for name in (first, second)]
    for alpha in alphas:
        fused = f.fuse(g, alpha) if indices in ("", first) else g.fuse(f, 1 - alpha)
        raw = model.records[target].to_raw(model.decode(fused, target))
        title = f"{100 * (1 - alpha):.0f} % {label(first)},\n{100 * alpha:.0f} % {label(second)}"
        columns.append((title, target, raw, False))
    columns.append((f"truth:\n{label(target)}", target, batch[target], False))
    figure = _columns(columns, batch, model.records)
    if reads_indices(model, target):
        figure.alt += f"; pooling indices of {label(indices or first)}"
    return figure


def fusion_curves(
    panels: Mapping[tuple[str, str, str], Mapping[str, Sequence[dict]]], measure: str = "", fixed: float | None = 0.2
) -> Picture:
    """A measure over α: one panel per (first, second, target), in it one line per list that `fusion` returned.

    α is the weight of `second`, 0 to 1. A ring marks the best point of each line, a dotted line the α that was `fixed`
    beforehand. Points averaged over seeds, with their `spread`, get a band of one standard deviation. `measure` is a
    key of `MEASURES`; by default the target's. All panels span equally many units.
    """
    figure = Picture(5.4 * len(panels) + 0.6, 4.2, "")
    words = []
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, ((first, second, target), curves) in zip(axes, panels.items()):
        key = measure or modality(target).metric().headline
        title, factor, better = MEASURES[key]
        name = f"({label(first)}, {label(second)}) → {label(target)}"
        for number, (curve, points) in enumerate(curves.items()):
            alphas, values = [point["alpha"] for point in points], [factor * point[key] for point in points]
            colour, look = COLOURS[number % 6], line(number) | {"marker": MARKERS[number % 4], "markersize": 5}
            axis.plot(alphas, values, label=curve, linewidth=2, **look)
            if "spread" in points[0]:
                spread = [factor * point["spread"][key] for point in points]
                low, high = ([v + sign * s for v, s in zip(values, spread)] for sign in (-1, 1))
                axis.fill_between(alphas, low, high, color=colour, alpha=0.2, linewidth=0)
            best = values.index(better(values))
            ring = {"markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.8}
            axis.plot(alphas[best], values[best], "o", markersize=14, **ring)
            words.append(
                f"{name}, {curve}: {values[0]:.1f} at α = {alphas[0]:g}, {values[-1]:.1f} at α = {alphas[-1]:g}, "
                f"best {values[best]:.1f} at α = {alphas[best]:g}"
            )
        if fixed is not None:
            axis.axvline(fixed, color="black", linestyle=":", linewidth=1.2, label=f"α = {fixed:g}, the paper's")
        axis.set(title=name, ylabel=title, xlabel=f"α (0: latent of {label(first)} only, 1: of {label(second)} only)")
        axis.margins(y=0.12)
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.legend(frameon=False, fontsize=9)
    low, high = zip(*(axis.get_ylim() for axis in axes))
    span = max(top - bottom for bottom, top in zip(low, high))
    for axis, bottom, top in zip(axes, low, high):  # one scale, so that what hardly moves looks flat
        axis.set_ylim((bottom + top - span) / 2, (bottom + top + span) / 2)
    figure.alt = f"curves over α of {', '.join(dict.fromkeys(axis.get_ylabel() for axis in axes))}. {'; '.join(words)}"
    figure.alt = figure.alt.replace("\n", " ")
    return figure


def mistakes(
    batch: Mapping[str, torch.Tensor],
    first: torch.Tensor,
    second: torch.Tensor,
    names: Sequence[str] = ("RGB", "depth"),
) -> Picture:
    """Where two segmentations of a raw batch, class ids (N, 1, H, W), are right: one row per room.

    RGB, both predictions, the truth, and a map of who is right; pixels without a class are white.
    """
    target = batch["segmentation"]
    groups = ("both right", f"only {names[0]} right", f"only {names[1]} right", "both wrong", "no class")
    colours = ("#dddddd", COLOURS[0], COLOURS[4], "black", "white")
    group = (first != target).long() * 2 + (second != target).long()  # 0 both, 1 first alone, 2 second alone, 3 neither
    group = torch.where(target > 0, group, 4)
    shares = [f"{name} {100 * (group[target > 0] == k).float().mean():.0f} %" for k, name in enumerate(groups[:4])]
    figure = Picture(11, 2.1 * len(target) + 1.5, f"{len(target)} rooms, who is right where: {', '.join(shares)}")
    axes = figure.subplots(len(target), 5, squeeze=False)
    titles = ("RGB", f"from {names[0]}", f"from {names[1]}", "truth", "who is right")
    for row, cells in enumerate(zip(batch["rgb"], first, second, target)):
        for axis, name, raw in zip(axes[row], ("rgb", *["segmentation"] * 3), cells):
            _show(axis, name, raw, 1.0)
        who = group[row, 0].numpy()
        axes[row, 4].imshow(who, cmap=ListedColormap(colours), vmin=0, vmax=4, interpolation="nearest")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=11)
    _legends(figure, axes, {"segmentation": [first, second, target]}, 1.0)
    present = [k for k in range(5) if np.isin(k, group.numpy())]
    keys = [Patch(facecolor=colours[k], edgecolor="black", label=groups[k]) for k in present]
    figure.legend(handles=keys, loc="outside upper right", ncols=5, frameon=False, fontsize=9)
    return figure
