"""SceneNet RGB-D's index: which trajectories and views a root holds, and which class each instance has.

Protobuf files (proto2) list the trajectories of a split; their messages are declared here from the numbers of the
fields, so there is no generated file. No file of SceneNet says which class a WordNet id (wnid) is; see
`mmlib.data.scenenet`.
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..modalities import CLASSES

SPLITS = ("train", "val", "test")
BACKGROUND = 1  # an instance type
_FIELDS = {  # message → name, number and type of those of its fields that are read or written here; * is "repeated"
    "Trajectories": (("trajectories", 1, "*Trajectory"),),
    "Trajectory": (("instances", 2, "*Instance"), ("views", 3, "*View"), ("render_path", 4, "string")),
    "Instance": (
        ("instance_id", 1, "int32"),
        ("semantic_wordnet_id", 2, "string"),
        ("semantic_english", 3, "string"),
        ("instance_type", 4, "int32"),
    ),
    "View": (("frame_num", 1, "int32"), ("shutter_open", 2, "Pose"), ("shutter_close", 3, "Pose")),
    "Pose": (("camera", 1, "Position"), ("lookat", 2, "Position")),
    "Position": (("x", 1, "float"), ("y", 2, "float"), ("z", 3, "float")),
}


@functools.cache
def messages() -> dict[str, type]:
    """The protobuf classes of SceneNet's index by name, made from the numbers of the fields."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ModuleNotFoundError("SceneNet RGB-D's index needs the package protobuf: pip install protobuf") from None
    file = descriptor_pb2.FileDescriptorProto(name="scenenet.proto", package="scenenet", syntax="proto2")
    for message, fields in _FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, number, kind in fields:
            field = declared.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if kind[0] == "*" else field.LABEL_OPTIONAL
            if (kind := kind.lstrip("*")) in _FIELDS:
                field.type, field.type_name = field.TYPE_MESSAGE, f".scenenet.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
            if name == "instance_type":
                field.default_value = str(BACKGROUND)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    made = message_factory.GetMessageClassesForFiles([file.name], pool)
    return {name: made[f"scenenet.{name}"] for name in _FIELDS}


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A camera's way through one room: `path` is `<split>/<render_path>`, `number` identifies it in audits.

    `frames` (V,) in order; `instances` (I,) are the ids that have a class, `classes` (I,) uint8 which.
    """

    path: str
    number: int
    frames: np.ndarray
    instances: np.ndarray
    classes: np.ndarray

    def classes_of(self, instances: np.ndarray) -> np.ndarray:
        """Instance ids (H, W) → class ids uint8 (H, W); background and ids that the index lacks are 0, Unknown."""
        table = np.zeros(2**16, np.uint8)
        table[self.instances] = self.classes
        return table[instances]


@dataclass(frozen=True)
class Index:
    """What the protobuf files of a root list: trajectories by number, and a hash of those files and of the classes."""

    root: Path
    trajectories: list[Trajectory]
    sha256: str


def open_index(root: str | Path, mapping: str | Path, protobufs: Sequence[str | Path] | None = None) -> Index:
    """Read a root's index, and no image: `protobufs`, or if not given all `.pb` files in the root and its folders.

    `mapping` is your `wnid_to_class.txt`. `ValueError` where a file is cut short or another's, where a trajectory is
    listed twice, and where an instance has a wnid that the mapping lacks; `FileNotFoundError` for what is missing.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder: give the one that holds SceneNet's train or val")
    files = [Path(file) for file in protobufs or sorted([*root.glob("*.pb"), *root.glob("*/*.pb")])]
    if not files:
        raise FileNotFoundError(f"{root} holds no protobuf file (.pb): download them, or give them by name")
    classes, hashes = read_mapping(mapping), []
    found: dict[int, Trajectory] = {}
    lacking: dict[str, str] = {}
    for file in files:
        content = _content(file)
        hashes.append(hashlib.sha256(content).hexdigest())
        for trajectory in _trajectories(file, content, classes, lacking):
            if trajectory.number in found:
                raise ValueError(f"{file} lists trajectory {trajectory.path} again: give each protobuf file once")
            found[trajectory.number] = trajectory
    if lacking:
        wnid, where = next(iter(lacking.items()))
        others = f"; it also lacks {', '.join(list(lacking)[1:])}" if len(lacking) > 1 else ""
        raise ValueError(f"{mapping} has no class for wnid {wnid} of {where}{others}: add a line for each")
    digest = hashlib.sha256(" ".join(sorted(hashes)).encode() + _content(Path(mapping)))
    return Index(root, [found[number] for number in sorted(found)], digest.hexdigest())


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing: give the path of an existing file") from None


