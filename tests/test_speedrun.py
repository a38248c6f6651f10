"""The speedrun: a clock that stands still while rooms are measured, and records that only a reached target makes."""

import json
import time

import pytest
import torch

from mmlib import preset, shipped
from mmlib.evidence import speedrun
from mmlib.hardware.compute import Machine
from mmlib.recipes import from_dict


@pytest.fixture
def few_rooms(monkeypatch):
    monkeypatch.setattr(speedrun, "shipped", lambda split, size=None: shipped(split, size).subset(0, 8))
    monkeypatch.setattr(speedrun, "probe", lambda *_: Machine(torch.device("cpu"), False, False))


def test_a_run_has_its_curve_and_nine_translations(few_rooms, monkeypatch):
    pause = 0.5
    measure = speedrun.evaluate

    def slowly(*arguments):
        time.sleep(pause)
        return measure(*arguments)

    monkeypatch.setattr(speedrun, "evaluate", slowly)
    start = time.perf_counter()
    result = speedrun.run(preset("smoke"), "cpu", points=4)
    elapsed = time.perf_counter() - start
    assert [point["step"] for point in result["curve"]] == [2, 4, 6, 8]
    assert result["seconds"] == result["curve"][-1]["seconds"] < elapsed - 4 * pause  # measuring is not on the clock
    seconds = [point["seconds"] for point in result["curve"]]
    assert seconds == sorted(seconds) and len(result["translations"]) == 9 and result["rooms"] == 8
    assert [entry["modalities"] for entry in result["data"]] == [["rgb", "segmentation"], ["rgb", "depth"]]


def test_a_seed_that_misses_makes_no_record(few_rooms, tmp_path, monkeypatch):
    monkeypatch.setattr(speedrun, "yardstick", lambda device: 0.5)
    result = speedrun.speedrun(preset("smoke", steps=2), device="cpu")
    assert not result["reached"] and len(result["depth_to_segmentation"]) == 3
    assert "MISSED" in speedrun.describe(result)
    with pytest.raises(ValueError, match="no record"):
        speedrun.keep(result, "slow", "nothing", tmp_path)
    assert not list(tmp_path.iterdir())


def test_records_are_kept_once_and_say_what_they_cost(few_rooms, tmp_path, monkeypatch):
    monkeypatch.setattr(speedrun, "yardstick", lambda device: 0.5)
    monkeypatch.setattr(speedrun, "TARGET", 0.0)
    result = speedrun.speedrun(preset("smoke", steps=2), device="cpu")
    assert result["ratio"] == pytest.approx(result["seconds"] / 0.5)
    path = speedrun.keep(result, "one", "a change", tmp_path)
    with pytest.raises(ValueError, match="not overwritten"):
        speedrun.keep(result, "one", "another", tmp_path)
    first = json.loads(path.read_text())
    assert first["lines"] > 1000 and first["commit"] and from_dict(first["recipe"]) == preset("smoke", steps=2)
    (tmp_path / "two.json").write_text(
        json.dumps({**first, "seconds": first["seconds"] / 2, "lines": first["lines"] + 7})
    )
    table = speedrun.records_table(tmp_path).splitlines()
    assert len(table) == 4 and "a change" in table[2] and "(+7)" in table[3]


def test_the_yardstick_is_a_time():
    assert 0 < speedrun.yardstick(torch.device("cpu"), steps=3) < 60


def test_the_last_record_is_of_the_recipe_as_it_is():
    kept = speedrun.records()
    assert from_dict(kept[-1]["recipe"]) == preset("speedrun")
    assert [record["name"] for record in kept if len(record["runs"]) < 3] == ["first"]  # made before there were rules
    assert all(record["reached"] and min(record["depth_to_segmentation"]) >= speedrun.TARGET for record in kept)
