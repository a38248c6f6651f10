"""How well encoders agree: a map of their latents, and alignment over the steps."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from .picture import COLOURS, MARKERS, Picture, label, line

LIMITS = {"retrieval_at_1": (-4, 104), "distance": (0, 1.15), "cka": (-0.1, 1.05)}
"""Of the axes, by measure, the same in all pictures; shares in per cent."""


def principal_components(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (points, …) → their coordinates (points, 2) on the two widest axes, and each axis' share of variance.

    Signs are fixed: the farthest point of an axis lies on its positive side.
    """
    centred = features.flatten(1).double().cpu()
    centred = centred - centred.mean(0)
    u, widths, _ = torch.linalg.svd(centred, full_matrices=False)
    coordinates = (u * widths)[:, :2]
    signs = coordinates.gather(0, coordinates.abs().argmax(0)[None]).sign()
    return coordinates * signs, (widths**2 / (widths**2).sum().clamp_min(1e-30))[:2]


def latent_map(panels: Mapping[str, Mapping[str, torch.Tensor]]) -> Picture:
    """Latents of some rooms by several encoders on two principal axes, one panel per network; lines join the same room.

    `panels`: title → modality → latents (rooms, …), the rooms in the same order. Each latent is scaled to length 1, so
    that no long one decides the picture, and each panel has axes of its own. The first room's line is black.
    """
    names = list(next(iter(panels.values())))
    alt = "each room as a polygon with a corner for each encoder, on two principal axes: " + "; ".join(panels)
    figure = Picture(4.2 * len(panels), 4.1, f"{alt}; encoders of {', '.join(map(label, names))}")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, latents) in zip(axes, panels.items()):
        count = len(latents[names[0]])
        directions = [F.normalize(latents[name].flatten(1).double()) for name in names]
        points, shares = principal_components(torch.cat(directions))
        places = points.view(len(names), count, 2)
        for room in range(count):
            ring = torch.cat([places[:, room], places[:1, room]])
            look = {"color": "black", "linewidth": 1.6, "zorder": 3} if room == 0 else {"color": "#999999"}
            axis.plot(*ring.T, **{"linewidth": 0.8, "zorder": 1} | look)
        for number, name in enumerate(names):
            look = {"color": COLOURS[number % 6], "marker": MARKERS[number % 6]}
            axis.scatter(*places[number].T, label=label(name), s=26, zorder=4, **look)
        first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
        axis.set(title=title, xlabel=f"principal axis 1 ({first})", ylabel=f"principal axis 2 ({second})")
        axis.set_aspect("equal", adjustable="datalim")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names), frameon=False)
    return figure


def alignment_over_time(curves: Mapping[str, Sequence[dict]], rooms: int | None = None) -> Picture:
    """Alignment of the latents over the training steps: one panel per measure, one line per name.

    `curves`: name → results of `mmlib.alignment`, each with its `step`. A dotted line marks chance for retrieval among
    this many `rooms`.
    """
    figure = Picture(11, 3.7, f"retrieval, distance and CKA of latents over the steps: {', '.join(curves)}")
    axes = figure.subplots(1, 3)
    measures = {
        "retrieval_at_1": "retrieval@1 (% of rooms)",
        "distance": "distance: own room / other rooms",
        "cka": "CKA of the latents",
    }
    for axis, (measure, title) in zip(axes, measures.items()):
        for number, (name, entries) in enumerate(curves.items()):
            values = [100 * e[measure] if measure == "retrieval_at_1" else e[measure][-1] for e in entries]
            look = line(number) | {"marker": MARKERS[number % 6]}
            axis.plot([entry["step"] for entry in entries], values, label=name, markersize=5, **look)
        axis.set(xlabel="training step", ylabel=title, ylim=LIMITS[measure])
    if rooms:
        axes[0].axhline(100 / rooms, color="black", linestyle=":", linewidth=1)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(curves), frameon=False)
    return figure
