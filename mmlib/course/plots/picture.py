"""The figure that all plots return, and the colours that they share."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops, ImageStat

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", ":", "-.")
HATCHES = ("", "//", "..", "xx")
MARKERS = ("o", "^", "s", "D", "v", "P")
NO_HIT = "#999999"
NAMES = {"rgb": "RGB"}
STEP = 5  # between the levels of a channel that a picture keeps, from 0 to 255


def line(number: int) -> dict:
    """Colour and dashes of a line, by its number."""
    return {"color": COLOURS[number % 6], "linestyle": STYLES[number % 4]}


def bar(number: int) -> dict:
    """Colour and hatching of a bar, by its number."""
    return {"color": COLOURS[number % 6], "hatch": HATCHES[number % 4], "edgecolor": "white"}


def bar_of_pair(seen: bool) -> dict:
    """Colour and hatching of a bar for a translation: orange and hatched where training never had the pair."""
    return {"color": COLOURS[0]} if seen else {"color": COLOURS[1], "hatch": "//", "edgecolor": "white"}


def grouped_bars(axis, groups: Sequence[str], rows: Mapping[str, Sequence[float]], looks, write: bool = False) -> None:
    """Bars side by side: one group per name, in it one bar per row (label → values); `write` shows whole values."""
    width = 0.8 / len(rows)
    for number, ((name, values), look) in enumerate(zip(rows.items(), looks)):
        places = np.arange(len(groups)) + (number - (len(rows) - 1) / 2) * width
        axis.bar(places, values, width, label=name, **look)
        for x, value in zip(places, values) if write else ():
            axis.text(x, value, f"{value:.0f}", ha="center", va="bottom", fontsize=9)
    axis.set(xticks=range(len(groups)), xticklabels=groups)


def plain_log(axis) -> None:
    """Make the y-axis logarithmic, with ticks at a few round numbers that are written plainly."""
    axis.set_yscale("log")
    bottom, top = axis.get_ylim()
    marks = (1, 2, 5) if top > 10 * bottom else (1, 1.5, 2, 3, 4, 5, 7)
    ticks = [mark * 10.0**power for power in range(-6, 7) for mark in marks if bottom <= mark * 10.0**power <= top]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


class Picture(Figure):
    """A figure on white that a notebook shows once, whatever its backend, with `alt`: what it shows, in words."""

    def __init__(self, width: float, height: float, alt: str):
        super().__init__(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
        self.get_layout_engine().set(h_pad=0.08)  # type: ignore[call-arg]  # constrained has it
        self.alt = alt

    def png(self) -> bytes:
        """The picture as a PNG file, packed by `packed`."""
        # as savefig, without its rehearsal of the whole drawing, which would double the time of an explorer's answer
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        return packed(Image.fromarray(np.asarray(canvas.buffer_rgba())))

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": base64.b64encode(self.png()).decode(), "text/plain": f"<Picture: {self.alt}>"}
        return data, {"image/png": {"alt": self.alt}}


def packed(image: Image.Image) -> bytes:
    """A drawn image as a PNG file of about half the usual size, without a visible difference.

    Every channel is rounded to multiples of `STEP`. Charts and class maps also get a palette of 256 colours: it changes
    the mean pixel by less than 0.15 levels, at the rims of letters and lines. It would make RGB images patchy.
    """
    rounded = image.convert("RGB").point([STEP * round(level / STEP) for level in range(256)] * 3)
    coloured = rounded.quantize(256)
    difference = ImageStat.Stat(ImageChops.difference(rounded, coloured.convert("RGB"))).mean
    stream = io.BytesIO()
    (coloured if max(difference) < 0.15 else rounded).save(stream, "PNG")
    return stream.getvalue()


def label(name: str) -> str:
    """A modality as people write it: RGB, depth, segmentation."""
    return NAMES.get(name, name)
