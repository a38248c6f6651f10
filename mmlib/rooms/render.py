"""`render`: make furnished rooms on disk, each with a photo, a depth map and a class map of the same view.

The files are named as SceneNet RGB-D names them; `index.json` lists the rooms with cameras and furniture. The same
seed gives the same depth and classes to the byte, whatever the number of processes.
"""

import contextlib
import dataclasses
import gc
import glob
import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmlib.data.sources import FORMAT
from mmlib.hardware.files import write
from mmlib.modalities import KNOWN, MODALITIES, modality
from mmlib.rooms import furniture, view
from mmlib.rooms.furnish import furnish

FILES = {name: f"{record.folder}/0{record.suffix}" for name, record in KNOWN.items()}
_PROBE = """
import mitsuba
mitsuba.set_variant("llvm_ad_rgb")
import drjit
assert drjit.sum(drjit.arange(mitsuba.Float, 4))[0] == 6
"""


def render(
    rooms: int,
    seed: int,
    size: int,
    out,
    modalities=tuple(MODALITIES),
    processes: int | None = None,
    samples: int = 32,
    variant: str | None = None,
) -> None:
    """Make `rooms` furnished rooms of size x size pixels in the folder `out`, going on where an earlier call stopped.

    Photos are JPEG, depth is 16-bit PNG in millimetres along the ray (0: nothing hit), classes are 8-bit PNG (SceneNet
    RGB-D's 13); normals, if asked for, are PNG in the camera's frame (0–255 for −1 to 1, black: nothing hit), albedo is
    JPEG. Raises ValueError for an argument out of range and where `out` holds rooms of another seed, size or
    modalities, FileNotFoundError where the furniture package is missing, ModuleNotFoundError where Mitsuba is,
    ChildProcessError when a process dies.
    """
    require_at_least(("rooms", rooms, 1), ("seed", seed, 0), ("size", size, 1), ("samples", samples, 1))
    asked = [modality(name.strip()).name for name in modalities]
    if not asked:
        raise ValueError(f"modalities is empty: give some of {', '.join(FILES)}")
    modalities = tuple(name for name in FILES if name in asked)
    out = make_folder(out)
    header = {"format": FORMAT, "seed": seed, "size": size, "modalities": list(modalities)}
    done, generator = _earlier(out, header)
    todo = [number for number in range(rooms) if number not in done and not _record_path(out, number).is_file()]
    if not todo and (out / "index.json").is_file() and len(done) >= rooms:
        print(f"{out} is complete: {len(done)} rooms.")
        return
    variant = ready(variant)
    write(out / "started.json", json.dumps(header).encode())
    jobs = [(number, seed, size, str(out), modalities, samples) for number in todo]
    in_processes(_make, jobs, rooms, processes, variant)
    generator = generator or {"mitsuba": version("mitsuba"), "variant": variant, "samples_per_pixel": samples}
    records = []
    for number in range(max(rooms, len(done))):
        with damage_named(_record_path(out, number)) as path:
            records.append(done[number] if number in done else json.loads(path.read_text(encoding="utf-8")))
    write(out / "index.json", json.dumps({**header, "generator": generator, "rooms": records}).encode())
    for number in range(rooms):
        _record_path(out, number).unlink(missing_ok=True)
    (out / "started.json").unlink(missing_ok=True)


def require_at_least(*values: tuple[str, int, int]) -> None:
    """Raise a ValueError for the first (name, value, least) whose value is less than the least."""
    for name, value, least in values:
        if value < least:
            raise ValueError(f"{name} is {value}: give {least} or more")


def make_folder(out) -> Path:
    """Make the folder, if there is none; an OSError says why it cannot be made."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {out} ({error.strerror}): choose another folder") from error
    return out


def ready(variant: str | None) -> str:
    """Make sure that Mitsuba and the furniture are there, raising what `render` says, and choose Mitsuba's variant."""
    if find_spec("mitsuba") is None:
        raise ModuleNotFoundError('Rendering rooms needs Mitsuba 3: run `pip install -e ".[render]"`.')
    furniture.load(furniture.catalogue()[0].key)
    return variant or usable_variant()


