"""Tar shards: copied without loss, continued after a stop, damage named, nothing opened too early."""

import json
import os
import shutil
import tarfile
import time

import pytest
import torch

from conftest import CPU, SIZE, cut, edit, equal, one_sentence, pairs_of, write_rooms
from mmlib import Triplets, ZeroPair, fit, modality, open_split, preset, training
from mmlib.__main__ import main
from mmlib.data import images, shards
from mmlib.data.batches import _order, draw
from mmlib.data.packing import check, pack
from mmlib.data.scenenet import paper_sets
from mmlib.data.scenenet_index import trajectory_number
from mmlib.data.sets import DepthPairs, OraclePairs, SegmentationPairs
from mmlib.data.shards import Shards, write
from mmlib.resuming.state import load_state
from test_scenenet import write_tree
from test_training import same, tensors

pytestmark = pytest.mark.usefixtures("one_thread")
SPLITS = {"d1": SegmentationPairs, "d2": DepthPairs, "test": Triplets}
SMALL = 9_000  # bytes: one or two views of a test's set


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """SceneNet's layout: four trajectories of five views to train on, three to test on."""
    root, frames = tmp_path_factory.mktemp("scenenet"), range(0, 125, 25)
    write_tree(root, ["0/0", "0/1", "0/2", "0/3"], frames)
    return write_tree(root, ["0/0", "0/1", "0/2"], frames, "val")


@pytest.fixture(scope="module")
def sources(tree, rooms_dir):
    """The sets that are written, by where they come from and split."""
    streamed = {rooms.split: rooms for rooms in paper_sets(tree, tree / "wnid_to_class.txt", "51k", 24)}
    return {"memory": {split: kind(rooms_dir) for split, kind in SPLITS.items()}, "scenenet": streamed}


@pytest.fixture(scope="module")
def written(sources, tmp_path_factory):
    """The streamed sets as shards, several a set, which tests read and must not change."""
    folder = tmp_path_factory.mktemp("shards")
    for split, rooms in sources["scenenet"].items():
        write(rooms, folder, split, SMALL)
        assert equal(rooms, open_split(folder, split))
    return folder


@pytest.fixture
def spoilt(written, tmp_path):
    """A copy of the shards that a test may spoil."""
    return shutil.copytree(written, tmp_path / "copy")


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# ── Reading back ──


def test_files_are_copied_and_named_as_webdataset_expects(tree, written):
    with tarfile.open(written / "test-000000.tar") as shard:
        names = shard.getnames()
        found = {name: shard.extractfile(name).read() for name in names}
    trajectory = open_split(written, "test").rooms[0]
    key = f"000000-{trajectory}"
    assert names[:3] == [f"{key}.photo.jpg", f"{key}.depth.png", f"{key}.semantic_class.png"]
    assert trajectory == trajectory_number("val", "0/0")
    assert found[names[0]] == (tree / "val/0/0/photo/100.jpg").read_bytes()
    assert found[names[1]] == (tree / "val/0/0/depth/100.png").read_bytes()
    for split, suffixes in (("d1", {"photo.jpg", "semantic_class.png"}), ("d2", {"photo.jpg", "depth.png"})):
        held = set()
        for path in written.glob(f"{split}-*.tar"):
            with tarfile.open(path) as shard:
                held |= {name.split(".", 1)[1] for name in shard.getnames()}
        assert held == suffixes


def test_rooms_without_a_file_of_their_own_are_kept_without_loss(rooms_dir, tmp_path):
    resized = SegmentationPairs(rooms_dir).resized(20)
    again = resized.resized(SIZE)  # its files' size, but not their pixels
    made = DepthPairs.of({name: raw.clone() for name, raw in DepthPairs(rooms_dir).images.items()}, range(7, 13), "d2")
    for number, (rooms, split) in enumerate(((resized, "d1"), (again, "d1"), (made, "d2"))):
        after = open_split(write(rooms, tmp_path / str(number), split), split)
        assert equal(rooms, after) and after.describe() == rooms.describe() | {"split": split}
    made.images["depth"][3, 0, 5, 5] = 1.00001  # not a whole number of millimetres
    with pytest.raises(ValueError, match="^depth of room 10 of d2 cannot be kept without loss"):
        write(made, tmp_path / "lossy")


