"""Pictures that change while a network trains: the same rooms in an unseen translation, and its curve."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...data.sets import Rooms
from ...evaluation import eval_mode, evaluate
from ...modalities import MODALITIES
from .images import _classes, _farthest, _show
from .picture import COLOURS, Picture, label, line


class Watch:
    """Looks at networks while they train: `watch(step, model)` measures them and draws the picture in the page again.

    `rooms` hold all modalities of `shown`, positions of the rooms in the picture; `measured` of the rooms, the first
    ones, give the curves of RGB → `target` (seen) and `source` → `target` (unseen). `last` is the end of the steps'
    axis. `model` has what `evaluate` asks for. `display` shows the picture, and `update` of what it returns
    replaces it in the same place; without an IPython kernel nothing is shown.
    """

    def __init__(
        self,
        rooms: Rooms,
        shown: Sequence[int],
        last: int,
        measured: int = 100,
        source: str = "depth",
        target: str = "segmentation",
    ):
        self.batch = rooms.batch([place % len(rooms) for place in shown])
        self.rooms, self.last, self.source, self.target = rooms.subset(0, measured), last, source, target
        self.curve: list[dict] = []
        """The step, and the two translations' main measure by their names."""
        self.made: list[torch.Tensor] = []
        """The raw translations of the shown rooms, for each entry of `curve`."""
        self._place = None

    def __call__(self, step: int, model) -> None:
        rows = evaluate(model, self.rooms, sources=["rgb", self.source], targets=[self.target])["translations"]
        scores = {name: row.get("miou", row.get("delta1")) for name, row in rows.items()}
        self.curve.append({"step": step, **scores})
        image = MODALITIES[self.source].to_input(self.batch[self.source])
        with eval_mode(model), torch.inference_mode():
            output = model.decode(model.encode(image, self.source), self.target)
        self.made.append(MODALITIES[self.target].to_raw(output))
        self._draw()

    def _draw(self) -> None:
        from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only notebooks need it
        from IPython.display import display  # noqa: PLC0415

        if get_ipython() is None:
            return
        if self._place is None:
            self._place = display(self.picture(), display_id=True)
        else:
            self._place.update(self.picture())

    def picture(self) -> Picture:
        """The rooms at the last look, one per row: the input, its translation, the truth; and the curves so far."""
        figure, images = _frame(len(self.batch[self.source]), 3, right=4.6)
        now = self.curve[-1]
        said = ", ".join(f"{_arrow(name)} {100 * now[name]:.1f} %" for name in now if name != "step")
        titles = (f"input:\n{label(self.source)}", f"unseen, after\n{now['step']} steps", f"truth:\n{self.target}")
        self._fill(images, titles, (self.batch[self.source], self.made[-1], self.batch[self.target]))
        left = 3 * SIDE + 0.75
        width, height = figure.get_size_inches()
        axis = figure.add_axes((left / width, 0.95 / height, (width - left - 0.2) / width, (height - 1.35) / height))
        _curve(axis, self.curve, self.last)
        axis.set_title(said, fontsize=9)
        count = len(self.made[-1])
        figure.alt = (
            f"{count} room{'s' * (count > 1)} after {now['step']} training steps: {label(self.source)}, "
            f"its {self.target}, the truth; beside them the curves over the steps, now {said}"
        )
        return figure

    def strip(self, count: int = 6) -> Picture:
        """The translations at `count` of the looks, from the first to the last, between the input and the truth."""
        last = len(self.made) - 1
        looks = sorted({round(last * (k / max(1, count - 1)) ** 1.6) for k in range(count)})  # closer at the beginning
        figure, images = _frame(len(self.batch[self.source]), len(looks) + 2)
        steps = [self.curve[look]["step"] for look in looks]
        between = (f"unseen,\nstep {step}" for step in steps)
        titles = (f"input:\n{label(self.source)}", *between, f"truth:\n{self.target}")
        columns = (self.batch[self.source], *(self.made[look] for look in looks), self.batch[self.target])
        self._fill(images, titles, columns)
        figure.alt = (
            f"{len(self.made[0])} rows of images: {label(self.source)}, its {self.target} after "
            f"{', '.join(map(str, steps))} training steps, and the truth"
        )
        return figure

    def _fill(self, axes, titles: Sequence[str], columns: Sequence[torch.Tensor]) -> None:
        """Draw raw images, a column for each title; the unseen ones are framed in orange."""
        farthest = _farthest(*(self.batch[name] for name in ("depth",) if name in self.batch))
        names = [self.source, *[self.target] * (len(columns) - 1)]
        for x, (title, name, raw) in enumerate(zip(titles, names, columns)):
            unseen = 0 < x < len(columns) - 1
            for y, axis in enumerate(axes[:, x]):
                _show(axis, name, raw[y], farthest)
                axis.set(xticks=[], yticks=[])
                for edge in axis.spines.values():
                    edge.set(color=COLOURS[1] if unseen else "black", linewidth=2.5 if unseen else 0.5)
            axes[0, x].set_title(title, fontsize=9.5, color=COLOURS[1] if unseen else "black", pad=4)
        figure = axes[0, 0].figure
        keys = _classes({self.target: [raw.flatten() for raw in columns[1:]]})
        width = figure.get_figwidth()
        figure.legend(handles=keys, loc="lower left", ncols=min(7, int(width / 1.25)), frameon=False, fontsize=8.5)


