"""Bedrooms, living rooms, dining rooms, studies and studios: which furniture goes together and how."""

import numpy as np

from mmlib.rooms import materials
from mmlib.rooms.geometry import GLOSSY, GLOW, box, panel, turn
from mmlib.rooms.layout import KINDS, SHARES, Piece, Room, footprint
from mmlib.rooms.shell import WALL_YAW


def furnish(rng, look) -> Room:
    """Lay out one furnished room; `rng` decides on shapes and places, `look` on colours."""
    kind = str(rng.choice(KINDS, p=SHARES))
    roomy = 0.4 if kind in ("living room", "studio") else 0.0
    room = Room(rng, look, kind, rng.uniform(3.1 + roomy, 5.0), rng.uniform(3.0 + roomy, 4.6), rng.uniform(2.4, 2.85))
    {"bedroom": bedroom, "living room": living, "dining room": dining, "study": study, "studio": studio}[kind](room)
    extras(room)
    return room


def bedroom(room: Room) -> None:
    """Furnish a bedroom: bed, nightstands, wardrobe, dresser with television, desk."""
    rng = room.rng
    bed = add_bed(room)
    add_rug(room, bed, 0.5)
    room.furnish_wall("wardrobe")
    if bed and rng.random() < 0.5:
        television(room, bed)
    elif rng.random() < 0.8:
        room.decorate(room.furnish_wall("dresser"), 3, lamp=0.5)
    if rng.random() < 0.5:
        workplace(room)
    if rng.random() < 0.75:
        bookcase(room)
    if rng.random() < 0.35:
        room.furnish_wall("armchair", front=0.3)


def living(room: Room) -> None:
    """Furnish a living room: sofa, coffee table, television, armchairs, bookcase."""
    rng = room.rng
    sofa = add_sofa(room)
    if sofa:
        television(room, sofa)
        around_sofa(room, sofa)
    else:
        television(room, None)
    if rng.random() < 0.85:
        bookcase(room)
    if rng.random() < 0.35:
        room.decorate(room.furnish_wall("cabinet", tallest=1.3), 3)
    if rng.random() < 0.3:
        dining_group(room)


def dining(room: Room) -> None:
    """Furnish a dining room: table and chairs in the middle, cabinets, perhaps a television."""
    rng = room.rng
    dining_group(room)
    for _ in range(2):
        room.decorate(room.furnish_wall("cabinet", front=0.4), 4)
    if rng.random() < 0.6:
        bookcase(room)
    if rng.random() < 0.4:
        television(room, None)
    if rng.random() < 0.3:
        add_sofa(room)


def study(room: Room) -> None:
    """Furnish a study: desk with monitor, bookcases, a sofa or armchair to read in."""
    rng = room.rng
    workplace(room)
    for _ in range(int(rng.integers(1, 4))):
        bookcase(room)
    if rng.random() < 0.55:
        sofa = add_sofa(room, 1.9)
        if sofa:
            around_sofa(room, sofa)
    else:
        room.furnish_wall("armchair", front=0.3)
    if rng.random() < 0.4:
        room.decorate(room.furnish_wall("cabinet", tallest=1.4), 3)


def studio(room: Room) -> None:
    """Furnish a one-room flat: bed and sofa, a table or desk, television, books."""
    rng = room.rng
    add_bed(room, 1.5)
    sofa = add_sofa(room, 2.0)
    if sofa:
        television(room, sofa)
        around_sofa(room, sofa)
    if rng.random() < 0.5:
        workplace(room)
    else:
        dining_group(room)
    bookcase(room)


def add_bed(room: Room, widest: float = 9.0) -> Piece | None:
    """Add a bed with nightstands, pillows and a picture above it."""
    rng = room.rng
    bed = room.furnish_wall("crib" if rng.random() < 0.04 else "bed", front=0.5, widest=widest)
    if bed is None:
        return None
    for side in (-1, 1):
        table = room.beside(bed, "nightstand" if rng.random() < 0.7 else "side_table", side)
        room.decorate(table, 2, books=0.5, lamp=0.75)
    if rng.random() < 0.4:
        room.cushions(bed, 1, 1 if bed.width < 1.2 else 2, bed.depth / 2 - 0.45, 0.16, (0.55, 0.38))
    above(room, bed)
    return bed


