"""Colours and procedural textures of a room, packed into one atlas so that every room has the same materials.

All painters return sRGB colours (height, width, 3) in 0..1 and draw only from the generator they are given.
"""

import colorsys

import numpy as np
from PIL import Image

from mmlib.rooms.geometry import GLOSSY, MATTE, Swatch

CELL = 4  # pixels of a flat colour's cell
FLAT_ROWS = 64  # rows of the atlas kept for flat colours


class Atlas:
    """One square texture shared by all faces of a kind; flat colours on top, painted rectangles below."""

    def __init__(self, size: int):
        self.size, self._flat, self._jobs = size, {}, []
        self._x = self._row = 0
        self._y = FLAT_ROWS

    def flat(self, colour, surface: int = MATTE) -> Swatch:
        """Give a cell of one colour (3 numbers); the last cell is shared where the atlas is full."""
        key = tuple(round(float(value), 3) for value in colour)
        columns = self.size // CELL
        number = self._flat.setdefault(key, min(len(self._flat), columns * (FLAT_ROWS // CELL) - 1))
        u, v = (number % columns + 0.5) * CELL / self.size, (number // columns + 0.5) * CELL / self.size
        return Swatch(surface, (u, v, u, v))

    def painted(self, height: int, width: int, painter, seed: int, surface: int = MATTE) -> Swatch:
        """Reserve a rectangle that painter(rng, height, width) fills; a flat grey one where there is no room left."""
        if self._x + width > self.size:
            self._x, self._y, self._row = 0, self._y + self._row, 0
        if self._y + height > self.size:
            return self.flat((0.6, 0.55, 0.5), surface)
        x, y = self._x, self._y
        self._x, self._row = x + width, max(self._row, height)
        self._jobs.append((x, y, height, width, painter, seed))
        rect = (x + 1, y + 1, x + width - 1, y + height - 1)
        return Swatch(surface, tuple(edge / self.size for edge in rect))

    def used(self) -> np.ndarray:
        """Say which pixels (size, size) belong to painted rectangles."""
        mask = np.zeros((self.size, self.size), bool)
        for x, y, height, width, _, _ in self._jobs:
            mask[y : y + height, x : x + width] = True
        return mask

    def paint(self) -> np.ndarray:
        """Paint everything that was asked for; (size, size, 3) float32."""
        image = np.zeros((self.size, self.size, 3), np.float32)
        columns = self.size // CELL
        for colour, number in self._flat.items():
            y, x = number // columns * CELL, number % columns * CELL
            image[y : y + CELL, x : x + CELL] = colour
        for x, y, height, width, painter, seed in self._jobs:
            image[y : y + height, x : x + width] = painter(np.random.default_rng(seed), height, width)
        return image


def colour(rng, hue=None, saturation=(0.1, 0.6), value=(0.3, 0.9)) -> np.ndarray:
    """Draw one sRGB colour; hue is a range in turns or None for any."""
    low, high = hue or (0, 1)
    return np.array(colorsys.hsv_to_rgb(rng.uniform(low, high) % 1, rng.uniform(*saturation), rng.uniform(*value)))


def wood_colour(rng) -> np.ndarray:
    """Draw a wood's colour, from pale birch to dark walnut, now and then painted white or grey."""
    if rng.random() < 0.22:
        return colour(rng, saturation=(0, 0.08), value=(0.55, 0.95))
    return colour(rng, (0.05, 0.11), (0.25, 0.6), (0.3, 0.85))


def noise(rng, height: int, width: int, rows: int, columns: int | None = None) -> np.ndarray:
    """Make smooth noise in about -1..1 with rows x columns bumps; (height, width, 1)."""
    grid = rng.uniform(-1, 1, (rows + 1, (columns or rows) + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))[..., None]


def grain(base, amount: float = 0.16):
    """Make a painter of wood grain along the width."""

    def paint(rng, height, width):
        streaks = noise(rng, height, width, max(4, height // 4), 2) + 0.5 * noise(rng, height, width, height // 2, 3)
        return np.clip(base * (1 + amount * streaks), 0, 1)

    return paint


def planks(base, count: int, contrast: float):
    """Make a painter of a wooden floor of `count` rows of boards."""

    def paint(rng, height, width):
        rows = np.arange(height) * count // height
        length = width // 3
        shift = rng.integers(0, length, count)
        boards = (np.arange(width)[None] + shift[rows][:, None]) // length
        tone = rng.uniform(-1, 1, (count, 8))[rows[:, None], boards]
        streaks = noise(rng, height, width, height // 3, 6)
        image = base * (1 + contrast * tone[..., None] + 0.08 * streaks)
        seam = (np.diff(rows, prepend=-1) != 0)[:, None] | (np.diff(boards, axis=1, prepend=-1) != 0)
        return np.clip(np.where(seam[..., None], image * 0.7, image), 0, 1)

    return paint


def tiles(first, second, count: int):
    """Make a painter of floor tiles, alternating between two colours, with joints."""

    def paint(rng, height, width):
        y, x = np.mgrid[:height, :width] * count
        even = ((y // height + x // width) % 2 == 0)[..., None]
        image = np.where(even, first, second) * (1 + 0.05 * noise(rng, height, width, 2 * count))
        joint = (y % height < 2 * count) | (x % width < 2 * count)
        return np.clip(np.where(joint[..., None], image * 0.75, image), 0, 1)

    return paint


def plain(base, amount: float = 0.05):
    """Make a painter of plaster, carpet or plain cloth: one colour with soft and fine unevenness."""

    def paint(rng, height, width):
        fine = rng.normal(0, 0.5, (height, width, 1))
        return np.clip(base * (1 + amount * (noise(rng, height, width, 5) + fine)), 0, 1)

    return paint


def pattern(kind: str, first, second, count: int):
    """Make a painter of a repeated pattern: stripes, bands, checks, dots, zigzag or flowers."""

    def paint(rng, height, width):
        y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width])[:, None, None] * count
        if kind == "stripes":
            mask = (x % 1) < 0.5
        elif kind == "bands":
            mask = (y % 1) < 0.4
        elif kind == "checks":
            mask = 0.5 * ((x % 1) < 0.5) + 0.5 * ((y % 1) < 0.5)
        elif kind == "dots":
            mask = ((x % 1 - 0.5) ** 2 + ((y + 0.5 * (x // 1 % 2)) % 1 - 0.5) ** 2) < 0.07
        elif kind == "zigzag":
            mask = ((y + np.abs(x % 1 - 0.5)) % 1) < 0.45
        else:
            radius = np.hypot(x % 1 - 0.5, y % 1 - 0.5)
            mask = radius < 0.25 + 0.12 * np.cos(5 * np.arctan2(y % 1 - 0.5, x % 1 - 0.5))
        mask = np.asarray(mask, np.float32)[..., None]
        return np.clip((first * (1 - mask) + second * mask) * (1 + 0.04 * noise(rng, height, width, 6)), 0, 1)

    return paint


def cloth(rng, lively: float = 0.5):
    """Draw a painter of cloth: plain more often than patterned."""
    base = colour(rng, saturation=(0.02, 0.55), value=(0.25, 0.95))
    if rng.random() > lively:
        return plain(base, 0.07)
    other = colour(rng, saturation=(0.0, 0.6), value=(0.3, 0.95))
    kind = str(rng.choice(["stripes", "bands", "checks", "dots", "zigzag", "flowers"]))
    return pattern(kind, base, other, int(rng.integers(4, 12)))


def rug(rng):
    """Draw a painter of a rug: a border around a field, a pattern or a medallion."""
    border, inner = colour(rng, saturation=(0.1, 0.7)), cloth(rng, 0.7)
    width_ = rng.uniform(0.04, 0.12)
    medallion, third = rng.random() < 0.4, colour(rng, saturation=(0.1, 0.7))

    def paint(generator, height, width):
        image = inner(generator, height, width)
        y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width])[:, None, None]
        if medallion:
            image = np.where((np.abs(x - 0.5) + np.abs(y - 0.5) < 0.3)[..., None], third, image)
        edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))[..., None]
        return np.where(edge < width_, border, np.where(edge < 1.4 * width_, third, image))

    return paint


def painting(rng, height: int, width: int) -> np.ndarray:
    """Paint a picture: blocks, discs, a landscape, a portrait-like figure or brush strokes."""
    kind = int(rng.integers(5))
    y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width])[:, None, None]
    image = np.broadcast_to(colour(rng, value=(0.5, 0.95)), (height, width, 3)).copy()
    if kind == 0:
        for _ in range(int(rng.integers(5, 12))):
            left, top, wide, tall = rng.uniform([-0.2, -0.2, 0.1, 0.1], [0.9, 0.9, 0.7, 0.7])
            block = (x > left) & (x < left + wide) & (y > top) & (y < top + tall)
            image[block] = colour(rng, None, (0.2, 0.9), (0.1, 1))
    elif kind == 1:
        for _ in range(int(rng.integers(4, 9))):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.08, 0.35)
            image[np.hypot(x - centre[0], y - centre[1]) < radius] = colour(rng, None, (0.2, 0.9), (0.2, 1))
    elif kind == 2:
        return outdoor(rng, height, width)
    elif kind == 3:
        image *= 1 - 0.5 * np.hypot(x - 0.5, y - 0.5)[..., None]
        image[((x - 0.5) / 0.34) ** 2 + ((y - 1.05) / 0.45) ** 2 < 1] = colour(rng, value=(0.1, 0.6))
        head = ((x - 0.5) / 0.16) ** 2 + ((y - 0.42) / 0.22) ** 2 < 1
        image[head] = colour(rng, (0.05, 0.09), (0.3, 0.6), (0.4, 0.9))
    else:
        for _ in range(3):
            mask = np.clip(noise(rng, height, width, int(rng.integers(2, 7))) * 2, 0, 1)
            image = image * (1 - mask) + mask * colour(rng, None, (0.2, 0.9), (0.1, 1))
    mat = rng.uniform(0, 0.16)
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))[..., None]
    return np.where(edge < mat, rng.uniform(0.8, 0.95), np.clip(image, 0, 1))


def outdoor(rng, height: int, width: int, night: bool = False) -> np.ndarray:
    """Paint the view out of a window: sky, clouds, then greenery, hills or houses, out of focus."""
    y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width])[:, None, None]
    top, low = colour(rng, (0.55, 0.62), (0.15, 0.55), (0.8, 1)), colour(rng, (0.05, 0.6), (0.02, 0.15), (0.9, 1))
    image = top + (low - top) * y[..., None]
    cloud = np.clip(noise(rng, height, width, 5, 3) + rng.uniform(-0.6, 0.3), 0, 1)
    image = image + (0.97 - image) * cloud
    for layer in range(int(rng.integers(1, 4))):
        level = rng.uniform(0.35, 0.6) + 0.14 * layer
        if rng.random() < 0.4:
            edges = level + np.repeat(rng.uniform(-0.15, 0.15, 7), -(-width // 7))[:width]
            tone = colour(rng, (0.02, 0.12), (0.05, 0.4), (0.35, 0.8))
        else:
            edges = level + 0.12 * noise(rng, 2, width, 1, int(rng.integers(3, 9)))[0, :, 0]
            tone = colour(rng, (0.2, 0.38), (0.25, 0.6), (0.2, 0.55))
        texture = 1 + 0.25 * noise(rng, height, width, 14)
        image = np.where((y > edges[None])[..., None], tone * texture, image)
    if night:
        lights = rng.random((height, width, 1)) < 0.0015
        image = image * np.array([0.012, 0.016, 0.03]) + lights * np.array([0.5, 0.4, 0.25])
    return np.clip(image, 0, 1)


def screen(rng, height: int, width: int) -> np.ndarray:
    """Paint a television's or monitor's screen that is switched off or, now and then, shows something dim."""
    if rng.random() < 0.6:
        return np.full((height, width, 3), rng.uniform(0.02, 0.06))
    return painting(rng, height, width) * rng.uniform(0.5, 1)


def surface_of(name: str, role: str) -> int:
    """Say whether a furniture material of that name is glossy."""
    words = ("metal", "glass", "mirror", "steel", "chrome", "black", "screen", "ceramic", "plastic", "white")
    return GLOSSY if any(word in name for word in words) or role in ("vase", "bottle", "tv", "monitor") else MATTE
