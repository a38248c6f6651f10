"""The figure that all plots return, and the colours that they share."""

import base64
import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", ":", "-.")
HATCHES = ("", "//", "..", "xx")
MARKERS = ("o", "^", "s", "D", "v", "P")
NO_HIT = "#999999"
NAMES = {"rgb": "RGB"}


class Picture(Figure):
    """A figure on white that a notebook shows once, whatever its backend, with `alt`: what it shows, in words."""

    def __init__(self, width: float, height: float, alt: str):
        super().__init__(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
        self.get_layout_engine().set(h_pad=0.08)
        self.alt = alt

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        # as savefig, without its rehearsal of the whole drawing, which would double the time of an explorer's answer
        FigureCanvasAgg(self).print_png(buffer, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": base64.b64encode(self.png()).decode(), "text/plain": f"<Picture: {self.alt}>"}
        return data, {"image/png": {"alt": self.alt}}


def label(name: str) -> str:
    """A modality as people write it: RGB, depth, segmentation."""
    return NAMES.get(name, name)