def add_sofa(room: Room, widest: float = 9.0) -> Piece | None:
    """Add a sofa with cushions and pictures above it."""
    sofa = room.furnish_wall("sofa", front=0.75, widest=widest)
    if sofa is None:
        return None
    if room.rng.random() < 0.45:
        room.cushions(sofa, 9, int(room.rng.integers(1, 4)), -sofa.depth * 0.06, 0.3, (0.36, 0.16))
    above(room, sofa)
    return sofa


def around_sofa(room: Room, sofa: Piece) -> None:
    """Add coffee table, rug, side table, lamp and armchairs around a sofa."""
    rng = room.rng
    table = None
    if rng.random() < 0.85:
        table = room.before(sofa, "coffee_table", rng.uniform(0.3, 0.5), jitter=0.03, deepest=1.0)
    room.decorate(table, int(rng.integers(2, 5)), books=0.5, lamp=0)
    add_rug(room, table or sofa, 0.65)
    for side in (-1, 1):
        drawn = rng.random()
        if drawn < 0.3:
            room.beside(sofa, "floor_lamp", side)
        elif drawn < 0.55:
            room.decorate(room.beside(sofa, "side_table", side), 2, lamp=0.6)
        elif drawn < 0.75:
            room.beside(sofa, "plant", side, widest=0.8)
    if table and rng.random() < 0.55:
        side = float(rng.choice([-1, 1]))
        for _ in range(3):
            model = room.pick("armchair", widest=1.0)
            x, z = table.at(side * (table.width / 2 + 0.35 + model.depth / 2), 0.1)
            yaw = sofa.yaw - side * np.pi / 2
            if room.fits(footprint(x, z, model.width, model.depth, yaw), 0.4, clear=False):
                room.put(model, x, 0, z, yaw + rng.uniform(-0.15, 0.15))
                break


def television(room: Room, seat: Piece | None) -> None:
    """Add a television on a stand, a cabinet or the wall, opposite the seat where that fits."""
    rng = room.rng
    walls = None if seat is None else [(seat.wall + 2) % 4]
    stand = None
    if rng.random() < 0.85:
        role = "tv_stand" if rng.random() < 0.45 else ("dresser" if rng.random() < 0.6 else "cabinet")
        for tried in [walls] if walls is None else [walls, None]:
            stand = stand or room.furnish_wall(role, tried, front=0.3, tallest=0.95)
    taken: list = []
    if stand and rng.random() < 0.25 and room.place_on(stand, "tv", taken, 0.05):
        room.decorate(stand, 1, books=0.2, lamp=0)
        return
    width = rng.uniform(0.8, 1.3)
    if stand and stand.wall >= 0:
        width = min(width, stand.width * 1.15)
        spot = room.free_top(stand, 0.5, 0.2, taken)
        if spot:
            x, z = stand.at(0, 0.03 - stand.depth / 2 + 0.12)
            flat_screen(room, (x, spot[1], z), stand.yaw, width, foot=0.06)
            decorate_around(room, stand, footprint(x, z, width, 0.25, stand.yaw))
            left, right, top = stand.along - width / 2, stand.along + width / 2, spot[1] + 0.06 + 0.57 * width
            room.blocks[stand.wall].append((left, spot[1], right, top))
            return
    for _ in range(20):
        wall = int(rng.choice(walls or [0, 1, 2, 3]))
        along = rng.uniform(width / 2 + 0.1, room.length(wall) - width / 2 - 0.1)
        bottom = rng.uniform(0.95, 1.2)
        if room.wall_free(wall, along - width / 2, bottom - 0.05, along + width / 2, bottom + 0.57 * width + 0.05):
            x, z = room.on_wall(wall, along, 0.05)
            flat_screen(room, (x, bottom, z), WALL_YAW[wall], width, foot=0)
            room.blocks[wall].append((along - width / 2, bottom, along + width / 2, bottom + 0.6 * width))
            return


