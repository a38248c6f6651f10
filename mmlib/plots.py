"""Pictures of data, translations and results: every function returns a `Picture` on white, for light and dark pages.

Lines and bars use Okabe and Ito's colours, which colour-blind readers can tell apart, and a second sign beside colour
(dashes, hatching). Classes keep SceneNet's colours, with their names in a legend.
"""

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from .data import Rooms
from .evaluation import seen
from .modalities import CLASS_COLOURS, CLASSES, MODALITIES, modality

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", ":", "-.")
NO_HIT = "#999999"
NAMES = {"rgb": "RGB"}


class Picture(Figure):
    """A figure that a notebook shows once, whatever its backend."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
        self.get_layout_engine().set(h_pad=0.08)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
        return buffer.getvalue()

    _repr_png_ = png


def label(name: str) -> str:
    """A modality as people write it: RGB, depth, segmentation."""
    return NAMES.get(name, name)


# ── Images ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def rgb_image(raw: torch.Tensor) -> np.ndarray:
    """Raw RGB (3, H, W) → (H, W, 3) in 0–1."""
    return raw.permute(1, 2, 0).numpy() / 255


def depth_image(raw: torch.Tensor, farthest: float) -> np.ndarray:
    """Raw depth (1, H, W) in metres → viridis colours (H, W, 3), yellow at `farthest`; no hit is grey."""
    colormap = colormaps["viridis"].with_extremes(bad=NO_HIT)
    metres = raw[0].numpy()
    return colormap(np.ma.masked_where(metres <= 0, metres / farthest))[..., :3]


def class_image(raw: torch.Tensor) -> np.ndarray:
    """Raw class ids (1, H, W) → SceneNet's colours (H, W, 3) in 0–1."""
    return np.array(CLASS_COLOURS)[raw[0].long().numpy()] / 255


def _show(axis, name: str, raw: torch.Tensor, farthest: float) -> None:
    colour = {"rgb": rgb_image, "segmentation": class_image, "depth": lambda depth: depth_image(depth, farthest)}
    axis.imshow(colour[name](raw.cpu()), interpolation="nearest")


def _legends(figure: Picture, axes, drawn: Mapping[str, list[torch.Tensor]], farthest: float) -> None:
    """A colour bar in metres where depth was drawn, and the names of the classes where segmentation was."""
    if "depth" in drawn:
        scale = ScalarMappable(Normalize(0, farthest), colormaps["viridis"])
        bar = figure.colorbar(scale, ax=axes, shrink=0.8, pad=0.01, extend="max")
        bar.set_label("depth in metres (grey: no hit)")
    if "segmentation" in drawn:
        present = torch.cat([raw.flatten().cpu() for raw in drawn["segmentation"]]).unique().tolist()
        keys = [Patch(facecolor=np.array(CLASS_COLOURS[c]) / 255, edgecolor="black", label=CLASSES[c]) for c in present]
        figure.legend(handles=keys, loc="outside lower center", ncols=7, frameon=False, fontsize=9)


def _farthest(*depths: torch.Tensor) -> float:
    """Metres at the end of the colour bar: all but the farthest 2 % of the hits."""
    metres = torch.cat([depth[depth > 0] for depth in depths]) if depths else torch.empty(0)
    return metres.quantile(0.98).item() if len(metres) else 1.0


def _grid(rows: list[list[tuple[str, str, torch.Tensor, bool]]], farthest: float) -> Picture:
    """Rows of cells (title, modality, one raw image, zero-pair?); a title is not repeated below itself."""
    drawn: dict[str, list[torch.Tensor]] = {}
    for _, name, raw, _ in (cell for row in rows for cell in row):
        drawn.setdefault(name, []).append(raw)
    titled = len({tuple(title for title, *_ in row) for row in rows})
    figure = Picture(2.0 * len(rows[0]) + 0.9 * ("depth" in drawn), 1.9 * len(rows) + 0.5 * titled + 0.8)
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for y, row in enumerate(rows):
        for x, (title, name, raw, zero_pair) in enumerate(row):
            axis, colour = axes[y, x], COLOURS[1] if zero_pair else "black"
            _show(axis, name, raw, farthest)
            axis.set(xticks=[], yticks=[])
            if y == 0 or title != rows[y - 1][x][0]:
                axis.set_title(title, fontsize=9.5, color=colour)
            for side in axis.spines.values():
                side.set(color=colour, linewidth=3 if zero_pair else 0.5)
    _legends(figure, axes, drawn, farthest)
    return figure


@torch.inference_mode()
def _translate(model, batch: dict[str, torch.Tensor], source: str, targets: Sequence[str]):
    """Cells of one source and its translations, for all images of a raw batch: title, modality, raw, zero-pair?"""
    columns = [(f"input:\n{label(source)}", source, batch[source], False)]
    encoding = model.encode(modality(source).to_input(batch[source]), source)
    for target in targets:
        raw = modality(target).to_raw(model.decode(encoding, target))
        pair = "seen" if seen(source, target) else "unseen (zero-pair)"
        columns.append((f"{label(source)} → {label(target)}\n{pair}", target, raw, not seen(source, target)))
    return columns


def translations(
    model, batch: dict[str, torch.Tensor], sources: Sequence[str], targets: Sequence[str], truth: bool = True
) -> Picture:
    """What a model makes of a raw batch: a row an image; each source, its translations, and last the true targets.

    The title of a translation says whether its pair was seen in training; unseen ones are framed in orange.
    """
    columns = [column for source in sources for column in _translate(model, batch, source, targets)]
    columns += [(f"truth:\n{label(target)}", target, batch[target], False) for target in targets if truth]
    count = len(columns[0][2])
    rows = [[(title, name, raw[i], zero_pair) for title, name, raw, zero_pair in columns] for i in range(count)]
    return _grid(rows, _farthest(batch["depth"]) if "depth" in batch else 1.0)


