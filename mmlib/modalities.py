"""The modality table: one frozen record for each kind of image that a network may read or write.

Three forms of an image appear in this library:

* *stored*: the pixels of a file (JPEG bytes, millimetres, class ids), known to `mmlib.data` alone;
* *raw*: what a person means by them: RGB `uint8` 0–255 (N, 3, H, W), depth `float32` metres (N, 1, H, W) with
  0 = no hit, segmentation `int64` class ids (N, 1, H, W) with 0 = Unknown;
* *network*: the `float32` tensors that encoders read (`to_input`) and decoders write (`to_raw` goes back).

A new modality is one more record: `segmentation` makes that of a class map, `numbers` that of one number per pixel.
Data sets and networks hold the records of their modalities, by name (`records`).
"""

import colorsys
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from . import losses, metrics

CLASSES = (
    "Unknown", "Bed", "Books", "Ceiling", "Chair", "Floor", "Furniture",
    "Objects", "Picture", "Sofa", "Table", "TV", "Wall", "Window",
)  # fmt: skip
"""SceneNet RGB-D's 13 classes in its order, after 0 = Unknown."""

CLASS_COLOURS = (
    (0, 0, 0), (0, 0, 255), (233, 89, 48), (0, 218, 0), (149, 0, 240), (222, 241, 24), (255, 206, 206),
    (0, 224, 229), (106, 136, 204), (117, 29, 41), (240, 35, 235), (0, 167, 156), (249, 139, 0), (225, 229, 194),
)  # fmt: skip
"""SceneNet RGB-D's display colours, RGB 0–255, one row per class."""

NO_TARGET = 0.6
"""The grey, 0–1, in which pixels without a target are drawn."""


@dataclass(frozen=True)
class Pixels:
    """How an image file stores its pixels: in words, as Pillow calls them (`modes`), and the type of their numbers."""

    words: str
    modes: tuple[str, ...]
    dtype: type


COLOUR_8 = Pixels("8-bit colour", ("RGB",), np.uint8)
GREY_8 = Pixels("8-bit grey", ("L", "P"), np.uint8)
GREY_16 = Pixels("16-bit grey", ("I;16", "I"), np.uint16)


@dataclass(frozen=True)
class Modality:
    """What the library needs to know about one modality.

    `to_input(raw)` → float32 (N, channels, H, W); `to_raw(output)` goes back; `valid(raw)` → bool (N, 1, H, W), the
    pixels that count in losses and metrics. `loss` is of `mmlib.losses`, `metric()` a new accumulator of
    `mmlib.metrics`, `weight(phase)` the λ of its loss terms. `colours(raw, largest)` draws one raw image (C, H, W) as
    (H, W, 3) in 0–1; a map of numbers has the end of the scale at `largest`. `letter` is the paper's: R, S, D.
    `classes` are the names of class ids, Unknown first. `soft_target` makes a teacher's output a target for
    pseudo-pairs. `resample` is how its pixels may be interpolated, `mirrored(raw)` what else a mirror does to them,
    besides moving them, and `zoomed(raw, share)` what else it does to show a share (N, 1, 1, 1) of the image's side as
    all of it. Files lie in `folder` and end in `suffix`. `from_stored` turns stored pixels (channels, H, W) into raw
    ones, which a batch holds as `raw_dtype`, and `to_stored` goes back where it can; of `photographic` images a grey or
    CMYK file may become RGB; `problem(raw)` says what is wrong with a raw image, `set_problem(raw)` with all of a set.
    """

    name: str
    letter: str
    channels: int
    folder: str
    to_input: Callable[[torch.Tensor], torch.Tensor]
    to_raw: Callable[[torch.Tensor], torch.Tensor]
    loss: Callable[..., torch.Tensor]
    metric: Callable[[], metrics.Metric]
    weight: Callable[[Any], float]
    colours: Callable[[torch.Tensor, float], np.ndarray]
    valid: Callable[[torch.Tensor], torch.Tensor] = lambda raw: torch.ones_like(raw[:, :1], dtype=torch.bool)
    suffix: str = ".png"
    resample: str = "nearest"
    classes: tuple[str, ...] = ()
    decoder_uses_side_information: bool = True
    encoder_batch_norm: bool = True
    soft_target: Callable[[torch.Tensor], torch.Tensor] = lambda output: output
    pixels: Pixels = GREY_8
    from_stored: Callable[[torch.Tensor], torch.Tensor] = lambda pixels: pixels
    to_stored: Callable[[torch.Tensor], torch.Tensor] = lambda raw: raw
    raw_dtype: torch.dtype = torch.uint8
    photographic: bool = False
    problem: Callable[[torch.Tensor], str | None] = lambda raw: None
    set_problem: Callable[[torch.Tensor], str | None] = lambda raw: None
    mirrored: Callable[[torch.Tensor], torch.Tensor] = lambda raw: raw
    zoomed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda raw, share: raw

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        """A library's record travels between processes as its name, because functions without a name cannot travel."""
        make, given = (classified, (self.name, self.classes)) if self.name in KNOWN else (domain, (self.name,))
        return (make, given) if make(*given) is self else super().__reduce_ex__(protocol)


