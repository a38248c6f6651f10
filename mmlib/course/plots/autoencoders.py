"""Copies side by side, losses drawn as functions, and what encoders write into their latents."""

from collections.abc import Collection, Mapping

import torch
from matplotlib import colormaps

from .images import _columns
from .picture import Picture, label, line


def copies(name: str, columns: Mapping[str, torch.Tensor], mixed: Collection[str] = ()) -> Picture:
    """Raw images (N, C, H, W) of one modality: a row per image, a column per title; `mixed` are framed in orange."""
    batch = {name: next(iter(columns.values()))}
    return _columns([(title, name, raw, title in mixed) for title, raw in columns.items()], batch)


def functions(x: torch.Tensor, panels: Mapping[str, Mapping[str, torch.Tensor]], xlabel: str) -> Picture:
    """Functions of `x` (n,): one panel per title, one line per label; a panel is label → values (n,)."""
    alt = "; ".join(f"{title} over {xlabel}: {', '.join(lines)}" for title, lines in panels.items())
    figure = Picture(min(4.6 * len(panels), 12), 3.4, alt)
    for axis, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items()):
        for number, (name, values) in enumerate(lines.items()):
            axis.plot(x.detach().numpy(), values.detach().numpy(), label=name, linewidth=2, **line(number))
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set(title=title, xlabel=xlabel)
        if len(lines) == 1:
            axis.set_ylabel(*lines)
        else:
            axis.legend(frameon=False, fontsize=9)
    return figure


def latent_channels(latents: Mapping[str, torch.Tensor], count: int = 8) -> Picture:
    """The first channels of some encoders' latents (C, H, W) of one room: one row per encoder, one column per channel.

    Each row is scaled by its own largest value, which is yellow; 0 is dark.
    """
    alt = f"first {count} latent channels of {', '.join(latents)}".replace("\n", " ")
    figure = Picture(1.2 * count + 1.4, 1.25 * len(latents) + 0.7, alt)
    axes = figure.subplots(len(latents), count, squeeze=False)
    for place, (row, (name, latent)) in enumerate(zip(axes, latents.items())):
        shown = latent[:count].detach().float().cpu()
        largest = shown.max().item()
        for channel, axis in enumerate(row):
            axis.set(xticks=[], yticks=[])
            if channel >= len(shown):
                axis.axis("off")
                continue
            axis.imshow(shown[channel].numpy(), cmap=colormaps["viridis"], vmin=0, vmax=largest if largest > 0 else 1.0)
            if place == 0:
                axis.set_title(f"channel {channel}", fontsize=9)
        row[0].set_ylabel(label(name), fontsize=10)
    return figure