def test_classes_of_a_whole_set_were_all_counted(tmp_path):
    classes = torch.arange(600).remainder(14).to(torch.uint8)[:, None, None, None].expand(600, 1, 4, 4)
    images = {"rgb": torch.zeros(600, 3, 4, 4, dtype=torch.uint8), "segmentation": classes}
    rooms = open_split(write(SegmentationPairs.of(images, range(600), "d1"), tmp_path), "d1")
    assert rooms.class_counts().tolist() == [16 * 43] * 12 + [16 * 42] * 2
    assert rooms.subset(0, 590).class_counts().sum() == 500 * 16


def test_what_is_written_in_place_of_another_set_is_read(tmp_path):
    for seeds in ([1, 2], [3, 4]):
        rooms = write_rooms(tmp_path / f"{seeds[0]}", seeds)
        pack(rooms, tmp_path / "zips/d1.zip", SegmentationPairs.modalities)
        before = open_split(tmp_path / "zips", "d1")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert equal(before, open_split(write(before, tmp_path / "out"), "d1"))
        with tarfile.open(tmp_path / "out/d1-000000.tar") as shard:
            copied = shard.extractfile(f"000000-{seeds[0]}.photo.jpg").read()
        assert copied == (rooms / "0/0/photo/0.jpg").read_bytes()


def test_shards_can_be_sharded_anew(written, tmp_path):
    rooms = open_split(written, "d1")
    assert equal(rooms, open_split(write(rooms, tmp_path), "d1"))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["d1-000000.tar", "d1.json"]


def test_webdataset_reads_them(written):
    webdataset = pytest.importorskip("webdataset", reason="pip install webdataset")
    rooms = open_split(written, "test")
    files = sorted(map(str, written.glob("test-*.tar")))
    samples = list(webdataset.WebDataset(files, shardshuffle=False))
    assert len(samples) == len(rooms)
    for position, sample in enumerate(samples):
        assert sample["__key__"] == f"{position:06d}-{rooms.rooms[position]}"
        assert {name for name in sample if "." in name} == {"photo.jpg", "depth.png", "semantic_class.png"}
        for record in map(modality, rooms.modalities):
            pixels = images.read_pixels(sample[f"{record.folder}{record.suffix}"], sample["__key__"], record)
            assert torch.equal(images.from_pixels(pixels, record), rooms.source.read(position, record.name))


# ── Types ──


def test_types_refuse_other_modalities(rooms_dir, sources, written, tmp_path):
    d1, _, test = (written / f"{split}.json" for split in SPLITS)
    with pytest.raises(ValueError, match="d1.json holds rgb, segmentation; rgb, depth and nothing else were asked for"):
        DepthPairs(Shards(d1))
    with pytest.raises(ValueError, match="test.json holds rgb, depth, segmentation; rgb, segmentation and"):
        open_split(test, "d1")
    with pytest.raises(ValueError, match="d1.json holds rgb, segmentation; rgb, normals and nothing else"):
        open_split(d1, "normals")
    with pytest.raises(TypeError, match="shards of d1 are made of SegmentationPairs, not of Triplets"):
        write(sources["memory"]["test"], tmp_path, "d1")
    with pytest.raises(TypeError, match="shards of d2 are made of DepthPairs, not of OraclePairs"):
        write(OraclePairs(rooms_dir, ("rgb", "depth")), tmp_path, "d2")
    with pytest.raises(ValueError, match="unknown split 'd4': known are d1, d2"):
        write(sources["memory"]["d1"], tmp_path, "d4")
    assert not list(tmp_path.iterdir())


# ── A stopped write ──


