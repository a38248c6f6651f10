"""Translate images of one's own, of any size and shape, by a trained network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..data.images import largest, resize, to_pixels
from ..data.photos import read_raw
from ..hardware.files import SIDE, written_whole
from ..modalities import GREY_8, GREY_16, Modality
from ..networks import Translator


@torch.inference_mode()
def translate_raw(
    model: Translator, raw: torch.Tensor, source: str, targets: Sequence[str], size: int
) -> dict[str, torch.Tensor]:
    """A raw image (C, H, W) of `source` and its translations, all raw, with a shorter side of `size` pixels.

    The image is padded to the network's stride with its last pixels, and the answers are cut back. `ValueError` for a
    modality that the network does not know, and for an image that is too long.
    """
    for name in (source, *targets):
        model.check(name)
    record, (height, width) = model.records[source], raw.shape[1:]
    share = size / min(height, width)
    height, width = max(size, round(share * height)), max(size, round(share * width))
    if max(height, width) > SIDE:
        raise ValueError(
            f"it would be {width}×{height}, and no side may have more than {SIDE} pixels: cut it to a part"
        )
    raw = resize({source: raw[None]}, model.records, height, width)[source]
    device = next(model.parameters()).device
    beyond = (0, -width % model.stride, 0, -height % model.stride)
    encoding = model.encode(F.pad(record.to_input(raw.to(device)), beyond, mode="replicate"), source)
    made = {name: model.records[name].to_raw(model.decode(encoding, name)).cpu() for name in targets}
    return {source: raw[0]} | {name: image[0, :, :height, :width] for name, image in made.items() if name != source}


def translate_file(
    model: Translator, file: Path, source: str, targets: Sequence[str], size: int, stem: Path
) -> dict[str, torch.Tensor]:
    """Translate one file, and write each answer beside `stem`: `_depth.png` in millimetres, `_segmentation.png` with
    class ids, `_rgb.png`, and a picture in colours of what the eye cannot read. Returns what `translate_raw` does."""
    try:
        made = translate_raw(model, read_raw(file, model.records[source]), source, targets, size)
    except ValueError as error:
        raise ValueError(f"{file}: {error}" if str(file) not in str(error) else str(error)) from None
    for name in targets:
        if name != source:
            for suffix, picture in _pictures(made[name], model.records[name]).items():
                path = stem.with_name(f"{stem.name}_{name}{suffix}.png")
                with written_whole(path) as stream:
                    picture.save(stream, "PNG")
    return made


def _pictures(raw: torch.Tensor, record: Modality) -> dict[str, Image.Image]:
    """A raw image as it is stored, and in colours where it is stored as numbers."""
    farthest = raw.max().item() if record.pixels is GREY_16 else 1.0
    colours = Image.fromarray((255 * record.colours(raw, farthest)).round().astype(np.uint8))
    if record.pixels not in (GREY_8, GREY_16):
        return {"": colours}
    return {"": Image.fromarray(to_pixels(raw.clamp(0, largest(record)), record)), "_colours": colours}
