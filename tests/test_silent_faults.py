"""Faults that nobody would see: two trainings in one folder, rooms that were seen before, text in another encoding."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import mmlib
from conftest import rooms_of, write_rooms
from mmlib import DepthPairs, SegmentationPairs, ZeroPair, fit, load, preset
from mmlib.__main__ import main
from mmlib.data.packing import check, pack
from mmlib.data.shipped import CHECKPOINT
from mmlib.hardware import compute


@pytest.fixture(scope="module")
def objective():
    return ZeroPair(rooms_of(SegmentationPairs, 0), rooms_of(DepthPairs, 10))


@pytest.fixture(scope="module")
def trained(objective, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    fit(preset("smoke", steps=4), objective, folder, device="cpu", progress=False)
    return folder


def test_a_second_training_in_one_folder_is_refused(objective, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="another training is using it"):
        fit(preset("smoke", steps=4), objective, tmp_path, device="cpu", progress=False)
    fit(preset("smoke", steps=4), objective, tmp_path, device="cpu", progress=False)
    assert not (tmp_path / ".lock").exists()


def test_more_steps_are_told_apart_from_another_recipe_and_a_network_is_trained_on(objective, trained, tmp_path):
    with pytest.raises(ValueError, match="a run of 4 steps, not of 8; .* --from"):
        fit(preset("smoke", steps=8), objective, trained, device="cpu", progress=False, resume=True)
    on = fit(preset("smoke", steps=4), objective, tmp_path, device="cpu", progress=False, start=trained, stop_after=0)
    first = load(trained)
    assert all(torch.equal(a, b) for a, b in zip(on.state_dict().values(), first.state_dict().values()))
    assert on.record["start_sha256"] == first.record["weights_sha256"]
    wider = preset("smoke", steps=4, widths=(16, 16))
    with pytest.raises(ValueError, match="its networks have other tensors"):
        fit(wider, objective, tmp_path / "wider", device="cpu", progress=False, start=trained)


def test_measuring_what_was_trained_on_is_said(tmp_path, capsys):
    for split, rooms in (("d1", range(4)), ("d2", range(4, 8)), ("test", (0, 20, 21))):
        write_rooms(tmp_path / split, list(rooms))
        names = {"d1": ("rgb", "segmentation"), "d2": ("rgb", "depth")}.get(split, ("rgb", "depth", "segmentation"))
        pack(tmp_path / split, tmp_path / f"sets/{split}.zip", names)
    sets, run = str(tmp_path / "sets"), str(tmp_path / "run")
    (problem,) = check(sets)
    assert "d1.zip and" in problem and "share 1 rooms, the first is 0" in problem
    assert main(["train", "--preset", "smoke", "--steps", "2", "--data", sets, "--out", run, "--device", "cpu"]) == 0
    assert main(["evaluate", run, "--data", sets, "--json", str(tmp_path / "result.json")]) == 0
    assert "1 rooms of test have numbers of d1" in capsys.readouterr().err
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["rooms"] == 3
    assert main(["audit", run, "--data", sets]) == 1
    assert "the test split was used for training" in capsys.readouterr().out
    assert main(["evaluate", run, "--data", f"{sets}/d2.zip"]) == 0
    said = capsys.readouterr()
    assert "holds no segmentation, which is not measured" in said.err
    assert set(json.loads(said.out)["translations"]) == {
        f"{a}_to_{b}" for a in ("rgb", "depth") for b in ("rgb", "depth")
    }


def test_an_index_written_by_hand_on_windows_is_read(tmp_path):
    write_rooms(tmp_path, [1, 2])
    index = json.loads((tmp_path / "index.json").read_text())
    for entry in index["rooms"]:
        entry["path"] = entry["path"].replace("/", "\\")
    (tmp_path / "index.json").write_text("\ufeff" + json.dumps(index), encoding="utf-8")
    assert check(tmp_path) == [] and len(SegmentationPairs(tmp_path)) == 2


def test_a_package_without_its_repository_says_so(tmp_path):
    for part in ("mmlib", "pyproject.toml"):
        source = Path(mmlib.__file__).parents[1] / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for words in (["experiment", "table1", "--table"], ["course", "--out", "c"], ["train", "--out", "run"],
                  ["audit", str(CHECKPOINT)]):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "mmlib", *words], capture_output=True, text=True, cwd=tmp_path,
                              env=environment)  # fmt: skip
        assert done.returncode == 2 and "clone the repository" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_table_is_written_whatever_the_encoding(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "mmlib", "audit", str(CHECKPOINT)], capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.returncode == 0 and "depth" in done.stdout.decode("utf-8") and b"Traceback" not in done.stderr


def test_a_gpu_that_this_pytorch_has_no_code_for_is_passed_over(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90", "compute_90"])
    for capability, kind in (((6, 0), "cpu"), ((8, 6), "cuda"), ((9, 0), "cuda"), ((7, 0), "cpu")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        if kind == "cpu":
            with pytest.warns(UserWarning, match="no code for the GPU"):
                assert compute.choose_device("auto").type == kind
        else:
            assert compute.choose_device("auto").type == kind
