"""The reader: what each split's type holds, what a bad data set is told, and that packing repeats to the byte."""

import dataclasses
import hashlib
import json
import os
import shutil
import threading
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import SIZE, synthetic_room, write_rooms
from mmlib import DepthPairs, SegmentationPairs, Triplets, files, modality, open_split
from mmlib.__main__ import main
from mmlib.data import sets, shipped
from mmlib.data.packing import check, pack
from mmlib.data.sets import AnchoredPairs, OraclePairs, Rooms
from mmlib.data.shipped import SHIPPED
from mmlib.modalities import CLASSES, DEPTH, RGB, named

ALL = ("rgb", "depth", "segmentation")


@pytest.fixture
def rooms_copy(rooms_dir, tmp_path):
    """A copy of the rooms that a test may spoil."""
    return shutil.copytree(rooms_dir, tmp_path / "copy")


# ── Reading ──


def test_raw_values_are_those_written(rooms_dir):
    rooms = Triplets(rooms_dir)
    photo, depth, classes = synthetic_room(102)
    batch = rooms.batch([2])
    assert batch["rgb"].shape == (1, 3, SIZE, SIZE) and batch["rgb"].dtype == torch.uint8
    assert batch["depth"].dtype == torch.float32 and batch["segmentation"].dtype == torch.int64
    assert torch.equal(batch["segmentation"][0, 0], torch.from_numpy(classes).long())
    assert torch.allclose(batch["depth"][0, 0], torch.from_numpy(depth.astype(np.float32)) / 1000)  # metres
    error = batch["rgb"][0].float() - torch.from_numpy(photo).permute(2, 0, 1)
    assert error.abs().mean() < 12  # JPEG, but the same picture
    assert rooms.rooms == [100, 101, 102, 103, 104, 105] and len(rooms) == 6


def test_zip_and_directory_read_the_same(rooms_dir, tmp_path):
    from_directory, from_zip = Triplets(rooms_dir), Triplets(pack(rooms_dir, tmp_path / "all.zip", ALL))
    for name in ALL:
        assert torch.equal(from_directory.images[name], from_zip.images[name])
    assert from_zip.split == "all" and from_zip.rooms == from_directory.rooms


@pytest.mark.parametrize("size", [8, 24, 64])
def test_resize_keeps_class_ids_and_distances(rooms_dir, size):
    full, small = Triplets(rooms_dir), Triplets(rooms_dir, size=size)
    assert small.images["rgb"].shape == (6, 3, size, size) and small.images["rgb"].dtype == torch.uint8
    for name in ("depth", "segmentation"):
        for before, after in zip(full.images[name], small.images[name], strict=True):
            assert after.shape == (1, size, size)
            assert set(after.unique().tolist()) <= set(before.unique().tolist())  # nothing was averaged
    means = [rooms.images["rgb"].float().mean().item() for rooms in (full, small)]
    assert abs(means[0] - means[1]) < 2
    again = full.resized(size)
    assert type(again) is Triplets and again.size == size and again.sha256 == full.sha256
    assert all(torch.equal(again.images[name], small.images[name]) for name in ALL) and full.size == SIZE


def test_subset_and_batch(rooms_dir):
    rooms = Triplets(rooms_dir)
    part = rooms.subset(2, 4)
    assert type(part) is Triplets and part.rooms == [102, 103] and len(rooms) == 6
    assert torch.equal(part.batch([1])["depth"], rooms.batch(torch.tensor([3]))["depth"])
    with pytest.raises(ValueError, match="it has 6"):
        rooms.subset(6)


def test_hash_changes_with_the_data(rooms_dir, rooms_copy, tmp_path):
    packed = pack(rooms_dir, tmp_path / "all.zip", ALL)
    assert Triplets(packed).sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert Triplets(rooms_copy).sha256 == Triplets(rooms_dir).sha256
    shutil.copy(rooms_copy / "0/0/depth/0.png", rooms_copy / "0/1/depth/0.png")
    assert Triplets(rooms_copy).sha256 != Triplets(rooms_dir).sha256


