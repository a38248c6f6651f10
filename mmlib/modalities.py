"""The modality table: one frozen record for each kind of image that a network may read or write.

Three forms of an image appear in this library:

* *stored*: the pixels of a file (JPEG bytes, millimetres, class ids), known to `mmlib.data` alone;
* *raw*: what a person means by them: RGB `uint8` 0–255 (N, 3, H, W), depth `float32` metres (N, 1, H, W) with
  0 = no hit, segmentation `int64` class ids (N, 1, H, W) with 0 = Unknown;
* *network*: the `float32` tensors that encoders read (`to_input`) and decoders write (`to_raw` goes back).

A new modality is one more record, which `register` makes known.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

CLASSES = (
    "Unknown", "Bed", "Books", "Ceiling", "Chair", "Floor", "Furniture",
    "Objects", "Picture", "Sofa", "Table", "TV", "Wall", "Window",
)  # fmt: skip
"""SceneNet RGB-D's 13 classes in its order, after 0 = Unknown."""

CLASS_COLOURS = (
    (0, 0, 0), (0, 0, 255), (233, 89, 48), (0, 218, 0), (149, 0, 240), (222, 241, 24), (255, 206, 206),
    (0, 224, 229), (106, 136, 204), (117, 29, 41), (240, 35, 235), (0, 167, 156), (249, 139, 0), (225, 229, 194),
)  # fmt: skip
"""SceneNet RGB-D's display colours, RGB 0–255, a row a class."""

DEPTH_CENTRE, DEPTH_SCALE = 3.0, 2.0
"""Metres: depth enters the networks as (metres − 3) / 2, about zero mean, a spread of one half in a furnished room."""


@dataclass(frozen=True)
class Modality:
    """What the library needs to know about one modality.

    `to_input(raw)` → float32 (N, channels, H, W); `to_raw(output)` goes back; `valid(raw)` → bool (N, 1, H, W), the
    pixels that count in losses and metrics. `loss` names an entry of `mmlib.losses.LOSSES`, `metric` one of
    `mmlib.metrics.METRICS`, `loss_weight` a λ of `mmlib.recipes.Phase`, or is its own. `letter` is the paper's: R,
    S, D. `soft_target` makes a teacher's output a target for pseudo-pairs. `resample` is how its pixels may be
    interpolated, `mirrored(raw)` what else a mirror does to them, besides moving them, and `zoomed(raw, share)` what
    else it does to show a share (N, 1, 1, 1) of the image's side as all of it. `pixels` names an entry of
    `mmlib.data.images.PIXEL_MODES`; `from_stored` turns stored pixels (channels, H, W) into raw ones, which a batch
    holds as `raw_dtype`, and `to_stored` goes back where it can; `problem(raw)` says what is wrong with one raw image,
    or returns None.
    """

    name: str
    letter: str
    channels: int
    folder: str
    suffix: str
    to_input: Callable[[torch.Tensor], torch.Tensor]
    to_raw: Callable[[torch.Tensor], torch.Tensor]
    valid: Callable[[torch.Tensor], torch.Tensor]
    loss: str
    metric: str
    loss_weight: str | float
    resample: str
    decoder_uses_side_information: bool = True
    encoder_batch_norm: bool = True
    soft_target: Callable[[torch.Tensor], torch.Tensor] = lambda output: output
    pixels: str = "8-bit grey"
    from_stored: Callable[[torch.Tensor], torch.Tensor] = lambda pixels: pixels
    to_stored: Callable[[torch.Tensor], torch.Tensor] = lambda raw: raw
    raw_dtype: torch.dtype = torch.uint8
    problem: Callable[[torch.Tensor], str | None] = lambda raw: None
    mirrored: Callable[[torch.Tensor], torch.Tensor] = lambda raw: raw
    zoomed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda raw, share: raw


