"""The shipped network and what is reported of it: measured again, audited, and held against the promises."""

import dataclasses
import json
import statistics

import pytest
import torch

from mmlib import audit, checkpoints, evaluate, open_split, preset, shipped
from mmlib.__main__ import main
from mmlib.data.shipped import CHECKPOINTS, COLOUR_CHECKPOINT, RESULTS, STYLE_CHECKPOINT
from mmlib.evidence import tables
from mmlib.evidence.experiments import stored
from mmlib.evidence.grids import GRIDS
from mmlib.evidence.measure import selection_pairs
from mmlib.evidence.results import NETWORK, ORACLE, TRIALS
from mmlib.evidence.runs import runs
from mmlib.hardware.compute import FORM, Machine
from mmlib.methods import colours, styles
from mmlib.recipes import PRESETS, from_dict

COURSE = CHECKPOINTS / "course.safetensors"


def reported(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def miou(result: dict, translation: str) -> float:
    return result["translations"][translation]["miou"]


@pytest.fixture(scope="module")
def model():
    return checkpoints.load(COURSE)


def test_the_report_is_what_the_checkpoint_does(model):
    again = evaluate(model, shipped("test", model.recipe.size))
    report = reported(NETWORK)
    assert again["data_sha256"] == report["data_sha256"], "the report is of another test split"
    for name, row in report["translations"].items():
        for key, value in row.items():
            if isinstance(value, float):
                assert again["translations"][name][key] == pytest.approx(value, rel=5e-3, abs=2e-3), (name, key)


def test_zero_pair_figures_are_as_promised():
    network, oracle = reported(NETWORK), reported(ORACLE)
    zero_pair = miou(network, "depth_to_segmentation")
    assert zero_pair >= 0.60
    assert zero_pair >= miou(network, "rgb_to_segmentation")
    assert zero_pair >= 0.80 * miou(oracle, "depth_to_segmentation")


def test_the_shipped_network_never_saw_the_pair(model):
    assert audit(model.record) == []
    assert audit(reported(ORACLE)) != []  # the oracle did, and the audit says so
    entries = {(entry["role"], entry["split"]): entry for entry in model.record["data"]}
    assert entries.keys() == {("training", "d1"), ("training", "d2"), ("selection", "validation")}
    assert entries["selection", "validation"]["sha256"] == shipped("validation").sha256
    for split in ("d1", "d2"):
        trained = _rooms(entries["training", split])
        assert trained >= set(shipped(split).rooms), "the shipped rooms are among those that it was trained on"
        assert not trained & set(shipped("test").rooms)


def _rooms(entry: dict) -> set[int]:
    return {room for first, last in entry["rooms"] for room in range(first, last + 1)}


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4", "figure7"])
def test_results_keep_the_pictures_of_every_row_that_was_run(name):
    run = {row.title for row in GRIDS[name].rows if tables.results(row, GRIDS[name].preset, 1)}
    assert run and tables.pictures(name).keys() == run


def test_choices_rest_on_seen_pairs_alone():
    segmentation, depth = selection_pairs(32)
    assert segmentation.modalities == ("rgb", "segmentation") and depth.modalities == ("rgb", "depth")
    assert not set(segmentation.rooms) & set(depth.rooms)
    run = [row.run for row in GRIDS["ideas"].rows if stored("ablation", row.run, 0)]
    assert "none" in run
    for name in run:
        report = reported(f"ablation/{name}_0")
        report = report.get("validation", report)  # runs of the tables were measured on both
        assert report["split"] == "validation" and all(one["seen"] for one in report["translations"].values())
        assert report["alignment"].keys() == {"rgb – segmentation", "rgb – depth"}


@pytest.mark.parametrize(("file", "size"), [("gpu/shapes", 96), ("levers", 48), ("anchor", 48), ("self_training", 48)])
def test_trials_were_measured_on_seen_pairs_of_validation_alone(file, size):
    trials = reported(file)
    assert trials["split"] == "validation" and trials["processor"]
    assert {run["name"] for run in trials["runs"]} == TRIALS[file].keys()
    for run in trials["runs"]:
        assert from_dict(run["recipe"]).size == size and run["steps"] == from_dict(run["recipe"]).steps
        assert all(row["seen"] for row in run["translations"].values())


def test_the_oracle_learnt_from_rooms_of_its_own():
    theirs = _rooms(reported(ORACLE)["data"][0])
    for split in ("d1", "d2", "validation", "test"):
        assert not theirs & set(shipped(split).rooms)


@pytest.mark.parametrize("path", sorted((RESULTS / "course").glob("*.json")), ids=lambda path: path.stem)
def test_reports_say_how_they_were_made(path):
    report, (name, seed) = json.loads(path.read_text()), path.stem.rsplit("_", 1)
    recipe = runs("course")[name].recipe.replace(seed=int(seed))
    assert from_dict(report["recipe"]) == recipe and report["step"] == recipe.steps
    assert (report["split"], report["rooms"]) == ("test", 400) and report["seconds"] > 0
    assert {"torch", "python", "mmlib"} <= report["versions"].keys() and report["device"]


def test_checkpoint_is_small():
    assert COURSE.stat().st_size <= 8e6


def test_bench_measures_itself(monkeypatch):
    from mmlib.evidence import bench
    from mmlib.evidence.bench import step

    form = Machine(torch.device("cpu"), bf16=False, channels_last=False)
    monkeypatch.setattr(step, "probe", lambda *_: form)
    monkeypatch.setattr(Machine, "switch", switch_but_compile)
    result = bench.bench(preset("smoke"), steps=1, switches=True)
    turned = {f"{switch}_on" for switch in FORM}
    assert result["seconds_per_step"].keys() == {"naive", "ours_fp32", "ours", "yardstick", "floor"} | turned
    assert sum(result["milliseconds"].values()) == pytest.approx(1000 * result["seconds_per_step"]["ours"])
    share, rate = result["share_of_matrix_rate"]["ours"], result["matrix_tflop_per_second"]
    seconds, tflop = result["seconds_per_step"]["ours"], result["tflop_per_step"]["ours"]
    assert share * rate * seconds == pytest.approx(tflop) and 0 < share < 1
    assert all(abs(ratio - 1) < 0.02 for ratio in result["loss_over_fp32"].values())
    text = bench.describe(result)
    assert "naive / ours" in text and f"{result['operations']:,} operations" in text


def switch_but_compile(machine, networks, switch=Machine.switch):
    switch(dataclasses.replace(machine, compiled=False), networks)


@pytest.mark.parametrize("path", sorted((RESULTS / "bench").glob("*.json")), ids=lambda path: path.stem)
def test_benchmarks_say_where_they_were_measured(path):
    result = json.loads(path.read_text())
    assert {"device"} <= result.keys() and ("processor" in result or path.stem == "course_amx")


# ── Many domains ──


def test_colours_are_as_reported():
    """One unseen translation of the shipped network, measured again."""
    model = checkpoints.load(COLOUR_CHECKPOINT)
    scenes, report = colours.shipped_scenes(), reported("domains/colours_mixed_0")
    assert report["data_sha256"] == scenes.sha256 and audit(model.record) == []
    made = colours.translated(model, scenes.images["red"], "red", "green")
    names = colours.ColourNames(scenes)
    row = colours.recolouring(made, scenes.images["green"], scenes.images["red"], scenes.images["mask"], names, "green")
    stored = report["translations"]["red_to_green"]
    assert not stored["seen"] and names.accuracy() == pytest.approx(report["colour_names"], abs=1e-3)
    for measure, value in row.items():
        assert value == pytest.approx(stored[measure], rel=5e-3, abs=0.02), measure


def test_styles_are_as_reported():
    model = checkpoints.load(STYLE_CHECKPOINT)
    photos, report = shipped("test", model.recipe.size).subset(0, 100), reported("domains/styles_mixed_0")
    assert report["data_sha256"] == photos.sha256 and audit(model.record) == []
    exact = {name: styles.stylised(name, photos.images["rgb"], photos.rooms) for name in ("dots", "brush")}
    found = colours.likeness(colours.translated(model, exact["dots"], "dots", "brush"), exact["brush"])
    for measure, value in found.items():
        assert value == pytest.approx(report["translations"]["dots_to_brush"][measure], rel=5e-3), measure


@pytest.mark.parametrize("path", [COURSE, COLOUR_CHECKPOINT, STYLE_CHECKPOINT], ids=lambda path: path.stem)
def test_one_command_measures_every_shipped_network(path, tmp_path, monkeypatch):
    opened = open_split
    monkeypatch.setattr("mmlib.data.shipped.open_split", lambda *arguments: opened(*arguments).subset(0, 4))
    assert main(["evaluate", str(path), "--json", str(tmp_path / "result.json"), "--device", "cpu"]) == 0
    rows = json.loads((tmp_path / "result.json").read_text())["translations"]
    count = round(len(rows) ** 0.5)
    assert len(rows) == count**2 and sum(not row["seen"] for row in rows.values()) == (count - 1) * (count - 2)


def test_every_stored_result_is_of_a_declared_run_with_a_recipe_of_this_version():
    for path in sorted(RESULTS.glob("*/*_[0-9].json")):
        if path.parent.name in PRESETS:
            record, name = json.loads(path.read_text()), path.stem.rpartition("_")[0]
            assert name in runs(path.parent.name), path
            recipe = from_dict(record["recipe"])
            assert recipe.architecture == ("resnet" if path.parent.name == "domains" else "segnet"), path


def test_unseen_recolourings_are_within_a_tenth_of_the_seen_ones():
    rows = reported("domains/colours_mixed_0")["translations"].values()
    for measure, sign in {"colour_error": -1, "named": 1, "psnr": 1, "ssim": 1, "background": -1}.items():
        with_pair, without = (
            statistics.mean(row[measure] for row in rows if row["seen"] is seen) for seen in (True, False)
        )
        assert sign * (without - with_pair) > -0.1 * with_pair, measure


@pytest.mark.parametrize("grid", ["colours", "styles"])
def test_every_row_of_many_domains_has_its_result(grid):
    assert tables.MISSING not in tables.render(grid, GRIDS[grid].preset, 1)
    assert all(tables.results(row, GRIDS[grid].preset, 1) for row in GRIDS[grid].rows)
