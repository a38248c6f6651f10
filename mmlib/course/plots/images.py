"""Images of all modalities, and what networks make of them."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Patch

from ...data.sets import Rooms
from ...evaluation import seen
from ...modalities import KNOWN, MODALITIES, Modality
from .picture import COLOURS, Picture, label


def _show(axis, name: str, raw: torch.Tensor, farthest: float, records: Mapping[str, Modality] = KNOWN) -> None:
    """Draw a raw image in the colours of its record."""
    axis.imshow(records[name].colours(raw.cpu(), farthest), interpolation="nearest")


def _classes(drawn: Mapping[str, list[torch.Tensor]], records: Mapping[str, Modality] = KNOWN) -> list[Patch]:
    """A key for each class in the segmentations that were drawn."""
    keys = []
    for record, raw in ((records[name], raw) for name, raw in drawn.items()):
        present = torch.cat([image.flatten().cpu() for image in raw]).unique().tolist() if record.classes else []
        colours = record.colours(torch.tensor([[present]]), 1.0)[0] if present else []
        keys += [Patch(facecolor=f, edgecolor="black", label=record.classes[c]) for f, c in zip(colours, present)]
    return keys


def _metres(figure: Picture, farthest: float, **place) -> None:
    """A colour bar in metres."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, farthest), colormaps["viridis"]), extend="max", **place)
    bar.set_label("depth in metres (grey: no hit)")


