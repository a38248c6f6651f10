"""Checkpoints: the way to disk and back, and one sentence with the path for each way in which files go bad."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
import torch

from conftest import one_sentence
from mmlib import MixAndMatch, load, preset
from mmlib.checkpoints import read_record, save_checkpoint
from mmlib.hardware.files import write
from mmlib.resuming.state import load_state, save_state

RECIPE = preset("smoke")


def record(recipe=RECIPE) -> dict:
    return {"recipe": recipe.to_dict(), "step": 8, "note": "ein Zimmer, 3 × 4 m"}


@pytest.fixture
def saved(tmp_path):
    """A checkpoint's path, and the model in it with buffers that are not those of a new one."""
    model = MixAndMatch.from_recipe(RECIPE)
    model.train().translate(torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)), "depth", "rgb")
    path = tmp_path / "run/checkpoint.safetensors"
    save_checkpoint(path, model, record())
    return path, model


# ── There and back ──


def test_float32_comes_back_to_the_bit(saved):
    path, model = saved
    back = load(path)
    assert not back.training and back.recipe == RECIPE and back.record["note"] == record()["note"]
    expected, found = model.state_dict(), back.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert value.dtype == found[name].dtype and torch.equal(value, found[name]), name
    assert all(torch.equal(a, b) for a, b in zip(load(path.with_suffix(".json")).parameters(), back.parameters()))
    assert sorted(p.name for p in path.parent.iterdir()) == ["checkpoint.json", "checkpoint.safetensors"]


def test_half_comes_back_within_half_precision(saved):
    path, model = saved
    save_checkpoint(path.with_name("half.safetensors"), model, record(), half=True)
    expected, found = model.state_dict(), load(path.with_name("half")).state_dict()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.allclose(value.float(), found[name].float(), rtol=2**-11, atol=1e-7), name
    assert not all(torch.equal(value, found[name]) for name, value in expected.items())
    assert path.with_name("half.safetensors").stat().st_size < 0.75 * path.stat().st_size


def test_loading_leaves_global_randomness_alone(saved):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load(saved[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_recipe_asked_for_is_checked_and_the_key_named(saved):
    path, _ = saved
    assert load(path, RECIPE).recipe == RECIPE
    differ = "widths ([4, 8] there, [4, 16] here)", "seed (0 there, 3 here)"
    said = one_sentence(lambda: load(path, preset("smoke", seed=3, widths=(4, 16))), "another recipe", path, *differ)
    assert "batch" not in said


def test_a_training_state_comes_back(tmp_path):
    parts = {"model": {"a.b": torch.rand(3, 2)}, "optimizer_generator": {"0.step": torch.tensor(4.0)}}
    save_state(tmp_path / "state.safetensors", parts, {"step": 4})
    found, kept = load_state(tmp_path / "state.safetensors")
    assert kept == {"step": 4} and found.keys() == parts.keys()
    for part, group in parts.items():
        assert group.keys() == found[part].keys() and all(torch.equal(v, found[part][k]) for k, v in group.items())


@pytest.mark.parametrize("place", [-5, 70])
def test_a_training_state_that_went_bad_is_refused(tmp_path, place):
    path = tmp_path / "state.safetensors"
    save_state(path, {"model": {"a": torch.rand(30)}}, {"step": 4})
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="state.safetensors: (corrupt|not a )"):
        load_state(path)


# ── Files that went bad ──


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (flip, "corrupt"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "corrupt"),
        (lambda path: path.write_bytes(b""), "corrupt"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
        (lambda path: path.with_suffix(".json").unlink(), "no such file"),
        (lambda path: path.with_suffix(".json").write_text('{"recipe": '), "not a readable checkpoint record"),
        (lambda path: path.with_suffix(".json").write_bytes(b"\xff\xfe\x00"), "not a readable checkpoint record"),
        (lambda path: path.with_suffix(".json").write_text("[1, 2]"), "holds a list"),
    ],
    ids=["flipped", "truncated", "empty", "absent", "folder", "no record", "cut record", "no text", "list"],
)
def test_a_bad_checkpoint_is_one_sentence_with_the_path(saved, spoil, words):
    path, _ = saved
    spoil(path)
    one_sentence(lambda: load(path), words, path.with_suffix(""))


@pytest.mark.parametrize("content", ["{}", '{"recipe": null}', '{"recipe": {"size": 3}}'])
def test_a_record_without_a_recipe_is_refused(saved, content):
    saved[0].with_suffix(".json").write_text(content)
    with pytest.raises(ValueError, match="recipe"):
        load(saved[0])


def test_the_record_of_another_checkpoint_is_refused(saved):
    path, _ = saved
    other = path.with_name("other.safetensors")
    save_checkpoint(other, MixAndMatch.from_recipe(preset("smoke", seed=1)), record())
    other.with_suffix(".json").replace(path.with_suffix(".json"))
    one_sentence(lambda: load(path), "not the weights that checkpoint.json was written with", path)


def test_tensors_of_other_networks_are_refused(saved):
    path, model = saved
    save_checkpoint(path, model, record(preset("smoke", widths=(4, 16))))
    one_sentence(lambda: load(path), "do not fit", path)


def test_a_checkpoint_is_no_training_state_and_garbage_neither(saved, tmp_path):
    with pytest.raises(ValueError, match="not a training state"):
        load_state(saved[0])
    (tmp_path / "state.safetensors").write_bytes(b"\x08" + bytes(30))
    for name in ("state.safetensors", "absent.safetensors"):
        one_sentence(lambda: load_state(tmp_path / name), "not a readable safetensors file", tmp_path / name)  # noqa: B023


def test_nothing_is_pickled(saved):
    path, _ = saved
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert json.loads(path.read_bytes()[8 : 8 + header]) and read_record(path)["step"] == 8


# ── Folders that cannot be written ──


def test_a_file_where_the_folder_should_be(saved, tmp_path):
    (tmp_path / "taken").write_text("a file")
    path = tmp_path / "taken/checkpoint.safetensors"
    one_sentence(lambda: save_checkpoint(path, saved[1], record()), "cannot write", path)
    assert (tmp_path / "taken").read_text() == "a file"


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["fsync", "replace", "mkstemp"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, place):
    path = tmp_path / "state.safetensors"
    write(path, b"old")
    monkeypatch.setattr(*((tempfile, "mkstemp") if place == "mkstemp" else (os, place)), no_space)
    one_sentence(lambda: write(path, b"new" * 1000), "No space left on device.*free some space", path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_checkpoint_loadable(saved, monkeypatch):
    path, model = saved
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="cannot write"):
        save_checkpoint(path, MixAndMatch.from_recipe(preset("smoke", seed=1)), record())
    monkeypatch.undo()
    assert all(torch.equal(a, b) for a, b in zip(load(path).parameters(), model.parameters()))


def test_an_interruption_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new", b"content")
    assert list(tmp_path.iterdir()) == []


def test_write_makes_folders_and_replaces_whole(tmp_path):
    path = tmp_path / "a/b/file"
    write(path, b"first and longer")
    write(path, b"second")
    assert path.read_bytes() == b"second" and list(path.parent.iterdir()) == [path]