def decorate_around(room: Room, stand: Piece, middle: tuple) -> None:
    """Put a few things beside a television."""
    taken = [middle]
    for _ in range(2):
        room.place_on(stand, str(room.rng.choice(["vase", "small_plant", "small_object"])), taken, 0.8, tallest=0.4)
    room.book_heap(stand, taken)


def flat_screen(room: Room, place, yaw: float, width: float, foot: float) -> None:
    """Add a flat television or monitor whose bottom centre is `place`."""
    look, instance = room.look, room.geometry.instance()
    black = room.atlas.flat(materials.colour(look, None, (0, 0.05), (0.03, 0.12)), GLOSSY)
    x, y, z = place
    height = width * 0.57
    if foot:
        room.solid_box((x, y, z), (width * 0.35, 0.012, 0.18), yaw, black, 11, instance)
        room.solid_box((x, y, z), (width * 0.08, foot + 0.05, 0.03), yaw, black, 11, instance)
    room.solid_box((x, y + foot, z), (width, height, 0.035), yaw, black, 11, instance)
    front = turn(np.array([0, 0, 0.019]), yaw)
    image = room.painted(32, 48, materials.screen, GLOSSY)
    edge = 0.018
    triangles, unit = box((-width / 2 + edge, edge, 0), (width / 2 - edge, height - edge, 0.001))
    centre = np.array([x + front[0], y + foot, z + front[2]], np.float32)
    room.geometry.add(turn(triangles, yaw) + centre, unit, image, 11, instance)


def workplace(room: Room) -> None:
    """Add a desk with a chair, a monitor or laptop, a lamp and books."""
    rng = room.rng
    desk = room.furnish_wall("desk", front=0.75, tallest=1.3, deepest=1.0)
    if desk is None:
        return
    taken: list = []
    if rng.random() < 0.7:
        width = rng.uniform(0.5, 0.75)
        spot = room.free_top(desk, width, 0.2, taken)
        if spot:
            flat_screen(room, spot, desk.yaw + rng.uniform(-0.15, 0.15), width, foot=0.12)
    else:
        room.place_on(desk, "laptop" if rng.random() < 0.6 else "monitor", taken, 0.2)
    if rng.random() < 0.7:
        room.place_on(desk, "table_lamp", taken, tallest=0.6)
    for _ in range(2):
        room.book_heap(desk, taken)
    for _ in range(3):
        room.place_on(desk, "small_object", taken, 0.8, tallest=0.4, widest=0.4)
    role = "office_chair" if rng.random() < 0.5 else "chair"
    room.before(desk, role, rng.uniform(0.02, 0.15), np.pi, rng.uniform(-0.1, 0.1), 0.4)
    above(room, desk)


def dining_group(room: Room) -> None:
    """Add a dining table with chairs around it and things on it."""
    rng = room.rng
    for _ in range(12):
        model = room.pick("dining_table", widest=2.2, deepest=1.3)
        yaw = float(rng.choice([0, np.pi / 2]))
        wide, deep = (model.width, model.depth) if yaw == 0 else (model.depth, model.width)
        low = np.array([wide / 2 + 0.55, deep / 2 + 0.55])
        high = np.array([room.width, room.depth]) - low
        if (high < low).any():
            continue
        middle = (low + high) / 2
        if room.kind == "dining room":
            x, z = middle + rng.uniform(-0.3, 0.3, 2) * (high > middle)
        else:
            x, z = rng.uniform(low, high)
        x, z = float(np.clip(x, low[0], high[0])), float(np.clip(z, low[1], high[1]))
        if not room.fits(footprint(x, z, model.width + 0.5, model.depth + 0.5, yaw), 0.5):
            continue
        table = room.put(model, x, 0, z, yaw)
        if rng.random() < 0.45:
            add_rug(room, table, 1.0)
        room.decorate(table, int(rng.integers(2, 6)), books=0.2, lamp=0)
        chair = room.pick("chair", tallest=1.15)
        sides = [(side, turn_) for side in (-1, 1) for turn_ in ([-0.25, 0.25] if model.width > 1.3 else [0.0])]
        for side, across in sides:
            tuck = rng.uniform(-0.12, 0.12)
            away = side * (model.depth / 2 + chair.depth / 2 - 0.15 + max(tuck, 0))
            seat_at(room, chair, table, (across * model.width, away), np.pi if side > 0 else 0.0)
        for side in (-1, 1):
            if rng.random() < 0.5:
                away = side * (model.width / 2 + chair.depth / 2 - 0.1)
                seat_at(room, chair, table, (away, 0.0), -side * np.pi / 2)
        return


