"""SceneNet RGB-D's own layout: exact classes, gaps and damage named, trajectories held apart, nothing read too early.

No test needs SceneNet itself: `write_tree` makes a tree of its layout, and the renderer another one.
"""

import shutil
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from conftest import CPU, cut, grey, one_sentence
from mmlib import DepthPairs, SegmentationPairs, Triplets, ZeroPair, audit, evaluate, modality, preset
from mmlib.__main__ import main
from mmlib.data.batches import augment, generator, load_batch
from mmlib.data.scenenet import Tree, check, paper_sets, views
from mmlib.data.scenenet_index import messages, open_index, read_mapping, trajectory_number
from mmlib.methods.cyclegan import OnZeroPairs
from mmlib.modalities import CLASSES
from mmlib.objectives import apart, class_weights

HEIGHT, WIDTH = 24, 32
WNIDS = {1: "04546855", 2: "03001627", 3: "03365592", 4: "02818832"}  # by instance; image 5 is not in the index
NAMES = {1: "Wall", 2: "Chair", 3: "Floor", 4: "Bed"}
CLASS_OF = np.array([0, 12, 4, 5, 1, 0])  # by instance: background and what the index lacks are Unknown
COLOUR_OF = np.array([(20, 20, 20), (250, 30, 30), (30, 250, 30), (30, 30, 250), (250, 250, 30), (250, 250, 250)])
MAPPING = "wnid  name  13_classes\n" + "".join(f"{w.lstrip('0')}  x.n.01  {NAMES[i]}\n" for i, w in WNIDS.items())


