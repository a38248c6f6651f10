"""How times are taken, and what they were taken on."""

import os
import platform
import statistics
import time
from pathlib import Path

import torch

from ...hardware.versions import versions


def step_seconds(trainers: dict, steps: int) -> dict:
    """The median time of a step of each trainer; they take turns, so that the machine's drift falls on all alike."""
    seconds: dict[object, list[float]] = {key: [] for key in trainers}
    for repeat in range(steps + 2):
        for key, trainer in trainers.items():
            elapsed = timed(trainer.step, trainer.machine.device)
            if repeat >= 2:  # the first two warm up
                seconds[key].append(elapsed)
    return {key: statistics.median(values) for key, values in seconds.items()}


def timed(function, device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def where(device: torch.device) -> dict:
    """What a time was measured on and with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"device": device.type, "processor": name, **threads, "versions": versions()}


def _processor() -> str:
    """The CPU's name, and those of its instructions that bf16 is fast by."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    found = {key.strip(): value.strip() for key, value in found.items()}
    bf16 = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in found.get("flags", "").split()]
    return ", ".join([found.get("model name", platform.machine()), *bf16])
