"""Drawings of networks."""

import numpy as np
from matplotlib.patches import FancyBboxPatch

from ...evaluation import seen
from ...modalities import MODALITIES
from .picture import COLOURS, Picture, label


def diagram() -> Picture:
    """Three encoders, one latent space, three decoders: which inputs and outputs met in training (Figure 2)."""
    alt = "encoders and decoders of RGB, depth and segmentation around one latent space; depth ↔ segmentation is unseen"
    figure = Picture(8, 3.6, alt)
    axis = figure.subplots()
    axis.set(xlim=(0, 10), ylim=(-0.4, 3.3))
    axis.axis("off")
    heights = dict(zip(MODALITIES, (2.6, 1.4, 0.2)))
    for name, y in heights.items():
        for x, text in ((0.2, f"{label(name)}\nencoder"), (7.9, f"{label(name)}\ndecoder")):
            axis.add_patch(FancyBboxPatch((x, y - 0.3), 1.9, 0.6, boxstyle="round,pad=0.08", fc="white", ec="black"))
            axis.text(x + 0.95, y, text, ha="center", va="center", fontsize=11)
    t = np.linspace(0, 1, 50)
    for source, start in heights.items():
        for target, end in heights.items():
            pair = seen(source, target)
            style = {"color": COLOURS[0] if pair else COLOURS[1], "linestyle": "-" if pair else (0, (4, 2))}
            axis.plot(2.25 + 5.5 * t, start + (end - start) * t * t * (3 - 2 * t), **style, linewidth=2)
    axis.axvspan(4.5, 5.5, ymax=0.9, color="#dddddd", zorder=0)
    axis.text(5, 3.02, "one shared latent space", ha="center", fontsize=11)
    axis.plot([], [], color=COLOURS[0], linewidth=2, label="pair seen in training (or the image itself)")
    axis.plot([], [], color=COLOURS[1], linewidth=2, linestyle=(0, (4, 2)), label="unseen: zero-pair")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
