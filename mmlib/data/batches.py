"""Batches as functions of seed and step: which rooms, how cropped and mirrored; read here, or ahead by workers."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from ..hardware import processes
from ..hardware.compute import Machine
from ..hardware.processes import shard
from ..modalities import KNOWN, Modality
from ..recipes import Recipe
from .sets import Rooms


@dataclass
class Pair:
    """A batch of one training set on the device: network-form images and valid masks, by modality name."""

    images: dict[str, torch.Tensor]
    valid: dict[str, torch.Tensor]


def generator(device: torch.device | str, *numbers: int) -> torch.Generator:
    """Random numbers that depend on some integers (seed, step, purpose) alone."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(seed)


def draw(rooms: Rooms, batch: int, step: int, seed: int, index: int) -> torch.Tensor:
    """Indices of the batch at `step`, for all processes together. Each epoch is a new permutation of the set, without
    its incomplete last batch."""
    batch = min(batch, len(rooms))
    epoch, position = divmod(step, len(rooms) // batch)
    return _order(len(rooms), seed, index, epoch)[position * batch : (position + 1) * batch]


@functools.lru_cache(maxsize=16)  # an epoch's, for each set: of 170,000 views it takes 1.5 ms
def _order(count: int, seed: int, index: int, epoch: int) -> torch.Tensor:
    return torch.randperm(count, generator=generator("cpu", seed, index, epoch))


INSIDE = "inside"
"""Beside an augmented batch's modalities: bool (N, 1, H, W), where a window that is larger than its image shows it."""


def augment(
    raw: dict[str, torch.Tensor],
    size: int,
    random: torch.Generator,
    windows: tuple[float, float] = (0.6, 1.0),
    records: Mapping[str, Modality] = KNOWN,
) -> dict[str, torch.Tensor]:
    """Crop, zoom and mirror all members of a pair alike; vary the light of RGB alone.

    Raw images (N, C, H, W) of any equal size → raw images of size × size; square windows, anywhere in the image, whose
    side is a share of the shorter one, drawn from `windows`. Depth is scaled with the window, because what is enlarged
    is nearer (Eigen et al. 2014, section 3.4). A window larger than the image (a share above 1) repeats the border,
    and the mask `INSIDE` leaves that out. `random` draws for the batch of all processes; the images are
    this one's share.
    """
    first = next(iter(raw.values()))
    device, (count, _, *sides) = first.device, first.shape
    joint = count * processes.world_size()
    scale, *middle = (shard(numbers) for numbers in torch.rand(3, joint, generator=random))
    scale = windows[0] + (windows[1] - windows[0]) * scale
    mirror = torch.where(shard(torch.rand(joint, generator=random)) < 0.5, -1.0, 1.0)
    light = torch.exp(0.25 * shard(torch.randn(joint, 1, 1, 1, generator=random)))
    light = light * torch.exp(0.1 * shard(torch.randn(joint, 3, 1, 1, generator=random)))
    light = light.to(device, non_blocking=True)
    mirrors = (mirror < 0).to(device, non_blocking=True).view(-1, 1, 1, 1)
    whole = windows == (1.0, 1.0) and sides == [size, size]  # nothing to resample
    if not whole:
        high, wide = (scale * (min(sides) / side) for side in sides)  # the window's share of each side
        x, y = ((1 - share) * (2 * m - 1) for share, m in zip((wide, high), middle))
        zero = torch.zeros(count)
        theta = torch.stack([torch.stack([wide * mirror, zero, x], 1), torch.stack([zero, high, y], 1)], 1)
        grid = F.affine_grid(theta.to(device, non_blocking=True), [count, 1, size, size], align_corners=False)
        zoom = scale.to(device, non_blocking=True).view(-1, 1, 1, 1)
    result = {}
    for name, image in raw.items():
        record = records[name]
        if whole:
            sampled = torch.where(mirrors, image.flip(-1), image)
        else:
            sampled = F.grid_sample(image.float(), grid, record.resample, padding_mode="border", align_corners=False)
        if name == "rgb":
            sampled = (sampled * light).round().clamp(0, 255)
        if not whole:
            sampled = record.zoomed(sampled, zoom)
        result[name] = torch.where(mirrors, record.mirrored(sampled), sampled).to(image.dtype)
    if windows[1] > 1:
        result[INSIDE] = (grid.abs() <= 1).all(-1).unsqueeze(1)
    return result


def as_needed(rooms: Rooms, recipe: Recipe) -> Rooms:
    """The rooms at the size that a recipe needs: at its own, unless windows are cut from them."""
    return rooms.resized(recipe.size) if not recipe.augment or recipe.windows == (1.0, 1.0) else rooms


def raw_batch(rooms: Rooms, recipe: Recipe, step: int, index: int) -> dict[str, torch.Tensor]:
    """This process's share of the batch of set `index` that belongs to `step`: raw images, cropped and mirrored."""
    drawn = shard(draw(rooms, recipe.batch, step, recipe.seed, index))
    if not recipe.augment:
        return rooms.batch(drawn)
    random = generator("cpu", recipe.seed, step, index, 1)
    return augment(rooms.uncropped(drawn), recipe.size, random, recipe.windows_at(step), rooms.records)


class Steps(Dataset):
    """The raw batch of each set, by step; or the error that prevented reading it, because an error that a worker
    process raises arrives with pages of traceback."""

    def __init__(self, sets: Sequence[Rooms], recipe: Recipe):
        self.sets, self.recipe = sets, recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> list[dict[str, torch.Tensor]] | Exception:
        try:
            return [raw_batch(rooms, self.recipe, step, index) for index, rooms in enumerate(self.sets)]
        except (ValueError, OSError) as error:
            return error


def ahead(steps: Steps, first: int, workers: int, device: torch.device) -> Iterator[list[dict[str, torch.Tensor]]]:
    """The raw batches from step `first` on; worker processes prepare them while the networks compute."""
    order = range(first, len(steps))
    loader = DataLoader(steps, None, sampler=order, num_workers=workers, pin_memory=device.type == "cuda")
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def resident(sets: Sequence[Rooms], machine: Machine) -> tuple[Rooms, ...]:
    """The sets with their images on the GPU, where they take at most a quarter of its free memory; else as they are."""
    size = sum(raw.nbytes for rooms in sets for raw in rooms.images.values())
    if machine.device.type != "cuda" or 4 * size > torch.cuda.mem_get_info(machine.device)[0]:
        return tuple(sets)
    return tuple(rooms.on(machine.device) for rooms in sets)


def to_pair(raw: dict[str, torch.Tensor], machine: Machine, records: Mapping[str, Modality] = KNOWN) -> Pair:
    """Raw images as a pair on the device. They are sent as they are stored (RGB in 8 bits), and converted there."""
    raw = {name: image.to(machine.device, non_blocking=True) for name, image in raw.items()}
    inside = raw.pop(INSIDE, True)
    images = {name: machine.place(records[name].to_input(image)) for name, image in raw.items()}
    return Pair(images, {name: records[name].valid(image) & inside for name, image in raw.items()})


def load_batch(rooms: Rooms, recipe: Recipe, machine: Machine, step: int, index: int) -> Pair:
    """The pair of set `index` that belongs to `step`."""
    return to_pair(raw_batch(rooms, recipe, step, index), machine, rooms.records)