SIDE = 1.4  # inches of an image and the gap beside it


def _frame(rows: int, columns: int, right: float = 0.0):
    """A picture with axes for images, (rows, columns), at fixed places, and so many inches at the right."""
    width, height = columns * SIDE + right + 0.05, rows * SIDE + 0.4 + 0.5
    figure, gap = Picture(width, height, ""), 0.08
    figure.set_layout_engine("none")
    axes = figure.subplots(rows, columns, squeeze=False)
    side = ((SIDE - gap) / width, (SIDE - gap) / height)
    for (y, x), axis in np.ndenumerate(axes):
        axis.set_position(((x * SIDE + 0.05) / width, (height - 0.4 - (y + 1) * SIDE + gap) / height, *side))
    return figure, axes


def _arrow(translation: str) -> str:
    source, target = translation.split("_to_")
    return f"{label(source)} → {label(target)}"


def _curve(axis, curve: Sequence[dict], last: int) -> None:
    """mIoU over the steps, of the seen translation and of the unseen one."""
    for number, name in enumerate(key for key in curve[-1] if key != "step"):
        pair = "seen" if name.startswith("rgb") else "unseen"
        steps, values = [row["step"] for row in curve], [100 * row[name] for row in curve]
        title = f"{_arrow(name)} ({pair})"
        axis.plot(steps, values, label=title, linewidth=2, marker="o", markersize=3, **line(number))
    axis.set(xlim=(0, last), ylim=(0, 70), xlabel="training steps", ylabel="mIoU (%)")
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.legend(frameon=False, fontsize=9, loc="upper left")


def seen_and_unseen(curves: Mapping[str, Sequence[dict]]) -> Picture:
    """Two panels, the seen and the unseen translation: in each a line per run; `curves`: name → `Watch.curve`."""
    figure = Picture(9.5, 3.4, "")
    words = []
    names = [key for key in next(iter(curves.values()))[-1] if key != "step"]
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names):
        pair = "seen" if name.startswith("rgb") else "unseen"
        for number, (run, curve) in enumerate(curves.items()):
            values = [100 * row[name] for row in curve]
            axis.plot([row["step"] for row in curve], values, label=run, linewidth=2, marker="o", markersize=3,
                      **line(number))  # fmt: skip
            words.append(f"{run} {values[-1]:.1f} %")
        axis.set(title=f"{_arrow(name)} ({pair})", xlabel="training steps")
        axis.grid(color="#dddddd", linewidth=0.6)
    axes[0].set(ylabel="mIoU (%)", ylim=(0, None))
    axes[0].legend(frameon=False, fontsize=9)
    halves = [", ".join(words[k * len(curves) : (k + 1) * len(curves)]) for k in range(len(names))]
    said = "; ".join(f"{_arrow(name)} ends at {half}" for name, half in zip(names, halves))
    figure.alt = f"curves of mIoU over the steps, one panel per translation, one line per recipe: {said}"
    return figure
