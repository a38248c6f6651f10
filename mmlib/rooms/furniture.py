"""Furniture for the room generator: openly licensed models from Sweet Home 3D's libraries, as coloured triangle meshes.

`furniture.csv` beside this file lists every model used, with its role, class, size, creator and licence; `load` reads
the geometry out of the libraries' `.sh3f` archives, which Debian packages as `sweethome3d-furniture`.
Running `python -m mmlib.rooms.furniture` rewrites `data/rooms/CREDITS.md` from the table.
"""

import contextlib
import csv
import functools
import io
import os
import posixpath
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from mmlib.hardware.files import write, written_whole

TABLE = Path(__file__).with_name("furniture.csv")
CREDITS = Path(__file__).parents[2] / "data" / "rooms" / "CREDITS.md"
PACKAGE_FOLDER = Path("/usr/share/sweethome3d/furniture")
CACHE_VERSION = 1  # raise it whenever `load` would give another mesh for the same row of the table
MOST_FACES = 12000  # meshes with more are thinned, which is invisible in small pictures and keeps rooms quick to render
TRANSPARENT_BELOW = 0.75  # materials less opaque than this get " (transparent)" after their name

LICENCE_LINKS = {
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC BY 3.0 US": "https://creativecommons.org/licenses/by/3.0/us/",
}
LIBRARIES = {  # archive name -> how the library asks to be credited
    "BlendSwap-CC-0": "Models by various authors on Blend Swap (https://www.blendswap.com), in the public domain but "
    "where a model's own notice says otherwise; cleaned and converted to OBJ by Emmanuel Puybaret / eTeks.",
    "BlendSwap-CC-BY": "Models by various authors on Blend Swap (https://www.blendswap.com); cleaned and converted to "
    "OBJ by Emmanuel Puybaret / eTeks.",
    "KatorLegaz": "Models copyright Andrew Kator and Jennifer Legaz; converted to OBJ by Emmanuel Puybaret / eTeks.",
    "Scopia": "Models copyright Scopia Visual Interfaces Systems, s.l. (http://www.scopia.es) and Emmanuel Puybaret / "
    "eTeks <info@eteks.com>.",
}


@dataclass(frozen=True)
class Model:
    """One row of the furniture table; lengths are in metres, in a frame with x right, y up and z to the front."""

    key: str  # library and model, such as "BlendSwap-CC-0/armchair"
    name: str
    role: str
    class_id: int
    width: float  # along x
    depth: float  # along z
    height: float  # along y
    elevation: float  # of the model's lowest point above the floor
    creator: str
    licence: str


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in metres, centred on x = z = 0, standing on y = 0, with its front towards +z."""

    vertices: np.ndarray  # (V, 3) float32
    faces: np.ndarray  # (F, 3) int32
    materials: np.ndarray  # (F,) int16, index into colours
    colours: np.ndarray  # (M, 3) float32, linear diffuse reflectance in 0..1
    names: tuple[str, ...]  # (M,) material names in lower case


@functools.lru_cache(maxsize=1)
def _rows() -> dict[str, dict[str, str]]:
    """Return the rows of the furniture table by key."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


@functools.lru_cache(maxsize=1)
def catalogue() -> tuple[Model, ...]:
    """Return every model of the furniture table, in the table's order; it needs no furniture package."""
    return msgspec.convert(list(_rows().values()), tuple[Model, ...], strict=False)


@functools.lru_cache(maxsize=1)
def by_role() -> dict[str, tuple[Model, ...]]:
    """Return the models of each role, in the table's order."""
    roles = dict.fromkeys(model.role for model in catalogue())
    return {role: tuple(model for model in catalogue() if model.role == role) for role in roles}


