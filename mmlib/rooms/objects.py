"""Objects in eleven colours: a piece of furniture in an otherwise empty room, all of it painted in a colour that has a
name (the paper's section 5.5 recolours such objects).

The same scene can be rendered in every colour: only the paint differs, so the true recolouring is known.
"""

import argparse
import colorsys
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmlib.data.domains import COLOURS
from mmlib.data.indices import FORMAT
from mmlib.data.packing import pack
from mmlib.data.shipped import SHIPPED
from mmlib.hardware.files import write, written_whole
from mmlib.modalities import domain
from mmlib.rooms import furnish, view
from mmlib.rooms.geometry import MATTE
from mmlib.rooms.layout import Room
from mmlib.rooms.render import in_processes, start_worker, usable_variant

ROLES = ("armchair", "chair", "sofa", "stool", "office_chair", "dresser", "cabinet", "piano", "coffee_table", "plant")
PAINTS = {  # ranges of hue (turns), saturation and value, in sRGB
    "black": ((0.0, 1.0), (0.0, 0.15), (0.04, 0.11)),
    "blue": ((0.58, 0.64), (0.7, 0.95), (0.45, 0.85)),
    "brown": ((0.05, 0.08), (0.55, 0.75), (0.28, 0.42)),
    "green": ((0.29, 0.38), (0.55, 0.9), (0.35, 0.65)),
    "grey": ((0.0, 1.0), (0.0, 0.05), (0.42, 0.6)),
    "orange": ((0.06, 0.085), (0.85, 1.0), (0.88, 1.0)),
    "pink": ((0.9, 0.96), (0.3, 0.5), (0.9, 1.0)),
    "purple": ((0.75, 0.81), (0.5, 0.8), (0.4, 0.65)),
    "red": ((0.985, 1.005), (0.8, 1.0), (0.6, 0.85)),
    "white": ((0.0, 1.0), (0.0, 0.04), (0.9, 0.98)),
    "yellow": ((0.135, 0.16), (0.75, 0.95), (0.88, 1.0)),
}
"""The eleven basic colour terms (Berlin and Kay 1969), and what is painted in their name."""


class Showroom(Room):
    """A room whose only furniture has all its materials in one paint, darker and lighter as they were."""

    def __init__(self, rng, look, paint: np.ndarray):
        """Build the shell, by day; `paint` is an sRGB colour (3,)."""
        super().__init__(rng, look, "showroom", rng.uniform(3.2, 4.6), rng.uniform(3.2, 4.6), rng.uniform(2.4, 2.8))
        self.paint = paint

    def dress(self, model, mesh, triangles) -> list:
        """Choose the paint for each material, lighter or darker by up to a tenth, in the order of their brightness."""
        if model.role.endswith("_lamp"):
            return super().dress(model, mesh, triangles)
        rank = np.argsort(np.argsort(mesh.colours.mean(1))) / max(len(mesh.colours) - 1, 1)
        return [self.atlas.flat(np.clip(self.paint * (0.9 + 0.2 * r), 0.02, 0.98), MATTE) for r in rank]


def paint(name: str, rng) -> np.ndarray:
    """Draw an sRGB colour (3,) that has the name."""
    hue, saturation, value = (rng.uniform(low, high) for low, high in PAINTS[name])
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


@dataclass(frozen=True)
class Scene:
    """A scene before it is photographed: `mask`, bool (size, size), says which pixels show the object."""

    room: Showroom
    labels: view.Labels
    camera: view.Camera
    mask: np.ndarray


def scene(seed: int, colour: str, size: int) -> Scene:
    """Lay out scene `seed` with its object in a colour; all but the paint is the same in every colour."""
    shape_rng, look_rng, camera_rng, paint_rng = np.random.default_rng(seed).spawn(4)
    colours = {name: paint(name, paint_rng) for name in PAINTS}  # the same draws whatever the colour
    room = Showroom(shape_rng, look_rng, colours[colour])
    furnish.ceiling_light(room)
    piece = None
    while piece is None:
        model = room.pick(str(shape_rng.choice(ROLES)), widest=2.0, tallest=1.8)
        piece = model and _stand(room, model, shape_rng)
    instance = room.geometry.instance() - 1
    labels = view.Labels(room.geometry.finish())
    camera = _camera(room, piece, camera_rng)
    face, _ = labels.shoot(*camera.rays(size))
    mask = (face >= 0) & (labels.faces.instances[face] == instance)
    return Scene(room, labels, camera, mask.reshape(size, size))