def read_mapping(path: str | Path) -> dict[str, int]:
    """Class ids by wnid of eight digits, from a table with the columns `wnid` and `13_classes`."""
    try:
        first, *lines = _content(Path(path)).decode().splitlines() or [""]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text: give a table of wnids and classes") from None
    header = first.split()
    if not {"wnid", "13_classes"} <= set(header):
        raise ValueError(f"{path}, line 1 names no columns wnid and 13_classes: begin with `wnid  name  13_classes`")
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        if not (cells := line.split()):
            continue
        row = dict(zip(header, cells))
        if len(cells) != len(header) or not re.fullmatch(r"\d{1,8}", row["wnid"]) or row["13_classes"] not in CLASSES:
            columns = ", ".join(header)
            raise ValueError(
                f"{path}, line {number} is {line.strip()!r}: give {columns}, the class one of {', '.join(CLASSES)}"
            )
        wnid, class_id = row["wnid"].zfill(8), CLASSES.index(row["13_classes"])
        if found.setdefault(wnid, class_id) != class_id:
            raise ValueError(f"{path}, line {number} gives wnid {wnid} a second class: keep one of them")
    return found


def trajectory_number(split: str, render_path: str) -> int:
    """The number by which audits know a trajectory: 10¹² for train, 2·10¹² for val, 3·10¹² for test, plus 10⁶ times the
    first and once the second number of its render path. It depends on nothing else, and no other data set of the
    course reaches it. `ValueError` for a render path that is not two numbers, as in `0/223`.
    """
    if not (parts := re.fullmatch(r"(\d{1,6})/(\d{1,6})", render_path)):
        raise ValueError(f"render path {render_path!r} is not two numbers, as in 0/223")
    return (1 + SPLITS.index(split)) * 10**12 + int(parts[1]) * 10**6 + int(parts[2])


def _trajectories(file: Path, content: bytes, classes: dict[str, int], lacking: dict) -> Iterator[Trajectory]:
    """The trajectories of a protobuf file; wnids without a class are collected in `lacking`, with where they were."""
    named = {split for split in SPLITS if re.search(rf"(?<![a-z]){split}(?![a-z])", file.name)}
    if len(named) != 1:
        raise ValueError(
            f"{file} does not say its split: name it as SceneNet does, scenenet_rgbd_train_0.pb or _val.pb"
        )
    split, listed = named.pop(), messages()["Trajectories"]()
    broken = f"{file} is cut short or no index of SceneNet RGB-D: download it again"
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - an extra

    try:
        listed.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"{broken} ({error})") from None
    if not listed.trajectories:
        raise ValueError(broken)
    for message in listed.trajectories:
        try:
            number = trajectory_number(split, str(message.render_path))  # bytes where it is not text
        except ValueError as error:
            raise ValueError(f"{broken} ({error})") from None
        path, ids, class_ids = f"{split}/{message.render_path}", [], []
        if not message.views:
            raise ValueError(f"{broken} (trajectory {path} has no views)")
        for instance in message.instances:
            if instance.instance_type == BACKGROUND:
                continue
            wnid, where = (
                str(instance.semantic_wordnet_id).zfill(8),
                f"instance {instance.instance_id} of trajectory {path}",
            )
            if not 0 <= instance.instance_id < 2**16:
                raise ValueError(f"{broken} ({where}: an id has 16 bits)")
            if wnid not in classes:
                lacking.setdefault(wnid, where)
            ids.append(instance.instance_id)
            class_ids.append(classes.get(wnid, 0))
        frames = np.unique(np.array([view.frame_num for view in message.views], np.int32))
        yield Trajectory(path, number, frames, np.array(ids, np.int64), np.array(class_ids, np.uint8))