def _archive(library: str) -> zipfile.ZipFile:
    """Open the archive of a library, or raise FileNotFoundError saying how to get it."""
    path = Path(os.environ.get("MMLIB_FURNITURE") or PACKAGE_FOLDER) / f"{library}.sh3f"
    if not path.is_file():
        raise FileNotFoundError(
            f"The furniture library {path} is missing: run `apt-get install sweethome3d-furniture`, "
            "or set the environment variable MMLIB_FURNITURE to a folder that holds the .sh3f files."
        )
    return zipfile.ZipFile(path)


def _linear(colour: np.ndarray) -> np.ndarray:
    """Return the linear values of sRGB values, both in 0..1."""
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def _mean_colour(image: bytes) -> np.ndarray:
    """Return an encoded image's mean linear colour, (3,), weighted by its opacity."""
    with Image.open(io.BytesIO(image)) as picture:
        pixels = np.asarray(picture.convert("RGBA").resize((64, 64), Image.Resampling.BOX), dtype=np.float64) / 255
    weights = pixels[..., 3:] + 1e-6
    return (_linear(pixels[..., :3]) * weights).sum((0, 1)) / weights.sum()


def _read_materials(archive: zipfile.ZipFile, member: str) -> dict[str, tuple[np.ndarray, str]]:
    """Return the linear colour, (3,), and the label of each material in an `.mtl` member of the archive."""
    colours: dict[str, np.ndarray] = {}
    opacity: dict[str, float] = {}
    present = set(archive.namelist())
    textured, name = set(), ""
    for line in archive.read(member).decode("latin-1").splitlines() if member in present else ():
        key, _, value = line.strip().partition(" ")
        if key == "newmtl":
            name = value.strip()
        elif key == "Kd" and name not in textured:
            colours[name] = _linear(np.clip(np.array(value.split()[:3], dtype=np.float64), 0, 1))
        elif key == "d":
            opacity[name] = float(value.split()[-1])
        elif key == "map_Kd":
            image = posixpath.join(posixpath.dirname(member), value.strip().replace("\\", "/"))
            if image in present:
                colours[name] = _mean_colour(archive.read(image))
                textured.add(name)
    label = {name: name.lower() + " (transparent)" * (opacity.get(name, 1) < TRANSPARENT_BELOW) for name in colours}
    return {name: (colour, label[name]) for name, colour in colours.items()}


