"""SceneNet RGB-D (McCormac et al. 2017) as it is downloaded: a source that reads images when asked for.

A root holds `<split>/<render_path>/` with `photo/<frame>.jpg`, `depth/<frame>.png` (16-bit, millimetres along the ray,
0 = no hit) and `instance/<frame>.png` (16-bit instance ids, 0 = background), and protobuf files that list the
trajectories of a split: their instances, each with its WordNet id (wnid), and their views. A split is `train`, `val` or
`test`, and the protobuf's file name says which. Photos may have any size; SceneNet's are 320 × 240.

No file of SceneNet says which class a wnid is. The authors' table is under the GPL and not part of this library; give
your own `wnid_to_class.txt`, columns between blanks, classes as in `mmlib.modalities.CLASSES`:

    wnid     name         13_classes
    3001627  chair.n.01   Chair

The paper's networks take 256 × 256 pixels, and the paper does not say how photos of 320 × 240 became square;
`mmlib.data.sources.Streamed` says how they do here.

Frames of one trajectory show one room, so the trajectory is the unit by which sets are held apart: `rooms` holds each
view's trajectory, not the view, by `mmlib.data.scenenet_index.trajectory_number`.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..hardware.files import SIDE
from ..modalities import GREY_16, MODALITIES, SEGMENTATION
from .images import from_pixels, image_bytes, read_pixels
from .scenenet_index import Index, Trajectory, open_index
from .sets import DepthPairs, Rooms, SegmentationPairs, Triplets
from .sources import Files, Streamed, size_problem, spread

INSTANCES = dataclasses.replace(SEGMENTATION, folder="instance", pixels=GREY_16)
"""How SceneNet stores segmentation: instance ids, which a trajectory's table turns into classes."""

# ── Views ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Tree(Streamed):
    """Views of trajectories in a root: `views` are pairs of a trajectory and a frame, as `views` makes them.

    `rooms` holds each view's trajectory number, `sha256` is of the index, the classes and the list of views: hundreds
    of gigabytes of images are not hashed. `size` is the paper's.
    """

    def __init__(self, index: Index, views: Sequence[tuple[Trajectory, int]], split: str, size: int = 256):
        self.files = Files(index.root)
        listed = "".join(f"\n{trajectory.path} {frame}" for trajectory, frame in views)
        sha256 = hashlib.sha256((index.sha256 + listed).encode()).hexdigest()
        rooms = [trajectory.number for trajectory, _ in views]
        super().__init__({"split": split, "rooms": list(views)}, rooms, MODALITIES, split, sha256, size)

    def file(self, position: int, name: str) -> str:
        return self.files.where(self._name(position, name))

    def content(self, position: int, name: str) -> bytes:
        return self.files.read(self._name(position, name), image_bytes(SIDE))

    def stored(self, position: int, name: str) -> tuple[torch.Tensor, bytes | None]:
        if name != INSTANCES.name:
            return super().stored(position, name)
        ids = read_pixels(self.content(position, name), self.file(position, name), INSTANCES)
        trajectory, _ = self.index["rooms"][position]
        return from_pixels(trajectory.classes_of(ids), INSTANCES), None

    def _name(self, position: int, name: str) -> str:
        trajectory, frame = self.index["rooms"][position]
        record = INSTANCES if name == INSTANCES.name else self.records[name]
        return f"{trajectory.path}/{record.folder}/{frame}{record.suffix}"


def views(trajectories: Sequence[Trajectory], chosen: slice = slice(None)) -> list[tuple[Trajectory, int]]:
    """The chosen views of each trajectory, by their position in it; of a trajectory too short for any, the last."""
    frames = ((trajectory, trajectory.frames[chosen].tolist()) for trajectory in trajectories)
    return [(trajectory, frame) for trajectory, some in frames for frame in some or trajectory.frames[-1:].tolist()]


# ── The paper's sets ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Selection:
    """How many trajectories train (both sets together) and test, and which views of each are taken."""

    trained: int
    frames: slice
    tested: int
    test_frames: slice


