"""Image files: read, held against their modality's record, and resized."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..hardware.files import SIDE, brief
from ..modalities import COLOUR_8, GREY_8, Modality

RESAMPLE = {
    "nearest": lambda raw, shape: F.interpolate(raw, shape, mode="nearest-exact"),
    "bilinear": lambda raw, shape: (
        F.interpolate(raw.float(), shape, mode="bilinear", antialias=True).round().clamp(0, 255).to(raw.dtype)
    ),
}
"""Ways to resize raw images (N, C, H, W) to shape (H, W): ids and distances may not be averaged, colours should be."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # JPEG opens MPO, too
LOSSY = ("JPEG", "MPO", "WEBP")


def image_bytes(size: int) -> int:
    """The most that the file of a square image may have: 8 bytes per pixel, and 1 MB for profile and comments."""
    return 8 * size**2 + 2**20


@contextlib.contextmanager
def opened_image(file: io.BytesIO | Path) -> Iterator[Image.Image]:
    """An image, not yet decoded; `ValueError` says why, in a few words, where Pillow fails here or in the block.

    The content decides, not the file's name. No format outside `FORMATS` is tried, because Pillow starts programs for
    some.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than a photo ever has
            Image.init()  # else Pillow knows only some of them
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise ValueError("no image in it" if isinstance(error, UnidentifiedImageError) else brief(error)) from None


def read_pixels(data: bytes, where: str, record: Modality, size: int | None = None) -> np.ndarray:
    """The bytes of one image file → its pixels (H, W) or (H, W, 3), turned upright as its orientation says.

    What can become the record's kind without a choice does. `ValueError` if the pixels are not of that kind, or not of
    size × size where that is given.
    """
    modes = record.pixels.modes
    try:
        with opened_image(io.BytesIO(data)) as image:
            mode, form, pictures = image.mode, image.format, getattr(image, "n_frames", 1)
            width, height = image.size if orientation(image) < 5 else image.size[::-1]
            fits = (width, height) == (size, size) if size else max(width, height) <= SIDE
            fitting = mode in modes or (record.photographic and mode in COLOURED and opaque(image))
            pixels = as_stored(image, record) if fits and fitting else None  # else not worth its memory
    except ValueError as error:
        raise ValueError(f"{where} is corrupt or cut short ({error}): write or download it again") from None
    if form in LOSSY and not record.photographic:
        raise ValueError(
            f"{where} is a {form} file, which changes the numbers of {record.name}: save the original as PNG"
        )
    if not fitting:
        raise ValueError(
            f"{where} holds {mode} pixels, expected {record.pixels.words} for {record.name}: save it as such, or let "
            "`python -m mmlib import` convert it"
        )
    if not fits:
        expected = f"index.json says {size}×{size}" if size else f"no side may have more than {SIDE}"
        raise ValueError(f"{where} is {width}×{height}, but {expected}: let `python -m mmlib import` cut it to size")
    if pictures != 1 and form != "MPO":
        raise ValueError(f"{where} holds {pictures} pictures, expected one: save the right one by itself")
    return pixels


ORIENTATION = 0x0112  # the EXIF tag
COLOURED = ("RGB", "L", "P", "CMYK", "LA", "RGBA")
"""The modes of Pillow that become RGB without a choice, as long as nothing is transparent."""


def orientation(image: Image.Image) -> int:
    """What EXIF says of the way the camera was held, 1 to 8; from 5 on, width and height change places."""
    return image.getexif().get(ORIENTATION, 1)


def opaque(image: Image.Image) -> bool:
    """Whether no pixel is transparent."""
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return "A" not in image.getbands() or image.getchannel("A").getextrema()[0] == 255


def as_stored(image: Image.Image, record: Modality) -> np.ndarray:
    """An opened image, upright, as pixels (H, W) or (H, W, 3) of its record's kind.

    RGB is brought to sRGB where the file has another profile. In a class map with a palette of greys, as optimisers of
    PNG files write it, the greys are the ids; in one with colours, the indices are.
    """
    image = ImageOps.exif_transpose(image)
    if record.pixels is COLOUR_8:
        return np.array(in_srgb(image) if record.photographic else image)
    if record.pixels is GREY_8 and image.mode == "P":
        greys = np.array(image.convert("RGB"))
        if (greys == greys[..., :1]).all():
            return greys[..., 0]
    return np.array(image)


def in_srgb(image: Image.Image) -> Image.Image:
    """An image of any mode in RGB, its colours those of its ICC profile, brought to sRGB."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a damaged profile says nothing
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image.convert("RGB")


def from_pixels(pixels: np.ndarray, record: Modality) -> torch.Tensor:
    """Stored pixels (H, W) or (H, W, 3) → a raw image (channels, H, W)."""
    return record.from_stored(torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1))


def to_pixels(raw: torch.Tensor, record: Modality) -> np.ndarray:
    """A raw image (channels, H, W) → its stored pixels (H, W) or (H, W, 3), the reverse of `from_pixels`."""
    return record.to_stored(raw).permute(1, 2, 0).squeeze(2).numpy().astype(record.pixels.dtype)


def largest(record: Modality) -> float:
    """The largest raw number that a file of this modality can hold."""
    return record.from_stored(torch.tensor(np.iinfo(record.pixels.dtype).max)).item()


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