def in_processes(function, jobs: list[tuple], total: int, processes: int | None, variant: str) -> None:
    """Call the function on each job in worker processes (one a core, if not said), with a bar of `total` rooms."""
    if not jobs:
        return
    processes = max(1, min(processes or os.cpu_count() or 1, len(jobs)))
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), start_worker, (variant,))
    try:
        made = as_completed([pool.submit(function, job) for job in jobs])
        for future in tqdm(made, total=total, initial=total - len(jobs), unit="room"):
            future.result()
    except BrokenProcessPool as error:
        message = "a rendering process died (out of memory?): run the same command again to go on"
        raise ChildProcessError(message) from error
    except BaseException:  # Ctrl-C, or a room's error: the rooms being made are not waited for
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def usable_variant() -> str:
    """Choose `llvm_ad_rgb` where an LLVM library works with it, else `scalar_rgb`; may set DRJIT_LIBLLVM_PATH.

    The trial runs in another process, since an unfit LLVM ends the process that loads it.
    """

    def works(environment: dict) -> bool:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], env={**os.environ, **environment}, capture_output=True, check=False
        )
        return probe.returncode == 0

    if works({}):
        return "llvm_ad_rgb"
    libraries = {}
    places = ("/usr/lib", "/usr/lib/*-linux-gnu", "/usr/lib/llvm-*/lib", "/usr/lib64", "/usr/local/lib")
    for path in sorted(path for place in places for path in glob.glob(f"{place}/libLLVM*.so*")):
        found = re.search(r"libLLVM(?:-|\.so\.)(\d+)", path)
        if found and int(found[1]) >= 15:
            libraries[int(found[1])] = path
    for number in sorted(libraries, reverse=True):
        if works({"DRJIT_LIBLLVM_PATH": libraries[number]}):
            os.environ["DRJIT_LIBLLVM_PATH"] = libraries[number]
            return "llvm_ad_rgb"
    return "scalar_rgb"


def start_worker(variant: str) -> None:
    """Set up one worker process: one thread, quiet, deaf to Ctrl-C (the parent ends it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import drjit  # noqa: PLC0415 - only the `render` extra has them
    import mitsuba  # noqa: PLC0415

    mitsuba.set_variant(variant)
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(1)


def _make(job: tuple) -> int:
    """Lay out, render and write one room; returns its number."""
    number, seed, size, out, modalities, samples = job
    images, record = make_room(seed * 1_000_000 + number, size, modalities, samples)
    folder = _record_path(Path(out), number).parent
    for name, content in images.items():
        write(folder / FILES[name], content)
    record = {**record, "path": f"{number // 1000}/{number}"}
    write(folder / "room.json", json.dumps(record).encode())
    gc.collect()
    return number


def furnished(room_seed: int, views: int = 1, **changes):
    """Lay out the room of that seed: the room, its labels, as many cameras, changed so, and the film's randomness."""
    shape_rng, look_rng, camera_rng, film_rng = np.random.default_rng(room_seed).spawn(4)
    room = furnish(shape_rng, look_rng)
    labels = view.Labels(room.geometry.finish())
    cameras = [view.choose_camera(room, labels, camera_rng) for _ in range(views)]
    return room, labels, [dataclasses.replace(camera, **changes) for camera in cameras], film_rng


def make_room(room_seed: int, size: int, modalities, samples: int) -> tuple[dict[str, bytes], dict]:
    """Make one room: the encoded images by modality, and the room's record for the index."""
    room, labels, (camera,), film_rng = furnished(room_seed)
    face, length = labels.shoot(*camera.rays(size))
    images = {}
    if "depth" in modalities:
        millimetres = np.clip(np.rint(length * 1000), 0, 65535).astype(np.uint16).reshape(size, size)
        images["depth"] = encode(Image.fromarray(millimetres), "PNG", optimize=True)
    if "segmentation" in modalities:
        classes = labels.classes(face).reshape(size, size)
        images["segmentation"] = encode(Image.fromarray(classes), "PNG", optimize=True)
    if "normals" in modalities:
        vectors = np.rint((view.normals(labels, camera, size) + 1) * 127.5)
        stored = np.where((face >= 0).reshape(size, size, 1), np.maximum(vectors, 1), 0).astype(np.uint8)
        images["normals"] = encode(Image.fromarray(stored), "PNG", optimize=True)
    if "albedo" in modalities:
        colours = view.albedo(room, labels, camera, size)
        images["albedo"] = encode(Image.fromarray(colours), "JPEG", quality=90, optimize=True)
    if "rgb" in modalities:
        radiance = view.photo(room, labels, camera, size, samples, room_seed)
        images["rgb"] = encode(view.develop(radiance, film_rng), "JPEG", quality=86, optimize=True)
    camera, models = camera.describe(size), sorted(set(room.models))
    record = {"room": room_seed, "path": "", "frame": 0, "kind": room.kind, "camera": camera, "models": models}
    return images, record


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _record_path(out: Path, number: int) -> Path:
    return out / str(number // 1000) / str(number) / "room.json"


def _earlier(out: Path, header: dict) -> tuple[dict[int, dict], dict | None]:
    """Read what an earlier call left in a folder: its rooms by number, and how they were made."""
    for path in (out / "index.json", out / "started.json"):
        if path.is_file():
            with damage_named(path):
                found = json.loads(path.read_text(encoding="utf-8"))
                done = {int(room["path"].split("/")[1]): room for room in found.get("rooms", [])}
            for key, value in header.items():
                if found.get(key) != value:
                    held = found.get(key)
                    raise ValueError(f"{out} holds rooms with {key} {held}, not {value}: choose another folder.")
            return done, found.get("generator")
    return {}, None


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[Path]:
    """Make what goes wrong when the block reads a damaged file one ValueError that names the file."""
    try:
        yield path
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: delete it, then run the same command again") from error
