"""The shell of a room: floor, ceiling, walls with windows and a door, curtains, pictures and the free space left."""

from dataclasses import dataclass

import numpy as np

from mmlib.rooms import materials
from mmlib.rooms.geometry import GLOSSY, MATTE, PANE, Geometry, Swatch, box, panel, sheet, turn

WALL_YAW = (0.0, -np.pi / 2, np.pi, np.pi / 2)  # walls at z = 0, x = width, z = depth, x = 0; +z then faces inwards


def overlap(first, second) -> bool:
    """Say whether two rectangles (low, low, high, high) overlap."""
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


@dataclass
class Light:
    """How a room is lit: sky and lamp strengths, the sun's direction (or None) and strength, how bright views look."""

    sky: float
    lamp: float
    warmth: np.ndarray
    night: bool
    sun: tuple[float, float, float] | None
    sun_strength: float
    seen: float

    def lamp_colour(self) -> np.ndarray:
        """Give the radiance (3,) of every lamp of the room."""
        return self.warmth * max(22 * self.lamp, 0.4)


class Shell:
    """An empty room (lengths in metres) that keeps track of what stands on its floor and hangs on its walls."""

    def __init__(self, rng, look, width: float, depth: float, height: float):
        """Build floor, ceiling, walls, door and windows; `rng` decides on shapes, `look` on colours."""
        self.rng, self.look = rng, look
        self.width, self.depth, self.height = width, depth, height
        self.geometry, self.atlas, self.views = Geometry(), materials.Atlas(1024), materials.Atlas(256)
        self.occupied, self.clear, self.low_only = [], [], []
        self.tall: list[tuple] = []
        self.blocks: list[list[tuple]] = [[], [], [], []]
        self.light = self._light()
        self._floor_and_ceiling()
        self._openings()

    # -- helpers -------------------------------------------------------------------------------------------------

    def seed(self) -> int:
        """Draw a seed for one painted texture."""
        return int(self.look.integers(2**31))

    def painted(self, height: int, width: int, painter, surface: int = MATTE) -> Swatch:
        """Give a rectangle of the atlas that painter(rng, height, width) fills."""
        return self.atlas.painted(height, width, painter, self.seed(), surface)

    def length(self, wall: int) -> float:
        """Give a wall's length in metres."""
        return self.width if wall % 2 == 0 else self.depth

    def on_wall(self, wall: int, along: float, away: float) -> tuple[float, float]:
        """Turn a place along a wall and its distance from it into x and z."""
        origin = ((0, 0), (self.width, 0), (self.width, self.depth), (0, self.depth))[wall]
        tangent = ((1, 0), (0, 1), (-1, 0), (0, -1))[wall]
        normal = ((0, 1), (-1, 0), (0, -1), (1, 0))[wall]
        return tuple(origin[i] + along * tangent[i] + away * normal[i] for i in (0, 1))

    def wall_rect(self, wall: int, low: float, high: float, near: float, far: float) -> tuple:
        """Give the floor rectangle (x0, z0, x1, z1) of a stretch of wall between two distances from it."""
        (a, b), (c, d) = self.on_wall(wall, low, near), self.on_wall(wall, high, far)
        return min(a, c), min(b, d), max(a, c), max(b, d)

    def add_on_wall(self, wall: int, part, swatch: Swatch, class_id: int, instance: int, escape=False) -> None:
        """Add triangles given as (along the wall, up, away from it)."""
        points = turn(np.asarray(part[0], np.float32), WALL_YAW[wall])
        x, z = self.on_wall(wall, 0, 0)
        self.geometry.add(points + np.array([x, 0, z], np.float32), part[1], swatch, class_id, instance, escape)

    def wall_free(self, wall: int, low: float, bottom: float, high: float, top: float) -> bool:
        """Say whether nothing hangs or stands at that rectangle of a wall."""
        return not any(overlap((low, bottom, high, top), block) for block in self.blocks[wall])

    # -- parts ---------------------------------------------------------------------------------------------------

    def _light(self) -> Light:
        look = self.look
        mood = look.random()
        warmth = np.array([1.0, look.uniform(0.68, 0.86), look.uniform(0.4, 0.68)])
        night = mood > 0.84
        sky = 0.02 if night else look.uniform(5, 11)
        lamp = 1.0 if night else (0.0 if mood < 0.3 else look.uniform(0.15, 0.7))
        sun_strength = look.uniform(10, 25) if not night and look.random() < 0.3 else 0.0
        return Light(sky, lamp, warmth, night, None, sun_strength, 1.0 if night else look.uniform(0.12, 0.6))

    def _floor_and_ceiling(self) -> None:
        look, width, depth, height = self.look, self.width, self.depth, self.height
        kind = look.random()
        if kind < 0.55:
            wood = materials.colour(look, (0.05, 0.11), (0.2, 0.6), (0.3, 0.8))
            painter = materials.planks(wood, int(depth / look.uniform(0.1, 0.22)), look.uniform(0.05, 0.2))
        elif kind < 0.75:
            first = materials.colour(look, (0.02, 0.15), (0.02, 0.3), (0.5, 0.95))
            second = first if look.random() < 0.6 else materials.colour(look, None, (0.0, 0.3), (0.15, 0.9))
            painter = materials.tiles(first, second, int(look.integers(6, 14)))
        else:
            painter = materials.plain(materials.colour(look, None, (0.02, 0.3), (0.3, 0.8)), 0.08)
        surface = GLOSSY if kind < 0.75 and look.random() < 0.6 else 0
        floor = self.painted(384, 384, painter, surface)
        corners = np.array([[0, 0, depth], [width, 0, depth], [width, 0, 0], [0, 0, 0]], np.float32)
        self.geometry.add(*panel(*corners), floor, 5, self.geometry.instance())
        white = self.atlas.flat(materials.colour(look, (0.08, 0.16), (0, 0.08), (0.86, 0.97)))
        self.geometry.add(*panel(*(corners[::-1] + [0, height, 0])), white, 3, self.geometry.instance())

    def _wall_swatch(self, base, papered: bool) -> Swatch:
        look = self.look
        painter = materials.plain(base, look.uniform(0.01, 0.03))
        if papered:
            other = np.clip(base * look.uniform(0.75, 1.15) + look.uniform(-0.06, 0.06, 3), 0, 1)
            kind = str(look.choice(["stripes", "dots", "zigzag", "flowers", "checks"]))
            painter = materials.pattern(kind, base, other, int(look.integers(8, 20)))
        return self.painted(128, 192, painter)

    def _openings(self) -> None:
        rng, look = self.rng, self.look
        door_wall = int(rng.integers(4))
        others = [wall for wall in range(4) if wall != door_wall]
        count = 1 if rng.random() < 0.5 else 2
        windows = {int(wall) for wall in rng.choice(others, count, replace=False)}
        if look.random() < 0.68:
            base = materials.colour(look, (0.05, 0.15), (0.0, 0.14), (0.78, 0.97))
        else:
            base = materials.colour(look, None, (0.04, 0.26), (0.6, 0.95))
        accent_wall, accent = int(look.integers(8)), materials.colour(look, None, (0.15, 0.6), (0.3, 0.85))
        skirting = self.atlas.flat(materials.colour(look, (0.05, 0.12), (0, 0.1), (0.75, 0.97)))
        for wall in range(4):
            swatch = self._wall_swatch(accent if wall == accent_wall else base, look.random() < 0.25)
            instance = self.geometry.instance()
            holes = self._windows(wall) if wall in windows else []
            self._wall(wall, holes, swatch, instance)
            self.add_on_wall(wall, box((0, 0, 0), (self.length(wall), 0.08, 0.015)), skirting, 12, instance)
            if wall == door_wall:
                self._door(wall, instance)

    def _wall(self, wall, holes, swatch, instance) -> None:
        length, height = self.length(wall), self.height
        across = sorted({0.0, length, *(edge for hole in holes for edge in (hole[0], hole[2]))})
        up = sorted({0.0, height, *(edge for hole in holes for edge in (hole[1], hole[3]))})
        scale = np.array([length, height], np.float32)
        for left, right in zip(across[:-1], across[1:], strict=True):
            for bottom, top in zip(up[:-1], up[1:], strict=True):
                if any(overlap((left, bottom, right, top), hole) for hole in holes):
                    continue
                triangles, _ = panel((left, bottom, 0), (right, bottom, 0), (right, top, 0), (left, top, 0))
                unit = triangles[..., :2] / scale
                unit[..., 1] = 1 - unit[..., 1]
                self.add_on_wall(wall, (triangles, unit), swatch, 12, instance)

    def _windows(self, wall: int) -> list[tuple]:
        rng = self.rng
        length, holes = self.length(wall), []
        count = 2 if length > 3.8 and rng.random() < 0.35 else 1
        bottom = 0.08 if rng.random() < 0.12 else rng.uniform(0.55, 0.95)
        top = min(self.height - 0.2, rng.uniform(2.0, 2.4))
        for number in range(count):
            span = length / count
            width = rng.uniform(0.85, min(2.0, span - 0.9))
            low = number * span + rng.uniform(0.4, span - width - 0.4)
            hole = (low, bottom, low + width, top)
            holes.append(hole)
            self._window(wall, hole, open_=rng.random() < 0.12)
            self.blocks[wall].append((low - 0.08, bottom - 0.05, low + width + 0.08, top + 0.08))
            self.low_only.append((self.wall_rect(wall, low, low + width, 0, 0.35), bottom))
        if self.light.sun_strength and self.light.sun is None:
            inward = turn(np.array([rng.uniform(-0.8, 0.8), -rng.uniform(0.45, 0.9), 1.0]), WALL_YAW[wall])
            self.light.sun = tuple(float(value) for value in inward)
        if rng.random() < 0.5:
            self._curtains(wall, holes)
        return holes

    def _window(self, wall: int, hole: tuple, open_: bool) -> None:
        rng, look, light = self.rng, self.look, self.light
        low, bottom, high, top = hole
        instance = self.geometry.instance()
        pale = look.random() < 0.75
        paint = materials.colour(look, (0.05, 0.1), (0, 0.1), (0.8, 0.97)) if pale else materials.wood_colour(look)
        frame = self.atlas.flat(paint)
        away, edge = -0.2, 0.05

        def bar(left, down, right, up, back=-0.17, front=-0.11):
            self.add_on_wall(wall, box((left, down, back), (right, up, front)), frame, 13, instance)

        around = ((low, bottom), (low, top), (high, top), (high, bottom))
        for first, second in zip(around, (*around[1:], around[0])):
            side = panel((*first, 0), (*second, 0), (*second, away), (*first, away))
            self.add_on_wall(wall, side, frame, 13, instance)
        bar(low, bottom, low + edge, top)
        bar(high - edge, bottom, high, top)
        bar(low, bottom, high, bottom + edge)
        bar(low, top - edge, high, top)
        self.add_on_wall(wall, box((low - 0.04, bottom - 0.03, -0.1), (high + 0.04, bottom, 0.05)), frame, 13, instance)
        for number in range(1, int(rng.integers(1, 4))):
            middle = low + (high - low) * number / 2
            if low + 0.2 < middle < high - 0.2:
                bar(middle - 0.03, bottom, middle + 0.03, top)
        if rng.random() < 0.3:
            middle = bottom + (top - bottom) * rng.uniform(0.5, 0.7)
            bar(low, middle - 0.02, high, middle + 0.02)

        def view(generator, height, width):
            return materials.outdoor(generator, height, width, light.night) ** 2.2 * (light.sky or 1)

        pane = self.views.painted(80, 80, view, self.seed(), PANE)
        glass = panel((low, bottom, away), (high, bottom, away), (high, top, away), (low, top, away))
        self.add_on_wall(wall, glass, pane, 13, instance, escape=open_)

    def _curtains(self, wall: int, holes: list[tuple]) -> None:
        rng, look = self.rng, self.look
        swatch = self.painted(48, 48, materials.cloth(look, 0.35))
        instance = self.geometry.instance()
        bottom = 0.03 if rng.random() < 0.5 else max(holes[0][1] - 0.15, 0.03)
        top = min(holes[0][3] + 0.12, self.height - 0.03)
        low, high = holes[0][0] - 0.3, holes[-1][2] + 0.3
        rod = self.atlas.flat(materials.wood_colour(look))
        high = min(high, self.length(wall))
        self.add_on_wall(wall, box((max(low, 0), top, 0.09), (high, top + 0.03, 0.12)), rod, 12, instance)
        for hole in holes:
            wide = rng.uniform(0.22, 0.38)
            for left in (max(hole[0] - 0.22, 0.01), min(hole[2] + 0.22, self.length(wall) - 0.01) - wide):
                along, up = np.linspace(0, 1, 25), np.linspace(0, 1, 4)
                wave = 0.035 * np.sin(along * wide * rng.uniform(55, 80)) + 0.1
                points = left + along[None] * wide, (top + (bottom - top) * up)[:, None], wave[None]
                grid = np.stack(np.broadcast_arrays(*points), -1)
                self.add_on_wall(wall, sheet(grid), swatch, 12, instance)
                self.blocks[wall].append((left, bottom, left + wide, top))
                if bottom < 0.1:
                    self.occupied.append(self.wall_rect(wall, left, left + wide, 0, 0.16))

    def _door(self, wall: int, instance: int) -> None:
        rng, look = self.rng, self.look
        width, height = rng.uniform(0.75, 0.95), rng.uniform(2.0, 2.1)
        low = rng.uniform(0.15, self.length(wall) - width - 0.15)
        if look.random() < 0.6:
            paint = materials.wood_colour(look)
        else:
            paint = materials.colour(look, (0.1, 0.15), (0, 0.05), (0.85, 0.97))
        panels, frame = self.painted(32, 32, materials.grain(paint, 0.08)), self.atlas.flat(paint * 0.9)
        self.add_on_wall(wall, box((low, 0, 0), (low + width, height, 0.02)), panels, 12, instance)
        left, right, top = low - 0.07, low + width + 0.07, height + 0.07
        for x0, y0, x1, y1 in ((left, 0, low, height), (low + width, 0, right, height), (left, height, right, top)):
            self.add_on_wall(wall, box((x0, y0, 0), (x1, y1, 0.045)), frame, 12, instance)
        for down, up in ((0.15, 0.85), (1.05, 1.9)):
            self.add_on_wall(wall, box((low + 0.12, down, 0.02), (low + width - 0.12, up, 0.032)), frame, 12, instance)
        handle = self.atlas.flat((0.7, 0.7, 0.68), GLOSSY)
        self.add_on_wall(wall, box((low + 0.06, 1.0, 0.03), (low + 0.18, 1.03, 0.08)), handle, 12, instance)
        self.blocks[wall].append((low - 0.1, 0, low + width + 0.1, height + 0.1))
        self.clear.append(self.wall_rect(wall, low, low + width, 0, 0.75))

    def picture(self, wall: int, middle: float, bottom: float, width: float, height: float) -> bool:
        """Hang a framed picture where the wall is free; say whether it hangs."""
        low, high, top = middle - width / 2, middle + width / 2, bottom + height
        if low < 0.08 or high > self.length(wall) - 0.08 or top > self.height - 0.12:
            return False
        if not self.wall_free(wall, low - 0.06, bottom - 0.06, high + 0.06, top + 0.06):
            return False
        look = self.look
        instance, thick = self.geometry.instance(), look.uniform(0.02, 0.05)
        frame = self.atlas.flat(materials.wood_colour(look) * look.choice([0.3, 1.0]))
        self.add_on_wall(wall, box((low, bottom, 0), (high, top, 0.03)), frame, 8, instance)
        art = self.atlas.painted(64, 64, materials.painting, self.seed(), GLOSSY if look.random() < 0.3 else 0)
        (x0, y0), (x1, y1), z = (low + thick, bottom + thick), (high - thick, top - thick), 0.032
        self.add_on_wall(wall, panel((x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)), art, 8, instance)
        self.blocks[wall].append((low, bottom, high, top))
        return True