def _everywhere(raw: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(raw[:, :1], dtype=torch.bool)


def _one_hot(classes: torch.Tensor) -> torch.Tensor:
    """Class ids (N, 1, H, W) → one-hot float32 (N, 14, H, W)."""
    return F.one_hot(classes[:, 0].long(), len(CLASSES)).movedim(-1, 1).float()


def _depth_problem(metres: torch.Tensor) -> str | None:
    hits = metres[metres > 0]
    if len(hits) == 0:
        return "its depth is zero everywhere (no ray hit anything)"
    median = hits.median().item()
    if 0.5 <= median <= 15:
        return None
    unit = "metres" if median < 0.05 else "centimetres" if median < 0.5 else "tenths of a millimetre"
    stored = f"the median pixel stores {1000 * median:.0f}, a room's 500 to 15000"
    return f"its depth looks like {unit}, expected millimetres ({stored})"


def _class_problem(classes: torch.Tensor) -> str | None:
    largest = int(classes.max())
    last = len(CLASSES) - 1
    return f"it holds class {largest}, expected 0 (Unknown) to {last} ({CLASSES[last]})" if largest > last else None


def _unit(pixels: torch.Tensor) -> torch.Tensor:
    """Stored normals (3, H, W), 0–255 → unit vectors float32; black, where nothing was hit, → 0."""
    vectors = F.normalize(pixels.float() / 127.5 - 1.0, dim=0)
    return torch.where((pixels == 0).all(0), 0.0, vectors)


RGB = Modality(
    name="rgb",
    letter="R",
    channels=3,
    folder="photo",
    suffix=".jpg",
    to_input=lambda raw: raw.float() / 127.5 - 1.0,
    to_raw=lambda output: ((output.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8),
    valid=_everywhere,
    loss="l2",
    metric="rgb",
    loss_weight="lambda_rgb",
    resample="bilinear",
    decoder_uses_side_information=False,  # the paper's footnote 4: indices leave grid-like artefacts in RGB
    encoder_batch_norm=False,  # so that VGG-16's weights fit (appendix A); recipes that train from scratch turn it on
    pixels="8-bit colour",
)

DEPTH = Modality(
    name="depth",
    letter="D",
    channels=1,
    folder="depth",
    suffix=".png",
    to_input=lambda raw: (raw.float() - DEPTH_CENTRE) / DEPTH_SCALE,
    to_raw=lambda output: (output.float() * DEPTH_SCALE + DEPTH_CENTRE).clamp_min(0.0),
    valid=lambda raw: raw > 0,
    loss="berhu",
    metric="depth",
    loss_weight="lambda_depth",
    resample="nearest",
    pixels="16-bit grey",
    from_stored=lambda millimetres: millimetres.float() / 1000.0,
    to_stored=lambda metres: (metres * 1000.0).round(),
    zoomed=lambda metres, share: metres * share,
    raw_dtype=torch.float32,
    problem=_depth_problem,
)

SEGMENTATION = Modality(
    name="segmentation",
    letter="S",
    channels=len(CLASSES),
    folder="semantic_class",
    suffix=".png",
    to_input=_one_hot,
    to_raw=lambda output: output[:, 1:].argmax(1, keepdim=True) + 1,  # never predicts Unknown: it is no class
    valid=lambda raw: raw > 0,
    loss="cross_entropy",
    metric="segmentation",
    soft_target=lambda output: output.softmax(1),
    loss_weight="lambda_segmentation",
    resample="nearest",
    raw_dtype=torch.int64,  # kept in memory as the stored uint8
    problem=_class_problem,
)

MODALITIES = {record.name: record for record in (RGB, DEPTH, SEGMENTATION)}
"""The paper's modalities, in the order of its networks."""

NORMALS = Modality(
    name="normals",
    letter="N",
    channels=3,
    folder="normals",
    suffix=".png",
    to_input=lambda raw: raw.float(),  # unit vectors of the camera: x right, y up, z towards it
    to_raw=lambda output: F.normalize(output.float(), dim=1),
    valid=lambda raw: raw.square().sum(1, keepdim=True) > 0.25,
    loss="cosine",
    soft_target=lambda output: F.normalize(output, dim=1),
    metric="normals",
    loss_weight=10.0,
    resample="nearest",
    pixels="8-bit colour",
    from_stored=_unit,
    raw_dtype=torch.float32,
    mirrored=lambda raw: raw * raw.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1),
)

ALBEDO = dataclasses.replace(
    RGB, name="albedo", letter="A", folder="albedo", loss_weight=10.0, decoder_uses_side_information=True,
    encoder_batch_norm=True,
)  # fmt: skip
"""The colours of things without light and shadow: reflectance in sRGB, 0–255."""

_OTHERS = {record.name: record for record in (NORMALS, ALBEDO)}


def register(record: Modality) -> Modality:
    """Make a modality of your own known by its name; `ValueError` where one of another making has that name."""
    if known_modalities().get(record.name, record) != record:
        raise ValueError(f"modality {record.name!r} is known already, as something else: choose another name")
    _OTHERS[record.name] = record
    return record


@contextlib.contextmanager
def forgotten_on_failure() -> Iterator[None]:
    """Modalities that are registered in the block are known no more where it fails."""
    before = dict(_OTHERS)
    try:
        yield
    except BaseException:
        _OTHERS.clear()
        _OTHERS.update(before)
        raise


def known_modalities() -> dict[str, Modality]:
    """All records by name: the paper's, those of `07_many_domains`, and the registered."""
    return MODALITIES | _OTHERS


def modality(name: str) -> Modality:
    """The record of a modality by its name; `ValueError` names the known ones."""
    if name not in known_modalities():
        raise ValueError(f"unknown modality {name!r}: known are {', '.join(known_modalities())}")
    return known_modalities()[name]
