"""Fixtures that every test may use: a few small rooms, written here in the data set's layout."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mmlib import DepthPairs, MixAndMatch, SegmentationPairs, Triplets, ZeroPair, open_split, preset
from mmlib.data.sets import AlbedoPairs, NormalsPairs, Rooms
from mmlib.hardware.compute import Machine
from mmlib.modalities import Modality

SIZE = 32
CPU = Machine(torch.device("cpu"), bf16=False, channels_last=False)
FIVE = ("rgb", "depth", "segmentation", "normals", "albedo")
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def noise(record: Modality, count: int, random: torch.Generator) -> torch.Tensor:
    """Raw images of a modality with nothing in them: (count, C, 32, 32)."""
    if record.classes:
        return torch.randint(1, record.channels, (count, 1, SIZE, SIZE), generator=random, dtype=torch.uint8)
    if record.raw_dtype == torch.uint8:
        return torch.randint(0, 256, (count, record.channels, SIZE, SIZE), generator=random, dtype=torch.uint8)
    if record.channels == 1:
        return 1 + 4 * torch.rand(count, 1, SIZE, SIZE, generator=random)
    return F.normalize(torch.randn(count, 3, SIZE, SIZE, generator=random), dim=1)


def rooms_of(kind: type[Rooms], start: int, count: int = 4) -> Rooms:
    """Noise in place of rooms, of any set's type, numbered from `start` on."""
    random = torch.Generator().manual_seed(start)
    images = {name: noise(record, count, random) for name, record in kind.records.items()}
    return kind.of(images, range(start, start + count), kind.__name__)


def pairs_of(data: Path) -> ZeroPair:
    """The objective on D1 and D2 of a folder."""
    return ZeroPair(open_split(data, "d1"), open_split(data, "d2"))


def synthetic_room(seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A wall, a floor and one box: RGB uint8 (H, W, 3), depth uint16 millimetres (H, W), classes uint8 (H, W)."""
    random = np.random.default_rng(seed)
    horizon = int(random.integers(size // 3, size // 2))
    rows = np.arange(size)[:, None].repeat(size, 1)
    classes = np.where(rows < horizon, 12, 5).astype(np.uint8)  # Wall above, Floor below
    depth = np.where(rows < horizon, 4000, 4000 - 80 * (rows - horizon)).astype(np.uint16)
    left, top = random.integers(2, size // 2, 2)
    box = np.s_[top : top + size // 3, left : left + size // 3]
    classes[box] = random.integers(1, 14)
    depth[box] = random.integers(1200, 2000)
    classes[0, 0] = depth[0, 0] = 0  # a ray that left the room
    shade = 1.0 - depth[..., None] / 8000.0
    palette = np.linspace(40, 250, 14 * 3).reshape(14, 3)
    return (palette[classes] * shade).astype(np.uint8), depth, classes


def write_rooms(directory: Path, seeds: list[int], size: int = SIZE) -> Path:
    """Write rooms of these seeds into a directory, with all three modalities and an index."""
    entries = []
    for number, seed in enumerate(seeds):
        path = f"{number // 4}/{number}"
        for folder in ("photo", "depth", "semantic_class"):
            (directory / path / folder).mkdir(parents=True, exist_ok=True)
        photo, depth, classes = synthetic_room(seed, size)
        Image.fromarray(photo).save(directory / path / "photo/0.jpg", quality=92)
        Image.fromarray(depth).save(directory / path / "depth/0.png")
        Image.fromarray(classes).save(directory / path / "semantic_class/0.png")
        entries.append({"room": seed, "path": path, "frame": 0, "kind": "bedroom", "camera": {}, "models": []})
    index = {"format": "mmlib-rooms-1", "seed": 0, "size": size, "modalities": ["rgb", "depth", "segmentation"]}
    (directory / "index.json").write_text(json.dumps(index | {"generator": {"name": "test"}, "rooms": entries}))
    return directory


@pytest.fixture
def nothing_has_passed(tmp_path, monkeypatch):
    """A learner who has passed and kept nothing so far, in a folder of their own."""
    from mmlib.course.exercises import PASSED

    monkeypatch.chdir(tmp_path)
    PASSED.clear()
    yield tmp_path
    PASSED.clear()


def edit(path: Path, **changes) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path, size: int = 1) -> None:
    """Cut the last bytes of a file off."""
    path.write_bytes(path.read_bytes()[:-size])


def grey(path: Path, value: int, dtype: type, shape: tuple[int, int] = (SIZE, SIZE)) -> None:
    """Write an image of a single grey."""
    Image.fromarray(np.full(shape, value, dtype)).save(path)


def one_sentence(read, says: str, *names) -> str:
    """What `read` raises: one line that says so and names these."""
    with pytest.raises((ValueError, OSError), match=says) as error:
        read()
    assert "\n" not in str(error.value) and all(str(name) in str(error.value) for name in names)
    return str(error.value)


def equal(one, other) -> bool:
    """Whether two sets give the same batches, to the bit."""
    positions = torch.arange(len(one)).flip(0)
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a)
        for a, b in (
            (one.batch(positions), other.batch(positions)),
            (one.uncropped(positions), other.uncropped(positions)),
        )
    )


@pytest.fixture(scope="module")
def one_thread():
    """Networks this small gain nothing from a second thread, and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def rooms_dir(tmp_path_factory) -> Path:
    """Six 32 × 32 rooms (seeds 100–105) that tests read and must not change."""
    return write_rooms(tmp_path_factory.mktemp("rooms"), list(range(100, 106)))


@pytest.fixture
def objective(rooms_dir) -> ZeroPair:
    """Three rooms of `rooms_dir` with segmentation, three with depth."""
    return pairs_of(rooms_dir)


@pytest.fixture(scope="session")
def sets() -> list[Rooms]:
    """Noise in place of RGB with each of four other modalities, of different rooms."""
    kinds = (SegmentationPairs, DepthPairs, NormalsPairs, AlbedoPairs)
    return [rooms_of(kind, 10 * number) for number, kind in enumerate(kinds)]


@pytest.fixture(scope="session")
def model() -> MixAndMatch:
    """A network of preset `smoke`, untrained, that tests must not change."""
    return MixAndMatch.from_recipe(preset("smoke")).eval()


@pytest.fixture(scope="session")
def rooms(rooms_dir) -> Triplets:
    """The rooms of `rooms_dir`, read, that tests must not change."""
    return Triplets(rooms_dir)


class NotebookOutputs:
    """For nbval: what a machine says on standard error is not compared."""

    def pytest_collectstart(self, collector):
        if hasattr(collector, "skip_compare"):
            collector.skip_compare += ("stderr",)


def pytest_configure(config):
    config.pluginmanager.register(NotebookOutputs())