def photograph(scene: Scene, seed: int, size: int, samples: int) -> Image.Image:
    """Path-trace a scene and develop it by what is not the object, so that its surroundings look the same in all
    colours."""
    radiance = view.photo(scene.room, scene.labels, scene.camera, size, samples, seed)
    return view.develop(radiance, np.random.default_rng(seed), exposed_by=~scene.mask)


def _stand(room: Room, model, rng):
    """Put the object somewhere in the middle of the room, turned at random; None where it does not fit."""
    x, z = (length * rng.uniform(0.35, 0.65) for length in (room.width, room.depth))
    yaw, fits = rng.uniform(0, 2 * np.pi), model.width < 0.6 * min(room.width, room.depth)
    return room.put(model, x, 0, z, yaw) if fits else None


def _camera(room: Room, piece, rng) -> view.Camera:
    """Look at the object from the side where the room is deepest, so that it fills about half of the picture."""
    extent = max(piece.width, piece.depth, piece.height)
    best = None
    for yaw in rng.uniform(0, 2 * np.pi, 12):
        direction = np.array([np.sin(yaw), np.cos(yaw)])
        walls = [
            ((room.width if d > 0 else 0) - p) / d
            for p, d, room_side in ((piece.x, direction[0], room.width), (piece.z, direction[1], room.depth))
            if abs(d) > 1e-6
        ]
        free = min(wall for wall in walls if wall > 0) - 0.15
        if best is None or free > best[0]:
            best = free, direction
    distance = min(best[0], max(1.9 * extent, 1.2))
    x, z = piece.x + distance * best[1][0], piece.z + distance * best[1][1]
    eye = piece.height * 0.5 + rng.uniform(0.35, 0.9)
    field = float(np.clip(2 * np.degrees(np.arctan(0.62 * extent / distance)), 30, 85))
    return view.Camera((float(x), float(eye), float(z)), (piece.x, piece.height * 0.45, piece.z), field)


# -- the shipped set -----------------------------------------------------------------------------------------------

SIZE, SAMPLES, LEAST_SHARE = 64, 32, 0.12  # pixels, light paths a pixel, share of the picture that the object fills
TRAINING = 150  # images of each colour, each of a scene of its own
VALIDATION, TEST = 20, 60  # scenes in all colours
FIRST_SEED = 20_000_000


def _scenes(start: int, count: int) -> list[int]:
    """The first `count` seeds from `start` on whose object is large enough in the picture."""
    found, seed = [], start
    while len(found) < count:
        if scene(seed, COLOURS[0], SIZE).mask.mean() >= LEAST_SHARE:
            found.append(seed)
        seed += 1
    return found


def _render(job: tuple[str, int, tuple[str, ...], Path]) -> None:
    """Photograph one scene in some colours into `folder/number/colour/0.jpg`, and its mask beside them."""
    seed, number, colours, folder = job
    for colour in colours:
        path = folder / str(number) / domain(colour).folder / "0.jpg"
        if not path.exists():
            laid = scene(seed, colour, SIZE)
            with written_whole(path) as stream:
                photograph(laid, seed, SIZE, SAMPLES).save(stream, "JPEG", quality=90, optimize=True)
    if len(colours) > 1:
        with written_whole(folder / str(number) / "mask" / "0.png") as stream:
            Image.fromarray(laid.mask.astype(np.uint8)).save(stream, "PNG", optimize=True)


def make(folder: str | Path, processes: int = 2) -> None:
    """Render the training images of each colour and the test scenes, going on where an earlier call stopped, and pack
    them into `data/colours`."""
    folder, variant = Path(folder), usable_variant()
    sets = {colour: (FIRST_SEED + 1_000 * n, TRAINING, (colour,)) for n, colour in enumerate(COLOURS)}
    sets["test"] = (FIRST_SEED + 100_000, TEST, COLOURS)
    sets["validation"] = (FIRST_SEED + 200_000, VALIDATION, COLOURS)
    start_worker(variant)
    for split, (start, count, colours) in sets.items():
        seeds = _scenes(start, count)
        jobs = [(seed, number, colours, folder / split) for number, seed in enumerate(seeds)]
        in_processes(_render, jobs, count, processes, variant)
        modalities = [domain(colour).name for colour in colours] + ["mask"] * (len(colours) > 1)
        rooms = [{"room": seed, "path": str(number)} for number, seed in enumerate(seeds)]
        index = {"format": FORMAT, "size": SIZE, "modalities": modalities, "rooms": rooms}
        write(folder / split / "index.json", json.dumps(index).encode())
        print(pack(folder / split, SHIPPED.parent / "colours" / f"{split}.zip", modalities, split))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the rendered files are kept")
    make(parser.parse_args().folder)