def named(*records: Modality) -> dict[str, Modality]:
    """Records by their names, in order."""
    return {record.name: record for record in records}


RGB = Modality(
    name="rgb",
    letter="R",
    channels=3,
    folder="photo",
    suffix=".jpg",
    to_input=lambda raw: raw.float() / 127.5 - 1.0,
    to_raw=lambda output: ((output.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8),
    loss=losses.l2,
    metric=metrics.RGBMetrics,
    weight=lambda phase: phase.lambda_rgb,
    colours=lambda raw, largest: raw.permute(1, 2, 0).numpy() / 255,
    resample="bilinear",
    decoder_uses_side_information=False,  # the paper's footnote 4: indices leave grid-like artefacts in RGB
    encoder_batch_norm=False,  # so that VGG-16's weights fit (appendix A); recipes that train from scratch turn it on
    pixels=COLOUR_8,
    photographic=True,
)


def segmentation(
    name: str, letter: str, folder: str, classes: Sequence[str], colours: Sequence[tuple[int, int, int]]
) -> Modality:
    """The record of a segmentation into these classes, Unknown first, drawn in as many colours, RGB 0–255."""
    last = len(classes) - 1
    if len(colours) != len(classes):
        raise ValueError(f"{name}: {len(classes)} classes have {len(colours)} colours; give one to each, Unknown too")

    def problem(ids: torch.Tensor) -> str | None:
        largest = int(ids.max())
        return f"it holds class {largest}, expected 0 (Unknown) to {last} ({classes[last]})" if largest > last else None

    return Modality(
        name=name,
        letter=letter,
        channels=len(classes),
        folder=folder,
        to_input=lambda ids: F.one_hot(ids[:, 0].long(), len(classes)).movedim(-1, 1).float(),
        to_raw=lambda output: output[:, 1:].argmax(1, keepdim=True) + 1,  # never predicts Unknown: it is no class
        valid=lambda ids: ids > 0,
        loss=losses.cross_entropy,
        metric=lambda: metrics.SegmentationMetrics(classes),
        weight=lambda phase: phase.lambda_segmentation,
        colours=lambda ids, largest: np.array(colours)[ids[0].long().numpy()] / 255,
        classes=tuple(classes),
        soft_target=lambda output: output.softmax(1),
        raw_dtype=torch.int64,  # kept in memory as the stored uint8
        problem=problem,
    )


def numbers(name: str, letter: str, folder: str, largest: float) -> Modality:
    """The record of one number per pixel, float32 from 0 to `largest`: a height, a temperature, a grey level.

    All pixels count. Files are 16-bit grey, in which white is `largest`.
    """

    def problem(raw: torch.Tensor) -> str | None:
        low, high = raw.min().item(), raw.max().item()
        return None if 0 <= low <= high <= largest else f"it holds {low:g} to {high:g}, expected 0 to {largest:g}"

    return Modality(
        name=name,
        letter=letter,
        channels=1,
        folder=folder,
        to_input=lambda raw: raw.float() * (2 / largest) - 1,
        to_raw=lambda output: ((output.float() + 1) * (largest / 2)).clamp(0, largest),
        loss=losses.l2,
        metric=metrics.NumberMetrics,
        weight=lambda phase: phase.lambda_depth,
        colours=lambda raw, end: _viridis(raw, largest),
        pixels=GREY_16,
        from_stored=lambda pixels: pixels.float() * (largest / 65535),
        to_stored=lambda raw: (raw * (65535 / largest)).round(),
        raw_dtype=torch.float32,
        problem=problem,
    )


def _viridis(raw: torch.Tensor, largest: float) -> np.ndarray:
    from matplotlib import colormaps  # noqa: PLC0415 - only pictures need it

    return colormaps["viridis"](raw[0].numpy() / largest)[..., :3]


def _depth_problem(metres: torch.Tensor, least: float = 0.5, most: float = 15.0) -> str | None:
    hits = metres[metres > 0]
    if len(hits) == 0:
        return "its depth is zero everywhere (no ray hit anything)"
    if least <= (median := hits.median().item()) <= most:
        return None
    unit = "metres" if median < 0.05 else "centimetres" if median < 0.5 else "tenths of a millimetre"
    return f"its depth looks like {unit}, expected millimetres (median {1000 * median:.0f}, a room's is 500 to 15000)"


DEPTH = dataclasses.replace(
    numbers("depth", "D", "depth", largest=65.535),
    to_input=lambda metres: (metres.float() - 3.0) / 2.0,  # of a furnished room: mean about 0, spread about one half
    to_raw=lambda output: (output.float() * 2.0 + 3.0).clamp_min(0.0),
    valid=lambda raw: raw > 0,
    loss=losses.berhu,
    metric=metrics.DepthMetrics,
    colours=lambda metres, far: np.where(metres.permute(1, 2, 0).numpy() > 0, _viridis(metres, far), NO_TARGET),
    from_stored=lambda millimetres: millimetres.float() / 1000.0,
    to_stored=lambda metres: (metres * 1000.0).round(),
    zoomed=lambda metres, share: metres * share,
    problem=lambda metres: _depth_problem(metres, 0.05, 66.0),  # one image may be a close-up, or a street
    set_problem=_depth_problem,
)

SEGMENTATION = segmentation("segmentation", "S", "semantic_class", CLASSES, CLASS_COLOURS)

MODALITIES = named(RGB, DEPTH, SEGMENTATION)
"""The paper's modalities, in the order of its networks."""


def _unit(pixels: torch.Tensor) -> torch.Tensor:
    """Stored normals (3, H, W), 0–255 → unit vectors float32; black, where nothing was hit, → 0."""
    vectors = F.normalize(pixels.float() / 127.5 - 1.0, dim=0)
    return torch.where((pixels == 0).all(0), 0.0, vectors)


def _vector_colours(raw: torch.Tensor, largest: float) -> np.ndarray:
    """−1 to 1 as 0 to 1; no hit is grey."""
    valid = NORMALS.valid(raw[None])[0].permute(1, 2, 0).numpy()
    return np.where(valid, (raw.permute(1, 2, 0).numpy() + 1) / 2, NO_TARGET)


NORMALS = Modality(
    name="normals",
    letter="N",
    channels=3,
    folder="normals",
    to_input=lambda raw: raw.float(),  # unit vectors of the camera: x right, y up, z towards it
    to_raw=lambda output: F.normalize(output.float(), dim=1),
    valid=lambda raw: raw.square().sum(1, keepdim=True) > 0.25,
    loss=losses.cosine,
    metric=metrics.NormalsMetrics,
    weight=lambda phase: 10.0,
    colours=_vector_colours,
    soft_target=lambda output: F.normalize(output, dim=1),
    pixels=COLOUR_8,
    from_stored=_unit,
    raw_dtype=torch.float32,
    mirrored=lambda raw: raw * raw.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1),
)