def seat_at(room: Room, chair, table: Piece, place: tuple, facing: float) -> None:
    """Put a chair at a table, at a place in the table's own frame, unless something else stands there."""
    (x, z), yaw = table.at(*place), table.yaw + facing
    others, room.occupied = room.occupied, [rect for rect in room.occupied if rect != table.rect]
    free = room.fits(footprint(x, z, chair.width, chair.depth, yaw), 0.5, clear=False)
    room.occupied = others
    if free and room.rng.random() < 0.93:
        room.put(chair, x, 0, z, yaw + room.rng.uniform(-0.12, 0.12))


def add_rug(room: Room, near: Piece | None, chance: float) -> None:
    """Lay a rug under and before a piece."""
    rng = room.rng
    if near is None or rng.random() > chance:
        return
    width, depth = rng.uniform(1.4, 2.4), rng.uniform(1.1, 1.8)
    x, z = near.at(0, rng.uniform(0, 0.4))
    x = float(np.clip(x, width / 2 + 0.1, max(room.width - width / 2 - 0.1, width / 2 + 0.1)))
    z = float(np.clip(z, depth / 2 + 0.1, max(room.depth - depth / 2 - 0.1, depth / 2 + 0.1)))
    rect = footprint(x, z, width, depth, near.yaw)
    if rect[0] < 0.03 or rect[1] < 0.03 or rect[2] > room.width - 0.03 or rect[3] > room.depth - 0.03:
        return
    swatch = room.painted(96, 96, materials.rug(room.look))
    room.solid_box((x, 0, z), (width, 0.012, depth), near.yaw, swatch, 5, room.geometry.instance())


def bookcase(room: Room) -> None:
    """Add a bookcase whose shelves are full of books and things."""
    rng, look = room.rng, room.look
    width, depth = rng.uniform(0.6, 1.3), rng.uniform(0.27, 0.34)
    rows = int(rng.integers(2, 7))
    step = rng.uniform(0.29, 0.36)
    height = 0.08 + rows * step
    spot = room.wall_spot(width, depth, height, front=0.4)
    if spot is None:
        return
    wall, along = spot
    x, z = room.on_wall(wall, along, 0.025 + depth / 2)
    yaw, board = WALL_YAW[wall], 0.022
    wood = room.painted(32, 48, materials.grain(np.clip(room.wood * look.uniform(0.8, 1.1), 0, 0.95)))
    case, books = room.geometry.instance(), room.geometry.instance()

    def part(low, high, swatch, class_id, instance):
        triangles, unit = box(low, high)
        room.geometry.add(turn(triangles, yaw) + np.array([x, 0, z], np.float32), unit, swatch, class_id, instance)

    half, back = width / 2, -depth / 2
    for low, high in (
        ((-half, 0, back), (-half + board, height, -back)),
        ((half - board, 0, back), (half, height, -back)),
        ((-half, 0, back), (half, height, back + 0.01)),
        ((-half, 0, back), (half, 0.06, -back - 0.01)),
    ):
        part(low, high, wood, 6, case)
    for row in range(rows + 1):
        y = 0.06 + row * step
        part((-half, y - board, back), (half, y, -back), wood, 6, case)
        if row == rows:
            break
        left, right = -half + board + 0.005, half - board - 0.005
        end = right - (right - left) * (rng.uniform(0, 0.5) if rng.random() < 0.5 else 0)
        hue = look.random()
        while left < end - 0.06:
            if rng.random() < 0.03:
                left += rng.uniform(0.05, 0.15)
                continue
            thick, tall = rng.uniform(0.018, 0.055), rng.uniform(0.55, 0.88) * (step - board)
            hues = (hue, hue + 0.5) if look.random() < 0.5 else None
            cover = room.atlas.flat(materials.colour(look, hues, (0.05, 0.85), (0.12, 0.95)))
            high = (left + thick, y + tall, back + 0.02 + rng.uniform(0.15, 0.21))
            part((left, y, back + 0.02), high, cover, 2, books)
            left += thick + 0.001
        if right - left > 0.2:
            offset = turn(np.array([(left + right) / 2, 0, 0.02]), yaw)
            if rng.random() < 0.4:
                room.book_heap(None, [], (x + float(offset[0]), y, z + float(offset[2])))
            else:
                role = str(rng.choice(["vase", "small_object", "toy", "small_plant"]))
                model = room.pick(role, tallest=step - 0.05, widest=right - left - 0.04, deepest=depth - 0.05)
                if model:
                    room.put(model, x + float(offset[0]), y, z + float(offset[2]), yaw, 1.0, solid=False)
    rect = footprint(x, z, width, depth, yaw)
    room.occupied.append(rect)
    room.tall.append((rect, height))
    room.clear.append(room.wall_rect(wall, along - half, along + half, depth, depth + 0.4))
    room.blocks[wall].append((along - half, 0, along + half, height))