def instances_of(number: int, frame: int) -> np.ndarray:
    """Blocks of instances 0 to 5, (24, 32)."""
    blocks = np.random.default_rng([number, frame]).integers(0, 6, (HEIGHT // 8, WIDTH // 8))
    return blocks.repeat(8, 0).repeat(8, 1).astype(np.uint16)


def write_view(folder, frame: int, instances: np.ndarray) -> None:
    """A view in which colour and depth are functions of the instance; instance 0 is no hit."""
    for name in ("photo", "depth", "instance"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    colours = COLOUR_OF[instances].astype(np.uint8)
    Image.fromarray(colours).save(folder / f"photo/{frame}.jpg", quality=95, subsampling=0)
    Image.fromarray((1000 * instances).astype(np.uint16)).save(folder / f"depth/{frame}.png")
    Image.fromarray(instances).save(folder / f"instance/{frame}.png")


def write_index(file, paths, frames, wnids=WNIDS) -> None:
    """A protobuf that lists those trajectories, each with the same instances and frames."""
    listed = messages()["Trajectories"]()
    for path in paths:
        trajectory = listed.trajectories.add(render_path=path)
        trajectory.instances.add(instance_id=0, instance_type=1)
        for instance, wnid in wnids.items():
            trajectory.instances.add(instance_id=instance, semantic_wordnet_id=wnid, instance_type=4)
        for frame in frames:
            trajectory.views.add(frame_num=frame)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(listed.SerializeToString())


def write_tree(root, paths=("0/0", "0/1", "0/2", "0/3"), frames=(0, 25, 50), split="train"):
    """A root in SceneNet's layout with random images, without the renderer."""
    write_index(root / f"scenenet_rgbd_{split}.pb", paths, frames)
    (root / "wnid_to_class.txt").write_text(MAPPING)
    for path in paths:
        for frame in frames:
            write_view(root / split / path, frame, instances_of(trajectory_number(split, path), frame))
    return root


def opened(root, kind=Triplets, size=HEIGHT):
    """All views of a root in one set."""
    index = open_index(root, root / "wnid_to_class.txt")
    return kind(Tree(index, views(index.trajectories), "all", size))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Four trajectories of three views, which tests read and must not change."""
    return write_tree(tmp_path_factory.mktemp("scenenet"))


@pytest.fixture
def copy(tree, tmp_path):
    """A tree that a test may spoil."""
    return shutil.copytree(tree, tmp_path / "copy")


# ── Reading ──


def test_no_hit_and_missing_instances_stay_unknown(tree):
    rooms = opened(tree)
    batch, instances = rooms.batch([0]), torch.from_numpy(instances_of(10**12, 0)[:, 4:28].astype(int))
    assert {0, 5} <= set(instances.unique().tolist())
    assert torch.equal(modality("depth").valid(batch["depth"])[0, 0], instances != 0)
    assert torch.equal(modality("segmentation").valid(batch["segmentation"])[0, 0], (instances != 0) & (instances != 5))


def test_photos_higher_than_wide_and_square_ones(tmp_path):
    for name, shape in (("high", (32, 24)), ("square", (24, 24))):
        write_tree(root := tmp_path / name, ["0/0"], [0])
        write_view(root / "train/0/0", 0, np.ones(shape, np.uint16))
        assert opened(root, size=12).batch([0])["rgb"].shape == (1, 3, 12, 12)


def test_hash_is_of_index_classes_and_views_but_not_of_images(copy):
    first = opened(copy).sha256
    write_view(copy / "train/0/0", 0, np.ones((HEIGHT, WIDTH), np.uint16))
    assert opened(copy).sha256 == first
    index = open_index(copy, copy / "wnid_to_class.txt")
    assert Triplets(Tree(index, views(index.trajectories, slice(0, 2)), "all")).sha256 != first
    (copy / "wnid_to_class.txt").write_text(MAPPING.replace("Bed", "Sofa"))
    assert opened(copy).sha256 != first


# ── What is never opened ──


def test_a_hundred_thousand_views_are_listed_at_once_and_no_image_is_opened(tmp_path, monkeypatch):
    write_index(tmp_path / "scenenet_rgbd_train.pb", [f"0/{n}" for n in range(400)], range(0, 6250, 25))
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    start = time.perf_counter()
    rooms = opened(tmp_path, SegmentationPairs, 256)
    described = rooms.describe()
    assert time.perf_counter() - start < 5
    assert len(rooms) == 100_000 and described["rooms"] == [[10**12, 10**12 + 399]]
    with pytest.raises(FileNotFoundError, match="train/0/399/photo/6225.jpg is missing"):
        rooms.batch([99_999])


# ── Gaps and damage ──


def test_check_lists_all_bad_files_and_a_whole_missing_folder(copy):
    shutil.rmtree(copy / "train/0/2/instance")
    cut(copy / "train/0/0/depth/50.png", 30)
    problems = check(opened(copy))
    assert len(problems) == 4 and "0/0/depth/50.png" in problems[0]
    assert all(f"0/2/instance/{frame}.png is missing" in text for frame, text in zip((0, 25, 50), problems[1:]))
    assert check(opened(copy), 1) == []  # of one view, the first


def test_check_names_the_odd_size_even_if_it_comes_first(copy):
    grey(copy / "train/0/0/depth/0.png", 200, np.uint16, (48, 64))
    (problem,) = check(opened(copy))
    assert "train/0/0/depth/0.png is 64×48, others are 32×24" in problem


def test_check_judges_the_unit_of_depth_over_all_views(copy):
    write_view(copy / "train/0/0", 0, np.zeros((HEIGHT, WIDTH), np.uint16))  # a view out of a window
    assert check(opened(copy)) == []
    for file in copy.rglob("depth/*.png"):
        Image.fromarray(np.array(Image.open(file)) // 1000).save(file)
    (problem,) = check(opened(copy))
    assert "looks like metres, expected millimetres" in problem
    assert check(opened(copy, SegmentationPairs)) == []


# ── The index ──


def test_an_unknown_wnid_is_named_before_any_image_is_read(tmp_path):
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    write_index(tmp_path / "scenenet_rgbd_val_1.pb", ["0/8", "0/223"], [0], WNIDS | {6: "01234567", 7: "00000042"})
    says = "no class for wnid 01234567 of instance 6 of trajectory val/0/8; it also lacks 00000042: add a line for each"
    with pytest.raises(ValueError, match=f"wnid_to_class.txt has {says}"):
        opened(tmp_path)
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING + "1234567 thing.n.01 Objects\n42 thing.n.02 Objects\n")
    assert opened(tmp_path).rooms == [2 * 10**12 + 8, 2 * 10**12 + 223]


def test_wnids_of_the_background_need_no_class(tmp_path):
    write_tree(tmp_path, ["0/0"], [0])
    listed = messages()["Trajectories"].FromString((tmp_path / "scenenet_rgbd_train.pb").read_bytes())
    listed.trajectories[0].instances.add(instance_id=2, semantic_wordnet_id="99999999")  # proto2: the type is 1
    (tmp_path / "scenenet_rgbd_train.pb").write_bytes(listed.SerializeToString())
    assert (opened(tmp_path).batch([0])["segmentation"] == 4).any()


def index_with(**changes):
    """A function that replaces a protobuf by one that lists a single trajectory, changed."""

    def spoil(path):
        listed = messages()["Trajectories"]()
        trajectory = listed.trajectories.add(render_path=changes.get("path", "0/0"))
        for frame in changes.get("frames", [0]):
            trajectory.views.add(frame_num=frame)
        for instance in changes.get("instances", []):
            trajectory.instances.add(instance_id=instance, semantic_wordnet_id="03001627", instance_type=4)
        path.write_bytes(listed.SerializeToString())

    return spoil


BAD_INDEX = {
    "cut short": (lambda path: cut(path, 5), "is cut short or no index of SceneNet RGB-D: download it again"),
    "empty": (lambda path: path.write_bytes(b""), "is cut short or no index"),
    "a pointer": (lambda path: path.write_text("version https://git-lfs.github.com\n"), "is cut short or no index"),
    "other messages": (lambda path: path.write_bytes(b"\x12\x03abc"), "is cut short or no index"),
    "no text": (lambda path: path.write_bytes(path.read_bytes().replace(b"0/1", b"\xff/1")), "is not two numbers"),
    "outside of the root": (index_with(path="../x"), r"render path '\.\./x' is not two numbers"),
    "no views": (index_with(frames=[]), "trajectory train/0/0 has no views"),
    "large instance": (index_with(instances=[70000]), "instance 70000 of trajectory train/0/0: an id has 16 bits"),
    "no split": (lambda path: path.rename(path.with_name("index.pb")), "does not say its split: name it as SceneNet"),
    "twice": (lambda path: shutil.copy(path, path.with_name("a_train.pb")), "lists trajectory train/0/0 again"),
    "missing": (lambda path: path.unlink(), "holds no protobuf file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INDEX)
def test_a_bad_index_is_one_sentence(copy, name):
    spoil, says = BAD_INDEX[name]
    spoil(copy / "scenenet_rgbd_train.pb")
    one_sentence(lambda: opened(copy), says, copy)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wnid name\n1 x\n", "line 1 names no columns wnid and 13_classes"),
        ("", "line 1 names no columns"),
        (MAPPING + "42 thing.n.01 Gadget\n", "line 6 is '42 thing.n.01 Gadget': give wnid, name, 13_classes, the"),
        (MAPPING + "\n42 thing.n.01\n", "line 7 is '42 thing.n.01'"),
        (MAPPING + "n42 thing.n.01 Bed\n", "line 6 is 'n42"),
        (MAPPING + "3001627 chair.n.01 Sofa\n", "line 6 gives wnid 03001627 a second class"),
    ],
)
def test_a_bad_line_of_the_mapping_is_named(copy, text, says):
    (copy / "wnid_to_class.txt").write_text(text)
    with pytest.raises(ValueError, match=f"wnid_to_class.txt, {says}"):
        opened(copy)


def test_a_mapping_may_have_more_columns_and_must_be_text(copy):
    rows = [line.split() for line in MAPPING.splitlines()]
    wide = [[wnid, f"another{number}", name, label] for number, (wnid, name, label) in enumerate(rows)]
    (copy / "wnid_to_class.txt").write_text("\n".join("\t".join(cells) for cells in wide))
    assert read_mapping(copy / "wnid_to_class.txt") == {WNIDS[n]: CLASSES.index(NAMES[n]) for n in WNIDS}
    (copy / "wnid_to_class.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="wnid_to_class.txt is not text"):
        opened(copy)
    (copy / "wnid_to_class.txt").unlink()
    with pytest.raises(FileNotFoundError, match="wnid_to_class.txt is missing"):
        opened(copy)


def test_missing_protobuf_is_one_sentence(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    messages.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="needs the package protobuf: pip install protobuf"):
        opened(tree)


def test_order_of_protobufs_does_not_matter(tmp_path):
    write_index(tmp_path / "a_val.pb", ["0/0"], [0])
    write_index(tmp_path / "protobufs/b_train_10.pb", ["10/1"], [0])
    write_index(tmp_path / "protobufs/b_train_9.pb", ["9/7"], [0])
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    files = sorted(tmp_path.rglob("*.pb"))
    one, other = (open_index(tmp_path, tmp_path / "wnid_to_class.txt", order) for order in (files, files[::-1]))
    found = [trajectory.path for trajectory in one.trajectories]
    assert found == ["train/9/7", "train/10/1", "val/0/0"] and one.sha256 == other.sha256
    again = open_index(tmp_path, tmp_path / "wnid_to_class.txt").trajectories
    assert found == [trajectory.path for trajectory in again]


# ── Training ──


def test_photo_depth_and_class_stay_registered_under_augmentation(tree):
    rooms = opened(tree)
    raw = {name: image.repeat(4, 1, 1, 1) for name, image in rooms.uncropped(range(12)).items()}
    seen = augment(raw, 24, generator("cpu", 3))
    # metres: instance 1 is 1 m away, and nearer by the window's share, which is 1 or less and the same in an image
    shares = torch.rand(3, 48, generator=generator("cpu", 3))[0].view(-1, 1, 1, 1) * 0.4 + 0.6
    instances = (seen["depth"] / shares).round().long()
    assert torch.allclose(seen["depth"], instances * shares)
    assert torch.equal(seen["segmentation"], torch.from_numpy(CLASS_OF)[instances])
    assert not torch.equal(seen["depth"], raw["depth"][..., 4:28])
    # colours: the light varies by image and channel, so each instance keeps one colour within an image
    for photo, own in zip(seen["rgb"].float(), instances[:, 0]):
        for instance in own.unique():
            inner = -F.max_pool2d(-(own == instance).float()[None], 5, 1, 2)[0] > 0
            if inner.sum() > 4:
                assert photo[:, inner].std(1).max() < 12, "a window of the photo is not that of its depth"


def test_training_windows_reach_what_the_central_square_does_not(tmp_path):
    write_tree(tmp_path, ["0/0"], [0])
    instances = np.full((HEIGHT, WIDTH), 1, np.uint16)
    instances[:, :4], instances[:, -4:] = 2, 3  # beyond the central square
    write_view(tmp_path / "train/0/0", 0, instances)
    rooms = opened(tmp_path)
    assert rooms.batch([0])["depth"].unique().tolist() == [1.0]
    seen = augment(rooms.uncropped([0] * 64), 24, generator("cpu", 0), (1.0, 1.0))["depth"]
    assert seen.unique().tolist() == [1.0, 2.0, 3.0]
    recipe = preset("smoke", size=32, batch=2, augment=True, windows=(1.0, 1.0))
    pairs = [load_batch(opened(tmp_path, DepthPairs, 32), recipe, CPU, step, 1) for step in range(30)]
    assert torch.cat([pair.images["depth"].flatten() for pair in pairs]).unique().tolist() == [-1, -0.5, 0]  # scaled


def test_training_windows_are_square_and_square_images_are_augmented_as_before():
    def window(image, seed, size=8):
        return augment({"segmentation": image}, size, generator("cpu", seed))["segmentation"]

    columns, rows = torch.arange(64.0).repeat(1, 1, 32, 1), torch.arange(32.0)[:, None].repeat(1, 1, 1, 64)
    for seed in range(20):
        across, down = (torch.aminmax(window(image, seed)) for image in (columns, rows))
        assert abs((across.max - across.min) - (down.max - down.min)) <= 2  # pixels of the stored image
    square = torch.rand(3, 1, 16, 16, generator=generator("cpu", 0))
    random = generator("cpu", 1)
    scale, x, y = torch.rand(3, 3, generator=random)
    scale = 0.6 + 0.4 * scale
    mirror = torch.where(torch.rand(3, generator=random) < 0.5, -1.0, 1.0)
    x, y, zero = (1 - scale) * (2 * x - 1), (1 - scale) * (2 * y - 1), torch.zeros(3)
    theta = torch.stack([torch.stack([scale * mirror, zero, x], 1), torch.stack([zero, scale, y], 1)], 1)
    grid = F.affine_grid(theta, [3, 1, 8, 8], align_corners=False)
    expected = F.grid_sample(square, grid, "nearest", padding_mode="border", align_corners=False)
    assert torch.equal(window(square, 1), expected)


def test_batches_of_a_recipe_are_square(tree):
    recipe = preset("smoke", size=32, batch=2)
    pair = load_batch(opened(tree, DepthPairs), recipe.replace(augment=True), CPU, 0, 1)
    assert pair.images["rgb"].shape == (2, 3, 32, 32) and pair.valid["depth"].shape == (2, 1, 32, 32)
    assert torch.equal(pair.valid["depth"], modality("depth").to_raw(pair.images["depth"]) > 0)
    plain = load_batch(opened(tree, DepthPairs).resized(32), recipe.replace(augment=False), CPU, 0, 1)
    assert plain.images["depth"].shape == (2, 1, 32, 32)


def test_classes_are_weighted_by_a_sample_that_opens_no_photo(copy):
    rooms = opened(copy, SegmentationPairs)
    for file in copy.rglob("*.jpg"):
        file.unlink()
    every = np.concatenate([CLASS_OF[instances_of(n, f)].ravel() for n in set(rooms.rooms) for f in (0, 25, 50)])
    counts = rooms.class_counts()
    assert counts.dtype == torch.int64 and counts.tolist() == np.bincount(every, minlength=14).tolist()
    weights = class_weights(rooms, 0.5)
    assert weights[0] == 0 and (weights > 0).nonzero().flatten().tolist() == [1, 4, 5, 12]


def test_at_most_five_hundred_views_are_counted(tree):
    index = open_index(tree, tree / "wnid_to_class.txt")
    rooms = SegmentationPairs(Tree(index, views(index.trajectories) * 100, "d1"))
    assert len(rooms) == 1200 and rooms.class_counts().sum() == 500 * HEIGHT * WIDTH
    assert torch.equal(rooms.class_counts(), rooms.class_counts())


def test_triplets_are_evaluated(tree, model):
    result = evaluate(model, opened(tree, size=32).subset(0, 2))
    assert result["rooms"] == 2 and len(result["translations"]) == 9


# ── The paper's sets, and no trajectory in two of them ──


def record_of(*sets):
    return {"data": [rooms.describe() for rooms in sets]}


def test_sets_of_a_small_tree_share_no_trajectory(tree, capsys):
    d1, d2, test = paper_sets(tree, tree / "wnid_to_class.txt", "51k", 24)
    says = "2 trajectories to train on and 2 to test on; in the paper's 51k set there are 1000 and 1000"
    assert says in capsys.readouterr().out
    assert isinstance(d1, SegmentationPairs) and isinstance(d2, DepthPairs) and isinstance(test, Triplets)
    assert [set(rooms.rooms) for rooms in (d1, d2, test)] == [{10**12}, {10**12 + 1}, {10**12 + 2, 10**12 + 3}]
    assert [rooms.split for rooms in (d1, d2, test)] == ["d1", "d2", "test"] and [len(d1), len(test)] == [3, 2]
    seen = {(frame, trajectory.path) for trajectory, frame in test.index["rooms"]}
    assert seen == {(50, "train/0/2"), (50, "train/0/3")}
    assert audit(record_of(d1, d2)) == []
    assert ZeroPair(d1, d2).sets == (d1, d2) and OnZeroPairs(d1, d2).sets == (d1, d2)
    assert audit(record_of(d1, d2, test))[0] == "the test split was used for training"


@pytest.mark.parametrize("which", ["51k", "170k"])
def test_frames_are_the_papers(tmp_path, which):
    write_index(tmp_path / "scenenet_rgbd_train_0.pb", [f"0/{n}" for n in range(8)], range(0, 7500, 25))
    write_index(tmp_path / "scenenet_rgbd_val.pb", ["0/3", "0/4"], range(0, 7500, 25))
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    d1, d2, test = paper_sets(tmp_path, tmp_path / "wnid_to_class.txt", which)
    tenth = list(range(0, 7500, 750))
    training, last = {"51k": (list(range(0, 1250, 25)), [1475]), "170k": (tenth, tenth)}[which]
    assert [frame for _, frame in d1.index["rooms"]] == [frame for _, frame in d2.index["rooms"]] == training * 4
    assert [frame for _, frame in test.index["rooms"]] == last * 2
    assert set(test.rooms) == {2 * 10**12 + 3, 2 * 10**12 + 4}
    assert d1.describe()["rooms"] == [[10**12, 10**12 + 3]] and d2.describe()["rooms"] == [[10**12 + 4, 10**12 + 7]]
    assert d1.size == 256


@pytest.mark.parametrize(
    ("count", "which", "sizes"), [(3, "51k", (1, 1, 1)), (8, "51k", (2, 2, 4)), (33, "170k", (15, 15, 2))]
)
def test_one_split_is_divided_in_the_papers_proportions(tmp_path, count, which, sizes):
    write_index(tmp_path / "scenenet_rgbd_val.pb", [f"0/{n}" for n in range(count)], [0])
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    sets = paper_sets(tmp_path, tmp_path / "wnid_to_class.txt", which)
    assert tuple(map(len, sets)) == sizes and len({room for rooms in sets for room in rooms.rooms}) == sum(sizes)


def test_the_papers_numbers_are_not_exceeded(tmp_path, capsys):
    write_index(tmp_path / "scenenet_rgbd_train_0.pb", [f"0/{n}" for n in range(2100)], [0], {})
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    d1, d2, test = paper_sets(tmp_path, tmp_path / "wnid_to_class.txt", "51k")
    assert (len(d1), len(d2), len(test)) == (500, 500, 1000) and capsys.readouterr().out == ""
    assert test.describe()["rooms"] == [[10**12 + 1000, 10**12 + 1999]]


def test_too_few_trajectories_and_unknown_sets(tmp_path):
    write_index(tmp_path / "scenenet_rgbd_train.pb", ["0/0", "0/1"], [0])
    (tmp_path / "wnid_to_class.txt").write_text(MAPPING)
    with pytest.raises(ValueError, match="lists 2 trajectories: D1, D2 and test need one each"):
        paper_sets(tmp_path, tmp_path / "wnid_to_class.txt")
    with pytest.raises(ValueError, match="unknown set '17k': known are 51k, 170k"):
        paper_sets(tmp_path, tmp_path / "wnid_to_class.txt", "17k")
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        paper_sets(tmp_path / "nowhere", tmp_path / "wnid_to_class.txt")


def test_a_trajectory_shared_through_other_frames_is_refused(tree):
    index = open_index(tree, tree / "wnid_to_class.txt")
    d1 = SegmentationPairs(Tree(index, views(index.trajectories[:3], slice(0, 1)), "d1"))
    d2 = DepthPairs(Tree(index, views(index.trajectories[2:], slice(1, 3)), "d2"))
    shared = index.trajectories[2].number
    for refuse in (apart, ZeroPair, OnZeroPairs):
        with pytest.raises(ValueError, match=f"share 1 rooms, the first is {shared}"):
            refuse(d1, d2)
    (leak,) = audit(record_of(d1, d2))
    assert leak == f"1 room from {shared} on gave both depth and segmentation, in d2 (training) and d1 (training)"


def test_training_on_zero_pairs_takes_d1_and_d2_in_this_order(tree):
    d1, d2, test = paper_sets(tree, tree / "wnid_to_class.txt")
    for wrong in ((d2, d1), (d1, test)):
        with pytest.raises(TypeError, match="SegmentationPairs"):
            OnZeroPairs(*wrong)


def test_trajectory_numbers_depend_on_split_and_path_alone():
    numbers = [trajectory_number(split, path) for split in ("train", "val", "test") for path in ("0/0", "0/1", "1/0")]
    assert len(set(numbers)) == 9 and min(numbers) == 10**12  # beyond any seed of our own rooms
    assert trajectory_number("train", "16/864") == 10**12 + 16_000_864
    for path in ("0", "0/1/2", "a/b", "0/1000000", "/0", ""):
        with pytest.raises(ValueError, match="is not two numbers"):
            trajectory_number("train", path)


# ── Command line ──


def test_command_shows_the_sets_and_names_bad_files(copy, capsys):
    arguments = ["scenenet", str(copy), "--classes", str(copy / "wnid_to_class.txt")]
    assert main([*arguments, "--protobuf", str(copy / "scenenet_rgbd_train.pb"), "--check", "all"]) == 0
    out = capsys.readouterr().out
    assert "d1: rgb + segmentation; 3 views, 1 of the trajectories train/0/0 to train/0/0; sha256 " in out
    assert "test: rgb + depth + segmentation; 2 views, 2 of the trajectories train/0/2 to train/0/3" in out
    assert "every file that was read is in order" in out
    (copy / "train/0/0/depth/0.png").unlink()  # D1 has no depth
    (copy / "train/0/1/depth/0.png").unlink()
    (copy / "train/0/3/instance/50.png").write_bytes(b"rubbish")
    assert main([*arguments, "--check", "5"]) == 1
    bad = [line for line in capsys.readouterr().out.splitlines() if ".png" in line]
    assert len(bad) == 2 and "0/1/depth/0.png is missing" in bad[0] and "0/3/instance/50.png is corrupt" in bad[1]
    assert main([*arguments, "--set", "17k"]) == 2
    assert 'Invalid value "17k" for --set. Choose from: "51k", "170k"' in capsys.readouterr().err


# ── The renderer ──


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Two rooms of our own with two views each; the first call stops after one room, the second continues."""
    pytest.importorskip("mitsuba", reason="the render extra is not installed: pip install -e '.[render]'")
    import mitsuba

    from mmlib.rooms import furniture, trajectories

    if not (furniture.PACKAGE_FOLDER / "BlendSwap-CC-0.sh3f").exists():
        pytest.skip("the furniture is not installed: apt-get install sweethome3d-furniture")
    mitsuba.set_variant("scalar_rgb")
    root, made = tmp_path_factory.mktemp("rendered"), []

    def first(function, jobs, *_):
        made.append((jobs[0][0], function(jobs[0])))
        if len(jobs) > 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:  # in this process, for speed
        patch.setattr(trajectories, "in_processes", first)
        with pytest.raises(KeyboardInterrupt):
            trajectories.render(2, 2, 42, 18, root, samples=1, variant="scalar_rgb")
        assert not (root / "scenenet_rgbd_train.pb").exists()
        trajectories.render(2, 2, 42, 18, root, samples=1, variant="scalar_rgb")
    assert [number for number, _ in made] == [0, 1]
    return root


def test_rendered_classes_and_depth_are_exact(rendered):
    from mmlib.rooms.trajectories import FIELD, furnished, shot

    rooms = opened(rendered, size=18)
    assert rooms.rooms == [10**12, 10**12, 10**12 + 1, 10**12 + 1] and check(rooms) == []
    wide, place = rooms.uncropped(range(4)), 0
    assert wide["rgb"].shape == (4, 3, 18, 24)
    for seed in (42_000_000, 42_000_001):
        _, labels, cameras, _ = furnished(seed, 2, field=FIELD)
        for camera in cameras:
            face, length = shot(labels, camera, 18)
            classes = labels.classes(face)
            assert len(np.unique(classes)) > 3 and np.array_equal(wide["segmentation"][place, 0], classes)
            assert np.allclose(wide["depth"][place, 0], length, atol=0.0006)  # metres along the ray
            place += 1
    assert not np.array_equal(wide["depth"][0], wide["depth"][1])  # another camera


def test_rendered_index_is_whole(rendered):
    listed = messages()["Trajectories"].FromString((rendered / "scenenet_rgbd_train.pb").read_bytes())
    for trajectory in listed.trajectories:
        assert [view.frame_num for view in trajectory.views] == [0, 25]
        assert {0, 1} <= {instance.instance_id for instance in trajectory.instances}
        assert 1.2 <= trajectory.views[0].shutter_open.camera.y <= 1.8  # eye height, metres
    assert not list(rendered.rglob("trajectory.pb"))


def test_rendered_folder_is_left_alone(rendered, tree, tmp_path, capsys):
    from mmlib.rooms.trajectories import render

    before = (rendered / "scenenet_rgbd_train.pb").stat().st_mtime_ns
    arguments = ["--rooms", "2", "--seed", "42", "--size", "18", "--out", str(rendered), "--format", "scenenet"]
    assert main(["render", *arguments, "--views", "2"]) == 0
    assert "is complete: 2 trajectories" in capsys.readouterr().out
    assert main(["render", *arguments]) == 2 and "choose another folder" in capsys.readouterr().err
    assert (rendered / "scenenet_rgbd_train.pb").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds a train split that this command did not make"):
        render(1, 1, 1, 8, tree)
    with pytest.raises(ValueError, match="views is 0: give 1 or more"):
        render(1, 0, 1, 8, tmp_path / "out")
    assert not (tmp_path / "out").exists()