def test_a_stopped_write_goes_on_and_ends_with_the_same_bytes(sources, written, tmp_path, monkeypatch):
    rooms = sources["scenenet"]["d1"]
    whole = {name: content for name, content in contents(written).items() if name.startswith("d1")}
    made, asked = shards._image_file, []

    def stops(rooms, position, name):
        if position == 4:
            raise KeyboardInterrupt
        return made(rooms, position, name)

    monkeypatch.setattr(shards, "_image_file", stops)
    with pytest.raises(KeyboardInterrupt):
        write(rooms, tmp_path, shard_bytes=SMALL)
    monkeypatch.setattr(shards, "_image_file", lambda *view: asked.append(view[1]) or made(*view))
    left = contents(tmp_path)
    assert 1 < len(left) < len(whole) and left.items() - whole.items() == {("d1.json", left["d1.json"])}
    with pytest.raises(ValueError, match=r"d1.json lists \d of 10 views: repeat the command that writes the shards"):
        open_split(tmp_path, "d1")
    assert check(tmp_path / "d1.json")[0].endswith("repeat the command that writes the shards")
    write(rooms, tmp_path, shard_bytes=SMALL)
    assert contents(tmp_path) == whole and min(asked) == len(json.loads(left["d1.json"])["shards"][0]["views"])
    asked.clear()
    (tmp_path / "d1-000001.tar").unlink()
    write(rooms, tmp_path, shard_bytes=1)  # which views it holds is settled
    views = [len(shard["views"]) for shard in json.loads(whole["d1.json"])["shards"]]
    assert contents(tmp_path) == whole and set(asked) == set(range(views[0], views[0] + views[1]))
    asked.clear()
    write(rooms, tmp_path, shard_bytes=SMALL)
    assert contents(tmp_path) == whole and not asked


def test_shards_of_another_set_are_left_alone(sources, spoilt):
    before = contents(spoilt)
    d1 = sources["scenenet"]["d1"]
    for other in (d1.subset(0, 5), d1.resized(20), sources["memory"]["d1"]):
        with pytest.raises(ValueError, match="d1.json lists shards of another set: name another folder"):
            write(other, spoilt, "d1")
    assert contents(spoilt) == before
    write(d1.subset(0, 5), spoilt / "part")
    with pytest.raises(ValueError, match="part/d1.json lists shards of another set"):
        write(d1.subset(5, 10), spoilt / "part")  # as many views, and the hash of the whole


def test_an_image_that_cannot_be_read_leaves_no_half_a_shard(tree, tmp_path):
    root = shutil.copytree(tree, tmp_path / "tree")
    d1, *_ = paper_sets(root, root / "wnid_to_class.txt", "51k", 24)
    (root / "train/0/1/photo/0.jpg").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="train/0/1/photo/0.jpg is corrupt"):
        write(d1, tmp_path / "out", shard_bytes=SMALL)
    left = contents(tmp_path / "out")
    assert len(left) == 1 + len(json.loads(left["d1.json"])["shards"]) > 1


# ── Damage ──


def first_view(path, view):
    index = json.loads(path.read_text())
    index["shards"][0]["views"][0] = view
    path.write_text(json.dumps(index))


