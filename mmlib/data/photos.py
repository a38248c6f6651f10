"""Images of one's own, as cameras and tools write them: found, and read as raw images of a modality."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ..hardware.files import FILE_BYTES, brief, read_file
from ..modalities import GREY_16, Modality
from .images import from_pixels, in_srgb, opened_image, read_pixels

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".mpo")
SUFFIXES = (*PHOTOS, ".npy")
JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


def junk(path: Path) -> bool:
    """Whether a system or an editor left this file, or a folder above it: hidden ones, `__MACOSX`, `Thumbs.db`."""
    return any(part in JUNK or (part.startswith(".") and part not in (".", "..")) for part in path.parts)


def image_files(place: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The image, or all images in a folder and below it, by name; `ValueError` where there is none."""
    place = Path(place)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such file or folder")
    files = [f for f in place.rglob("*") if f.suffix.lower() in suffixes and not junk(f.relative_to(place))]
    if not files:
        raise ValueError(f"{place} holds no image ({', '.join(suffixes)})")
    return sorted(file for file in files if file.is_file())


def photo(file: str | Path) -> torch.Tensor:
    """A photo of any mode and size as raw RGB, uint8 (3, H, W): upright, in sRGB, the transparent on white.

    Of several pictures in a file, the first. `ValueError` where it cannot be read.
    """
    return decoded_photo(content(file), file)


def decoded_photo(stored: bytes, where: str | Path) -> torch.Tensor:
    """What `photo` makes of a file's bytes; errors call the file `where`."""
    try:
        with opened_image(io.BytesIO(stored)) as image:
            image = ImageOps.exif_transpose(image)
            if "transparency" in image.info or "A" in image.getbands():
                above = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
            elif image.mode.startswith(("I", "F")):
                image = _eight_bits(np.array(image))
            pixels = np.array(in_srgb(image))
    except ValueError as error:
        raise ValueError(f"{where} cannot be read ({error}): copy it again, or save it as JPEG or PNG") from None
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _eight_bits(numbers: np.ndarray) -> Image.Image:
    """16-bit grey in 8 bits."""
    if numbers.dtype.kind == "f" or numbers.max() > 65535 or numbers.min() < 0:
        raise ValueError("its pixels are no brightnesses of 8 or 16 bits")
    return Image.fromarray((numbers // 257).astype(np.uint8))


def read_raw(file: str | Path, record: Modality) -> torch.Tensor:
    """One file as a raw image (C, H, W) of a modality: a photo, class ids, 16-bit millimetres, or `.npy` metres.

    `ValueError` says what is wrong with it.
    """
    if record.photographic:
        return photo(file)
    if Path(file).suffix.lower() == ".npy":
        numbers, metres = array(file), record.pixels is GREY_16
        numbers = np.where(np.isfinite(numbers), numbers, 0) if metres else whole(numbers, file)
        if numbers.min() < 0 or numbers.max() > (65.535 if metres else 255):
            expected = "metres, 0 to 65.5" if metres else "class ids, 0 to 255"
            raise ValueError(f"{file} holds {numbers.min():g} to {numbers.max():g}, expected {expected}")
        raw = (
            torch.from_numpy(numbers.astype(np.float32))[None]
            if metres
            else from_pixels(numbers.astype(np.uint8), record)
        )
    else:
        raw = from_pixels(read_pixels(content(file), str(file), record), record)
    if problem := record.problem(raw) or record.set_problem(raw):
        raise ValueError(f"{file} cannot be used: {problem}")
    return raw


def content(file: str | Path) -> bytes:
    """The bytes of a file; `ValueError` says why there are none."""
    try:
        return read_file(file, FILE_BYTES)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({getattr(error, 'strerror', None) or error})") from None


def array(file: str | Path) -> np.ndarray:
    """The numbers (H, W) of a file of NumPy."""
    stored = content(file)
    try:
        with warnings.catch_warnings(action="ignore"):
            numbers = np.load(io.BytesIO(stored), allow_pickle=False)
        numbers = numbers.squeeze() if numbers.ndim > 2 else numbers
    except Exception as error:  # NumPy parses a header, and raises as many kinds as Python does
        raise ValueError(f"{file} is no array of NumPy ({brief(error)}): save it by numpy.save") from None
    if numbers.ndim != 2 or numbers.dtype.kind not in "buif" or not numbers.size:
        raise ValueError(f"{file} holds {numbers.dtype} of shape {numbers.shape}, expected numbers (H, W)")
    return numbers


def whole(numbers: np.ndarray, file: str | Path) -> np.ndarray:
    """Class ids as int64; `ValueError` where they are no whole numbers."""
    if numbers.dtype.kind == "f" and not ((np.abs(numbers) < 2**31).all() and (numbers == np.round(numbers)).all()):
        raise ValueError(f"{file} holds numbers that are not whole, or beyond all ids, expected class ids")
    return numbers.astype(np.int64)


def garage() -> dict[str, torch.Tensor]:
    """A real photograph with measured depth, raw: RGB (3, 500, 741), and metres along the ray (1, 500, 741), 0 where
    none was measured: `stereo_motorcycle` of scikit-image, whose docstring has the calibration."""
    from skimage.data import stereo_motorcycle

    left, _, disparity = stereo_motorcycle()
    focal, x_centre, y_centre, shift, baseline = 994.978, 311.193, 254.877, 31.086, 0.193001  # pixels; metres
    metres = np.nan_to_num(focal * baseline / (disparity + shift), posinf=0)  # along the camera's axis
    y, x = np.mgrid[: left.shape[0], : left.shape[1]]
    ray = np.sqrt(1 + ((x - x_centre) ** 2 + (y - y_centre) ** 2) / focal**2)
    return {"rgb": torch.from_numpy(left).permute(2, 0, 1), "depth": torch.from_numpy(metres * ray).float()[None]}
