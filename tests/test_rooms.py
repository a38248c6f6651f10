"""The room generator: the same seed gives the same rooms, it resumes, and what it lacks it says in one sentence."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mmlib import Triplets, shipped
from mmlib import __main__ as command_line
from mmlib.data.packing import check
from mmlib.modalities import CLASSES
from mmlib.rooms import furniture
from mmlib.rooms import render as renderer

pytest.importorskip("mitsuba", reason="the render extra is not installed: pip install -e '.[render]'")
if not (furniture.PACKAGE_FOLDER / "BlendSwap-CC-0.sh3f").exists():
    pytest.skip("the furniture is not installed: apt-get install sweethome3d-furniture", allow_module_level=True)

from mmlib.rooms.furnish import furnish  # noqa: E402
from mmlib.rooms.render import make_room, render  # noqa: E402


def files(folder, pattern="*.png"):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob(pattern)) if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    render(3, 42, 48, folder, processes=2, samples=4)
    return folder


def test_rendered_rooms_are_a_data_set(rendered):
    assert check(rendered) == []
    rooms = Triplets(rendered)
    assert rooms.rooms == [42_000_000, 42_000_001, 42_000_002] and rooms.size == 48
    entry = rooms.index["rooms"][0]
    camera = entry["camera"]
    assert 1.2 <= camera["position"][1] <= 1.8  # eye height, metres
    assert camera["fx"] == pytest.approx(24 / np.tan(np.radians(camera["horizontal_fov_degrees"]) / 2), rel=1e-4)
    assert set(entry["models"]) <= {model.key for model in furniture.catalogue()}
    assert not list(rendered.rglob("room.json")) and not (rendered / "started.json").exists()
    colours = rooms.images["rgb"].float()
    assert (colours.std((1, 2, 3)) > 15).all(), "a photo is nearly one colour"


def test_same_seed_same_labels_whatever_the_processes(rendered, tmp_path):
    render(3, 42, 48, tmp_path, modalities=("depth", "segmentation"), processes=1)
    assert files(tmp_path) == files(rendered)
    render(2, 43, 48, tmp_path / "other", modalities=("depth", "segmentation"), processes=1)
    assert files(tmp_path / "other")["0/0/depth/0.png"] != files(tmp_path)["0/0/depth/0.png"]


def test_photos_are_the_same_up_to_noise(rendered):
    def photo(samples):
        images, _ = make_room(42_000_000, 48, ("rgb",), samples)
        import io

        return np.asarray(Image.open(io.BytesIO(images["rgb"])).convert("L"), float)

    from mmlib.rooms.render import start_worker, usable_variant

    before = signal.getsignal(signal.SIGINT)
    start_worker(usable_variant())
    signal.signal(signal.SIGINT, before)
    first = np.asarray(Image.open(rendered / "0/0/photo/0.jpg").convert("L"), float)
    assert abs(photo(16) - first).mean() < 20


def test_depth_is_ray_length_and_agrees_with_the_room(rendered):
    """The floor of a level room: a ray's length times its slope is the camera's height."""
    rooms = Triplets(rendered)
    for number, entry in enumerate(rooms.index["rooms"]):
        camera = entry["camera"]
        position, target = np.array(camera["position"]), np.array(camera["lookat"])
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        down = -np.cross(right, forward)
        v, u = np.mgrid[0:48, 0:48] + 0.5
        rays = (
            forward
            + ((u - camera["cx"]) / camera["fx"])[..., None] * right
            + ((v - camera["cy"]) / camera["fy"])[..., None] * down
        )
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        height = position[1] + rooms.images["depth"][number, 0].numpy() * rays[..., 1]
        floor = rooms.images["segmentation"][number, 0].numpy() == CLASSES.index("Floor")
        assert np.median(np.abs(height[floor])) < 0.03  # metres: the floor, or a rug on it


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_goes_on_after_a_kill_and_grows(tmp_path, rendered, stop):
    command = [sys.executable, "-m", "mmlib", "render", "--rooms", "400", "--seed", "42", "--size", "48"]
    command += ["--out", str(tmp_path), "--modalities", "depth,segmentation", "--processes", "1"]
    hears = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in the background may not
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True, preexec_fn=hears)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("room.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, stop)
    message = process.communicate(timeout=60)[1]
    if stop == signal.SIGINT:  # Ctrl-C
        assert process.returncode == 130 and message.endswith("mmlib: stopped\n") and "Traceback" not in message
    made = len(list(tmp_path.rglob("room.json")))
    assert 2 <= made < 400 and not (tmp_path / "index.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("room.json")}
    kept = {path.parent for path in stamps}
    before = {path: (path / "depth/0.png").stat().st_mtime_ns for path in kept}
    render(max(made, 3), 42, 48, tmp_path, modalities=("depth", "segmentation"), processes=1)
    assert {path: (path / "depth/0.png").stat().st_mtime_ns for path in kept} == before
    ours, theirs = files(tmp_path), files(rendered)
    assert all(ours[name] == content for name, content in theirs.items())


def test_complete_folder_is_left_alone_and_another_seed_refused(rendered, capsys):
    before = files(rendered, "*")
    render(3, 42, 48, rendered)
    assert "is complete: 3 rooms" in capsys.readouterr().out and files(rendered, "*") == before
    with pytest.raises(ValueError, match="holds rooms with seed 42, not 7"):
        render(3, 7, 48, rendered)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rooms": 0}, "rooms is 0: give 1 or more"),
        ({"size": 0}, "size is 0: give 1 or more"),
        ({"size": -4}, "size is -4: give 1 or more"),
        ({"samples": 0}, "samples is 0: give 1 or more"),
        ({"seed": -1}, "seed is -1: give 0 or more"),
        ({"modalities": ("rgb", "bogus")}, "unknown modality 'bogus': known are rgb, depth, segmentation"),
        ({"modalities": ()}, "modalities is empty: give some of rgb, depth, segmentation"),
    ],
)
def test_arguments_out_of_range_make_no_folder(tmp_path, arguments, says):
    with pytest.raises(ValueError, match=says):
        render(**{"rooms": 1, "seed": 1, "size": 8, "out": tmp_path / "out"} | arguments)
    assert not (tmp_path / "out").exists()


def test_blanks_between_modalities(rendered, capsys):
    render(3, 42, 48, rendered, modalities=["segmentation", " rgb", "depth "])
    assert "is complete" in capsys.readouterr().out


def test_out_must_be_a_folder_that_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"cannot make the folder {out} .*: choose another"):
            render(1, 1, 8, out)


@pytest.mark.parametrize("name", ["index.json", "started.json"])
@pytest.mark.parametrize("content", ["[]", "{", '{"rooms": [1]}', "\udcff"])
def test_damage_to_what_an_earlier_call_left_is_named(tmp_path, name, content):
    (tmp_path / name).write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError, match=f"{tmp_path / name} is damaged: delete it"):
        render(1, 1, 8, tmp_path)


def test_missing_mitsuba_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(renderer, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install -e "\.\[render\]"'):
        render(1, 1, 8, tmp_path)


def test_dead_process_is_one_sentence_and_no_endless_wait(tmp_path):
    """A worker that ends at once, as one that runs out of memory does."""
    code = "import os, sys; from mmlib import __main__; from mmlib.rooms import render; "
    code += "render.start_worker, render.usable_variant = os._exit, lambda: 9; sys.exit(__main__.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "render", "--rooms", "2", "--seed", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "mmlib: a rendering process died (out of memory?): run the same command again" in done.stderr


def test_scalar_variant(rendered, tmp_path):
    """Without LLVM the same rooms come out; classes agree up to single pixels on edges."""
    render(1, 42, 48, tmp_path, variant="scalar_rgb", processes=1, samples=1)
    ours, theirs = (np.asarray(Image.open(f / "0/0/semantic_class/0.png")) for f in (tmp_path, rendered))
    assert (ours == theirs).mean() > 0.995
    ours, theirs = (np.asarray(Image.open(f / "0/0/depth/0.png")).astype(int) for f in (tmp_path, rendered))
    assert np.median(np.abs(ours - theirs)) <= 1  # millimetres
    assert json.loads((tmp_path / "index.json").read_text())["generator"]["variant"] == "scalar_rgb"


def test_missing_furniture_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MMLIB_FURNITURE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    furniture.load.cache_clear()
    code = command_line.main(["render", "--rooms", "1", "--seed", "1", "--out", str(tmp_path / "out")])
    furniture.load.cache_clear()
    message = capsys.readouterr().err
    assert code == 2 and message.count("\n") == 1 and "apt-get install sweethome3d-furniture" in message


def test_furniture_cache_may_be_damaged_or_unwritable(tmp_path, monkeypatch):
    key = furniture.catalogue()[0].key
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read = furniture.load.__wrapped__  # without the cache in memory
    mesh = read(key)
    (stored,) = (tmp_path / "cache/mmlib/furniture").iterdir()
    whole = stored.read_bytes()
    for damaged in (b"", b"rubbish", whole[:-40], whole[:200] + bytes(100) + whole[300:]):
        stored.write_bytes(damaged)
        assert np.array_equal(read(key).vertices, mesh.vertices)
        assert stored.read_bytes() == whole
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made below a file
    assert np.array_equal(read(key).vertices, mesh.vertices)


def test_furniture_stands_apart():
    """Footprints of pieces on the floor do not overlap grossly, and every piece is inside the room."""
    for seed in range(8):
        room = furnish(*np.random.default_rng(seed).spawn(2))
        corners = room.geometry.finish().triangles.reshape(-1, 3)
        assert corners[:, 1].min() > -0.3
        rects = [rect for rect, _ in room.tall]
        for i, a in enumerate(rects):
            for b in rects[:i]:
                wide, deep = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                if wide > 0 and deep > 0:
                    smaller = min((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b))
                    assert wide * deep < 0.5 * smaller, (seed, a, b)


def test_credits_name_every_model():
    from mmlib.data.shipped import SHIPPED

    credits = (SHIPPED / "CREDITS.md").read_text()
    for model in furniture.catalogue():
        assert model.name in credits and model.creator in credits and model.licence.startswith("CC")


def test_shipped_rooms_are_those_of_their_seeds():
    """Room 0 of the test split, made again: the same depth and classes as shipped."""
    from mmlib.rooms.render import start_worker, usable_variant

    test = shipped("test")
    start_worker(usable_variant())
    images, record = make_room(test.rooms[0], 96, ("depth", "segmentation"), 1)
    import io

    classes = np.asarray(Image.open(io.BytesIO(images["segmentation"])))
    assert (classes == test.images["segmentation"][0, 0].numpy()).mean() > 0.999
    assert record["models"] == test.index["rooms"][0]["models"]
