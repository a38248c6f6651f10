"""The command line, run in this process: exit statuses, and what a user reads."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmlib import Phase, Recipe, fit, preset, training
from mmlib.__main__ import main
from mmlib.commands import app
from mmlib.commands.training import meanings
from mmlib.data.sets import OraclePairs
from mmlib.methods.supervised import Supervised

pytestmark = pytest.mark.usefixtures("one_thread")
COMMANDS = [name for name in app if not name.startswith("-")]


@pytest.fixture(scope="module")
def trained(rooms_dir, one_thread, tmp_path_factory):
    """The folder of a smoke run that the command line trained."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    arguments = ["--preset", "smoke", "--data", str(rooms_dir), "--out", str(folder), "--device", "cpu"]
    assert main(["train", *arguments, "--seed", "4", "--augment", "false", "--widths", "4,8"]) == 0
    return folder


def test_train_leaves_its_four_files_and_obeys_its_options(trained):
    names = ["checkpoint.json", "checkpoint.safetensors", "log.jsonl", "state.safetensors"]
    assert sorted(path.name for path in trained.iterdir()) == names
    recipe = json.loads((trained / "checkpoint.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["augment"], recipe["widths"]) == (4, False, [4, 8])


def test_train_stops_and_resumes_by_its_options(trained, rooms_dir, capsys):
    arguments = ["train", "--preset", "smoke", "--data", str(rooms_dir), "--out", str(trained), "--device", "cpu"]
    assert main(arguments) == 2
    assert "pass --resume" in only_line(capsys)
    assert main([*arguments, "--resume"]) == 2
    assert "seed (4 there, 0 here)" in only_line(capsys)
    assert main([*arguments, "--resume", "--seed", "4", "--augment", "false"]) == 0


def only_line(capsys) -> str:
    """What a command wrote on standard error: one line, by mmlib."""
    error = capsys.readouterr().err
    assert error.startswith("mmlib: ") and error.count("\n") == 1 and "Traceback" not in error
    return error


def test_evaluate_writes_standard_output_or_a_file(trained, rooms_dir, tmp_path, capsys):
    arguments = ["evaluate", str(trained / "checkpoint.safetensors"), "--data", str(rooms_dir)]
    assert main([*arguments, "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["translations"]) == 9 and printed["rooms"] == 6 and printed["size"] == 32
    assert printed["translations"]["depth_to_segmentation"]["seen"] is False
    assert main([*arguments, "--json", str(tmp_path / "result.json")]) == 0
    assert json.loads((tmp_path / "result.json").read_text()) == printed
    assert "depth → segmentation" in capsys.readouterr().out


def test_audit_passes_a_zero_pair_run_and_catches_a_supervised_one(trained, rooms_dir, tmp_path, capsys):
    assert main(["audit", str(trained / "checkpoint.safetensors")]) == 0
    assert "clean" in capsys.readouterr().out
    objective = Supervised(OraclePairs(rooms_dir, ("depth", "segmentation")), "depth", "segmentation")
    fit(preset("smoke", steps=2), objective, tmp_path, device="cpu", progress=False)
    assert main(["audit", str(tmp_path / "checkpoint.safetensors")]) == 1
    assert "6 rooms from 100 on gave both depth and segmentation" in capsys.readouterr().out


def test_check_data_passes_good_and_packed_rooms_and_names_a_bad_file(rooms_dir, tmp_path, capsys):
    assert main(["check-data", str(rooms_dir)]) == 0
    assert "every file is in order" in capsys.readouterr().out
    bad = shutil.copytree(rooms_dir, tmp_path / "bad") / "0/2/depth/0.png"
    bad.write_bytes(b"no image")
    assert main(["check-data", str(tmp_path / "bad")]) == 1
    assert str(bad) in capsys.readouterr().out
    assert main(["check-data", str(tmp_path / "absent")]) == 1
    assert "does not exist" in capsys.readouterr().out
    assert main(["pack", str(rooms_dir), str(tmp_path / "d1.zip"), "--modalities", "rgb,segmentation"]) == 0
    assert main(["check-data", str(tmp_path / "d1.zip")]) == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--preset", "huge", "--out", "x"], 'Invalid value "huge" for --preset. Choose from: "paper"'),
        (["train", "--out", "x", "--batch", "many"], "--batch: 'many' must be `int`"),
        (["train", "--out", "x", "--batch", "1"], "--batch: '1' must be `int` >= 2"),
        (["train", "--out", "x", "--augment", "yes"], "--augment: 'yes' must be `bool`"),
        (["train", "--out", "x", "--widths", "4;8"], "--widths: '4;8' [0] must be `int`"),
        (["train", "--out", "x", "--schedule", "cosine"], "must be one of constant, one_cycle, linear_decay"),
        (["train", "--out", "x", "--colour", "red"], "Unknown option: --colour"),
        (["train"], "--out requires an argument"),
        (["train", "--out", ""], "name a folder"),
        (["train", "--out", "x", "--save-every", "0"], "0 must be a whole number of at least 1"),
        (["bench", "--steps", "-1"], "-1 must be a whole number of at least 1"),
        (["bench", "--json", "--switches"], "name a file, or - for standard output"),
        (["bench-domains", "--preset", "smoke"], "Unknown option: --preset"),
        (["evaluate", "x", "--split", "d1"], 'Invalid value "d1" for --split'),
        (["audit", "."], "is not a checkpoint"),
        (["audit", "/"], "is not a checkpoint"),
        (["audit", ""], "is not a checkpoint"),
        (["paint"], 'Unknown command "paint"'),
        ([], "COMMAND"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_one_sentence(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in only_line(capsys)


@pytest.mark.parametrize("command", ["evaluate", "audit"])
@pytest.mark.parametrize("content", [None, "not json", "[]", "{}"])
def test_a_bad_checkpoint_is_one_sentence_on_standard_error(tmp_path, rooms_dir, capsys, command, content):
    if content is not None:
        (tmp_path / "bad.json").write_text(content)
    data = ["--data", str(rooms_dir)] if command == "evaluate" else []
    assert main([command, str(tmp_path / "bad.safetensors"), *data]) == 2
    assert str(tmp_path / "bad") in only_line(capsys)


def test_audit_refuses_weights_that_are_not_the_records(trained, tmp_path, capsys):
    for name in ("checkpoint.json", "checkpoint.safetensors"):
        shutil.copy(trained / name, tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"other weights")
    assert main(["audit", str(tmp_path / "checkpoint.safetensors")]) == 2
    assert "corrupt" in only_line(capsys)


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--size", "30"], "size = 30 must be a multiple of 4"),
        (["--steps", "0"], "at least 1"),
        (["--device", "abacus"], "'abacus' is not available"),
        (["--device", "cpu:x"], "device 'cpu:x'"),
        (["--data", "nowhere"], "nowhere"),
        (["--rgb-weights", "nowhere.pth"], "nowhere.pth: no such file"),
        (["--out", "taken"], "cannot write"),
    ],
    ids=" ".join,
)
def test_what_a_user_can_mend_is_one_sentence(rooms_dir, tmp_path, capsys, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file")
    others = {"--out": "run", "--data": str(rooms_dir)} | dict([changes])
    assert main(["train", "--preset", "smoke", *(word for option in others.items() for word in option)]) == 2
    assert words in only_line(capsys)


def test_weights_for_an_encoder_of_rgb_are_refused_where_the_networks_have_another(rooms_dir, tmp_path, capsys):
    words = ["--architecture", "resnet", "--widths", "4,8,8", "--convolutions", "1,1,1", "--rgb-weights", "w.pth"]
    where = ["--data", str(rooms_dir), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main(["train", "--preset", "smoke", *words, *where]) == 2
    assert "w.pth is for an encoder of RGB as the paper's: these networks have none" in only_line(capsys)


def test_control_c_exits_130(rooms_dir, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "load_batch", interrupted)
    arguments = ["train", "--preset", "smoke", "--data", str(rooms_dir), "--out", str(tmp_path / "run")]
    assert main(arguments) == 130
    assert "mmlib: stopped" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_each_command_and_says_what_its_options_mean(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(["--help"]) == 0 and f"│ {command} " in capsys.readouterr().out
    assert main([command, "--help"]) == 0
    listed = capsys.readouterr().out
    for argument in app[command].assemble_argument_collection(parse_docstring=True):
        if argument.parse and not argument.children:
            assert argument.names[0] in listed and argument.parameter.help, argument.name


def test_help_of_train_lists_every_field_of_a_recipe_with_its_choices_and_default():
    command, wide = [sys.executable, "-m", "mmlib", "train", "--help"], {**os.environ, "COLUMNS": "1000"}
    listed = subprocess.run(command, env=wide, capture_output=True, check=True, encoding="utf-8").stdout
    for record in (Recipe, Phase):
        assert meanings(record).keys() == {field.name for field in dataclasses.fields(record)}
    for name, meaning in meanings(Recipe).items():
        if name not in ("name", "modalities", "phases"):
            assert f"--{name.replace('_', '-')} " in listed and f"{meaning} [course: " in listed
    assert "[course: one_cycle] [choices: constant, one_cycle, linear_decay]" in listed


SOLVED = """from mmlib.course import check


def your_pairs_in_the_loss(sets):
    return {(source, target) for held in sets for source in held for target in held}


check(your_pairs_in_the_loss)"""


def test_grade_says_who_passed_what(tmp_path, capsys):
    wrong = SOLVED.replace("for target in held", "for target in ('rgb', 'depth')")
    unfinished = SOLVED.replace("return {", "return None  # {")
    paths = [tmp_path / name for name in ("ada.ipynb", "bob.ipynb")]
    for path, sources in zip(paths, [(SOLVED,), (wrong, unfinished)]):
        path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]}))
    assert main(["grade", *map(str, paths), "--json", str(tmp_path / "grades.json")]) == 0
    table = capsys.readouterr().out
    assert f"{paths[0]}: 1 of 1 passed" in table and f"{paths[1]}: 0 of 2 passed" in table
    outcomes = json.loads((tmp_path / "grades.json").read_text())[str(paths[1])]
    assert [outcome["status"] for outcome in outcomes] == ["not right yet", "not done yet"]
    assert all(outcome["message"] for outcome in outcomes)
    assert main(["grade", str(tmp_path / "absent.ipynb")]) == 2
    assert "absent.ipynb: not a readable notebook" in only_line(capsys)