# ── Splits as types ──


@pytest.mark.parametrize(("kind", "never"), [(SegmentationPairs, "depth"), (DepthPairs, "segmentation")])
def test_pairs_cannot_leak(rooms_dir, rooms_copy, kind, never):
    rooms = kind(rooms_dir)
    assert never not in rooms.images and never not in rooms.batch([0])
    assert set(rooms.images) == set(kind.modalities)
    for file in rooms_copy.rglob("*.png"):  # files that are never opened may as well be rubbish
        if file.parent.name == modality(never).folder:
            file.write_bytes(b"rubbish")
    assert torch.equal(kind(rooms_copy).images["rgb"], rooms.images["rgb"])
    with pytest.raises(ValueError, match="rubbish|corrupt"):
        Triplets(rooms_copy)


def test_no_training_split_is_a_depth_segmentation_pair():
    for split in ("d1", "d2"):
        assert not {"depth", "segmentation"} <= set(sets.SPLITS[split].modalities)
    assert OraclePairs not in sets.SPLITS.values()
    with pytest.raises(TypeError, match="SegmentationPairs"):
        Rooms("anywhere")


def test_open_split(rooms_dir, tmp_path):
    pack(rooms_dir, tmp_path / "d1.zip", SegmentationPairs.modalities)
    pack(rooms_dir, tmp_path / "test.zip", ALL)
    assert type(open_split(tmp_path, "d1")) is SegmentationPairs  # a directory of zips
    assert type(open_split(tmp_path / "test.zip", "test")) is Triplets  # a zip
    assert len(open_split(rooms_dir, "test")) == 6  # a rendered directory
    with pytest.raises(FileNotFoundError, match=r"d2\.zip"):
        open_split(tmp_path, "d2")
    with pytest.raises(ValueError, match="unknown split 'd4'"):
        open_split(tmp_path, "d4")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        open_split(tmp_path / "nowhere", "d1")


def test_one_directory_for_both_training_splits_does_not_leak(rooms_dir):
    d1, d2 = open_split(rooms_dir, "d1"), open_split(rooms_dir, "d2")
    assert not set(d1.rooms) & set(d2.rooms) and sorted(d1.rooms + d2.rooms) == list(range(100, 106))
    assert (d1.split, d2.split) == ("d1", "d2")


# ── Packing ──


