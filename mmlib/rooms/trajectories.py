"""`render --format scenenet`: furnished rooms in SceneNet RGB-D's own layout, for `mmlib.data.scenenet` to be tried on.

A room is a trajectory of the train split: `train/<render_path>/` holds its views as frames 0, 25, 50, …, each a photo
of 4 : 3, depth and an image of instance ids; `scenenet_rgbd_train.pb` lists them, and `wnid_to_class.txt` says which
class each WordNet id is. The views are those of several cameras in the room, not steps of one walk.
"""

import gc
import json

import numpy as np
from PIL import Image

from mmlib.data.scenenet_index import BACKGROUND, messages
from mmlib.hardware.files import write
from mmlib.modalities import CLASSES
from mmlib.rooms import view
from mmlib.rooms.render import damage_named, encode, furnished, in_processes, make_folder, ready, require_at_least

FIELD = 60.0  # degrees across, as SceneNet's
STEP = 25  # from one frame number to the next
LAYOUT_OBJECT, RANDOM_OBJECT = 2, 4  # instance types
WORDNET = {
    "Bed": ("02818832", "bed.n.01"),
    "Books": ("06410904", "book.n.01"),
    "Ceiling": ("02990373", "ceiling.n.01"),
    "Chair": ("03001627", "chair.n.01"),
    "Floor": ("03365592", "floor.n.01"),
    "Furniture": ("03405725", "furniture.n.01"),
    "Objects": ("03169390", "decoration.n.01"),
    "Picture": ("03876519", "painting.n.01"),
    "Sofa": ("04256520", "sofa.n.01"),
    "Table": ("04379243", "table.n.02"),
    "TV": ("06277280", "television.n.01"),
    "Wall": ("04546855", "wall.n.01"),
    "Window": ("04587648", "window.n.01"),
}
"""A WordNet id and its name for each class of our furniture."""


def render(rooms: int, views: int, seed: int, size: int, out, processes=None, samples: int = 32, variant=None) -> None:
    """Make `rooms` trajectories of `views` views, `size` pixels high and 4/3 of it wide, in the folder `out`.

    The same arguments go on where an earlier call stopped. Raises as `mmlib.rooms.render.render` does.
    """
    require_at_least(("rooms", rooms, 1), ("views", views, 1), ("seed", seed, 0), ("size", size, 1),
                     ("samples", samples, 1))  # fmt: skip
    out, header = make_folder(out), {"rooms": rooms, "views": views, "seed": seed, "size": size}
    index, started = out / "scenenet_rgbd_train.pb", out / "render.json"
    if not started.is_file() and (index.exists() or (out / "train").exists()):
        raise ValueError(f"{out} holds a train split that this command did not make: choose another folder.")
    if started.is_file():
        with damage_named(started):
            found = json.loads(started.read_text(encoding="utf-8"))
        if found != header:
            raise ValueError(f"{out} holds trajectories of {found}, not of {header}: choose another folder.")
        if index.is_file():
            print(f"{out} is complete: {rooms} trajectories.")
            return
    variant = ready(variant)
    write(started, json.dumps(header).encode())
    parts = [out / "train" / _render_path(number) / "trajectory.pb" for number in range(rooms)]
    todo = [number for number, part in enumerate(parts) if not part.is_file()]
    jobs = [(number, views, seed, size, out, samples) for number in todo]
    in_processes(_make, jobs, rooms, processes, variant)
    listed = messages()["Trajectories"]()
    for part in parts:
        listed.trajectories.add().ParseFromString(part.read_bytes())
    lines = [f"{wnid.lstrip('0')}\t{name}\t{class_name}" for class_name, (wnid, name) in WORDNET.items()]
    write(out / "wnid_to_class.txt", "\n".join(["wnid\tname\t13_classes", *lines, ""]).encode())
    write(index, listed.SerializeToString(deterministic=True))
    for part in parts:
        part.unlink()


def _render_path(number: int) -> str:
    return f"{number // 1000}/{number}"


def _make(job: tuple) -> None:
    """Lay out one room, render its views and write them; the part of the index comes last."""
    number, views, seed, size, out, samples = job
    room_seed, path = seed * 1_000_000 + number, _render_path(number)
    room, labels, cameras, film = furnished(room_seed, views, field=FIELD)
    ids, instances = instance_ids(labels.faces)
    trajectory = messages()["Trajectory"](render_path=path)
    trajectory.instances.add(instance_id=0, instance_type=BACKGROUND)
    for class_id, instance in instances:
        if class_id:  # what has no class is left out of the index, so that its pixels are Unknown
            kind = LAYOUT_OBJECT if CLASSES[class_id] in ("Ceiling", "Floor", "Wall", "Window") else RANDOM_OBJECT
            wnid, name = WORDNET[CLASSES[class_id]]
            words = {"semantic_wordnet_id": wnid, "semantic_english": name}
            trajectory.instances.add(instance_id=instance, instance_type=kind, **words)
    for place, camera in enumerate(cameras):
        frame = place * STEP
        for name, content in _images(room, labels, camera, ids, size, samples, room_seed + frame, film).items():
            write(out / "train" / path / name.format(frame), content)
        listed = trajectory.views.add(frame_num=frame)
        for shutter in (listed.shutter_open, listed.shutter_close):  # the camera stands still
            for point, value in ((shutter.camera, camera.position), (shutter.lookat, camera.target)):
                point.x, point.y, point.z = value
    write(out / "train" / path / "trajectory.pb", trajectory.SerializeToString())
    gc.collect()


def instance_ids(faces) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Give each face (F,) its id from 1 on, one for each instance and class, and list (class, id)."""
    pairs, number = np.unique(np.stack([faces.instances, faces.classes], 1), axis=0, return_inverse=True)
    return number.reshape(-1) + 1, [(int(class_id), place + 1) for place, (_, class_id) in enumerate(pairs)]


def shot(labels, camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Shoot the rays of a picture of 4 : 3, the middle rows of a square one: face and length in metres, (H, W) each."""
    width, rows = middle(size)
    face, length = labels.shoot(*camera.rays(width))
    return face.reshape(width, width)[rows], length.reshape(width, width)[rows]


def middle(size: int) -> tuple[int, slice]:
    """Give the width of a picture of that height, and which rows of the square of that width it is."""
    width = round(size * 4 / 3)
    return width, slice((width - size) // 2, (width - size) // 2 + size)


def _images(room, labels, camera, ids, size: int, samples: int, seed: int, film) -> dict[str, bytes]:
    width, rows = middle(size)
    face, length = shot(labels, camera, size)
    millimetres = np.clip(np.rint(length * 1000), 0, 65535).astype(np.uint16)
    instances = np.where(face >= 0, ids[face], 0).astype(np.uint16)
    radiance = view.photo(room, labels, camera, width, samples, seed)[rows]
    return {
        "photo/{}.jpg": encode(view.develop(radiance, film), "JPEG", quality=86, optimize=True),
        "depth/{}.png": encode(Image.fromarray(millimetres), "PNG", optimize=True),
        "instance/{}.png": encode(Image.fromarray(instances), "PNG", optimize=True),
    }
