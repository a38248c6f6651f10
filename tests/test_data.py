"""Sets: the same batches wherever images lie, what each type holds, what is said of bad data, packing to the byte."""

import dataclasses
import functools
import hashlib
import json
import os
import pickle
import shutil
import threading
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import cut, edit, equal, grey, one_sentence, synthetic_room, write_rooms
from mmlib import DepthPairs, SegmentationPairs, Triplets, modality, open_split
from mmlib.__main__ import main
from mmlib.data import scenenet, sets, shipped
from mmlib.data.packing import check, pack
from mmlib.data.sets import AnchoredPairs, OraclePairs, Rooms
from mmlib.data.shards import write
from mmlib.data.shipped import SHIPPED
from mmlib.hardware import files
from mmlib.modalities import CLASSES, DEPTH, RGB, named
from test_scenenet import CLASS_OF, COLOUR_OF, instances_of, opened, write_tree

ALL = ("rgb", "depth", "segmentation")
TYPES = {"d1": SegmentationPairs, "d2": DepthPairs, "test": Triplets}
ORIGINS = ("folder", "zip", "memory", "shards", "scenenet", "shards of scenenet")
DTYPES = {"rgb": torch.uint8, "depth": torch.float32, "segmentation": torch.int64}


@pytest.fixture
def rooms_copy(rooms_dir, tmp_path):
    """A copy of the rooms that a test may spoil."""
    return shutil.copytree(rooms_dir, tmp_path / "copy")


# ── Every source ──


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """SceneNet's layout: four trajectories of three views, which tests read and must not change."""
    return write_tree(tmp_path_factory.mktemp("scenenet"))


@pytest.fixture(scope="module")
def opens(rooms_dir, tree, tmp_path_factory):
    """A function of split and size for each place where images may lie."""
    places, folder = tmp_path_factory.mktemp("sources"), Triplets(rooms_dir)

    def in_memory(split, size=None):
        kind = TYPES[split]
        return kind(kind.of({name: folder.images[name] for name in kind.modalities}, folder.rooms, split).source, size)

    opens = {
        "folder": lambda split, size=None: TYPES[split](rooms_dir, size),
        "zip": functools.partial(open_split, places / "zips"),
        "memory": in_memory,
        "shards": functools.partial(open_split, places / "shards"),
        "scenenet": lambda split, size=None: opened(tree, TYPES[split], *[size] if size else []),
        "shards of scenenet": functools.partial(open_split, places / "scenenet"),
    }
    for split, kind in TYPES.items():
        pack(rooms_dir, places / f"zips/{split}.zip", kind.modalities)
        write(opens["folder"](split), places / "shards", split, 9_000)  # bytes: one or two views
        write(opens["scenenet"](split), places / "scenenet", split, 9_000)
        assert len(list(places.glob(f"*/{split}-000001.tar"))) == 2
    assert check(places / "shards") == check(places / "scenenet") == []
    return opens


