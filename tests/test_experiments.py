"""Grids of experiments: run once, resumed, and rendered from their files alone."""

import dataclasses
import json

import pytest
import torch

from conftest import rooms_of
from mmlib import MODALITIES, DepthPairs, MixAndMatch, SegmentationPairs, open_split, preset
from mmlib.course import plots
from mmlib.course.plots.evidence import unpacked
from mmlib.data.shipped import read
from mmlib.evidence import experiments, ingredients, measure, points, tables
from mmlib.evidence.experiments import run_grid
from mmlib.evidence.grids import FUSED_SEGMENTATION, GRIDS, SHARE, Grid, Row
from mmlib.evidence.runs import runs
from mmlib.methods.cyclegan import CycleGAN
from mmlib.methods.pix2pix import Pix2Pix

CPU = torch.device("cpu")


@pytest.fixture
def small(rooms_dir, tmp_path, monkeypatch):
    """Six small rooms in place of the shipped ones, results in a folder of their own."""
    monkeypatch.setattr(measure, "shipped", lambda split, size=None: open_split(rooms_dir, split, size))
    monkeypatch.setattr(ingredients, "open_split", lambda data, split, size=None: open_split(rooms_dir, split, size))
    pairs = (open_split(rooms_dir, "d1", 32), open_split(rooms_dir, "d2", 32))
    monkeypatch.setattr(measure, "selection_pairs", lambda size: pairs)
    monkeypatch.setattr(experiments, "sha256_of", lambda name: open_split(rooms_dir, "test").sha256)
    monkeypatch.setattr(experiments, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(measure, "alignment", lambda *_: {})
    grid = (
        Row("the student", "depth_student"),
        Row("fused", "pooling", FUSED_SEGMENTATION, "fused"),
        Row("lent indices", "pooling", FUSED_SEGMENTATION, "lent"),
        Row("cascade", "pix2pix", measured="through_rgb", role="baseline"),
        Row("CycleGAN", "cyclegan", role="baseline"),
    )
    monkeypatch.setitem(GRIDS, "small", Grid("", grid))
    return tmp_path


def test_a_grid_trains_teachers_first_and_nothing_twice(small, capsys):
    said = []
    run_grid("small", 1, "smoke", small / "runs", "cpu", progress=said.append)
    order = [line.split()[1].rstrip(",") for line in said[1:]]
    assert set(order) == {"rgb_to_segmentation", "depth_student", "pooling", "pix2pix", "cyclegan"}
    assert order.index("rgb_to_segmentation") < order.index("depth_student")
    result = json.loads((small / "results/smoke/depth_student_0.json").read_text())
    assert {"recipe", "data_sha256", "device", "versions", "seconds", "curve", "parameters"} <= result.keys()
    run_grid("small", 1, "smoke", small / "runs", "cpu", progress=said.append)
    assert said[-1] == "small: 5 of 5 results are there already"
    table = tables.grid_table("small", "smoke", 1)
    assert len(table.splitlines()) == 2 + 5 and "–" not in table.splitlines()[2]
    assert tables.pictures("small", "smoke").keys() == {row.title for row in GRIDS["small"].rows}


def test_pictures_are_kept_of_what_rows_show_by_seed_0(small):
    first, second = (experiments.train_run("smoke", "pix2pix", seed, small / "runs", "cpu") for seed in (0, 1))
    assert first["examples"].keys() == {"rgb_to_segmentation"}
    assert first["examples_through_rgb"].keys() == {"depth_to_segmentation"}
    assert not any(name.startswith("examples") for name in second)


def test_results_of_another_recipe_are_made_anew(small):
    run_grid("small", 1, "smoke", small / "runs", "cpu", progress=lambda line: None)
    path = small / "results/smoke/cyclegan_0.json"
    result = json.loads(path.read_text())
    result["recipe"]["batch"] += 1
    path.write_text(json.dumps(result))
    said = []
    run_grid("small", 1, "smoke", small / "runs", "cpu", progress=said.append)
    assert said[0] == "small: 4 of 5 results are there already" and len(said) == 2


def test_a_run_declared_anew_is_trained_anew(small, monkeypatch):
    before = experiments.train_run("smoke", "rgb_to_segmentation", 0, small / "runs", "cpu")
    declared = runs("smoke")
    changed = declared["rgb_to_segmentation"].recipe.replace(learning_rate=2e-3)
    declared = {**declared, "rgb_to_segmentation": dataclasses.replace(declared["rgb_to_segmentation"], recipe=changed)}
    monkeypatch.setattr(experiments, "runs", lambda preset: declared)
    after = experiments.train_run("smoke", "rgb_to_segmentation", 0, small / "runs", "cpu")
    assert (before["recipe"]["learning_rate"], after["recipe"]["learning_rate"]) == (1e-3, 2e-3)


def test_tables_leave_out_results_of_another_recipe(small):
    experiments.train_run("smoke", "rgb_to_segmentation", 0, small / "runs", "cpu")
    assert len(tables.load("smoke", "rgb_to_segmentation", 3)) == 1
    path = small / "results/smoke/rgb_to_segmentation_0.json"
    result = json.loads(path.read_text())
    result["recipe"]["batch"] += 1
    path.write_text(json.dumps(result))
    assert tables.load("smoke", "rgb_to_segmentation", 3) == []


def test_an_unknown_grid_names_the_known_ones(small):
    with pytest.raises(ValueError, match="unknown grid 'table9': known are table1"):
        run_grid("table9")


def test_what_a_choice_rests_on_never_sees_the_test(small, monkeypatch):
    def forbidden(split, size=None):
        raise AssertionError(f"{split} was opened")

    monkeypatch.setattr(measure, "shipped", forbidden)
    result = experiments.train_run("smoke", "idea_all_stages", 0, small / "runs", "cpu")
    assert all(row["seen"] for row in result["translations"].values()) and "examples" not in result


def test_every_row_names_a_run_and_every_teacher_is_one():
    declared = runs("ablation")
    for row in (row for grid in GRIDS.values() for row in grid.rows):
        assert row.run in declared, row
        measured = ("translations", "through_rgb", "through_anchor", "unchanged", "autoencoders", *SHARE)
        assert row.measured in measured, row
        assert row.measured not in SHARE or declared[row.run].fuses, row
    for name, run in declared.items():
        assert not run.teacher or run.teacher in declared, name
        domains = name.startswith(("colours", "styles"))  # whose baselines tests/test_domains.py looks at
        before = declared[run.teacher].recipe.steps if run.objective is ingredients.self_training else 0
        assert domains or before + run.recipe.steps >= preset("ablation").steps, "a baseline gets at least our steps"


def test_rivals_have_at_least_the_parameters_of_ours():
    """On the way from depth to segmentation, at the preset of the tables."""
    declared, sets = runs("ablation"), (rooms_of(SegmentationPairs, 0), rooms_of(DepthPairs, 10))
    ours = MixAndMatch.from_recipe(declared["pooling"].recipe)
    mine = sum(w.numel() for part in (ours.encoders["depth"], ours.decoders["segmentation"]) for w in part.parameters())
    cyclegan = CycleGAN(*sets).networks(declared["cyclegan"].recipe).generators["depth_to_segmentation"]
    assert sum(w.numel() for w in cyclegan.parameters()) >= mine
    pix2pix = Pix2Pix(*sets).networks(declared["pix2pix"].recipe)
    assert all(sum(w.numel() for w in unet.parameters()) >= mine for unet in pix2pix.generators.values())


def test_the_table_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    grid = (
        Row("baseline", "b", paper=(25.4, 57.6), role="baseline"),
        Row("ours", "o"),
        Row("not yet", "n"),
        Row("as good", "g"),
        Row("oracle", "x", role="oracle"),
    )
    monkeypatch.setitem(GRIDS, "hand", Grid("", grid))
    values = {"b": (0.1, 0.2), "o": (0.4, 0.6), "g": (0.5, 0.7), "x": (0.9, 0.9)}
    (tmp_path / "p").mkdir()
    for run, pair in values.items():
        for seed, miou in enumerate(pair):
            row = {"miou": miou, "global": 0.5}
            text = json.dumps({"translations": {"depth_to_segmentation": row}})
            (tmp_path / f"p/{run}_{seed}.json").write_text(text)
    lines = tables.grid_table("hand", "p", 3).splitlines()
    assert lines[2] == "| baseline | 2 | 15.0 ± 7.1 % | 50.0 ± 0.0 % | 25.4 % | – |"
    assert lines[3] == "| ours | 2 | 50.0 ± 14.1 % | 50.0 ± 0.0 % | – | 47 % |"  # (0.5 − 0.15) / (0.9 − 0.15)
    assert len(lines) == 2 + 4 and lines[5].endswith("| 100 % |"), "a row without a result is left out"
    assert tables.grid_table("hand", "p", 3, ["ours"]).splitlines()[2:] == lines[3:4]
    with pytest.raises(ValueError, match="hand has no row 'theirs': it has baseline, ours"):
        tables.grid_table("hand", "p", 3, ["theirs"])
    pairs = (("ours", "baseline"), ("as good", "ours"), ("baseline", "ours"), ("ours", "not yet"))
    assert tables.differences("hand", *pairs, preset="p").splitlines() == [
        "+35.0 points (beyond the seeds' spread): ours 50.0 ± 14.1 %, against baseline 15.0 ± 7.1 %",
        "+10.0 points (within the seeds' spread): as good 60.0 ± 14.1 %, against ours 50.0 ± 14.1 %",
        "−35.0 points (beyond the seeds' spread): baseline 15.0 ± 7.1 %, against ours 50.0 ± 14.1 %",
    ]
    (line,) = tables.differences("hand", ("as good", "ours"), preset="p", seeds=1).splitlines()
    assert line == "+10.0 points (one seed: no spread is known): as good 50.0 %, against ours 40.0 %"
    assert tables.differences("hand", ("ours", "not yet"), preset="p") == "no result of these rows yet"


def test_examples_come_back_from_their_png(model, rooms):
    made = measure.examples(model, rooms, [("depth", "segmentation"), ("rgb", "depth"), ("depth", "rgb")], CPU)
    assert made.keys() == {"depth_to_segmentation", "rgb_to_depth"}
    batch = rooms.batch(measure.EXAMPLES)
    for name, tolerance in (("segmentation", 0), ("depth", 0.0006)):
        source = "depth" if name == "segmentation" else "rgb"
        with torch.inference_mode():
            image = MODALITIES[source].to_input(batch[source])
            raw = MODALITIES[name].to_raw(model.translate(image, source, name))
        back = unpacked(made[f"{source}_to_{name}"], name, len(measure.EXAMPLES))
        assert back.shape == raw.shape and (back - raw).abs().max() <= tolerance
    ours = {"ours": made["depth_to_segmentation"]}
    figure = plots.qualitative(ours, rooms, measure.EXAMPLES, "depth", "segmentation")
    assert figure.alt.startswith("4 rows of images: input: depth, ours, truth: segmentation")


def test_transfer_draws_a_point_a_seed():
    figure = plots.scattered({"one": [(0.1, 0.2), (0.3, 0.4)], "two": [(0.5, 0.6)]}, "retrieval@1")
    offsets = [tuple(collection.get_offsets().tolist()) for collection in figure.axes[0].collections]
    assert offsets == [([0.1, 20.0], [0.3, 40.0]), ([0.5, 60.0],)]
    assert figure.alt == "zero-pair mIoU over retrieval@1: one 30.0 % at 0.20; two 60.0 % at 0.50"


def test_figure_7_is_averaged_over_the_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    (tmp_path / "p").mkdir()
    for seed, miou in enumerate((0.2, 0.4)):
        line = [{"alpha": 0.0, "miou": miou, "global": 0.5, "iou": {}}]
        text = json.dumps({"fused": {FUSED_SEGMENTATION: {"rgb": line, "depth": line}}})
        (tmp_path / f"p/o_{seed}.json").write_text(text)
    row = Row("ours", "o", FUSED_SEGMENTATION, "fused")
    (point,) = tables.fusion_lines(row, "p", 3)["indices of RGB"]
    assert (point["alpha"], point["seeds"], point["miou"]) == (0.0, 2, pytest.approx(0.3))
    assert point["spread"] == {"miou": pytest.approx(0.2 / 2**0.5), "global": 0}
    monkeypatch.setitem(GRIDS, "figure7", Grid("", (row,)))
    head, _, line = tables.fusion_table("p", 3).splitlines()
    assert head.startswith("| α | ours (2 seeds), indices of RGB: mIoU | ours (2 seeds), indices of depth")
    assert line == "| 0 | 30.0 ± 14.1 % | 30.0 ± 14.1 % |"


def test_correlation_is_of_ranks():
    rising, falling = [(1, 1.0), (2, 20.0), (3, 1000.0), (4, 1001.0)], [(5, 3.0), (6, 2.0), (7, 1.0)]
    assert points.correlation({"a": rising, "b": [(9, 1002.0)]}) == pytest.approx(1)
    assert points.correlation({"a": rising, "b": falling}, ["b"]) is None, "three points are too few"
    assert points.correlation({"a": [(1, 1.0)] * 4 + [(2, 2.0)]}) == pytest.approx(1), "ties share their rank"
    assert points.correlation({"a": [(1, 1.0)] * 5}) is None


def test_transfer_is_grouped_by_what_decoders_read(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    (tmp_path / "p").mkdir()
    for run, kind, widths in (("none", "none", 3), ("pooling", "pooling", 3), ("pooling_deep", "pooling", 4)):
        measured = {
            "recipe": {"side_information": kind, "widths": [1] * widths, "seed": 0},
            "alignment": {"depth – segmentation": {"retrieval_at_1": 0.9, "index_agreement": [0.1, 0.2, 0.6]}},
            "translations": {"depth_to_segmentation": {"miou": 0.4}},
        }
        (tmp_path / f"p/{run}_0.json").write_text(json.dumps(measured))
    trainings = points.trainings("p", 1)
    assert [(one["run"], one["stages"]) for one in trainings] == [("none", 3), ("pooling", 3), ("pooling_deep", 4)]
    found = points.transfer_points(trainings, "equal pooling indices, last stage")
    assert found == {points.READS["none"]: [(0.6, 0.4)], points.READS["pooling"]: [(0.6, 0.4)] * 2}
    found = points.transfer_points(trainings[:1], "equal pooling indices, mean of the stages")
    assert found == {points.READS["none"]: [(pytest.approx(0.3), 0.4)]}


def test_an_earlier_recipe_is_kept_with_all_it_is_compared_by():
    earlier = read("earlier/ablation")
    assert all(len(seeds) == 3 for seeds in earlier["miou"].values()) and len(earlier["trainings"]) == 48
    assert {one["run"] for one in earlier["trainings"]} >= {"none", "pooling", "skip", "pseudo_pairs_none"}
    table = tables.earlier_table("p", 3).splitlines()
    assert len(table) == 2 + len(tables.EARLIER) <= 8 and table[2].startswith(
        "| M&MNet D → S, no indices | 25.6 ± 0.9 % |  | –"
    )
