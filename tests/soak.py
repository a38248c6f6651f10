"""A soak: 2,000 smoke steps under random SIGKILLs must end bit-identical to a run that was not disturbed.

`make soak` runs it, on the shipped rooms, and leaves `data/results/bench/soak.json`.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from mmlib.data.shipped import RESULTS
from mmlib.evidence.bench.timing import where
from mmlib.hardware.files import write_json
from mmlib.resuming.state import load_state

STEPS, SEED = 2000, 0
EVERY = (6.0, 14.0)  # seconds between two kills, of which starting Python takes about five


def command(folder: Path) -> list[str]:
    """The command of a training that resumes where the last one was killed."""
    arguments = ["-m", "mmlib", "train", "--preset", "smoke", "--steps", str(STEPS), "--out", str(folder), "--resume"]
    return [sys.executable, *arguments, "--save-every", "50", "--device", "cpu"]


def main() -> int:
    chance, kills, start = random.Random(SEED), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        quiet, disturbed = Path(temporary) / "quiet", Path(temporary) / "disturbed"
        subprocess.run(command(quiet), check=True, stdout=subprocess.DEVNULL)
        while True:
            process = subprocess.Popen(command(disturbed), stdout=subprocess.DEVNULL)
            try:
                if process.wait(chance.uniform(*EVERY)) != 0:
                    raise SystemExit("the training failed by itself: its message is above")
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
        first, second = (load_state(folder / "state.safetensors")[0] for folder in (quiet, disturbed))
        logs = [(folder / "log.jsonl").read_text() for folder in (quiet, disturbed)]
    identical = logs[0] == logs[1] and all(
        first[part].keys() == second[part].keys()
        and all(torch.equal(tensor, second[part][name]) for name, tensor in first[part].items())
        for part in first
    )
    result = {
        "steps": STEPS, "seed": SEED, "kills": kills, "identical": identical,
        "seconds": round(time.perf_counter() - start, 1), **where(torch.device("cpu")),
    }  # fmt: skip
    write_json(result, RESULTS / "bench" / "soak.json")
    print(f"{STEPS} steps, {kills} kills: {'bit-identical' if identical else 'DIFFERENT'}")
    return 0 if identical and kills >= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
