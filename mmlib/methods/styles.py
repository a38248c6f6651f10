"""Four painterly styles, procedural and named as what they are: photos of rooms as painters of one habit see them.

Each is a function of the photo and of a room's number, so the exact stylisation of any photo is known. They stand in
for the paintings of the paper's Figure 6b, which cannot be shipped; `domains.folder_domains` reads those of a user who
has them.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..data.domains import Domain
from ..data.sets import Rooms
from ..data.shipped import shipped
from ..evaluation import seen
from ..modalities import domain, named
from .colours import in_all_ways, likeness

PHOTO = "photo"  # the anchor


def brush(photo: torch.Tensor, room: int) -> torch.Tensor:
    """Patches of one colour with sharp edges, as of a flat brush: the Kuwahara filter (Kuwahara et al. 1976).

    Each pixel takes the mean of that 4 × 4 square at one of its corners in which brightness varies least.
    """
    image = F.pad(photo.float()[None], (3, 3, 3, 3), mode="reflect")
    mean = F.avg_pool2d(image, 4, stride=1)
    light = image.mean(1, keepdim=True)
    variance = F.avg_pool2d(light**2, 4, stride=1) - F.avg_pool2d(light, 4, stride=1) ** 2
    height, width = photo.shape[1:]
    corners = [(y, x) for y in (0, 3) for x in (0, 3)]
    means = torch.stack([mean[0, :, y : y + height, x : x + width] for y, x in corners])
    least = torch.stack([variance[0, :, y : y + height, x : x + width] for y, x in corners]).argmin(0, keepdim=True)
    return means.gather(0, least.expand(1, 3, -1, -1))[0].round().clamp(0, 255).to(torch.uint8)


def dots(photo: torch.Tensor, room: int) -> torch.Tensor:
    """Dots of pure colour on a pale ground: each cell of a jittered grid shows the colour at its centre, more vivid."""
    random = np.random.default_rng(room)
    height, width = photo.shape[1:]
    step = 4
    rows, columns = np.mgrid[0 : height + step : step, 0 : width + step : step]
    centres = np.stack([rows, columns], -1) + random.uniform(-1.2, 1.2, (*rows.shape, 2))
    y, x = np.mgrid[:height, :width]
    best, nearest = np.full((height, width), np.inf), np.zeros((height, width, 2))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r = np.clip((y + step // 2) // step + dy, 0, rows.shape[0] - 1)
            c = np.clip((x + step // 2) // step + dx, 0, rows.shape[1] - 1)
            distance = ((centres[r, c] - np.stack([y, x], -1)) ** 2).sum(-1)
            closer = distance < best
            best[closer], nearest[closer] = distance[closer], centres[r, c][closer]
    index = np.rint(nearest).astype(int)
    colour = photo.permute(1, 2, 0).numpy()[index[..., 0].clip(0, height - 1), index[..., 1].clip(0, width - 1)]
    vivid = colour + 0.6 * (colour - colour.mean(-1, keepdims=True))
    painted = np.where((best < 2.4**2)[..., None], vivid, (236, 228, 206))
    return torch.from_numpy(painted.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


def woodcut(photo: torch.Tensor, room: int) -> torch.Tensor:
    """Flat inks and dark outlines on tinted paper: four tones for each channel, black where the brightness jumps."""
    image = photo.float()
    soft = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="reflect"), 3, stride=1)[0]
    inks = (soft / 255 * 3).round() / 3
    paper = torch.tensor([0.96, 0.90, 0.76]).view(3, 1, 1)
    light = F.pad(soft.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
    across = (light[..., 1:-1, 2:] - light[..., 1:-1, :-2]).abs() + (light[..., 2:, 1:-1] - light[..., :-2, 1:-1]).abs()
    printed = torch.where(across[0] > 36, torch.tensor([0.12, 0.12, 0.22]).view(3, 1, 1), inks * paper)
    return (255 * printed).round().clamp(0, 255).to(torch.uint8)


def hatching(photo: torch.Tensor, room: int) -> torch.Tensor:
    """Ink lines on paper: diagonals where it is dim, crossed ones where it is dark, more where it is darkest."""
    light = photo.float().mean(0)
    y, x = torch.meshgrid(*(torch.arange(side) for side in light.shape), indexing="ij")
    ink = ((light < 170) & ((x + y) % 4 == 0)) | ((light < 110) & ((x - y) % 4 == 0)) | ((light < 60) & (y % 2 == 0))
    paper, line = (torch.tensor(c, dtype=torch.uint8).view(3, 1, 1) for c in ((244, 238, 224), (38, 30, 54)))
    return torch.where(ink, line, paper)


STYLES = {"brush": brush, "dots": dots, "woodcut": woodcut, "hatching": hatching}


def stylised(name: str, photos: torch.Tensor, rooms: list[int]) -> torch.Tensor:
    """Raw photos (N, 3, H, W) of numbered rooms, in a style or, `photo`, as they are."""
    if name == PHOTO:
        return photos
    return torch.stack([STYLES[name](photo, room) for photo, room in zip(photos, rooms, strict=True)])


def style_domains(size: int = 64) -> tuple[Domain, ...]:
    """Photos, the anchor, and each style, of 400 rooms each that no other of them shows (the RGB of D1 and D2)."""
    d1, d2 = shipped("d1", size), shipped("d2", size)
    photos, rooms = torch.cat([d1.images["rgb"], d2.images["rgb"]]), [*d1.rooms, *d2.rooms]
    domains = []
    for index, name in enumerate((PHOTO, *STYLES)):
        part = slice(400 * index, 400 * (index + 1))
        images = stylised(name, photos[part], rooms[part])
        domains.append(Domain.of({name: images}, rooms[part], name))
    return tuple(domains)


def painted(photos: Rooms, names: Sequence[str]) -> Rooms:
    """The exact stylisations of photos in some styles, `photo` being the photos themselves: truth to measure by."""
    kind: type[Rooms] = type("Painted", (Rooms,), {"records": named(*map(domain, names))})
    images = {name: stylised(name, photos.images["rgb"], photos.rooms) for name in names}
    return kind.of(images, photos.rooms, photos.split)


def measure_styles(model, photos: Rooms) -> dict:
    """All translations between photos and styles, held against the exact stylisations of the same photos: `psnr` (dB)
    and `ssim` of what `in_all_ways` gives."""
    exact = painted(photos, model.modalities).images

    def measure(made: torch.Tensor, source: str, target: str) -> dict:
        return {**likeness(made, exact[target]), "seen": seen(source, target, PHOTO)}

    return {
        "rooms": len(photos), "size": photos.size, "split": photos.split, "data_sha256": photos.sha256,
        **in_all_ways(model, exact, PHOTO, measure),
    }  # fmt: skip