def _read_obj(archive: zipfile.ZipFile, member: str) -> Mesh:
    """Return an `.obj` member of the archive as a mesh in its own units and position."""
    positions: list[str] = []
    triangles: list[int] = []
    face_materials: list[int] = []
    material_index: dict[str, int] = {}
    library: dict[str, tuple[np.ndarray, str]] = {}
    current = ""
    for line in archive.read(member).decode("latin-1").replace("\\\n", " ").splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "v":
            positions.extend(value.split()[:3])
        elif key == "f":
            corners = [int(corner.partition("/")[0]) for corner in value.split()]
            corners = [corner - 1 if corner > 0 else corner + len(positions) // 3 for corner in corners]
            material = material_index.setdefault(current, len(material_index))
            for second, third in zip(corners[1:-1], corners[2:]):
                triangles += (corners[0], second, third)
                face_materials.append(material)
        elif key == "usemtl":
            current = value.strip()
        elif key == "mtllib":
            library |= _read_materials(archive, posixpath.join(posixpath.dirname(member), value.strip()))
    default = np.full(3, 0.5)  # for a material that no library defines
    return Mesh(
        vertices=np.array(positions, dtype=np.float64).reshape(-1, 3),
        faces=np.array(triangles, dtype=np.int32).reshape(-1, 3),
        materials=np.array(face_materials, dtype=np.int16),
        colours=np.array([library.get(name, (default, ""))[0] for name in material_index], dtype=np.float32),
        names=tuple(library.get(name, (default, name.lower()))[1] for name in material_index),
    )


def _thin(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the vertices of each cell of the finest grid that leaves at most MOST_FACES distinct faces.

    Takes and returns vertices (V, 3) and faces (F, 3), and returns which of the given faces it kept (F',).
    """
    kept, cell = np.arange(len(faces)), np.ptp(vertices, axis=0).max() / 500
    merged, centres = faces, vertices
    while len(kept) > MOST_FACES:
        _, group, counts = np.unique(np.round(vertices / cell), axis=0, return_inverse=True, return_counts=True)
        group = group.reshape(-1)
        merged = group[faces]
        distinct = np.flatnonzero((merged != np.roll(merged, 1, axis=1)).all(1))
        kept = distinct[np.unique(np.sort(merged[distinct], axis=1), axis=0, return_index=True)[1]]
        centres = np.stack([np.bincount(group, vertices[:, axis]) for axis in range(3)], axis=1) / counts[:, None]
        cell *= 1.15
    return centres, merged[kept], kept


def _build(row: dict[str, str]) -> Mesh:
    """Return the mesh of a row of the table: turned to face +z, thinned, scaled to its size and put on the origin."""
    with _archive(row["key"].partition("/")[0]) as archive:
        raw = _read_obj(archive, row["member"])
    turn = np.deg2rad(float(row["turn"] or 0))  # about +y, anticlockwise seen from above
    upright = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    if row["rotation"]:
        upright = upright @ np.array(row["rotation"].split(), dtype=np.float64).reshape(3, 3)
    corners = raw.vertices[raw.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    proper = np.flatnonzero(areas > 1e-12 * np.ptp(raw.vertices, axis=0).max() ** 2)
    vertices, faces, kept = _thin(raw.vertices @ upright.T, raw.faces[proper])
    used, faces = np.unique(faces, return_inverse=True)
    vertices = vertices[used]
    low, high = vertices.min(0), vertices.max(0)
    size = np.array([float(row[field]) for field in ("width", "height", "depth")])
    vertices = (vertices - (low + high) / 2) * (size / np.maximum(high - low, 1e-12)) + [0, size[1] / 2, 0]
    faces = faces.reshape(-1, 3).astype(np.int32)
    return Mesh(vertices.astype(np.float32), faces, raw.materials[proper[kept]], raw.colours, raw.names)


@functools.cache
def load(key: str) -> Mesh:
    """Return the mesh of a model of the catalogue, from the cache folder when an earlier call left it there whole.

    Raises KeyError for a key that is not in the catalogue, FileNotFoundError where the furniture package is missing.
    """
    row = _rows()[key]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmlib" / "furniture"
    stamp = zlib.crc32(repr((CACHE_VERSION, MOST_FACES, sorted(row.items()))).encode())
    path = home / f"{key.replace('/', '_')}-{stamp:08x}.npz"
    missing_or_damaged = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
    with contextlib.suppress(*missing_or_damaged), np.load(path) as stored:
        arrays = [stored[field] for field in ("vertices", "faces", "materials", "colours")]
        return Mesh(*arrays, names=tuple(stored["names"].tolist()))
    mesh = _build(row)
    with contextlib.suppress(OSError), written_whole(path) as stream:  # without a cache it is only slower
        np.savez(stream, **vars(mesh) | {"names": np.array(mesh.names, dtype=str)})
    return mesh


def credits_text() -> str:
    """Return the credits of the catalogue as Markdown, model by model under each library."""
    lines = ["# Credits of the furniture models", ""]
    lines += ["Generated by `python -m mmlib.rooms.furniture`. The models come from the additional"]
    lines += ["libraries of Sweet Home 3D; large meshes are thinned and textures replaced by their mean colours.", ""]
    for library, notice in LIBRARIES.items():
        models = sorted((m for m in catalogue() if m.key.startswith(library + "/")), key=lambda m: m.key)
        lines += [f"## {library}", "", notice, "", "| Model | Name | Creator | Licence |", "| --- | --- | --- | --- |"]
        for model in models:
            licence = f"[{model.licence}]({LICENCE_LINKS[model.licence]})"
            lines.append(f"| {model.key.partition('/')[2]} | {model.name} | {model.creator} | {licence} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    write(CREDITS, credits_text().encode())