def all_translations(model, batch: dict[str, torch.Tensor]) -> Picture:
    """The first room of a raw batch in all translations: a row a source, a column a target."""
    rows = [_translate(model, batch, source, model.modalities) for source in model.modalities]
    rows = [[(title, name, raw[0], zero_pair) for title, name, raw, zero_pair in row] for row in rows]
    return _grid(rows, _farthest(batch["depth"][:1]))


def splits(sets: Mapping[str, Rooms], count: int = 2) -> Picture:
    """A few rooms of each split, a row a modality; a modality that the split does not hold is an empty frame."""
    figure = Picture(1.7 * count * len(sets) + 1.2, 6.4)
    batches = {name: rooms.batch(range(min(count, len(rooms)))) for name, rooms in sets.items()}
    farthest = _farthest(*(batch["depth"] for batch in batches.values() if "depth" in batch))
    axes = figure.subplots(len(MODALITIES), count * len(sets), squeeze=False)
    drawn: dict[str, list[torch.Tensor]] = {}
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], facecolor="#eeeeee", box_aspect=1)
    for part, (split, batch) in enumerate(batches.items()):
        axes[0, part * count].set_title(f"{split}: {len(sets[split])} rooms", fontsize=11, loc="left")
        for (row, name), place in itertools.product(enumerate(MODALITIES), range(count)):
            axis = axes[row, part * count + place]
            if name not in batch:
                axis.text(0.5, 0.5, f"no {label(name)}", ha="center", va="center", transform=axis.transAxes)
            elif place < len(batch[name]):
                _show(axis, name, batch[name][place], farthest)
                drawn.setdefault(name, []).append(batch[name][place])
    for row, name in enumerate(MODALITIES):
        axes[row, 0].set_ylabel(label(name))
    _legends(figure, axes, drawn, farthest)
    return figure


# ── Networks and results ───────────────────────────────────────────────────────────────────────────────────────────


def diagram() -> Picture:
    """Three encoders, one latent space, three decoders: which inputs and outputs met in training (Figure 2)."""
    figure = Picture(8, 3.6)
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


def loss_curves(log: str | Path, phase_ends: Sequence[int] = ()) -> Picture:
    """The loss terms that `fit` wrote into `log.jsonl`, a panel a kind; dotted lines where a phase ends."""
    entries = [json.loads(line) for line in Path(log).read_text().splitlines()]
    names = list(dict.fromkeys(key for entry in entries for key in entry if "/" in key))
    kinds = list(dict.fromkeys(name.split("/")[0] for name in names))
    rows = -(-len(kinds) // 3)
    figure = Picture(10, 2.6 * rows)
    axes = figure.subplots(rows, 3, squeeze=False)
    for axis, kind in zip(axes.flat, kinds):
        for number, name in enumerate(name for name in names if name.split("/")[0] == kind):
            points = [(entry["step"], entry[name]) for entry in entries if name in entry]
            style = {"color": COLOURS[number % 6], "linestyle": STYLES[number % 4]}
            axis.plot(*zip(*points), label=name.split("/")[1], linewidth=1.5, **style)
        for end in phase_ends:
            axis.axvline(end, color="black", linestyle=":", linewidth=1)
        axis.set(title=kind.replace("_", " "), xlabel="step", ylabel="loss", yscale="log")
        axis.legend(fontsize=8, frameon=False)
    for axis in axes.flat[len(kinds) :]:
        axis.axis("off")
    return figure


def per_class_iou(rows: Mapping[str, dict]) -> Picture:
    """Bars of intersection over union by class; `rows` is label → what `evaluate` says of one translation."""
    classes = [name for name in CLASSES[1:] if any(row["iou"][name] is not None for row in rows.values())]
    figure = Picture(9, 4)
    axis = figure.subplots()
    width = 0.8 / len(rows)
    for number, (name, row) in enumerate(rows.items()):
        values = [100 * (row["iou"][c] or 0) for c in classes]
        place = np.arange(len(classes)) + (number - (len(rows) - 1) / 2) * width
        hatch = ("", "//", "..")[number % 3]
        axis.bar(place, values, width, label=name, color=COLOURS[number % 6], hatch=hatch, edgecolor="white")
    axis.set(ylim=(0, 100), ylabel="intersection over union (%)", xticks=range(len(classes)))
    axis.set_xticklabels(classes, rotation=40, ha="right")
    axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(rows))
    return figure


def headline(rows: Mapping[str, dict]) -> Picture:
    """One bar of mIoU for each label → segmentation result of `evaluate`; unseen ones are orange and hatched."""
    figure = Picture(8, 0.6 * len(rows) + 0.9)
    axis = figure.subplots()
    for place, row in enumerate(rows.values()):
        look = {"color": COLOURS[0]} if row["seen"] else {"color": COLOURS[1], "hatch": "//", "edgecolor": "white"}
        axis.barh(place, 100 * row["miou"], **look)
        axis.text(100 * row["miou"] + 1, place, f"{100 * row['miou']:.1f} %", va="center")
    axis.set(yticks=range(len(rows)), yticklabels=list(rows), xlim=(0, 100), xlabel="mIoU over 13 classes (%)")
    axis.invert_yaxis()
    return figure
