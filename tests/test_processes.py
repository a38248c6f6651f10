"""Several processes: the losses of one, one writer, resume, and what is said when one dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from conftest import CPU, pairs_of, write_rooms
from mmlib import checkpoints, fit, preset
from mmlib.__main__ import main
from mmlib.hardware import processes
from mmlib.resuming.state import load_state
from mmlib.training import Trainer

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}

START = """
import sys

import torch

from mmlib import ZeroPair, fit, open_split, preset
from mmlib.hardware.compute import Machine

data, folder = sys.argv[1:3]
# one form of arithmetic for all runs: timing could choose another for each
machine = Machine(torch.device("cpu"), bf16=False, channels_last=False)
pairs = ZeroPair(open_split(data, "d1"), open_split(data, "d2"))
"""
SAME = f"""{START}
torch.nn.BatchNorm2d = lambda width: torch.nn.Identity()  # it would see other images in each process
recipe = preset("smoke", batch=4, latent_noise=0.0, class_balance=0.5)
fit(recipe, pairs, folder, machine=machine, log_every=1, progress=False)
"""
UNTIL = f"""{START}
last = int(sys.argv[3])
fit(preset("smoke", batch=4), pairs, folder, machine=machine, save_every=4, stop_after=last, progress=False)
"""


@pytest.fixture(scope="module")
def rooms_dir(tmp_path_factory):
    """Six rooms for D1 and six for D2, so that a batch of 4 can be shared."""
    return write_rooms(tmp_path_factory.mktemp("rooms"), list(range(12)))


def torchrun(count: int, *arguments: str) -> list[str]:
    """The command of `count` processes."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *arguments]


def train(folder, data, count: int, *more: str, steps: int = 8) -> list[str]:
    """The command of a training by the command line."""
    arguments = ["-m", "mmlib", "train", "--preset", "smoke", "--batch", "4", "--data", str(data), "--out", str(folder)]
    arguments += ["--device", "cpu", "--steps", str(steps), "--save-every", "4", *more]
    return torchrun(count, *arguments) if count > 1 else [sys.executable, *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False)


def weights(folder) -> dict[str, torch.Tensor]:
    return load_state(folder / "state.safetensors")[0]["model"]


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_have_the_losses_of_one(rooms_dir, tmp_path):
    script = tmp_path / "same.py"
    script.write_text(SAME)
    for name, command in {"one": [sys.executable], "two": torchrun(2)}.items():
        done = run([*command, str(script), str(rooms_dir), str(tmp_path / name)])
        assert done.returncode == 0, done.stderr
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    assert len(one) == len(two) == 8 and any("pseudo" in term for term in one[-1])
    for mine, other in zip(one, two):
        assert mine.keys() == other.keys()
        for term, value in mine.items():
            assert other[term] == pytest.approx(value, rel=2e-3, abs=2e-4), (mine["step"], term)
    for name, weight in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], weight, rtol=5e-3, atol=2e-4)


def until(last: int, place: Path, data) -> Path:
    """The folder of a run of two processes that went up to this step."""
    (place / "until.py").write_text(UNTIL)
    done = run([*torchrun(2), str(place / "until.py"), str(data), str(place / "run"), str(last)])
    assert done.returncode == 0, done.stderr
    return place / "run"


@pytest.fixture(scope="module")
def undisturbed(rooms_dir, tmp_path_factory):
    """A run that nobody stopped."""
    return until(8, tmp_path_factory.mktemp("undisturbed"), rooms_dir)


def test_the_first_process_alone_writes(rooms_dir, tmp_path):
    folder = tmp_path / "run"
    done = run(train(folder, rooms_dir, 2))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.json", "checkpoint.safetensors", "log.jsonl", "state.safetensors"
    ]  # fmt: skip
    assert done.stdout.count("wrote ") == 1
    record = checkpoints.read_record(folder / "checkpoint")
    assert record["processes"] == 2 and record["step"] == 8 and record["recipe"]["batch"] == 4


def test_a_killed_process_is_named_and_the_last_state_is_whole(rooms_dir, tmp_path):
    command = train(tmp_path / "run", rooms_dir, 2, steps=4000)
    with subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as two:
        end = time.monotonic() + 120
        while not (tmp_path / "run/log.jsonl").exists() or not log_steps(tmp_path / "run"):
            assert time.monotonic() < end and two.poll() is None
            time.sleep(0.1)
        os.kill(process_of_rank(two.pid, 1), signal.SIGKILL)
        _, said = two.communicate(timeout=120)
    assert two.returncode != 0
    assert "lost the others" in said and "start all again with --resume" in said
    saved = load_state(tmp_path / "run/state.safetensors")[1]["step"]
    assert saved % 4 == 0


def log_steps(folder) -> int:
    """Steps that are logged."""
    return len((folder / "log.jsonl").read_text().splitlines())


def process_of_rank(parent: int, rank: int) -> int:
    """The process that torchrun, `parent`, gave this number."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in children.read_text().split():
            if f"\0RANK={rank}\0".encode() in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
                return int(child)
    raise AssertionError(f"torchrun {parent} has no process {rank}")


@pytest.fixture(scope="module")
def stopped(rooms_dir, tmp_path_factory):
    """A run that ended after 4 of its 8 steps."""
    return until(4, tmp_path_factory.mktemp("stopped"), rooms_dir)


@pytest.mark.parametrize(("first", "second"), [(2, 2), (2, 1), (1, 2)])
def test_a_run_goes_on_with_as_many_processes_or_more_or_fewer(
    stopped, undisturbed, rooms_dir, tmp_path, first, second
):
    folder = tmp_path / "run"
    if first == 2:
        shutil.copytree(stopped, folder)
    else:
        pairs = pairs_of(rooms_dir)
        fit(preset("smoke", batch=4), pairs, folder, device="cpu", save_every=4, stop_after=4, progress=False)
    if second == 2:
        done = run(train(folder, rooms_dir, 2, "--resume"))
        assert done.returncode == 0, done.stderr
    else:
        assert main([*train(folder, rooms_dir, 1, "--resume")[3:]]) == 0
    record = checkpoints.read_record(folder / "checkpoint")
    assert record["step"] == 8 and record.get("processes", 1) == second
    same = all(torch.equal(weights(folder)[name], weight) for name, weight in weights(undisturbed).items())
    assert same == (first == second == 2), "as if it had never stopped; with others, batch normalization differs"


def test_a_batch_that_cannot_be_shared_is_refused(rooms_dir, monkeypatch):
    pairs = pairs_of(rooms_dir)
    for batch, count in ((4, 3), (4, 4)):
        monkeypatch.setattr(processes, "world_size", lambda count=count: count)
        with pytest.raises(ValueError, match=f"^a batch of {batch} of split d1 cannot be shared by {count} processes"):
            Trainer(preset("smoke", batch=batch), pairs, CPU)