ALBEDO = dataclasses.replace(
    RGB, name="albedo", letter="A", folder="albedo", weight=lambda phase: 10.0, decoder_uses_side_information=True,
    encoder_batch_norm=True,
)  # fmt: skip
"""The colours of things without light and shadow: reflectance in sRGB, 0–255."""

KNOWN = MODALITIES | named(NORMALS, ALBEDO)
"""The library's records by name."""


@functools.cache
def classified(name: str, classes: tuple[str, ...]) -> Modality:
    """The library's record of this name, a segmentation of one's own classes, Unknown first, far apart in colour."""
    known = KNOWN[name]
    if classes == known.classes:
        return known
    bright = (colorsys.hsv_to_rgb(0.618 * k % 1, 1 - 0.4 * (k % 2), 1 - 0.3 * (k % 3)) for k in range(1, len(classes)))
    hues = [(0, 0, 0), *((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in bright)]
    return segmentation(name, known.letter, known.folder, classes, hues)


def own_classes(records: Iterable[Modality]) -> dict[str, list[str]]:
    """The class names of those segmentations that are not into the library's classes: what files say of them."""
    return {r.name: list(r.classes) for r in records if r.classes and r.name in KNOWN and KNOWN[r.name] is not r}


@functools.cache
def domain(name: str) -> Modality:
    """The record of a domain (section 5.5): RGB under another name."""
    return dataclasses.replace(RGB, name=name, letter=name, folder=name)


def modality(name: str, records: Iterable[Modality] = ()) -> Modality:
    """The record of a name, among `records` or else the library's; `ValueError` names the known ones."""
    known = KNOWN | named(*records)
    if name not in known:
        raise ValueError(f"unknown modality {name!r}: known are {', '.join(known)}")
    return known[name]