BAD = {  # what is wrong: file, how it is spoilt, what the sentence must say of the file
    "missing shard": ("d1-000001.tar", lambda path: path.unlink(), "d1-000001.tar is missing: download it, or write"),
    "cut shard": ("d1-000001.tar", cut, r"d1-000001.tar has \d+ bytes, its index says \d+: download it again"),
    "no JSON": ("d1.json", cut, "d1.json is not JSON"),
    "no text": ("d1.json", lambda path: path.write_bytes(b"\xff\xfe"), "d1.json is not JSON"),
    "other format": ("d1.json", lambda path: edit(path, format="x"), "d1.json does not say format 'mmlib-shards-1'"),
    "no size": ("d1.json", lambda path: edit(path, size=None), "d1.json is no index .size must be"),
    "no shards": ("d1.json", lambda path: edit(path, shards=[]), "d1.json is no index .shards must be"),
    "odd shards": ("d1.json", lambda path: edit(path, shards=[{"views": 3}]), "d1.json is no index .shards"),
    "short view": ("d1.json", lambda path: first_view(path, [1, 512, 9]), "d1.json is damaged"),
    "view outside": ("d1.json", lambda path: first_view(path, [1, 512, 9, 10**6, 9]), "outside of its shard"),
    "before the file": ("d1.json", lambda path: first_view(path, [1, -512, 9, 9, 9]), "d1.json is no index .shards"),
    "one view more": ("d1.json", lambda path: edit(path, samples=11), "lists 10 of 11 views: repeat the command"),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_one_sentence_that_names_the_file(spoilt, name):
    file, spoil, says = BAD[name]
    spoil(spoilt / file)
    assert check(spoilt) == [one_sentence(lambda: open_split(spoilt, "d1"), says, spoilt / file)]
    assert len(open_split(spoilt, "d2")) == 10


def test_an_altered_shard_is_named_by_check_and_an_unreadable_image_by_a_batch(spoilt):
    rooms = open_split(spoilt, "d1")
    shard = bytearray((spoilt / "d1-000000.tar").read_bytes())
    shard[1000] ^= 1  # within the first photo
    (spoilt / "d1-000000.tar").write_bytes(shard)
    (problem,) = check(spoilt)
    assert "d1-000000.tar holds other bytes than were written: download it again, or remove it" in problem
    shard[512:600] = bytes(88)
    (spoilt / "d1-000000.tar").write_bytes(shard)
    with pytest.raises(ValueError, match=f"d1-000000.tar/000000-{rooms.rooms[0]}.photo is corrupt"):
        rooms.batch([0])
    os.truncate(spoilt / "d1-000000.tar", 600)  # after it was opened
    with pytest.raises(ValueError, match="d1-000000.tar is cut short"):
        rooms.subset(1).batch([0])


def test_check_lists_every_bad_shard(spoilt):
    (spoilt / "d1-000000.tar").unlink()
    cut(spoilt / "d1-000001.tar")
    (spoilt / "test-000000.tar").write_bytes(bytes((spoilt / "test-000000.tar").stat().st_size))
    assert [problem.split("/")[-1].split(" ")[0] for problem in check(spoilt)] == [
        "d1-000000.tar", "d1-000001.tar", "test-000000.tar",
    ]  # fmt: skip


# ── Large sets ──


def test_a_hundred_thousand_views_open_at_once_and_no_shard_is_opened(tmp_path, monkeypatch):
    views, each, size = 100_000, 4_000, 250_000_000
    rows = [[10**12 + view // 10, 60_000 * view + 512, 21_000, 60_000 * view + 30_000, 1_400] for view in range(each)]
    listed = [{"bytes": size, "sha256": "0" * 64, "views": rows}] * (views // each)
    index = {"format": shards.FORMAT, "split": "d1", "modalities": ["rgb", "segmentation"], "size": 256}
    index |= {"samples": views, "sha256": "0" * 64, "class_counts": [1] * 14, "shards": listed}
    (tmp_path / "d1.json").write_text(json.dumps(index, separators=(",", ":")))
    for number in range(len(listed)):
        with open(tmp_path / f"d1-{number:06d}.tar", "wb") as shard:
            shard.truncate(size)  # holds nothing, and takes no room
    opened = []
    monkeypatch.setattr(shards, "_Opened", lambda file: opened.append(file.name) or pytest.fail("a shard was opened"))
    start = time.process_time()  # other work on the machine does not count
    rooms = open_split(tmp_path, "d1")
    described = rooms.describe()
    assert time.process_time() - start < 5
    assert len(rooms) == views and described["rooms"] == [[10**12, 10**12 + 399]]
    assert (tmp_path / "d1.json").stat().st_size < 60 * views
    with pytest.raises(pytest.fail.Exception):
        rooms.batch([99_999])
    assert opened == ["d1-000024.tar"]


def test_an_epochs_order_is_made_once(sources):
    rooms = sources["scenenet"]["d1"]
    _order.cache_clear()
    drawn = torch.cat([draw(rooms, 2, step, 3, 0) for step in range(10)])
    assert sorted(drawn[:10].tolist()) == list(range(10)) == sorted(drawn[10:].tolist())
    assert not torch.equal(drawn[:10], drawn[10:]) and _order.cache_info().misses == 2


# ── Training ──


@pytest.fixture(scope="module")
def recipe():
    return preset("smoke", size=16, batch=2, class_balance=0.25)  # 8 steps, an epoch each 5


@pytest.fixture(scope="module")
def from_source(sources, recipe, tmp_path_factory):
    """What training on the sets that were written ends with."""
    folder, sets = tmp_path_factory.mktemp("source"), sources["scenenet"]
    fit(recipe, ZeroPair(sets["d1"], sets["d2"]), folder, device="cpu", progress=False)
    return tensors(folder)


def train(recipe, folder, out, **options) -> dict[str, torch.Tensor]:
    pairs = pairs_of(folder)
    for rooms in pairs.sets:
        rooms.batch([0])  # a shard is open before workers fork
    fit(recipe, pairs, out, device="cpu", progress=False, **options)
    return tensors(out)


def test_training_from_shards_equals_training_from_the_set(recipe, written, from_source, tmp_path):
    assert same(train(recipe, written, tmp_path), from_source)


def test_workers_and_a_stop_within_an_epoch_change_nothing(recipe, written, from_source, tmp_path):
    train(recipe, written, tmp_path, workers=2, stop_after=3)
    assert load_state(tmp_path / "state.safetensors")[1]["step"] == 3
    assert same(train(recipe, written, tmp_path, workers=2, resume=True), from_source)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_set_that_vanishes_under_a_run_stops_it_and_it_goes_on_when_it_is_back(tree, tmp_path, monkeypatch, workers):
    root = shutil.copytree(tree, tmp_path / "tree")
    recipe = preset("smoke", size=24, steps=40, widths=(4, 8), augment=True)

    def train(folder, **options):
        d1, d2, _ = paper_sets(root, root / "wnid_to_class.txt", "51k", 24)
        options |= {"device": "cpu", "workers": workers, "save_every": 2, "progress": False}
        return fit(recipe, ZeroPair(d1, d2), folder, **options)

    train(tmp_path / "undisturbed")
    step = training.Trainer.step

    def vanishing(trainer):
        if trainer.next_step == 5:
            root.rename(tmp_path / "gone")
        return step(trainer)

    monkeypatch.setattr(training.Trainer, "step", vanishing)
    missing = r"^\S+/tree/train/0/\d/(photo|instance|depth)/\d+.(jpg|png) is missing"
    with pytest.raises(FileNotFoundError, match=missing):
        train(tmp_path / "run")
    monkeypatch.undo()
    saved = load_state(tmp_path / "run/state.safetensors")[1]["step"]
    assert saved >= 4 and saved % 2 == 0  # what workers had read ahead is still trained on
    (tmp_path / "gone").rename(root)
    train(tmp_path / "run", resume=True)
    assert same(tensors(tmp_path / "run"), tensors(tmp_path / "undisturbed"))


# ── Command line ──


def test_commands(tree, tmp_path, capsys):
    out, run = tmp_path / "out", tmp_path / "run"
    arguments = ["scenenet", str(tree), "--classes", str(tree / "wnid_to_class.txt")]
    assert main([*arguments, "--shards", str(out)]) == 0
    assert f"wrote {out}/test.json and its shards" in capsys.readouterr().out
    names = [f"{split}{end}" for split in SPLITS for end in ("-000000.tar", ".json")]
    assert sorted(path.name for path in out.iterdir()) == names
    assert main(["check-data", str(out)]) == 0
    assert "every file is in order" in capsys.readouterr().out
    options = ["--data", str(out), "--device", "cpu"]
    assert main(["train", "--preset", "smoke", "--steps", "2", "--out", str(run), "--workers", "1", *options]) == 0
    assert main(["evaluate", str(run / "checkpoint.safetensors"), *options]) == 0
    assert '"split": "test"' in capsys.readouterr().out
    (out / "d2-000000.tar").unlink()
    assert main(["check-data", str(out)]) == 1 and "d2-000000.tar is missing" in capsys.readouterr().out
    (tree_copy := tmp_path / "bad").mkdir()
    write_tree(tree_copy, ["0/0", "0/1", "0/2"], [0])
    (tree_copy / "train/0/0/photo/0.jpg").unlink()
    arguments[1] = str(tree_copy)
    assert main([*arguments, "--shards", str(tmp_path / "none")]) == 1 and not (tmp_path / "none").exists()


def test_loading_is_timed_against_a_step(written, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mmlib.evidence.bench.loading.probe", lambda *_: CPU)
    arguments = ["--preset", "smoke", "--steps", "2", "--device", "cpu", "--json", str(tmp_path / "b.json")]
    assert main(["bench-loading", str(written), *arguments]) == 0
    result = json.loads((tmp_path / "b.json").read_text())
    assert set(result["given_per_second"]) == {"workers_0", "workers_1", "workers_2"}
    samples = pytest.approx(4, rel=1e-3)  # a step's: 2 of each set
    assert result["consumed_per_second"] * result["seconds_per_step"] == samples
    assert result["given_per_second"]["workers_0"] * result["seconds_per_batch"]["workers_0"] == samples
    assert "a step consumes" in capsys.readouterr().out