def above(room: Room, piece: Piece) -> None:
    """Hang one wide picture or a row of small ones above a piece."""
    rng = room.rng
    if rng.random() < 0.2:
        return
    bottom = max(piece.height + rng.uniform(0.15, 0.3), 1.15)
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
    width = min(piece.width * rng.uniform(0.4, 0.9), 1.2) / count
    height = min(width * rng.uniform(0.6, 1.3), room.height - bottom - 0.15)
    for number in range(count):
        if height > 0.2:
            room.picture(piece.wall, piece.along + (number - (count - 1) / 2) * (width + 0.12), bottom, width, height)


def extras(room: Room) -> None:
    """Add pictures, plants, radiators, baskets, toys and the ceiling lamp."""
    rng = room.rng
    for wall in rng.permutation(4):
        for _ in range(int(rng.integers(1, 4))):
            width = rng.uniform(0.35, 1.0)
            middle = rng.uniform(0.3, room.length(int(wall)) - 0.3)
            room.picture(int(wall), middle, rng.uniform(1.15, 1.5), width, width * rng.uniform(0.6, 1.4))
    if rng.random() < 0.5:
        room.furnish_wall("plant", front=0.0, widest=0.9)
    for role, chance in (("floor_object", 0.55), ("floor_object", 0.3), ("stool", 0.2), ("chair", 0.2)):
        if rng.random() < chance:
            room.furnish_wall(role, front=0.15, widest=1.0)
    if rng.random() < 0.3:
        room.furnish_wall("radiator", front=0.05, tallest=0.6)
    for _ in range(int(rng.integers(0, 4))):
        model = room.pick("toy" if rng.random() < 0.6 else "floor_object", widest=0.6, tallest=0.6)
        x, z, yaw = rng.uniform(0.4, room.width - 0.4), rng.uniform(0.4, room.depth - 0.4), rng.uniform(0, 6.28)
        if model and room.fits(footprint(x, z, model.width, model.depth, yaw), 0.3, clear=False):
            room.put(model, x, 0.012, z, yaw)
    ceiling_light(room)


def ceiling_light(room: Room) -> None:
    """Hang a lamp from the ceiling, or fit a flat panel into it."""
    rng = room.rng
    x, z = room.width * rng.uniform(0.4, 0.6), room.depth * rng.uniform(0.4, 0.6)
    model = room.pick("ceiling_lamp", widest=1.1, tallest=0.7)
    if model and rng.random() < 0.65 and not room.light.night:  # a shade could leave the room dark at night
        room.put(model, x, room.height - model.height, z, float(rng.choice([0, np.pi / 2])), solid=False)
        return
    size, instance, drop = rng.uniform(0.14, 0.25), room.geometry.instance(), room.height - 0.05
    white = room.atlas.flat((0.9, 0.9, 0.9))
    room.solid_box((x, drop + 0.002, z), (2 * size, 0.046, 2 * size), 0, white, 7, instance)
    corners = [(x + a * size, drop, z + b * size) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    room.geometry.add(*panel(*corners), GLOW, 7, instance)
