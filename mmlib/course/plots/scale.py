"""What a training costs: weights, arithmetic, memory and hours."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .picture import COLOURS, MARKERS, Picture, bar, grouped_bars, label, line, plain_log

if TYPE_CHECKING:
    from ...evidence.costs import Cost


def network_costs(cost: "Cost") -> Picture:
    """Bars of the weights (millions) and of the FLOPs of one training step (10¹²), one bar per network."""
    names = list(cost.step)
    panels = {
        "weights": ("millions of weights", [cost.parameters[name] / 1e6 for name in names]),
        "arithmetic": ("TFLOP of a training step, forward and backward", [cost.step[name] / 1e12 for name in names]),
    }
    words = "; ".join(
        f"{title}: {', '.join(f'{n} {v:.2g}' for n, v in zip(names, values))}" for title, (_, values) in panels.items()
    )
    figure = Picture(10, 3.6, f"bars by network of {words}")
    kinds = {"encoder": 0, "decoder": 1, "discriminator": 2}
    looks = [kinds[name.split()[-1]] for name in names]
    for axis, (title, (unit, values)) in zip(figure.subplots(1, 2, sharey=True), panels.items()):
        for place, (value, look) in enumerate(zip(values, looks)):
            axis.barh(place, value, **bar(look))
            axis.text(value, place, f" {value:.1f}" if title == "weights" else f" {value:.2f}", va="center", fontsize=9)
        axis.set(title=title, xlabel=unit, xlim=(0, 1.18 * max(values)))
    names = [" ".join([label(name.split()[0]), *name.split()[1:]]) for name in names]
    figure.axes[0].set(yticks=range(len(names)), yticklabels=names)
    figure.axes[0].invert_yaxis()
    return figure


def stage_shares(stages: Sequence[str], shares: Mapping[str, Sequence[float]]) -> Picture:
    """Grouped bars in % by stage of a network; `shares`: quantity → its amount in each stage, in any unit."""
    figure = Picture(9, 3.8, f"bars by stage of the shares of {', '.join(shares)}")
    axis = figure.subplots()
    percent = {name: [100 * amount / sum(amounts) for amount in amounts] for name, amounts in shares.items()}
    grouped_bars(axis, stages, percent, map(bar, itertools.count()), write=True)
    axis.margins(y=0.1)
    axis.set(ylabel="share of the whole (%)")
    axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(shares))
    return figure


def memory_bars(rows: Mapping[str, Mapping[str, int]]) -> Picture:
    """Stacked bars of memory in GB (10⁹ bytes), one bar per row; `rows`: name → purpose → bytes (`Cost.memory`)."""
    totals = {name: sum(parts.values()) / 1e9 for name, parts in rows.items()}
    alt = "stacked bars of memory by purpose: " + ", ".join(f"{name} {total:.1f} GB" for name, total in totals.items())
    figure = Picture(9, 0.8 * len(rows) + 1.6, alt)
    axis = figure.subplots()
    left = np.zeros(len(rows))
    for number, purpose in enumerate(next(iter(rows.values()))):
        values = np.array([parts[purpose] / 1e9 for parts in rows.values()])
        axis.barh(range(len(rows)), values, 0.6, left=left, label=purpose, **bar(number))
        left += values
    for place, total in enumerate(left):
        axis.text(total, place, f" {total:.1f} GB", va="center")
    axis.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="memory (GB)", xlim=(0, 1.15 * max(left)))
    axis.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(next(iter(rows.values()))), frameon=False, fontsize=9)
    return figure


def hours_by_share(flops: float, peaks: Mapping[str, float], low: float, high: float) -> Picture:
    """Hours that `flops` take at each share of a peak rate (TFLOP/s), computed; shaded from `low` to `high`."""
    alt = f"computed hours against the share of the peak rate: {', '.join(peaks)}; {low:.0%} to {high:.0%} is shaded"
    figure = Picture(8, 3.6, alt)
    axis = figure.subplots()
    shares = np.linspace(0.05, 0.8, 76)
    for number, (name, peak) in enumerate(peaks.items()):
        hours = flops / (peak * 1e12 * shares) / 3600
        axis.plot(100 * shares, hours, linewidth=2, label=f"{name}: {peak:g} TFLOP/s", **line(number))
    axis.axvspan(100 * low, 100 * high, color="#dddddd", zorder=0, label="share assumed here")
    axis.set(xlabel="share of the peak rate that is reached (%)", ylabel="hours of training (computed)")
    plain_log(axis)
    axis.grid(axis="y", linewidth=0.5, color="#cccccc")
    axis.legend(frameon=False)
    return figure


def domain_costs(result: Mapping) -> Picture:
    """Parameters, seconds of an epoch and memory over the number of domains, by `bench.bench_domains`.

    There is one line per method. Hollow marks were computed, not measured.
    """
    panels = {"parameters": ("millions of parameters", 1e6), "epoch": ("seconds of an epoch", 1.0),
              "memory": ("memory held (MB)", 1e6)}  # fmt: skip
    alt = "; ".join(
        f"{unit} by number of domains, {kind}: "
        + ", ".join(f"{count}: {row[key] / scale:.2g}" for count, row in result[kind].items())
        for key, (unit, scale) in panels.items()
        for kind in ("mixed", "pairwise")
    )
    figure = Picture(11, 3.6, alt)
    titles = {"mixed": "mixed CycleGANs", "pairwise": "a CycleGAN for each pair"}
    for axis, (key, (unit, scale)) in zip(figure.subplots(1, 3), panels.items()):
        for number, (kind, title) in enumerate(titles.items()):
            rows = {int(count): row for count, row in result[kind].items()}
            axis.plot(list(rows), [row[key] / scale for row in rows.values()], label=title, **line(number))
            for count, row in rows.items():
                face = "white" if row["computed"] else COLOURS[number]
                axis.plot(count, row[key] / scale, MARKERS[number], color=COLOURS[number], markerfacecolor=face)
        axis.set(xlabel="domains", ylabel=unit, ylim=(0, None))
        axis.grid(axis="y", linewidth=0.5, color="#cccccc")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure
