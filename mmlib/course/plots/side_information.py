"""What an encoder tells a decoder beside the latent (pooling indices or features), and its effect."""

from collections.abc import Collection, Mapping, Sequence

import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from ...evaluation import seen
from ...networks import Translator
from .images import _columns, _farthest, _show
from .picture import COLOURS, MARKERS, NO_HIT, Picture, bar_of_pair, grouped_bars, label, line

CORNERS = ("upper left", "upper right", "lower left", "lower right")
_CORNER_COLOURS = (COLOURS[0], COLOURS[4], COLOURS[5], COLOURS[1], NO_HIT)


@torch.inference_mode()
def compared(
    models: Mapping[str, Translator],
    batch: dict[str, torch.Tensor],
    source: str,
    target: str,
    given_pairs: Collection[str] = (),
) -> Picture:
    """One translation by several models, one row per image of the raw batch: input, one column per model, truth.

    `given_pairs` are the names of models that had true pairs of both, in training, or that need none.
    """
    columns = [(f"input:\n{label(source)}", source, batch[source], False)]
    for name, model in models.items():
        output = model.decode(model.encode(model.records[source].to_input(batch[source]), source), target)
        raw, title = model.records[target].to_raw(output), f"{label(source)} → {label(target)}\n{name}"
        columns.append((title, target, raw, not seen(source, target) and name not in given_pairs))
    columns.append((f"truth:\n{label(target)}", target, batch[target], False))
    return _columns(columns, batch, model.records)


@torch.inference_mode()
def index_maps(model, batch: dict[str, torch.Tensor], stage: int = 0, channels: Sequence[int] = (0, 1)) -> Picture:
    """Where the maxima stood, in the first room of a raw batch: one column per modality, its input above the maps.

    A pixel of a map is a window; its colour says at which of the four corners the pooling index of this stage and
    channel points. Grey: all four were 0 after ReLU, and the index says nothing.
    """
    names = list(model.modalities)
    alt = f"input and pooling indices of stage {stage + 1}, channels {', '.join(map(str, channels))}, for "
    figure = Picture(2.3 * len(names), 2.2 * (1 + len(channels)) + 0.6, alt + ", ".join(map(label, names)))
    axes = figure.subplots(1 + len(channels), len(names), squeeze=False)
    colours = ListedColormap(_CORNER_COLOURS)
    for column, name in enumerate(names):
        raw = batch[name][:1]
        encoding = model.encode(model.records[name].to_input(raw), name)
        _show(axes[0, column], name, raw[0], _farthest(raw) if name == "depth" else 1.0)
        axes[0, column].set_title(label(name), fontsize=11)
        indices, maxima = encoding.indices[stage][0].cpu(), encoding.pooled[stage][0].float().cpu()
        width = 2 * indices.shape[-1]  # of the plane that the indices count
        corners = torch.where(maxima > 0, indices // width % 2 * 2 + indices % 2, len(CORNERS))
        for row, channel in enumerate(channels, start=1):
            axes[row, column].imshow(
                corners[channel].numpy(), cmap=colours, vmin=-0.5, vmax=4.5, interpolation="nearest"
            )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("input")
    for row, channel in enumerate(channels, start=1):
        axes[row, 0].set_ylabel(f"indices, channel {channel}")
    keys = [Patch(facecolor=c, edgecolor="black", label=n) for c, n in zip(_CORNER_COLOURS, (*CORNERS, "all 0"))]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def agreement_by_stage(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> Picture:
    """Shares of equal pooling indices by stage: one panel per pair, one line per condition; dotted: a quarter.

    `measured`: pair → condition → shares (0 to 1), from the first stage to the last.
    """
    conditions = list(next(iter(measured.values())))
    words = "; ".join(
        f"{pair}: "
        + ", ".join(f"{name} {' '.join(f'{100 * s:.0f}' for s in shares)} %" for name, shares in row.items())
        for pair, row in measured.items()
    )
    largest = max(share for row in measured.values() for shares in row.values() for share in shares)
    figure = Picture(3.4 * len(measured), 3.6, f"share of equal pooling indices by stage. {words}")
    axes = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axis, (pair, row) in zip(axes, measured.items()):
        for number, (name, shares) in enumerate(row.items()):
            stages = range(1, len(shares) + 1)
            style = line(number) | {"marker": MARKERS[number % 4]}
            axis.plot(stages, [100 * share for share in shares], label=name, linewidth=1.8, **style)
        axis.axhline(25, color="black", linewidth=1, linestyle=":")
        axis.set(title=pair, xlabel="stage of the encoder", xticks=list(stages), ylim=(0, max(50, 110 * largest)))
    axes[0].set_ylabel("equal pooling indices (%)")
    handles, _ = axes[0].get_legend_handles_labels()
    figure.legend(handles, conditions, loc="outside lower center", ncols=len(conditions), frameon=False, fontsize=9.5)
    return figure


def side_information_bars(measured: Mapping[str, Mapping[str, float]], quoted: Mapping[str, float]) -> Picture:
    """Table 1 in bars: mIoU of the seen and the unseen translation for each kind of side information, ours and quoted.

    `measured`: kind → translation (as `depth_to_segmentation`) → mIoU (0 to 1); `quoted`: kind → the paper's for
    depth → segmentation. Data, sizes and steps differ, so only the order compares.
    """
    kinds, translations = list(measured), list(next(iter(measured.values())))
    words = "; ".join(
        f"{kind}: " + ", ".join(f"{_arrow(name)} {100 * share:.1f} %" for name, share in row.items())
        for kind, row in measured.items()
    )
    paper = ", ".join(f"{kind} {100 * share:.1f} %" for kind, share in quoted.items())
    alt = f"bars of mIoU by side information. here: {words}. paper, depth → segmentation: {paper}"
    figure = Picture(10, 3.9, alt.replace("\n", " "))
    ours, theirs = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    pairs = [seen(*name.split("_to_")) for name in translations]
    rows = {
        f"{_arrow(name)} ({'seen' if pair else 'unseen'})": [100 * measured[kind][name] for kind in kinds]
        for name, pair in zip(translations, pairs)
    }
    grouped_bars(ours, kinds, rows, map(bar_of_pair, pairs), write=True)
    ours.set(title="three shipped networks", ylabel="mIoU over 13 classes (%)")
    theirs.bar(range(len(quoted)), [100 * share for share in quoted.values()], 0.5, **bar_of_pair(False))
    for x, share in enumerate(quoted.values()):
        theirs.text(x, 100 * share, f"{100 * share:.1f}", ha="center", va="bottom", fontsize=9)
    theirs.set(title="the paper's Table 1", xticks=range(len(quoted)), xticklabels=list(quoted))
    for axis in (ours, theirs):
        axis.set_xlabel("side information")
        axis.margins(y=0.15)
    handles, names = ours.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9.5)
    return figure


def _arrow(translation: str) -> str:
    return " → ".join(map(label, translation.split("_to_")))
