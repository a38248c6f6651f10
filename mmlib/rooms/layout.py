"""Rules that furnish a room: what stands where, on what, and facing which way.

`Room` places models and boxes; `furnish.furnish` calls it. A room depends on the two random generators it is given.
"""

from dataclasses import dataclass

import numpy as np

from mmlib.rooms import furniture, materials
from mmlib.rooms.geometry import GLOSSY, GLOW, box, cushion, height_at, turn
from mmlib.rooms.shell import WALL_YAW, Shell, overlap

KINDS = ("bedroom", "living room", "dining room", "study", "studio")
SHARES = (0.29, 0.28, 0.13, 0.13, 0.17)
UNFIT = (
    "Upper", "upper", "Island", "island", "box_room", "workbench", "fireExtinguisher", "pianoAQueue", "ashing", "dryer",
    "sef-kasa", "freezer", "flipper", "water_cooler", "residential-trash", "wood_logs", "punching", "mezzanine", "ammo",
    "barrel", "bath", "toilet", "sewing", "LockedLocker", "lockedLocker", "stroller", "microwave", "oven", "kitchen",
)  # fmt: skip
"""Parts of the names of models that belong into no living space."""
SHINING = (
    "shade", "bulb", "bombeta", "frosted", "emit", "pantalla", "fluorescent", "whitesop", "lamp-inside", "light",
    "lantern", "reflector", "cristal_blanco", "white-glass", "white_glass", "glass (transparent)",
)  # fmt: skip
"""Parts of the names of materials that shine in a lamp; below, of wooden and of hard ones."""
WOODEN = (
    "wood", "fusta", "madera", "oak", "pine", "teak", "walnut", "pear", "alder", "board", "mdf", "cabinet", "counter",
    "armario", "wenge", "frame", "structure", "theca", "mahog",
)  # fmt: skip
HARD = ("wood", "metal", "leg", "feet", "chrome", "alu", "plastic", "fusta", "steel", "patas", "wheel", "iron", "black")
CLOTH_ROLES = ("sofa", "armchair", "bed", "crib")
WOOD_ROLES = (
    "bookcase", "wardrobe", "cabinet", "dresser", "dining_table", "desk", "coffee_table", "side_table", "nightstand",
    "tv_stand", "chair", "stool", "bed",
)  # fmt: skip


@dataclass
class Piece:
    """Something that stands in the room: its place, its size and its triangles (metres, radians)."""

    x: float
    y: float
    z: float
    yaw: float
    width: float
    depth: float
    height: float
    triangles: np.ndarray
    wall: int = -1
    along: float = 0.0

    @property
    def rect(self) -> tuple:
        """Floor rectangle (x0, z0, x1, z1) around the piece."""
        return footprint(self.x, self.z, self.width, self.depth, self.yaw)

    def at(self, right: float, before: float) -> tuple[float, float]:
        """Give x and z of a place in the piece's own frame: metres to the right of its middle, and before it."""
        offset = turn(np.array([right, 0, before]), self.yaw)
        return self.x + float(offset[0]), self.z + float(offset[2])


def footprint(x: float, z: float, width: float, depth: float, yaw: float) -> tuple:
    """Give the floor rectangle around a turned box."""
    sine, cosine = abs(np.sin(yaw)), abs(np.cos(yaw))
    half_x, half_z = (width * cosine + depth * sine) / 2, (width * sine + depth * cosine) / 2
    return float(x - half_x), float(z - half_z), float(x + half_x), float(z + half_z)


