"""One view of a furnished room: the camera, the label rays and the path-traced photo.

Every room becomes the same scene structure, so that the renderer's compiled kernels are used again for the next room.
"""

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmlib.rooms.geometry import GLOSSY, LAMP, MATTE, PANE, SURFACES, Faces

RARITY = np.array([0, 1.6, 1.8, 0.2, 1.2, 0.2, 0.7, 1.2, 1.1, 1.6, 1.1, 1.8, 0.1, 1.0])  # weight of seeing a class
CANDIDATES, COARSE = 14, 24  # views of which the camera is chosen, and pixels along each
MOST_BOUNCES = 5


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: position and target in metres, horizontal field of view in degrees."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    field: float

    def rays(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Give origins and unit directions (size * size, 3) of the rays through the pixels' centres, row by row."""
        right, up, forward = self.axes()
        steps = ((np.arange(size) + 0.5) / size * 2 - 1) * np.tan(np.radians(self.field) / 2)
        directions = forward + steps[None, :, None] * right - steps[:, None, None] * up
        directions = (directions / np.linalg.norm(directions, axis=-1, keepdims=True)).reshape(-1, 3)
        return np.broadcast_to(np.asarray(self.position), directions.shape), directions

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the unit vectors (3,) to the right, up and forward."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        return right, np.cross(right, forward), forward

    def describe(self, size: int) -> dict:
        """Give the camera as it stands in the index: pose, field of view and intrinsics in pixels."""
        focal = size / 2 / np.tan(np.radians(self.field) / 2)
        position, lookat = ([round(v, 5) for v in point] for point in (self.position, self.target))
        pose = {"position": position, "lookat": lookat, "up": [0, 1, 0]}
        focal, middle = round(float(focal), 4), size / 2
        intrinsics = {"fx": focal, "fy": focal, "cx": middle, "cy": middle}
        return {**pose, "horizontal_fov_degrees": round(self.field, 4), **intrinsics}


@functools.lru_cache(maxsize=1)
def _mitsuba():
    import mitsuba  # noqa: PLC0415 - only the `render` extra has it

    return mitsuba


def _mesh(name: str, triangles: np.ndarray, uv: np.ndarray | None = None, **parts):
    """Make a Mitsuba mesh of separate triangles (F, 3, 3) with texture coordinates (F, 3, 2)."""
    mi = _mitsuba()
    properties = mi.Properties()
    for key, value in parts.items():
        properties[key] = value
    count = len(triangles)
    mesh = mi.Mesh(name, 3 * count, count, has_vertex_texcoords=uv is not None, props=properties)
    values = mi.traverse(mesh)
    values["vertex_positions"] = np.ascontiguousarray(triangles, np.float32).ravel()
    values["faces"] = np.arange(3 * count, dtype=np.uint32)
    if uv is not None:
        values["vertex_texcoords"] = np.ascontiguousarray(uv, np.float32).ravel()
    values.update()
    return mesh


class Labels:
    """Shoots rays at a room's faces and says which face each of them hits, and how far away."""

    def __init__(self, faces: Faces):
        self.faces = faces
        self.scene = _mitsuba().load_dict({"type": "scene", "room": _mesh("room", faces.triangles)}, optimize=False)

    def shoot(self, origins: np.ndarray, directions: np.ndarray, escape: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Give per ray the face (-1 for none) and its length in metres (0 for none); rays escape by open windows."""
        mi = _mitsuba()
        if mi.variant().startswith("scalar"):
            hits = [
                self.scene.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(*o), mi.Vector3f(*d)))
                for o, d in zip(origins.tolist(), directions.tolist(), strict=True)
            ]
            face = np.array([hit.prim_index if hit.is_valid() else 0 for hit in hits], np.int64)
            length = np.array([hit.t if hit.is_valid() else np.inf for hit in hits])
        else:
            origins, directions = (np.ascontiguousarray(rays.T, np.float32) for rays in (origins, directions))
            hit = self.scene.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(*origins), mi.Vector3f(*directions)))
            face, length = np.array(hit.prim_index).astype(np.int64), np.array(hit.t)
        valid = np.isfinite(length)
        face = np.where(valid, face, 0)
        if escape:
            valid &= ~self.faces.escapes[face]
        return np.where(valid, face, -1), np.where(valid, length, 0.0)

    def classes(self, face: np.ndarray) -> np.ndarray:
        """Give the classes of faces; 0 where nothing was hit."""
        return np.where(face >= 0, self.faces.classes[face], 0).astype(np.uint8)


def choose_camera(room, labels: Labels, rng) -> Camera:
    """Choose one of several random views: rich in classes and free of anything that hides the room."""
    cameras = [_candidate(room, rng) for _ in range(CANDIDATES)]
    rays = [camera.rays(COARSE) for camera in cameras]
    face, length = labels.shoot(np.concatenate([ray[0] for ray in rays]), np.concatenate([ray[1] for ray in rays]))
    classes = labels.classes(face).reshape(CANDIDATES, -1)
    instances = np.where(face >= 0, labels.faces.instances[face], -1).reshape(CANDIDATES, -1)
    length = length.reshape(CANDIDATES, -1)
    scores = np.array([_score(classes[i], instances[i], length[i]) for i in range(CANDIDATES)])
    best = np.argsort(-scores, kind="stable")[:3]
    return cameras[int(best[int(rng.choice(3, p=(0.5, 0.3, 0.2)))])]


def _score(classes: np.ndarray, instances: np.ndarray, length: np.ndarray) -> float:
    share = np.bincount(classes, minlength=14)[:14] / len(classes)
    score = float((RARITY * np.sqrt(np.minimum(share, 0.12))).sum())
    things = ~np.isin(classes, (0, 3, 5, 12, 13))
    if things.any():
        largest = np.bincount(instances[things] + 1).max() / len(classes)
        score -= 20 * max(largest - 0.38, 0)
    for distance, allowed in ((0.55, 0.03), (0.9, 0.1)):
        score -= 20 * max(float(np.mean((length > 0) & (length < distance))) - allowed, 0)
    return score - 3 * max(share[[0, 3, 12, 13]].sum() - 0.55, 0) - 2 * max(0.04 - share[5], 0)


def _candidate(room, rng) -> Camera:
    """Draw a view from near a wall or a corner across the room, at eye height, clear of furniture."""
    for attempt in range(60):
        eye, margin = rng.uniform(1.2, 1.8), 0.4 if attempt < 40 else 0.25
        x, z = rng.uniform(0.3, room.width - 0.3), rng.uniform(0.3, room.depth - 0.3)
        edge = min(x, z, room.width - x, room.depth - z)
        if edge > 1.0 and attempt < 30:
            continue
        high = [rect for rect, height in room.tall if height > eye - 0.6]
        if not any(a - margin < x < c + margin and b - margin < z < d + margin for a, b, c, d in high):
            break
    middle = np.array([room.width, room.depth]) * rng.uniform(0.25, 0.75, 2)
    away = middle - (x, z)
    away /= max(np.linalg.norm(away), 1e-3)
    drop = np.tan(np.radians(np.clip(rng.normal(12, 6), -2, 26)))
    target = (float(x + away[0] * 2), float(eye - 2 * drop), float(z + away[1] * 2))
    return Camera((float(x), float(eye), float(z)), target, float(rng.uniform(58, 72)))


# -- photo -------------------------------------------------------------------------------------------------------


def photo(room, labels: Labels, camera: Camera, size: int, samples: int, seed: int) -> np.ndarray:
    """Path-trace a view; linear radiance (size, size, 3) float32."""
    mi, faces = _mitsuba(), labels.faces
    atlas_image = np.clip(room.atlas.paint(), 0, 1) ** np.float32(2.2)
    atlas = mi.load_dict({"type": "bitmap", "raw": True, "wrap_mode": "clamp", "bitmap": mi.Bitmap(atlas_image)})
    sides = np.cross(faces.triangles[:, 1] - faces.triangles[:, 0], faces.triangles[:, 2] - faces.triangles[:, 0])
    areas = np.linalg.norm(sides, axis=1) / 2
    views = room.views.paint()
    pane = views[room.views.used()].mean(0)
    shapes, glow = [], {LAMP: room.light.lamp_colour(), PANE: pane}
    nothing = np.array([[[0, -9, 0], [0.01, -9, 0], [0, -9, 0.01]]]), np.zeros((1, 3, 2))
    for surface in (MATTE, GLOSSY, LAMP, PANE):
        mask = faces.surface == surface
        shapes.append((faces.triangles[mask], faces.uv[mask]) if mask.any() else nothing)
    weights = {surface: float(areas[faces.surface == surface].sum() * glow[surface].mean()) for surface in glow}
    least = 0.08 * sum(weights.values()) + 1e-6
    emitters = {surface: (glow[surface], max(weights[surface], least)) for surface in glow}
    seen = {LAMP: glow[LAMP], PANE: views * room.light.seen}
    colours, glowing, shine = _first_hits(labels, camera, size, atlas_image, seen)
    guide = _guide(labels, camera, size)
    image = smooth(_trace(room, camera, size, samples, seed, shapes, atlas, emitters), colours, glowing, guide)
    if room.light.sun is not None:
        sunny = _trace(room, camera, size, max(samples // 2, 4), seed + 1, shapes, atlas, None)
        image = image + smooth(sunny, colours, glowing, guide)
    return image + shine


def normals(labels: Labels, camera: Camera, size: int) -> np.ndarray:
    """Surface normals at the pixels' centres in the camera's frame (x right, y up, z towards it), (size, size, 3)."""
    _, vectors = _guide(labels, camera, size, escape=True)
    right, up, forward = camera.axes()
    return np.stack([vectors @ right, vectors @ up, -vectors @ forward], -1)


def albedo(room, labels: Labels, camera: Camera, size: int) -> np.ndarray:
    """Each pixel's mean colour without light and shadow, sRGB uint8 (size, size, 3); lamps and windows are white."""
    atlas = np.clip(room.atlas.paint(), 0, 1) ** np.float32(2.2)
    white = {LAMP: np.ones(3), PANE: np.ones_like(room.views.paint())}
    colours, glowing, shine = _first_hits(labels, camera, size, atlas, white)
    linear = colours * np.maximum(1 - glowing, 0.1)[..., None] + shine
    return np.rint(255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _first_hits(labels: Labels, camera: Camera, size: int, atlas: np.ndarray, seen: dict):
    """Average over each pixel what its rays meet first: reflectance, share of light sources, light of those sources.

    `seen` holds the radiance (3,) of lamps and the painted views (k, k, 3) behind panes, the latter dimmed as a
    photographer would.
    """
    fine = 1 if _mitsuba().variant().startswith("scalar") else 3
    origins, directions = camera.rays(size * fine)
    face, length = labels.shoot(origins, directions, escape=False)
    faces = labels.faces
    corners, uv = faces.triangles[face], faces.uv[face]
    points = origins + directions * length[:, None]
    first, second, third = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    normal = np.cross(first, second)
    scale = np.maximum((normal**2).sum(1), 1e-20)
    b = np.clip((np.cross(third, second) * normal).sum(1) / scale, 0, 1)
    c = np.clip((np.cross(first, third) * normal).sum(1) / scale, 0, 1)
    at = uv[:, 0] + b[:, None] * (uv[:, 1] - uv[:, 0]) + c[:, None] * (uv[:, 2] - uv[:, 0])
    surface = np.where(face >= 0, faces.surface[face], MATTE)

    def look_up(image):
        pixel = np.clip((at * len(image)).astype(int), 0, len(image) - 1)
        return image[pixel[:, 1], pixel[:, 0]]

    def average(values):
        return values.reshape(size, fine, size, fine, -1).mean((1, 3))

    glowing = average(surface >= LAMP)[..., 0]
    plain = np.where((surface >= LAMP)[:, None], 0, look_up(atlas) + 0.04 * (surface == GLOSSY)[:, None])
    shine = np.where((surface == PANE)[:, None], look_up(seen[PANE]), 0)
    shine = np.where((surface == LAMP)[:, None], seen[LAMP], shine)
    return average(plain) / np.maximum(1 - glowing, 0.1)[..., None], glowing, average(shine).astype(np.float32)


def _guide(labels: Labels, camera: Camera, size: int, escape: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Give the place and the normal of what each pixel's centre sees, (size, size, 3) each."""
    origins, directions = camera.rays(size)
    face, length = labels.shoot(origins, directions, escape=escape)
    corners = labels.faces.triangles[face]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    normal *= np.where((normal * directions).sum(1, keepdims=True) > 0, -1, 1)
    shape = (size, size, 3)
    places = origins + directions * length[:, None]
    return places.reshape(shape).astype(np.float32), normal.reshape(shape).astype(np.float32)


def smooth(image: np.ndarray, colours: np.ndarray, glowing: np.ndarray, guide) -> np.ndarray:
    """Take the noise out of traced light: average it over neighbours on the same surface, leaving textures as they are.

    Light arriving (radiance over reflectance) is averaged twice: over a small window, then over a large one where
    neighbours with other brightness count less, which keeps the edges of shadows and sunlight. Pixels that show a
    light source in part take the light of their surroundings for the rest.
    """
    reflectance = np.maximum(colours, 0.02).astype(np.float32)
    light, kept = image / reflectance, glowing < 0.02
    bright = light.mean(-1)
    around = np.stack([np.roll(bright, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)])
    cap = 2.5 * np.median(around, axis=0) + 1e-4
    light = light * np.minimum(1, cap / np.maximum(bright, 1e-9))[..., None]
    for radius, step, tolerance in ((2, 1, None), (3, 1, 1.0), (3, 2, 0.5)):
        light = _average(light, kept, guide, radius, step, tolerance)
    total, count = (
        sum(np.roll(values, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3))
        for values in (light * kept[..., None], kept.astype(np.float32)[..., None])
    )
    light = np.where(kept[..., None], light, total / np.maximum(count, 1))
    return (light * reflectance * (1 - glowing)[..., None]).astype(np.float32)


def _average(light: np.ndarray, kept: np.ndarray, guide, radius: int, step: int, tolerance) -> np.ndarray:
    places, normals = guide
    size, reach = len(light), radius * step
    level = np.log(light.mean(-1) + 1e-3)

    def padded(values, how="edge"):
        return np.pad(values, ((reach, reach), (reach, reach)) + ((0, 0),) * (values.ndim - 2), mode=how)

    wide = padded(light), padded(places), padded(normals), padded(level), padded(kept.astype(np.float32), "constant")
    total, weights = np.zeros_like(light), np.zeros((size, size), np.float32)
    for dy in range(0, 2 * reach + 1, step):
        for dx in range(0, 2 * reach + 1, step):
            other, place, normal, brightness, counts = (values[dy : dy + size, dx : dx + size] for values in wide)
            lift = np.einsum("yxk,yxk->yx", place - places, normals) / 0.03
            unlike = lift * lift + 6 * (1 - np.einsum("yxk,yxk->yx", normal, normals))
            if tolerance is not None:
                unlike += ((brightness - level) / tolerance) ** 2
            weight = counts * np.exp(-unlike)
            weights += weight
            total += weight[..., None] * other
    return np.where(weights[..., None] > 1e-4, total / np.maximum(weights, 1e-4)[..., None], light)


def _trace(room, camera, size, samples, seed, shapes, atlas, emitters) -> np.ndarray:
    """Trace the room lit by panes and lamps, or, without emitters, by the sun alone (light is additive)."""
    mi, sun = _mitsuba(), emitters is None
    matte = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": atlas}}
    glossy = {"type": "twosided", "bsdf": {"type": "roughplastic", "diffuse_reflectance": atlas, "alpha": 0.18}}
    black = {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.03}}}
    film = {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}}
    sensor = {
        "type": "perspective",
        "fov": camera.field,
        "fov_axis": "x",
        "near_clip": 0.01,
        "to_world": mi.ScalarTransform4f().look_at(list(camera.position), list(camera.target), [0, 1, 0]),
        "film": {**film, "component_format": "float32", "pixel_format": "rgb"},
        "sampler": {"type": "independent", "sample_count": samples},
    }
    integrator = {"type": "path", "max_depth": MOST_BOUNCES + 1, "rr_depth": 3}
    scene = {"type": "scene", "integrator": integrator, "sensor": sensor}
    materials_ = [mi.load_dict(material) for material in (matte, glossy, black, black)]
    for number, (name, (triangles, uv)) in enumerate(zip(SURFACES, shapes, strict=True)):
        parts = {"bsdf": materials_[number]}
        if number in (LAMP, PANE) and not sun:
            colour, weight = emitters[number]
            radiance = {"type": "rgb", "value": [float(value) for value in colour]}
            parts["emitter"] = mi.load_dict({"type": "area", "sampling_weight": weight, "radiance": radiance})
        if not (sun and number == PANE):
            scene[name] = _mesh(name, triangles, uv, **parts)
    if sun:
        irradiance = {"type": "rgb", "value": [share * room.light.sun_strength for share in (1, 0.93, 0.8)]}
        scene["sun"] = {"type": "directional", "direction": list(room.light.sun), "irradiance": irradiance}
    loaded = mi.load_dict(scene, optimize=False)
    return np.array(mi.render(loaded, spp=samples, seed=seed & 0xFFFFFFFF), np.float32).reshape(size, size, 3)


def develop(radiance: np.ndarray, rng, exposed_by: np.ndarray | None = None) -> Image.Image:
    """Turn radiance into an sRGB photo: specks removed, exposed by its middle tones, bright parts rolled off.

    `exposed_by`, bool (size, size), says which pixels exposure and white balance go by; all if not given.
    """
    around = np.stack([np.roll(radiance, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx])
    radiance = np.minimum(radiance, 1.5 * np.partition(around, -2, axis=0)[-2])
    metered = radiance if exposed_by is None else radiance[exposed_by]
    light = metered @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    key = float(np.exp(np.log(light + 1e-4).mean()))
    cast = np.median(metered.reshape(-1, 3), axis=0) / max(float(np.median(light)), 1e-6)
    balanced = radiance / np.maximum(cast, 0.2) ** rng.uniform(0.45, 0.75)
    exposed = balanced * min(rng.uniform(0.19, 0.3) / key, 1.6 / max(float(np.quantile(light, 0.85)), 1e-6))
    soft = np.where(exposed < 0.6, exposed, 0.6 + 0.4 * (1 - np.exp(-(np.maximum(exposed, 0.6) - 0.6) / 0.5)))
    encoded = np.where(soft <= 0.0031308, 12.92 * soft, 1.055 * np.maximum(soft, 1e-6) ** (1 / 2.4) - 0.055)
    return Image.fromarray((np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8))
