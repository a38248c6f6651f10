"""Triangles of a room: boxes, sheets and furniture, each face with its class, its instance and its colour.

Metres, y up. A room spans x 0..width, y 0..height, z 0..depth.
"""

from dataclasses import dataclass

import numpy as np

MATTE, GLOSSY, LAMP, PANE = range(4)
SURFACES = ("matte", "glossy", "lamp", "pane")

# Corners of a box's six sides, as choices between its low (0) and its high (1) corner, counter-clockwise from outside.
_SIDES = np.array(
    [
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
        [[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]],
        [[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
        [[0, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
    ]
)
_UNIT = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)


@dataclass(frozen=True)
class Swatch:
    """What a face looks like: its surface and its rectangle (u0, v0, u1, v1) of the atlas that surface uses."""

    surface: int
    rect: tuple[float, float, float, float]

    def uv(self, unit: np.ndarray) -> np.ndarray:
        """Map unit coordinates (..., 2) into the rectangle."""
        low, high = np.array(self.rect[:2], np.float32), np.array(self.rect[2:], np.float32)
        return low + np.clip(unit, 0, 1) * (high - low)


GLOW = Swatch(LAMP, (0, 0, 0, 0))
"""What the shining parts of lamps look like."""


def turn(points: np.ndarray, yaw: float) -> np.ndarray:
    """Turn points (..., 3) about the y axis by yaw radians; +z goes to (sin yaw, 0, cos yaw)."""
    sine, cosine = np.float32(np.sin(yaw)), np.float32(np.cos(yaw))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x * cosine + z * sine, y, z * cosine - x * sine], axis=-1)


def quads(corners: np.ndarray) -> np.ndarray:
    """Split quadrilaterals (N, 4, k) into triangles (2 N, 3, k)."""
    return corners[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, corners.shape[-1])


def box(low, high) -> tuple[np.ndarray, np.ndarray]:
    """Make the 12 triangles (12, 3, 3) of a box and their unit texture coordinates (12, 3, 2)."""
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    corners = np.where(_SIDES == 1, high, low).astype(np.float32)
    return quads(corners), quads(np.broadcast_to(_UNIT, (6, 4, 2)))


def panel(*corners) -> tuple[np.ndarray, np.ndarray]:
    """Make the triangles (2, 3, 3) of a quadrilateral, from its lower left corner on, and their unit coordinates."""
    return quads(np.array([corners], np.float32)), quads(_UNIT[None])


def sheet(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the triangles of a grid of points (rows, columns, 3) and their unit texture coordinates."""
    rows, columns = grid.shape[:2]
    down, right = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    both = np.concatenate([grid, np.stack([right, down], -1)], axis=-1).astype(np.float32)
    cells = np.stack([both[1:, :-1], both[1:, 1:], both[:-1, 1:], both[:-1, :-1]], axis=2)
    triangles = quads(cells.reshape(-1, 4, 5))
    return triangles[..., :3], triangles[..., 3:]


def cushion(width: float, height: float, depth: float, steps: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Make a soft, closed cushion standing on y = 0, centred in x and z."""
    angle, around = np.linspace(np.pi / 2, -np.pi / 2, steps), np.linspace(0, -2 * np.pi, 2 * steps)
    slope, turn_ = np.meshgrid(angle, around, indexing="ij")

    def soft(values, power):
        return np.sign(values) * np.abs(values) ** power

    x = soft(np.cos(slope), 0.7) * soft(np.cos(turn_), 0.5) * width / 2
    z = soft(np.cos(slope), 0.7) * soft(np.sin(turn_), 0.5) * depth / 2
    y = (np.sin(slope) + 1) * height / 2
    return sheet(np.stack([x, y, z], -1))


def height_at(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find the highest y of triangles (F, 3, 3) above each point (N, 2) of the xz plane; -1 where there is none."""
    a, b, c = (triangles[None, :, i] for i in range(3))
    x, z = points[:, None, 0], points[:, None, 1]
    area = (b[..., 0] - a[..., 0]) * (c[..., 2] - a[..., 2]) - (c[..., 0] - a[..., 0]) * (b[..., 2] - a[..., 2])
    flat = np.abs(area) < 1e-9
    area = np.where(flat, 1, area)
    second = ((x - a[..., 0]) * (c[..., 2] - a[..., 2]) - (c[..., 0] - a[..., 0]) * (z - a[..., 2])) / area
    third = ((b[..., 0] - a[..., 0]) * (z - a[..., 2]) - (x - a[..., 0]) * (b[..., 2] - a[..., 2])) / area
    inside = ~flat & (second >= -1e-4) & (third >= -1e-4) & (second + third <= 1.0002)
    y = a[..., 1] + second * (b[..., 1] - a[..., 1]) + third * (c[..., 1] - a[..., 1])
    return np.where(inside, y, -1).max(axis=1, initial=-1)


class Geometry:
    """A growing list of triangles with, per face, texture coordinates, surface, class and instance."""

    def __init__(self):
        self._parts, self._instances = [], 0

    def instance(self) -> int:
        """Take the number of a new instance (one piece of furniture, one wall, one heap of books)."""
        self._instances += 1
        return self._instances - 1

    def add(self, triangles, unit, swatch: Swatch, class_id: int, instance: int, escape: bool = False) -> None:
        """Add triangles (F, 3, 3) with unit texture coordinates (F, 3, 2); `escape` marks an open window."""
        numbers = ((swatch.surface, np.int8), (class_id, np.uint8), (instance, np.int32), (escape, bool))
        columns = [np.full(len(triangles), number, kind) for number, kind in numbers]
        self._parts.append((np.asarray(triangles, np.float32), swatch.uv(unit).astype(np.float32), *columns))

    def finish(self) -> "Faces":
        """Join all faces into one table."""
        return Faces(*(np.concatenate(column) for column in zip(*self._parts, strict=True)))


@dataclass(frozen=True)
class Faces:
    """All faces of a room: triangles (F, 3, 3), uv (F, 3, 2) and one number per face for the rest."""

    triangles: np.ndarray
    uv: np.ndarray
    surface: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    escapes: np.ndarray