PAPER_SETS = {
    "51k": Selection(1_000, slice(0, 50), 1_000, slice(59, 60)),
    "170k": Selection(15_000, slice(0, 300, 30), 1_000, slice(0, 300, 30)),  # frames 0, 750, …, 6750
}
"""Section 5.1 of the paper."""


def paper_sets(
    root: str | Path,
    mapping: str | Path,
    which: str = "51k",
    size: int = 256,
    protobufs: Sequence[str | Path] | None = None,
) -> tuple[SegmentationPairs, DepthPairs, Triplets]:
    """D1, D2 and the test set of section 5.1, no two of them with a trajectory in common; arguments as `open_index`'s.

    D1 is the first half of the train split's first 1,000 (`51k`) or 15,000 (`170k`) trajectories, D2 the second. The
    test set is of SceneNet's val split (or test), and where the index lists one split alone, of trajectories that
    follow those of D2. So the test set of `51k` is *not* the paper's, whose 60th frames are of the very videos that it
    trained on. Where a root has fewer trajectories than the paper, this is printed; one split is then divided in the
    paper's proportions, and two splits are used whole. `ValueError` for an unknown set or fewer than three
    trajectories.
    """
    if which not in PAPER_SETS:
        raise ValueError(f"unknown set {which!r}: known are {', '.join(PAPER_SETS)}")
    chosen, index = PAPER_SETS[which], open_index(root, mapping, protobufs)
    trained = [trajectory for trajectory in index.trajectories if trajectory.path.startswith("train/")]
    tested = [trajectory for trajectory in index.trajectories if not trajectory.path.startswith("train/")]
    if not trained or not tested:
        every = (trained or tested)[: chosen.trained + chosen.tested]
        share = chosen.tested / (chosen.trained + chosen.tested)
        last = len(every) - max(1, min(round(share * len(every)), len(every) - 2))
        trained, tested = every[:last], every[last:]
    trained, tested = trained[: chosen.trained], tested[: chosen.tested]
    half = len(trained) // 2
    if not half:
        raise ValueError(f"{root} lists {len(index.trajectories)} trajectories: D1, D2 and test need one each at least")
    if len(trained) < chosen.trained or len(tested) < chosen.tested:
        print(f"{root}: {2 * half} trajectories to train on and {len(tested)} to test on; in the paper's {which} set "
              f"there are {chosen.trained} and {chosen.tested}")  # fmt: skip
    return (
        SegmentationPairs(Tree(index, views(trained[:half], chosen.frames), "d1", size)),
        DepthPairs(Tree(index, views(trained[half : 2 * half], chosen.frames), "d2", size)),
        Triplets(Tree(index, views(tested, chosen.test_frames), "test", size)),
    )


def describe(sets: Sequence[Rooms]) -> str:
    """The sets for people, a line each."""
    return "\n".join(
        f"{rooms.split}: {' + '.join(rooms.modalities)}; {len(rooms)} views, {len(set(rooms.rooms))} of the "
        f"trajectories {rooms.index['rooms'][0][0].path} to {rooms.index['rooms'][-1][0].path}; sha256 {rooms.sha256}"
        for rooms in sets
    )


def check(rooms: Rooms, most: int | None = 100) -> list[str]:
    """Read every file of `most` views at even distances in a set (None: of all); one sentence for each bad file.

    Values are judged over all views that could be read, since a camera close to a wall sees no far depth.
    """
    problems, shapes = [], {}
    values = {name: [] for name in rooms.modalities}
    for position in spread(len(rooms), most):
        for name in rooms.modalities:
            try:
                raw = rooms.source.read(position, name)
            except (ValueError, FileNotFoundError) as error:
                problems.append(str(error))
                continue
            shapes[rooms.source.file(position, name)] = tuple(raw.shape[1:])
            values[name].append(raw[:, ::8, ::8].flatten())
    usual = Counter(shapes.values()).most_common(1)
    problems += [text for file, shape in shapes.items() if (text := size_problem(file, shape, usual[0][0]))]
    judged = {name: rooms.records[name].problem(torch.cat(raw)) for name, raw in values.items() if raw}
    return problems + [f"{rooms.split} cannot be used: {problem}" for problem in judged.values() if problem]