def truth(origin):
    """Of each view the colours (H, W, 3), metres (H, W) and class ids (H, W) that were written."""
    if "scenenet" in origin:
        every = [instances_of(10**12 + view // 3, 25 * (view % 3))[:, 4:28] for view in range(12)]  # the central square
        return [(COLOUR_OF[instances], instances.astype(np.float32), CLASS_OF[instances]) for instances in every]
    every = map(synthetic_room, range(100, 106))
    return [(photo, depth.astype(np.float32) / 1000, classes) for photo, depth, classes in every]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("split", TYPES)
def test_a_batch_holds_what_was_written_and_nothing_else(opens, origin, split):
    rooms, expected = opens[origin](split), truth(origin)
    assert type(rooms) is TYPES[split] and len(rooms) == len(expected)
    firsts = [10**12 + view // 3 for view in range(12)] if "scenenet" in origin else list(range(100, 106))
    assert rooms.rooms == firsts and [len(metres) for _, metres, _ in expected] == [rooms.size] * len(rooms)
    batch = rooms.batch(torch.arange(len(rooms)))
    assert set(batch) == set(TYPES[split].modalities)
    for name, raw in batch.items():
        assert raw.dtype == DTYPES[name]
        assert raw.shape == (len(rooms), 3 if name == "rgb" else 1, rooms.size, rooms.size)
        for image, (colours, metres, classes) in zip(raw.numpy(), expected):
            if name == "rgb":
                assert np.abs(image.transpose(1, 2, 0) - colours.astype(float)).mean() < 12  # JPEG, the same picture
            else:
                assert np.allclose(image[0], metres if name == "depth" else classes)
    if "segmentation" in batch:
        labels = rooms.uncropped(range(len(rooms)))["segmentation"]
        assert rooms.class_counts().tolist() == [(labels == number).sum().item() for number in range(len(CLASSES))]


@pytest.mark.parametrize(
    ("origin", "like"),
    [("zip", "folder"), ("memory", "folder"), ("shards", "folder"), ("shards of scenenet", "scenenet")],
)
@pytest.mark.parametrize("split", TYPES)
def test_the_same_images_give_the_same_batches_wherever_they_lie(opens, origin, like, split):
    one, other = opens[like](split), opens[origin](split)
    assert equal(one, other) and equal(one.subset(1, 4), other.subset(1, 4))
    assert (one.rooms, one.size) == (other.rooms, other.size) and other.split == split
    if "shards" in origin:
        assert other.describe() == one.describe() | {"split": split}
    if "segmentation" in one.modalities:
        assert torch.equal(one.class_counts(), other.class_counts())
        assert torch.equal(one.subset(1, 4).class_counts(), other.subset(1, 4).class_counts())


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("split", TYPES)
def test_a_part_is_of_the_same_type_and_reads_its_own_views(opens, origin, split):
    rooms = opens[origin](split)
    part = rooms.subset(2, 5)
    assert type(part) is TYPES[split] and part.rooms == rooms.rooms[2:5] and part.sha256 == rooms.sha256
    assert all(torch.equal(part.batch([1])[name], raw) for name, raw in rooms.batch(torch.tensor([3])).items())
    assert equal(part, pickle.loads(pickle.dumps(part)))  # as workers that are spawned get it
    with pytest.raises(ValueError, match=f"it has {len(rooms)}"):
        rooms.subset(len(rooms))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("size", [8, 20, 50, 64])
def test_any_size_keeps_class_ids_and_distances(opens, origin, size):
    full, small = opens[origin]("test"), opens[origin]("test", size)
    again, every = full.resized(size), range(len(full))
    assert equal(again, small) and type(again) is Triplets and again.sha256 == full.sha256
    assert again.size == size and full.size == opens[origin]("test").size
    assert {tuple(raw.shape[2:]) for raw in small.batch(every).values()} == {(size, size)}
    before, after = full.uncropped(every), small.uncropped(every)
    wide = round(size * 4 / 3) if "scenenet" in origin else size
    assert {tuple(raw.shape[2:]) for raw in after.values()} == {(size, wide)} and after["rgb"].dtype == torch.uint8
    for name in ("depth", "segmentation"):
        for stored, resized in zip(before[name], after[name]):
            assert set(resized.unique().tolist()) <= set(stored.unique().tolist())  # nothing was averaged
    assert abs(before["rgb"].float().mean() - after["rgb"].float().mean()) < 2


@pytest.mark.parametrize("layout", ["rooms", "scenenet"])
@pytest.mark.parametrize(("kind", "never"), [(SegmentationPairs, "depth"), (DepthPairs, "segmentation")])
def test_files_of_other_modalities_are_never_opened(rooms_dir, tree, tmp_path, layout, kind, never):
    whole, reads = (rooms_dir, lambda root, kind: kind(root)) if layout == "rooms" else (tree, opened)
    root, before = shutil.copytree(whole, tmp_path / "copy"), reads(whole, kind)
    record = scenenet.INSTANCES if (layout, never) == ("scenenet", "segmentation") else modality(never)
    for file in root.rglob(f"{record.folder}/*"):
        file.write_bytes(b"rubbish")
    rooms = reads(root, kind)
    assert equal(rooms, before) and never not in rooms.images and set(rooms.batch([0])) == set(kind.modalities)
    assert layout == "rooms" or scenenet.check(rooms) == []
    with pytest.raises(ValueError, match="is corrupt"):
        reads(root, Triplets).batch([0])


def test_hash_changes_with_the_data(rooms_dir, rooms_copy, tmp_path):
    packed = pack(rooms_dir, tmp_path / "all.zip", ALL)
    assert Triplets(packed).sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert Triplets(rooms_copy).sha256 == Triplets(rooms_dir).sha256
    shutil.copy(rooms_copy / "0/0/depth/0.png", rooms_copy / "0/1/depth/0.png")
    assert Triplets(rooms_copy).sha256 != Triplets(rooms_dir).sha256


# ── Splits as types ──


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
    with pytest.raises(FileNotFoundError, match="holds neither index.json, d2.zip nor d2.json"):
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


def scale_depth(path, factor):
    Image.fromarray((np.array(Image.open(path)) * factor).astype(np.uint16)).save(path)


def claim_size(path, side):
    """Make a JPEG's header say side × side pixels."""
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")  # marker, length 2, precision 1, height 2, width 2
    content[frame + 5 : frame + 9] = side.to_bytes(2, "big") * 2
    path.write_bytes(content)


def other_ids(path):
    """Ids of 8 bits where 16 are expected, and the reverse."""
    grey(path, 5, np.uint8 if path.parent.name == "instance" else np.uint16)


def room(number, **entry):
    return {"room": number, "path": "0/0", **entry}


def sixteen_bits(path) -> None:
    Image.fromarray(np.full((32, 32), 2000, np.uint16)).save(path, "PNG")


BAD_FILES = {  # what is wrong: modality, how the file is spoilt, what the sentence must say
    "missing photo": ("rgb", lambda path: path.unlink(), "is missing"),
    "missing depth": ("depth", lambda path: path.unlink(), "is missing"),
    "truncated JPEG": ("rgb", lambda path: cut(path, 60), "cut short"),
    "truncated depth": ("depth", lambda path: cut(path, 30), "cut short"),
    "truncated ids": ("segmentation", lambda path: cut(path, 30), "cut short"),
    "huge JPEG": ("rgb", lambda path: claim_size(path, 65000), "corrupt or cut short"),
    "large JPEG": ("rgb", lambda path: claim_size(path, 10000), "corrupt or cut short"),
    "empty file": ("segmentation", lambda path: path.write_bytes(b""), "corrupt"),
    "other size": (
        "depth",
        lambda path: grey(path, 200, np.uint16, (16, 24)),
        "24×16, .*(32×32|others are 32×24)",
    ),
    "16-bit photo": ("rgb", sixteen_bits, "expected 8-bit colour"),
    "8-bit depth": ("depth", lambda path: grey(path, 200, np.uint8), "expected 16-bit grey for depth"),
    "ids of other depth": ("segmentation", other_ids, "expected (8|16)-bit grey for segmentation"),
}


@pytest.mark.filterwarnings("error")  # what a warning would say is in the sentence
@pytest.mark.parametrize("layout", ["rooms", "scenenet"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_sentence_that_names_it(rooms_dir, tree, tmp_path, layout, name):
    (modality_name, spoil, says), root = BAD_FILES[name], tmp_path / "copy"
    record = scenenet.INSTANCES if (layout, modality_name) == ("scenenet", "segmentation") else modality(modality_name)
    shutil.copytree(rooms_dir if layout == "rooms" else tree, root)
    if layout == "rooms":
        file, read, problems = f"0/1/{record.folder}/0{record.suffix}", lambda: Triplets(root), lambda: check(root)
    else:
        file, rooms = f"train/0/1/{record.folder}/25{record.suffix}", opened(root)  # opening reads no image
        read, problems = lambda: rooms.batch([4]), lambda: scenenet.check(rooms)
    assert problems() == []
    spoil(root / file)
    assert problems() == [one_sentence(read, says, root / file)]
    if layout == "scenenet":
        assert len(rooms.batch([3, 5, 0])["rgb"]) == 3  # the other views of the trajectory are still read


BAD = {  # what is wrong: file, how it is spoilt, what the sentence must say beside the file
    "class 14": ("1/5/semantic_class/0.png", lambda path: grey(path, 14, np.uint8), "class 14"),
    "metres": ("0/0/depth/0.png", lambda path: grey(path, 3, np.uint16), "looks like metres, expected millimetres"),
    "centimetres": ("0/0/depth/0.png", lambda path: scale_depth(path, 0.1), "looks like centimetres, expected milli"),
    "tenths": ("0/0/depth/0.png", lambda path: scale_depth(path, 10), "looks like tenths of a millimetre, expected"),
    "zero depth": ("0/0/depth/0.png", lambda path: scale_depth(path, 0), "zero everywhere"),
    "no index": ("index.json", lambda path: path.unlink(), "is missing"),
    "index not JSON": ("index.json", lambda path: path.write_text("{"), "is not JSON"),
    "other format": ("index.json", lambda path: edit(path, format="x"), "format 'mmlib-rooms-1'"),
    "no rooms": ("index.json", lambda path: edit(path, rooms=[]), "rooms must be `array` of length >= 1"),
    "no size": ("index.json", lambda path: edit(path, size=None), "size must be"),
    "modality in a list": ("index.json", lambda path: edit(path, modalities=[["rgb"]]), "modalities.0. must be"),
    "no modalities": ("index.json", lambda path: edit(path, modalities=[]), "modalities must be"),
    "entry without path": (
        "index.json",
        lambda path: edit(path, rooms=[{"room": 1}]),
        "rooms.0..path is missing",
    ),
    "room twice": ("index.json", lambda path: edit(path, rooms=[room(1)] * 2), "lists a room twice"),
    "path twice": ("index.json", lambda path: edit(path, rooms=[room(1), room(2, path="0//0")]), "2 rooms"),
    "frame twice": ("index.json", lambda path: edit(path, rooms=[room(1), room(2, frame="0")]), "2 rooms"),
}


@pytest.mark.filterwarnings("error")  # what a warning would say is in the sentence
@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_sentence_that_names_the_file(rooms_copy, name):
    file, spoil, says = BAD[name]
    assert check(rooms_copy) == []
    spoil(rooms_copy / file)
    assert check(rooms_copy) == [one_sentence(lambda: Triplets(rooms_copy), says, rooms_copy / file)]


@pytest.mark.parametrize(("factor", "unit"), [(0.001, "metres"), (0.1, "centimetres"), (10, "tenths"), (1, None)])
def test_depth_in_another_unit_is_named(factor, unit):
    problem = modality("depth").problem(torch.full((1, 4, 4), 3.0 * factor))
    assert problem is None if unit is None else f"looks like {unit}" in problem


def test_a_modality_of_ones_own_is_read_by_its_record(rooms_copy):
    own = dataclasses.replace(DEPTH, name="distance")
    edit(rooms_copy / "index.json", modalities=["rgb", "distance"])
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
    edit(rooms_copy / "index.json", rooms=[room(1, frame=0), room(2, frame=1)])
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
    *problems, shared = check(tmp_path)  # a directory of zips: all are read
    assert len(problems) == 3 and not [problem for problem in problems if "whole.zip" in problem]
    assert "flipped.zip and" in shared and "whole.zip share 6 rooms" in shared


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