def _legends(figure: Picture, axes, drawn: Mapping[str, list[torch.Tensor]], farthest: float) -> None:
    """A colour bar in metres where depth was drawn, and the names of the classes where segmentation was."""
    if "depth" in drawn:
        _metres(figure, farthest, ax=axes, shrink=0.8, pad=0.01)
    if keys := _classes(drawn):
        columns = min(7, int(figure.get_figwidth() / 1.1))
        figure.legend(handles=keys, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def _farthest(*depths: torch.Tensor) -> float:
    """Metres at the end of the colour bar: all but the farthest 2 % of the hits."""
    metres = torch.cat([depth[depth > 0] for depth in depths]) if depths else torch.empty(0)
    return metres.quantile(0.98).item() if len(metres) else 1.0


def _grid(
    rows: list[list[tuple[str, str, torch.Tensor, bool]]], farthest: float, records: Mapping[str, Modality] = KNOWN
) -> Picture:
    """Rows of cells (title, modality, one raw image, zero-pair?); a title is not repeated below itself.

    Everything has a fixed place, in inches, because a computed layout would double the time of an explorer's answer.
    """
    drawn: dict[str, list[torch.Tensor]] = {}
    for _, name, raw, _ in (cell for row in rows for cell in row):
        drawn.setdefault(name, []).append(raw)
    titles = [[title for title, *_ in row] for row in rows]
    alt = "; ".join(dict.fromkeys(", ".join(title.replace("\n", " ") for title in row) for row in titles))
    alt = f"{len(rows)} row{'s' * (len(rows) > 1)} of images: {alt}"

    new = [[y == 0 or title != titles[y - 1][x] for x, title in enumerate(row)] for y, row in enumerate(titles)]
    lines = [max((t.count("\n") + 1) * n for t, n in zip(*pair)) for pair in zip(titles, new)]
    keys, side, step = _classes(drawn, records), 1.85, 2.0
    width = step * len(rows[0]) + 0.9 * ("depth" in drawn)
    columns = max(1, min(7, int(width / 1.1)))
    below = 0.1 + 0.22 * -(-len(keys) // columns)
    height = sum(0.12 + 0.17 * count for count in lines) + side * len(rows) + 0.1 + below
    figure = Picture(width, height, alt)
    figure.set_layout_engine("none")
    top = height
    for y, row in enumerate(rows):
        top -= 0.12 + 0.17 * lines[y] + side
        for x, (title, name, raw, zero_pair) in enumerate(row):
            colour = COLOURS[1] if zero_pair else "black"
            place = ((step * x + (step - side) / 2) / width, top / height, side / width, side / height)
            axis = figure.add_axes(place)
            _show(axis, name, raw, farthest, records)
            axis.xaxis.set_visible(False)
            axis.yaxis.set_visible(False)
            if new[y][x]:
                axis.set_title(title, fontsize=9.5, color=colour, y=1.0, pad=4)
            for edge in axis.spines.values():
                edge.set(color=colour, linewidth=3 if zero_pair else 0.5)
    if "depth" in drawn:
        tall = height - 0.12 - 0.17 * lines[0] - top
        bar = figure.add_axes(((width - 0.82) / width, (top + 0.1 * tall) / height, 0.15 / width, 0.8 * tall / height))
        _metres(figure, farthest, cax=bar)
    if keys:
        figure.legend(handles=keys, loc="lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _columns(
    columns: list[tuple[str, str, torch.Tensor, bool]],
    batch: dict[str, torch.Tensor],
    records: Mapping[str, Modality] = KNOWN,
) -> Picture:
    """A row for each image of a raw batch; columns of (title, modality, raw images, zero-pair?)."""
    count = len(columns[0][2])
    rows = [[(title, name, raw[i], zero_pair) for title, name, raw, zero_pair in columns] for i in range(count)]
    return _grid(rows, _farthest(batch["depth"]) if "depth" in batch else 1.0, records)


@torch.inference_mode()
def _translate(model, batch: dict[str, torch.Tensor], source: str, targets: Sequence[str], trained=seen):
    """Cells of one source and its translations, for all images of a raw batch: title, modality, raw, zero-pair?"""
    columns = [(f"input:\n{label(source)}", source, batch[source], False)]
    encoding = model.encode(model.records[source].to_input(batch[source]), source)
    for target in targets:
        raw = model.records[target].to_raw(model.decode(encoding, target))
        pair = "seen" if trained(source, target) else "unseen (zero-pair)"
        columns.append((f"{label(source)} → {label(target)}\n{pair}", target, raw, not trained(source, target)))
    return columns


def translations(
    model,
    batch: dict[str, torch.Tensor],
    sources: Sequence[str],
    targets: Sequence[str],
    truth: bool = True,
    trained: Callable[[str, str], bool] = seen,
) -> Picture:
    """What a model makes of a raw batch, one row per image: each source, its translations, and last the true targets,
    as far as the batch holds them.

    The title of a translation says whether training had pairs of source and target, as `trained` tells; unseen
    translations are framed in orange.
    """
    columns = [column for source in sources for column in _translate(model, batch, source, targets, trained)]
    known = [target for target in targets if truth and target in batch]
    columns += [(f"truth:\n{label(target)}", target, batch[target], False) for target in known]
    return _columns(columns, batch, model.records)


def sheet(
    images: Sequence[Mapping[str, torch.Tensor]],
    source: str,
    records: Mapping[str, Modality] = KNOWN,
    trained: Callable[[str, str], bool] = seen,
    measured: Mapping[str, torch.Tensor] = {},  # noqa: B006 - read alone
) -> Picture:
    """Images of any shape and their translations, one row per image: raw images (C, H, W) by modality.

    `measured`: the truth of one image, where it is known.
    """
    rows = [
        [
            (f"input:\n{label(name)}", name, raw, False)
            if name == source
            else (f"{label(source)} → {label(name)}", name, raw, not trained(source, name))
            for name, raw in made.items()
        ]
        + [(f"measured:\n{label(name)}", name, raw, False) for name, raw in measured.items()]
        for made in images
    ]
    depths = [raw for made in (*images, measured) for name, raw in made.items() if name == "depth"]
    return _grid(rows, _farthest(*depths), records)


def raw_images(batch: dict[str, torch.Tensor], records: Mapping[str, Modality] = KNOWN) -> Picture:
    """A raw batch as it is: one row per image, one column per modality."""
    return _columns([(label(name), name, raw, False) for name, raw in batch.items()], batch, records)


def all_translations(model, batch: dict[str, torch.Tensor], trained: Callable[[str, str], bool] = seen) -> Picture:
    """The first room of a raw batch in all translations: one row per source that it holds, one column per target.

    `trained(source, target)` tells whether training had such pairs; the default is zero-pair training.
    """
    rows = [
        _translate(model, batch, source, model.modalities, trained) for source in model.modalities if source in batch
    ]
    rows = [[(title, name, raw[0], zero_pair) for title, name, raw, zero_pair in row] for row in rows]
    return _grid(rows, _farthest(batch["depth"][:1]) if "depth" in batch else 1.0, model.records)


def recoloured(
    model,
    batch: dict[str, torch.Tensor],
    source: str,
    trained: Callable[[str, str], bool],
    targets: Sequence[str] = (),
) -> Picture:
    """The images of a raw batch of one domain in `targets`, or in all others, two rows per image: what the model makes
    of them, and the truth."""
    others = targets or [name for name in model.modalities if name != source]
    columns = _translate(model, batch, source, others, trained)
    rows = []
    for place in range(len(batch[source])):
        rows.append([(title, name, raw[place], zero_pair) for title, name, raw, zero_pair in columns])
        truth = [(f"truth: {label(name)}", name, batch[name][place], False) for name in others]
        rows.append([("", source, batch[source][place], False), *truth])
    return _grid(rows, 1.0, model.records)


def splits(sets: Mapping[str, Rooms], count: int = 2) -> Picture:
    """A few rooms of each split, one row per modality; a modality that the split does not hold is an empty frame."""
    held = "; ".join(f"{name}: {', '.join(map(label, rooms.modalities))}" for name, rooms in sets.items())
    figure = Picture(1.7 * count * len(sets) + 1.2, 6.4, f"rooms of each split, a row a modality. {held}")
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
