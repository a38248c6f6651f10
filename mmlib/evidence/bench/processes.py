"""One process against two, on the CPU."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from ... import checkpoints
from ...recipes import preset
from .timing import where


def bench_processes(preset_name: str = "course", steps: int = 40, counts: tuple[int, ...] = (1, 2)) -> dict:
    """Images a second of one training in 1 and in 2 processes on the CPU, with the same batch in all and the cores
    shared out: each by `torchrun -m mmlib train`, from the seconds that its record gives for `steps` more steps."""
    cores, seconds = os.cpu_count() or 1, {}
    for count in counts:
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores // count))}
        taken = []
        for length in (steps, 2 * steps):  # start and warming up are in both, and fall out of the difference
            with tempfile.TemporaryDirectory() as place:
                command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
                command += ["-m", "mmlib", "train", "--preset", preset_name, "--steps", str(length), "--device", "cpu"]
                command += ["--precision", "fp32", "--out", place]
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                taken.append(checkpoints.read_record(Path(place) / "checkpoint")["seconds"])
        seconds[count] = (taken[1] - taken[0]) / steps
    images = 4 * preset(preset_name).batch  # RGB and another of each set
    return {
        "preset": preset_name, "steps": steps, "seconds_per_step": seconds,
        "images_per_second": {count: images / value for count, value in seconds.items()},
        **where(torch.device("cpu")),
    }  # fmt: skip