def test_pack_repeats_to_the_byte(rooms_dir, rooms_copy, tmp_path):
    for file in rooms_copy.rglob("*.*"):
        file.touch()  # other times, other order on disk
    first = pack(rooms_dir, tmp_path / "d1.zip", ("rgb", "segmentation"), split="d1")
    second = pack(rooms_copy, tmp_path / "again.zip", ("rgb", "segmentation"), split="d1")
    assert first.read_bytes() == second.read_bytes()
    assert {info.date_time for info in zipfile.ZipFile(first).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["again.zip", "d1.zip"]


def test_packed_zip_holds_no_other_modality(rooms_dir, tmp_path):
    packed = pack(rooms_dir, tmp_path / "d1.zip", ("rgb", "segmentation"))
    names = zipfile.ZipFile(packed).namelist()
    assert len(names) == 1 + 2 * 6 and not [name for name in names if "depth" in name]
    index = json.loads(zipfile.ZipFile(packed).read("index.json"))
    assert index["modalities"] == ["rgb", "segmentation"] and index["split"] == "d1"
    with pytest.raises(ValueError, match=r"d1\.zip holds rgb, segmentation; depth was asked for"):
        DepthPairs(packed)
    twice = pack(rooms_dir, tmp_path / "twice.zip", ("rgb", "segmentation", "rgb"), split="d1")
    assert twice.read_bytes() == packed.read_bytes()


def test_several_sources_are_packed_as_one_split(rooms_dir, tmp_path):
    others = write_rooms(tmp_path / "others", [200, 201])
    first = pack(rooms_dir, tmp_path / "first.zip", ("rgb", "segmentation"))
    both = SegmentationPairs(pack([first, others], tmp_path / "d1.zip", ("rgb", "segmentation")))
    assert both.rooms == [*range(100, 106), 200, 201] and both.split == "d1"
    assert torch.equal(both.images["rgb"][:6], SegmentationPairs(first).images["rgb"])
    assert torch.equal(both.images["segmentation"][6:], Triplets(others).images["segmentation"])
    with pytest.raises(ValueError, match=r"twice\.zip lists a room twice"):
        pack([first, rooms_dir], tmp_path / "twice.zip", ("rgb", "segmentation"))
    with pytest.raises(ValueError, match="hold images of different sizes"):
        pack([first, write_rooms(tmp_path / "large", [300], 48)], tmp_path / "sizes.zip", ("rgb", "segmentation"))
    assert not (tmp_path / "twice.zip").exists() and not (tmp_path / "sizes.zip").exists()


def test_failed_pack_leaves_what_was_there(rooms_copy, tmp_path):
    target = tmp_path / "d2.zip"
    target.write_bytes(b"old")
    (rooms_copy / "1/5/depth/0.png").unlink()
    with pytest.raises(FileNotFoundError, match="1/5/depth/0.png is missing"):
        pack(rooms_copy, target, ("rgb", "depth"))
    assert target.read_bytes() == b"old" and not list(tmp_path.glob(".d2*"))
    with pytest.raises(OSError, match="cannot write .*d2.zip/d1.zip"):
        pack(rooms_copy, target / "d1.zip", ("rgb", "segmentation"))  # a file is no folder


def test_written_whole_keeps_devices_and_pipes(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with files.written_whole(pipe) as stream:
        stream.write(b"content")
    reader.join(10)
    assert pipe.is_fifo() and read == [b"content"] and list(tmp_path.iterdir()) == [pipe]


def test_written_whole_removes_what_a_killed_process_left(tmp_path):
    names = [".d1.zip.abcdefgh", ".d1.zip.12345678", ".d1.zip.original", ".d2.zip.abcdefgh", ".d1.zip.Original"]
    old, recent, *_ = paths = [tmp_path / name for name in names]
    for path in paths:
        path.touch()
        os.utime(path, (time.time() - 7200,) * 2)
    recent.touch()  # another process may be writing it
    with files.written_whole(tmp_path / "d1.zip") as stream:
        stream.write(b"content")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"d1.zip", ".d1.zip.12345678", ".d2.zip.abcdefgh", ".d1.zip.Original"}


# ── Bad data ──


def grey(path, values, dtype):
    Image.fromarray(np.broadcast_to(np.asarray(values, dtype), (SIZE, SIZE)).copy()).save(path)


def edit_index(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def scale_depth(path, factor):
    Image.fromarray((np.array(Image.open(path)) * factor).astype(np.uint16)).save(path)


def claim_size(path, side):
    """Make a JPEG's header say side × side pixels."""
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")  # marker, length 2, precision 1, height 2, width 2
    content[frame + 5 : frame + 9] = side.to_bytes(2, "big") * 2
    path.write_bytes(content)


def room(number, **place):
    return {"room": number, "path": "0/0", **place}


BAD = {  # what is wrong: file, how it is spoilt, what the sentence must say beside the file
    "missing": ("0/1/photo/0.jpg", lambda path: path.unlink(), "is missing"),
    "truncated JPEG": ("0/2/photo/0.jpg", lambda path: path.write_bytes(path.read_bytes()[:-60]), "cut short"),
    "truncated PNG": ("0/2/depth/0.png", lambda path: path.write_bytes(path.read_bytes()[:-40]), "cut short"),
    "huge JPEG": ("0/2/photo/0.jpg", lambda path: claim_size(path, 65000), "corrupt or cut short"),
    "large JPEG": ("0/2/photo/0.jpg", lambda path: claim_size(path, 10000), "corrupt or cut short"),
    "empty file": ("0/3/semantic_class/0.png", lambda path: path.write_bytes(b""), "corrupt"),
    "other size": ("1/4/photo/0.jpg", lambda path: Image.new("RGB", (SIZE, 16)).save(path), "32×16.*says 32×32"),
    "grey photo": ("1/4/photo/0.jpg", lambda path: Image.new("L", (SIZE, SIZE)).save(path), "expected 8-bit colour"),
    "class 14": ("1/5/semantic_class/0.png", lambda path: grey(path, 14, np.uint8), "class 14"),
    "8-bit depth": ("0/0/depth/0.png", lambda path: grey(path, 200, np.uint8), "expected 16-bit grey"),
    "metres": ("0/0/depth/0.png", lambda path: grey(path, 3, np.uint16), "looks like metres, expected millimetres"),
    "centimetres": ("0/0/depth/0.png", lambda path: scale_depth(path, 0.1), "looks like centimetres, expected milli"),
    "tenths": ("0/0/depth/0.png", lambda path: scale_depth(path, 10), "looks like tenths of a millimetre, expected"),
    "zero depth": ("0/0/depth/0.png", lambda path: scale_depth(path, 0), "zero everywhere"),
    "no index": ("index.json", lambda path: path.unlink(), "is missing"),
    "index not JSON": ("index.json", lambda path: path.write_text("{"), "is not JSON"),
    "other format": ("index.json", lambda path: edit_index(path, format="x"), "format 'mmlib-rooms-1'"),
    "no rooms": ("index.json", lambda path: edit_index(path, rooms=[]), "lists no rooms"),
    "no size": ("index.json", lambda path: edit_index(path, size=None), "usable size"),
    "modality in a list": ("index.json", lambda path: edit_index(path, modalities=[["rgb"]]), "list their names"),
    "no modalities": ("index.json", lambda path: edit_index(path, modalities=[]), "list their names"),
    "entry without path": ("index.json", lambda path: edit_index(path, rooms=[{"room": 1}]), "without room or path"),
    "room twice": ("index.json", lambda path: edit_index(path, rooms=[room(1)] * 2), "lists a room twice"),
    "path twice": ("index.json", lambda path: edit_index(path, rooms=[room(1), room(2, path="0//0")]), "2 rooms"),
    "frame twice": ("index.json", lambda path: edit_index(path, rooms=[room(1), room(2, frame="0")]), "2 rooms"),
}


@pytest.mark.filterwarnings("error")  # what a warning would say is in the sentence
@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_sentence_that_names_the_file(rooms_copy, name):
    file, spoil, says = BAD[name]
    assert check(rooms_copy) == []
    spoil(rooms_copy / file)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        Triplets(rooms_copy)
    assert str(rooms_copy / file) in str(error.value) and "\n" not in str(error.value)
    assert check(rooms_copy) == [str(error.value)]


@pytest.mark.parametrize(("factor", "unit"), [(0.001, "metres"), (0.1, "centimetres"), (10, "tenths"), (1, None)])
def test_depth_in_another_unit_is_named(factor, unit):
    problem = modality("depth").problem(torch.full((1, 4, 4), 3.0 * factor))
    assert problem is None if unit is None else f"looks like {unit}" in problem


def test_a_modality_of_ones_own_is_read_by_its_record(rooms_copy):
    own = dataclasses.replace(DEPTH, name="distance")
    edit_index(rooms_copy / "index.json", modalities=["rgb", "distance"])
    distances = type("Distances", (AnchoredPairs,), {"records": named(RGB, own)})(rooms_copy, 16)
    assert distances.modalities == ("rgb", "distance") and distances.images["distance"].shape[1:] == (1, 16, 16)
    with pytest.raises(ValueError, match="holds rgb, distance; depth was asked for"):
        DepthPairs(rooms_copy)
    (problem,) = check(rooms_copy)
    assert "lists modalities ['distance']: list some of rgb, depth" in problem


def test_the_shipped_colours_are_in_order(capsys):
    assert main(["check-data", str(SHIPPED.parent / "colours")]) == 0, capsys.readouterr().out


def test_two_frames_of_one_path_are_two_rooms(rooms_copy):
    for folder, suffix in (("photo", "jpg"), ("depth", "png"), ("semantic_class", "png")):
        shutil.copy(rooms_copy / f"0/1/{folder}/0.{suffix}", rooms_copy / f"0/0/{folder}/1.{suffix}")
    edit_index(rooms_copy / "index.json", rooms=[room(1, frame=0), room(2, frame=1)])
    assert check(rooms_copy) == [] and len(Triplets(rooms_copy)) == 2


def test_check_reports_every_bad_file(rooms_copy, tmp_path):
    (rooms_copy / "0/0/photo/0.jpg").unlink()
    grey(rooms_copy / "0/1/semantic_class/0.png", 99, np.uint8)
    scale_depth(rooms_copy / "0/2/depth/0.png", 0)
    problems = check(rooms_copy)
    assert len(problems) == 3 and "0/0/photo" in problems[0] and "class 99" in problems[1] and "zero" in problems[2]


def test_bad_zips_are_named(rooms_dir, tmp_path):
    whole = pack(rooms_dir, tmp_path / "whole.zip", ALL).read_bytes()
    cut, text, flipped = tmp_path / "cut.zip", tmp_path / "text.zip", tmp_path / "flipped.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    text.write_text("version https://git-lfs.github.com/spec/v1")
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        info = archive.getinfo("0/1/depth/0.png")
    middle = info.header_offset + 30 + len(info.filename) + info.file_size // 2
    flipped.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    newer = tmp_path / "newer.zip"  # says that it needs version 25.5 of the format
    directory = whole.index(b"PK\x01\x02")
    newer.write_bytes(whole[: directory + 6] + b"\xff" + whole[directory + 7 :])
    with pytest.raises(ValueError, match="newer.zip is not a zip"):
        Triplets(newer)
    newer.unlink()
    for bad, says in ((cut, "cut.zip is not a zip"), (text, "text.zip is not a zip"), (flipped, "0/1/depth/0.png")):
        with pytest.raises(ValueError, match=says):
            Triplets(bad)
    problems = check(tmp_path)  # a directory of zips: all are read
    assert len(problems) == 3 and not [problem for problem in problems if "whole.zip" in problem]


# ── The shipped data set ──

SHIPPED_SIZES = {"d1": 1200, "d2": 1200, "validation": 200, "test": 400}


@pytest.fixture(scope="module")
def shipped_splits():
    return {split: shipped.shipped(split) for split in SHIPPED_SIZES}


def test_shipped_sizes_and_types(shipped_splits):
    assert {split: len(rooms) for split, rooms in shipped_splits.items()} == SHIPPED_SIZES
    for split, rooms in shipped_splits.items():
        assert type(rooms) is sets.SPLITS[split] and rooms.split == split
    assert sum((shipped.SHIPPED / f"{split}.zip").stat().st_size for split in SHIPPED_SIZES) <= 26e6


def test_shipped_splits_share_no_room(shipped_splits):
    seeds = [seed for rooms in shipped_splits.values() for seed in rooms.rooms]
    assert len(seeds) == len(set(seeds)) == sum(SHIPPED_SIZES.values())


@pytest.mark.parametrize(("split", "folder"), [("d1", "depth"), ("d2", "semantic_class")])
def test_shipped_training_splits_lack_the_other_modality(shipped_splits, split, folder):
    names = zipfile.ZipFile(shipped.SHIPPED / f"{split}.zip").namelist()
    assert not [name for name in names if f"/{folder}/" in name]


def test_shipped_test_images_show_every_class(shipped_splits):
    classes = shipped_splits["test"].images["segmentation"].flatten(1)
    for number, name in enumerate(CLASSES[1:], start=1):
        share = (classes == number).any(1).float().mean().item()
        assert share >= 0.08, f"{name} is in {share:.1%} of the test images"


def test_write_rooms_is_what_check_accepts(tmp_path):
    assert check(write_rooms(tmp_path, [1, 2])) == []