class Room(Shell):
    """A shell with furniture in it."""

    def __init__(self, rng, look, kind: str, width: float, depth: float, height: float):
        super().__init__(rng, look, width, depth, height)
        self.kind, self.models = kind, []
        self.wood = materials.wood_colour(look)

    # -- placing -------------------------------------------------------------------------------------------------

    def pick(self, role: str, widest: float = 9.0, tallest: float = 9.0, deepest: float = 9.0):
        """Draw a model of a role that is not too large, or None."""
        fit = [
            model
            for model in furniture.by_role().get(role, ())
            if model.width <= widest
            and model.height <= tallest
            and model.depth <= deepest
            and not any(word in model.key for word in UNFIT)
            and (model.elevation < 0.3 or role == "ceiling_lamp")
        ]
        return fit[int(self.rng.integers(len(fit)))] if fit else None

    def fits(self, rect, height: float = 0.5, clear: bool = True) -> bool:
        """Say whether a floor rectangle is inside the room and free."""
        if rect[0] < 0.02 or rect[1] < 0.02 or rect[2] > self.width - 0.02 or rect[3] > self.depth - 0.02:
            return False
        taken = self.occupied + (self.clear if clear else [])
        if any(overlap(rect, other) for other in taken):
            return False
        return not any(height > sill and overlap(rect, zone) for zone, sill in self.low_only)

    def wall_spot(self, width: float, depth: float, height: float, walls=None, front: float = 0.5):
        """Find (wall, along) where a piece with its back to the wall fits with free space in front, or None."""
        for _ in range(40):
            wall = int(self.rng.choice(walls if walls is not None else [0, 1, 2, 3]))
            slack = self.length(wall) - width - 0.06
            if slack < 0:
                continue
            along = 0.03 + width / 2 + slack * float(self.rng.choice([0, 1, self.rng.random()], p=[0.15, 0.15, 0.7]))
            if self.spot_free(wall, along, width, depth, height, front):
                return wall, along
        return None

    def spot_free(self, wall: int, along: float, width: float, depth: float, height: float, front: float = 0.3) -> bool:
        """Say whether a piece fits at that place of a wall, with `front` metres free before it."""
        low, high = along - width / 2, along + width / 2
        if not self.wall_free(wall, low, 0, high, height):
            return False
        body = self.wall_rect(wall, low, high, 0.025, 0.025 + depth)
        before = self.wall_rect(wall, low + 0.05, high - 0.05, 0.03, 0.025 + depth + front)
        return self.fits(body, height) and self.fits(before, 0, clear=False)

    def stand(self, model, wall: int, along: float, front: float = 0.45, scale=None, gap: float = 0.025) -> Piece:
        """Stand a model with its back to a wall and keep the space before it clear."""
        scale = self.scale() if scale is None else scale
        depth = model.depth * scale
        x, z = self.on_wall(wall, along, gap + depth / 2)
        piece = self.put(model, x, 0, z, WALL_YAW[wall], scale)
        piece.wall, piece.along = wall, along
        low, high = along - piece.width / 2, along + piece.width / 2
        self.blocks[wall].append((low, 0, high, piece.height))
        if front:
            self.clear.append(self.wall_rect(wall, low, high, gap + depth, gap + depth + front))
        return piece

    def scale(self) -> float:
        """Draw a size factor."""
        return float(self.rng.uniform(0.93, 1.07))

    def furnish_wall(self, role: str, walls=None, front: float = 0.45, **limits) -> Piece | None:
        """Try a few models of a role along the walls; None where nothing fits."""
        for _ in range(4):
            model = self.pick(role, **limits)
            if model is None:
                return None
            scale = self.scale()
            spot = self.wall_spot(model.width * scale, model.depth * scale, model.height * scale, walls, front)
            if spot:
                return self.stand(model, *spot, front=front, scale=scale)
        return None

    def put(self, model, x: float, y: float, z: float, yaw: float, scale: float = 1.0, solid: bool = True) -> Piece:
        """Add a model's triangles at a place; a solid one takes its floor rectangle."""
        mesh = furniture.load(model.key)
        vertices = turn(mesh.vertices * np.float32(scale), yaw) + np.array([x, y, z], np.float32)
        triangles = vertices[mesh.faces]
        local = mesh.vertices[mesh.faces]
        instance = self.geometry.instance()
        extent = np.maximum(local.reshape(-1, 3).max(0) - local.reshape(-1, 3).min(0), 1e-3)
        unit = (local - local.reshape(-1, 3).min(0)) / extent
        steep = np.abs(np.cross(local[:, 1] - local[:, 0], local[:, 2] - local[:, 0])).argmax(1)
        axes = np.array([[2, 1], [0, 2], [0, 1]])[steep]
        flat = np.take_along_axis(unit, np.broadcast_to(axes[:, None], (len(axes), 3, 2)), axis=2)
        swatches = self.dress(model, mesh, triangles)
        for number, swatch in enumerate(swatches):
            mine = mesh.materials == number
            if mine.any() and swatch is not None:
                self.geometry.add(triangles[mine], flat[mine], swatch, model.class_id, instance)
        shining = np.array([swatch is None for swatch in swatches])[mesh.materials]
        if shining.any():
            self.bulb(triangles[shining].reshape(-1, 3), model, instance)
        self.models.append(model.key)
        piece = Piece(x, y, z, yaw, model.width * scale, model.depth * scale, model.height * scale, triangles)
        if solid:
            self.occupied.append(piece.rect)
            self.tall.append((piece.rect, piece.height))
        return piece

    def dress(self, model, mesh, triangles) -> list:
        """Choose a swatch per material of a mesh: its own colour, wood or cloth; None for a lamp's shining parts."""
        look, role = self.look, model.role
        sides = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        areas = np.bincount(mesh.materials, np.linalg.norm(sides, axis=1), minlength=len(mesh.names))
        restyle, fresh = look.random() < 0.7, self.wood * look.uniform(0.85, 1.1)
        tint = np.clip(1 + look.uniform(-0.15, 0.15) + look.uniform(-0.05, 0.05, 3), 0.7, 1.2)
        lit = self.light.lamp > 0 or look.random() < 0.2
        swatches, painted = [], 0
        for number, name in enumerate(mesh.names):
            base = np.clip(mesh.colours[number] ** (1 / 2.2) * tint, 0.02, 0.96)
            share = areas[number] / max(areas.sum(), 1e-9)
            hard = any(word in name for word in HARD)
            if role.endswith("_lamp") and lit and any(word in name for word in SHINING):
                swatches.append(None)
            elif role in CLOTH_ROLES and not hard and share > 0.12 and restyle and painted < 2:
                painter = materials.cloth(look, 0.55 if role == "bed" else 0.2)
                swatches.append(self.painted(48, 48, painter))
                painted += 1
            elif (
                role in WOOD_ROLES
                and not hard * ("wood" not in name)
                and share > 0.1
                and painted < 2
                and (any(word in name for word in WOODEN) or role not in ("chair", "stool", "bed"))
            ):
                tone = np.clip(fresh if restyle else base, 0.03, 0.96)
                surface = GLOSSY if look.random() < 0.3 else 0
                swatches.append(self.painted(32, 48, materials.grain(tone, 0.12), surface))
                painted += 1
            else:
                swatches.append(self.atlas.flat(base, materials.surface_of(name, role)))
        return swatches

    def bulb(self, points: np.ndarray, model, instance: int) -> None:
        """Put one soft glowing body in place of a lamp's shining parts (N, 3): few faces make little noise."""
        low, high = points.min(0), points.max(0)
        most = 0.34 if model.role == "ceiling_lamp" else 0.3
        size = np.clip(high - low, 0.05, most)
        triangles, unit = cushion(*(float(value) for value in size), steps=5)
        middle = (low + high) / 2
        triangles = triangles + np.array([middle[0], middle[1] - size[1] / 2, middle[2]], np.float32)
        self.geometry.add(triangles, unit, GLOW, model.class_id, instance)

    def solid_box(self, centre, size, yaw: float, swatch, class_id: int, instance: int) -> None:
        """Add a box with its bottom centre at `centre`, `size` (width, height, depth), turned by yaw."""
        width, height, depth = size
        triangles, unit = box((-width / 2, 0, -depth / 2), (width / 2, height, depth / 2))
        self.geometry.add(turn(triangles, yaw) + np.asarray(centre, np.float32), unit, swatch, class_id, instance)

    # -- things on things ----------------------------------------------------------------------------------------

    def free_top(self, piece: Piece, width: float, depth: float, taken: list):
        """Find (x, y, z) on a piece's flat top for something of that size, or None."""
        for _ in range(14):
            slack = np.maximum([piece.width - width, piece.depth - depth], 0) / 2
            shift = self.rng.uniform(-slack, slack)
            x, z = piece.at(*shift)
            rect = footprint(x, z, width, depth, piece.yaw)
            if any(overlap(rect, other) for other in taken):
                continue
            wide, deep = 0.46 * (rect[2] - rect[0]), 0.46 * (rect[3] - rect[1])
            corners = [(x, z), *((x + a * wide, z + b * deep) for a in (-1, 1) for b in (-1, 1))]
            heights = height_at(piece.triangles, np.array(corners))
            if np.ptp(heights) < 0.012 and heights[0] > piece.y + 0.25:
                taken.append(rect)
                return x, float(heights.max()), z
        return None

    def place_on(self, piece: Piece, role: str, taken: list, turned: float = 0.4, **limits) -> bool:
        """Stand a model of a role on a piece, facing as the piece does; say whether it stands."""
        model = self.pick(role, **limits)
        if model is None:
            return False
        spot = self.free_top(piece, model.width * 1.1, model.depth * 1.1, taken)
        if spot is None:
            return False
        x, y, z = spot
        self.put(model, x, y, z, piece.yaw + self.rng.uniform(-turned, turned), solid=False)
        return True

    def book_heap(self, piece: Piece | None, taken: list, at=None) -> bool:
        """Lay a small heap of books on a piece, or at a place (x, y, z)."""
        rng, look = self.rng, self.look
        width, depth = rng.uniform(0.15, 0.22), rng.uniform(0.21, 0.3)
        spot = at or self.free_top(piece, width, depth, taken)
        if spot is None:
            return False
        instance, (x, y, z) = self.geometry.instance(), spot
        yaw = (piece.yaw if piece else 0) + rng.uniform(-0.3, 0.3)
        for _ in range(int(rng.integers(2, 7))):
            thick, factor = rng.uniform(0.018, 0.045), rng.uniform(0.75, 1)
            size, turned = (width * factor, thick, depth * factor), yaw + rng.uniform(-0.25, 0.25)
            cover = self.atlas.flat(materials.colour(look, None, (0.05, 0.8), (0.15, 0.95)))
            self.solid_box((x, y, z), size, turned, cover, 2, instance)
            y += thick
        return True

    def decorate(self, piece: Piece | None, count: int, books: float = 0.35, lamp: float = 0.2) -> None:
        """Put small things on a piece's top: books, a lamp, plants, vases, bottles, objects and toys."""
        if piece is None:
            return
        taken: list = []
        if self.rng.random() < lamp:
            self.place_on(piece, "table_lamp", taken, tallest=0.65)
        roles = ("small_object", "vase", "small_plant", "bottle", "toy")
        for _ in range(count):
            if self.rng.random() < books:
                self.book_heap(piece, taken)
            else:
                role = str(self.rng.choice(roles, p=(0.45, 0.17, 0.2, 0.1, 0.08)))
                self.place_on(piece, role, taken, 0.8, tallest=0.6, widest=0.5)

    def cushions(self, piece: Piece, class_id: int, count: int, at: float, height: float, size=(0.42, 0.42)) -> None:
        """Lay cushions in a row across a piece, `at` metres behind its middle, on whatever is below them."""
        swatch = self.painted(32, 32, materials.cloth(self.look, 0.6))
        for number in range(count):
            x, z = piece.at(((number + 0.5) / count - 0.5) * piece.width * 0.72, -at)
            y = float(height_at(piece.triangles, np.array([[x, z]]))[0])
            if 0.2 < y < 0.75:
                triangles, unit = cushion(size[0], height, size[1])
                moved = turn(triangles, piece.yaw + self.rng.uniform(-0.2, 0.2)) + np.array(
                    [x, y - 0.015, z], np.float32
                )
                self.geometry.add(moved, unit, swatch, class_id, self.geometry.instance())

    def beside(self, piece: Piece, role: str, side: int, **limits) -> Piece | None:
        """Stand a model beside a piece that has its back to a wall; side is -1 or 1."""
        model = self.pick(role, **limits)
        if model is None or piece.wall < 0:
            return None
        along = piece.along + side * (piece.width / 2 + 0.06 + model.width / 2)
        if not self.spot_free(piece.wall, along, model.width, model.depth, model.height, 0.1):
            return None
        return self.stand(model, piece.wall, along, front=0.1, scale=1.0)

    def before(
        self, piece: Piece, role: str, gap: float, facing: float = 0, shift: float = 0, jitter: float = 0.1, **limits
    ) -> Piece | None:
        """Stand a model `gap` metres before a piece's front; facing is added to the piece's yaw."""
        for _ in range(4):
            model = self.pick(role, **limits)
            if model is None:
                return None
            x, z = piece.at(shift, piece.depth / 2 + gap + model.depth / 2)
            yaw = piece.yaw + facing + self.rng.uniform(-jitter, jitter)
            if self.fits(footprint(x, z, model.width, model.depth, yaw), model.height, clear=False):
                return self.put(model, x, 0, z, yaw)
        return None
