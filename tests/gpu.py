"""What only a GPU can show, in at most nine minutes: `make gpu`, or `python3 tests/gpu.py OUT` where there is no make.

It needs Python 3.11, PyTorch 2.11, pytest and the library's few packages, no Jupyter. In OUT it leaves the outcome of
the tests that need CUDA, the paper preset's bench, a speedrun, and the largest recipe at 128×128 pixels, trained for
the time that is left, with its evaluation. Each stage has its own seconds; one that fails or is cut does not stop the
others.
`SMOKE=1` runs every stage on the CPU, tiny, in about a minute.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SMOKE = os.environ.get("SMOKE") == "1"
DEVICE = "cpu" if SMOKE else "cuda"
LIMIT = 90 if SMOKE else 540
ROOT = Path(__file__).resolve().parents[1]


def stage(name: str, seconds: float, out: Path, *arguments: str) -> None:
    """Run Python with these arguments for at most so many seconds; its output goes to `OUT/NAME.log`."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with open(out / f"{name}.log", "w") as log:
        try:
            code = subprocess.run(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
                timeout=max(1.0, seconds),
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = "cut"
    print(f"{name}: {code}, {time.perf_counter() - start:.0f} s", flush=True)
    print("\n".join((out / f"{name}.log").read_text(errors="replace").splitlines()[-25:]), flush=True)


def train(seconds: float, out: Path, size: int = 128) -> None:
    """Train the largest recipe at `size` for about so many seconds, as many steps as fit, and evaluate it."""
    import torch

    from mmlib import ZeroPair, evaluate, fit, shipped, table
    from mmlib.data.batches import as_needed
    from mmlib.evidence.experiments import LARGE
    from mmlib.hardware.files import write_json
    from mmlib.training import Trainer, probe

    recipe = LARGE.replace(size=size)
    if SMOKE:
        recipe = recipe.replace(size=32, batch=2, widths=(16, 16), convolutions=(1, 1))
    sets = [shipped(split) for split in ("d1", "d2")]
    trainer = Trainer(recipe, ZeroPair(*(as_needed(rooms, recipe) for rooms in sets)), probe(DEVICE, "auto"))
    for _ in range(10):
        trainer.step()
    trainer.check()
    start = time.perf_counter()
    for _ in range(20):
        trainer.step()
    trainer.check()
    steps = max(20, int(0.9 * seconds * 20 / (time.perf_counter() - start)))
    print(f"{steps} steps, {(time.perf_counter() - start) / 20:.4f} s each", flush=True)
    del trainer
    model = fit(recipe.with_steps(steps), ZeroPair(*sets), out / "shipped", device=DEVICE, half=True, progress=False)
    result = evaluate(model, shipped("test", recipe.size))
    card = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    write_json({**result, "processor": card, "record": model.record}, out / "shipped.json")
    (out / "shipped" / "state.safetensors").unlink()  # large, and only for going on
    print(table(result))


def main(out: Path) -> None:
    start = time.perf_counter()

    def left() -> float:
        return LIMIT - (time.perf_counter() - start)

    out.mkdir(parents=True, exist_ok=True)
    stage("tests", 15 if SMOKE else 110, out, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_cuda.py")
    small = ["smoke", "--steps", "1"] if SMOKE else ["paper", "--steps", "5", "--switches"]
    bench = ["-m", "mmlib", "bench", "--device", DEVICE, "--json", str(out / "bench.json"), "--preset", *small]
    stage("bench", min(left(), 25 if SMOKE else 200), out, *bench)
    seeds = ["--preset", "smoke", "--seeds", "1"] if SMOKE else []
    stage("speedrun", min(left(), 30 if SMOKE else 60), out, "-m", "mmlib", "speedrun", "--device", DEVICE, *seeds,
          "--json", str(out / "speedrun.json"))  # fmt: skip
    seconds = left() - (20 if SMOKE else 40)  # for starting, reading and evaluating
    stage("train", left(), out, __file__, str(out), json.dumps(max(2.0, seconds)))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        train(float(sys.argv[2]), Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]))
