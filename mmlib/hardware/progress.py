"""What a run tells on its way: lines of JSON in its log, and a progress bar."""

import json
import os
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from . import processes

SHOWN = ("segmentation/RS", "depth/RD", "latent/RD", "rgb/RR")
"""The terms that the bar shows."""


class Progress:
    """The log and the bar of a run, open within `with`; of several processes the first alone writes.

    `step`: how many of `steps` are already done. `bar`: whether to show one.
    """

    def __init__(self, log: Path, step: int, steps: int, bar: bool):
        first = processes.rank() == 0
        self.log = open(log if first else os.devnull, "a", encoding="utf-8")
        often = 0.5 if sys.stdout.isatty() else 5.0  # seconds; each refresh is a line where standard output is a log
        self.bar = tqdm(total=steps, initial=step, unit="step", disable=not (bar and first), mininterval=often,
                        file=sys.stdout, dynamic_ncols=False, ncols=125)  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        self.log.close()

    def update(self, step: int, learning_rate: float, terms: dict[str, torch.Tensor] | None) -> None:
        """Another step is done; `terms`, if any, go to the log, averaged over all processes."""
        if terms is not None:
            values = {name: round(processes.joint_mean(value).item(), 5) for name, value in terms.items()}
            self.log.write(json.dumps({"step": step, "learning_rate": learning_rate, **values}) + "\n")
            self.log.flush()
            self.bar.set_postfix({name: f"{values[name]:.3g}" for name in SHOWN if name in values}, refresh=False)
        self.bar.update()
