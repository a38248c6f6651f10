"""Curves and bars of what was measured."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...modalities import CLASSES
from .picture import Picture, bar, bar_of_pair, grouped_bars, line, plain_log


def loss_curves(log: str | Path, phase_ends: Sequence[int] = ()) -> Picture:
    """The loss terms that `fit` wrote into `log.jsonl`, one panel per kind; dotted lines mark the ends of phases."""
    entries = [json.loads(line) for line in Path(log).read_text(encoding="utf-8").splitlines()]
    names = list(dict.fromkeys(key for entry in entries for key in entry if "/" in key))
    kinds = list(dict.fromkeys(name.split("/")[0] for name in names))
    columns = 2 if len(kinds) == 4 else 3
    rows = -(-len(kinds) // columns)
    figure = Picture(10, 2.6 * rows, f"loss curves over the steps, a panel each: {', '.join(kinds)}")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, kind in zip(axes.flat, kinds):
        for number, name in enumerate(name for name in names if name.split("/")[0] == kind):
            points = [(entry["step"], entry[name]) for entry in entries if name in entry]
            axis.plot(*zip(*points), label=name.split("/")[1], linewidth=1.5, **line(number))
        for end in phase_ends:
            axis.axvline(end, color="black", linestyle=":", linewidth=1)
        axis.set(title=kind.replace("_", " "), xlabel="step", ylabel="loss")
        plain_log(axis)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=8, frameon=False)
    for axis in axes.flat[len(kinds) :]:
        axis.axis("off")
    return figure


def per_class_iou(rows: Mapping[str, dict]) -> Picture:
    """Bars of intersection over union by class; `rows` is label → what `evaluate` says of one translation."""
    classes = [name for name in CLASSES[1:] if any(row["iou"][name] is not None for row in rows.values())]
    figure = Picture(9, 4, f"bars of intersection over union by class: {', '.join(rows)}")
    axis = figure.subplots()
    values = {name: [100 * (row["iou"][c] or 0) for c in classes] for name, row in rows.items()}
    grouped_bars(axis, classes, values, map(bar, itertools.count()))
    axis.set(ylim=(0, 100), ylabel="intersection over union (%)")
    axis.set_xticklabels(classes, rotation=40, ha="right")
    axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(rows))
    return figure


def headline(rows: Mapping[str, dict]) -> Picture:
    """One bar of mIoU for each label → segmentation result of `evaluate`; unseen ones are orange and hatched."""
    alt = "bars of mIoU: " + ", ".join(f"{name} {100 * row['miou']:.1f} %" for name, row in rows.items())
    figure = Picture(8, 0.6 * len(rows) + 0.9, alt)
    axis = figure.subplots()
    for place, row in enumerate(rows.values()):
        axis.barh(place, 100 * row["miou"], **bar_of_pair(row["seen"]))
        axis.text(100 * row["miou"] + 1, place, f"{100 * row['miou']:.1f} %", va="center")
    axis.set(yticks=range(len(rows)), yticklabels=list(rows), xlim=(0, 100), xlabel="mIoU over 13 classes (%)")
    axis.invert_yaxis()
    return figure
