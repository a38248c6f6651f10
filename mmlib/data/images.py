"""Image files: read, held against their modality's record, and resized."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError

from ..files import SIDE, brief
from ..modalities import Modality

RESAMPLE = {
    "nearest": lambda raw, shape: F.interpolate(raw, shape, mode="nearest-exact"),
    "bilinear": lambda raw, shape: (
        F.interpolate(raw.float(), shape, mode="bilinear", antialias=True).round().clamp(0, 255).to(raw.dtype)
    ),
}
"""Ways to resize raw images (N, C, H, W) to shape (H, W): ids and distances may not be averaged, colours should be."""


def image_bytes(size: int) -> int:
    """The most that the file of a square image may have: 8 bytes a pixel, and 1 MB for profile and comments."""
    return 8 * size**2 + 2**20


@contextlib.contextmanager
def opened_image(file: io.BytesIO | Path) -> Iterator[Image.Image]:
    """A PNG or JPEG, not yet decoded; `ValueError` says why, in a few words, where Pillow fails here or in the block.

    The content decides, not the file's name. No other format is tried, because Pillow starts programs for some.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than a photo ever has
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                yield image
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise ValueError("no image in it" if isinstance(error, UnidentifiedImageError) else brief(error)) from None


def read_pixels(data: bytes, where: str, record: Modality, size: int | None = None) -> np.ndarray:
    """The bytes of one image file → its pixels (H, W) or (H, W, 3); `ValueError` if they are not of the record's kind,
    or not of size × size where that is given."""
    modes, most = record.pixels.modes, SIDE
    try:
        with opened_image(io.BytesIO(data)) as image:
            mode, (width, height), pictures = image.mode, image.size, getattr(image, "n_frames", 1)
            fits = (width, height) == (size, size) if size else max(width, height) <= most
            pixels = np.array(image) if fits and mode in modes and pictures == 1 else None  # else not worth its memory
    except ValueError as error:
        raise ValueError(f"{where} is corrupt or cut short ({error}): render or download it again") from None
    if mode not in modes:
        raise ValueError(
            f"{where} holds {mode} pixels, expected {record.pixels.words} for {record.name}: render it again"
        )
    if not fits:
        expected = f"index.json says {size}×{size}" if size else f"no side may have more than {most}"
        raise ValueError(f"{where} is {width}×{height}, but {expected}: render it again")
    if pictures != 1:
        raise ValueError(f"{where} holds {pictures} pictures, expected one: render it again")
    return pixels


def from_pixels(pixels: np.ndarray, record: Modality) -> torch.Tensor:
    """Stored pixels (H, W) or (H, W, 3) → a raw image (channels, H, W)."""
    return record.from_stored(torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1))


def decode(data: bytes, where: str, record: Modality, size: int) -> torch.Tensor:
    """The bytes of one image file → raw (channels, size, size); `ValueError` if it is not what the record expects."""
    raw = from_pixels(read_pixels(data, where, record, size), record)
    if problem := record.problem(raw):
        raise ValueError(f"{where} cannot be used: {problem}")
    return raw


def resize(
    images: dict[str, torch.Tensor], records: Mapping[str, Modality], height: int, width: int
) -> dict[str, torch.Tensor]:
    """Raw images (N, C, H, W) by modality at another size, each as its record says."""
    shape = height, width
    return {
        name: raw if tuple(raw.shape[2:]) == shape else RESAMPLE[records[name].resample](raw, shape)
        for name, raw in images.items()
    }
