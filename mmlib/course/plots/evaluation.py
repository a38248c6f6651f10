"""What a measure consists of: confusion, single rooms, the image between in a cascade, and the spread of values."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from matplotlib import colormaps

from ...data.sets import Rooms
from ...evaluation import seen
from ...modalities import CLASSES, SEGMENTATION
from .images import _columns, _farthest, _grid
from .picture import COLOURS, STYLES, Picture, label

if TYPE_CHECKING:
    from ...methods.cascade import Cascade


def confusion(matrix: torch.Tensor) -> Picture:
    """A confusion matrix of pixels (14, 14), `[target, prediction]`, each row in % of its true class, without Unknown.

    Shares of at least 1 % are written; a row's name ends with the class's share of all pixels.
    """
    counts = matrix[1:, 1:].double()
    shares = (100 * counts / counts.sum(1, keepdim=True).clamp_min(1)).numpy()
    names = CLASSES[1:]
    weights = (100 * counts.sum(1) / counts.sum().clamp_min(1)).tolist()
    alt = "confusion matrix of 13 classes: a row a true class, a column a predicted class, shares of the row in percent"
    figure = Picture(9, 7.2, alt)
    axis = figure.subplots()
    image = axis.imshow(shares, cmap=colormaps["Blues"], vmin=0, vmax=100)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            if share >= 1:
                colour = "white" if share > 55 else "black"
                axis.text(x, y, f"{share:.0f}", ha="center", va="center", fontsize=10, color=colour)
    axis.set(xlabel="predicted class", ylabel="true class (its share of all pixels)")
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), [f"{name} ({weight:.1f} %)" for name, weight in zip(names, weights)])
    figure.colorbar(image, ax=axis, shrink=0.8, pad=0.02, label="share of the true class's pixels (%)")
    return figure


@torch.inference_mode()
def gallery(model, rooms: Rooms, places: Sequence[int], source: str = "depth") -> Picture:
    """Some rooms (by position) in segmentation, one row per room, with the share of their pixels that are right.

    Columns: RGB (only for the reader, because the network gets `source` alone), input, prediction, truth, wrong pixels.
    """
    batch = rooms.batch(places)
    truth, image = batch["segmentation"], model.records[source].to_input(batch[source])
    prediction = SEGMENTATION.to_raw(model.decode(model.encode(image, source), "segmentation"))
    right, known = prediction == truth, truth > 0
    shares = (right & known).flatten(1).sum(1) / known.flatten(1).sum(1)
    wrong = torch.where(known, torch.where(right, 255, 0), 150).to(torch.uint8).expand(-1, 3, -1, -1)
    zero_pair = not seen(source, "segmentation")
    translation = f"{label(source)} → segmentation\n{'unseen (zero-pair)' if zero_pair else 'seen'}"
    rows = [
        [
            (f"test room {place}:\n{100 * share:.0f} % right", "rgb", batch["rgb"][i], False),
            (f"input:\n{label(source)}", source, batch[source][i], False),
            (translation, "segmentation", prediction[i], zero_pair),
            ("truth:\nsegmentation", "segmentation", truth[i], False),
            ("wrong pixels: black\n(grey: Unknown)", "rgb", wrong[i], False),
        ]
        for i, (place, share) in enumerate(zip(places, shares.tolist()))
    ]
    return _grid(rows, _farthest(batch["depth"]))


@torch.inference_mode()
def cascaded(cascade: "Cascade", batch: dict[str, torch.Tensor], source: str, target: str) -> Picture:
    """A cascade on a raw batch, one row per image: input, image between, result, direct translation, truth."""
    records, via = cascade.records, cascade.via.name
    image, record = records[source].to_input(batch[source]), records[target]
    through = record.to_raw(cascade.decode(cascade.encode(image, source), target))
    direct = record.to_raw(cascade.model.translate(image, source, target))
    zero_pair = not seen(source, target)
    columns = [
        (f"input:\n{label(source)}", source, batch[source], False),
        (f"between:\n{label(via)}", via, cascade.between(image, source), False),
        (f"{label(target)}\nthrough {label(via)}", target, through, False),
        (f"{label(target)}\ndirect{' (zero-pair)' * zero_pair}", target, direct, zero_pair),
        (f"truth:\n{label(target)}", target, batch[target], False),
    ]
    return _columns(columns, batch, records)


def histogram(values: torch.Tensor, marks: Mapping[str, float], quantity: str, counted: str) -> Picture:
    """A histogram of values (n,) of a `quantity` in 40 bars; `counted` names the vertical axis, `marks` are lines."""
    figure = Picture(8, 3.2, f"histogram of {quantity}, with lines at: {', '.join(marks)}")
    axis = figure.subplots()
    axis.hist(values.numpy(), bins=40, color=COLOURS[5], edgecolor="white")
    for number, (name, place) in enumerate(marks.items(), start=1):
        axis.axvline(place, color=COLOURS[number % 5], linestyle=STYLES[number % 4], linewidth=2, label=name)
    axis.set(xlabel=quantity, ylabel=counted)
    axis.legend(frameon=False, fontsize=9)
    return figure
