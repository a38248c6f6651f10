"""Explorers for a live Jupyter server; without one, each draws a still picture instead."""

import gc
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets
import psutil
import torch
import traitlets

from ..data.photos import decoded_photo
from ..data.sets import Rooms
from ..methods.disturbed import Disturbed
from ..methods.own_images import translate_raw
from ..modalities import MODALITIES
from ..networks import MixAndMatch
from . import plots
from .plots import Picture, label
from .plots.fusion import reads_indices

HEADLESS = ("papermill", "nbconvert", "jupyter-nbconvert", "jupyter-execute", "pytest", "-m mmlib", "-m pytest")


def live() -> bool:
    """Whether a person looks at the notebook: in a Jupyter server, VS Code or Colab.

    A headless run may inherit a server's variables from the notebook that started it; who started the kernel tells.
    """
    if not (
        {"JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"} & {name for name, value in os.environ.items() if value}
    ):
        return False
    words = _started_by()
    names = {Path(word).name for word in words} | {" ".join(pair) for pair in itertools.pairwise(words)}
    return names.isdisjoint(HEADLESS)


def _started_by() -> list[str]:
    """The command that started this kernel."""
    try:
        return psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []


def translation_explorer(model, rooms: Rooms, image: int = 0) -> "ipywidgets.VBox | Picture":
    """Choose source, target and room, disturb the latent, and see the translation.

    Of a network with pooling indices they can be taken away, too. Still: all translations of one room.
    """
    if not live():
        return plots.all_translations(model, rooms.batch([image]))

    def draw(source: str, target: str, room: int, noise: float, indices: bool = True) -> Picture:
        disturbed = Disturbed(model, indices, noise)
        picture = plots.translations(disturbed, rooms.batch([room]), [source], [target])
        taken = "" if indices else ", pooling indices taken away"
        added = f", latent noise {noise:.1f}" if noise else ""
        picture.alt = f"{label(source)} to {label(target)} of {rooms.split} room {room}{taken}{added}"
        return picture

    pooling = any(getattr(part, "side_information", "") == "pooling" for part in model.decoders.values())
    indices = {"indices": ipywidgets.Checkbox(value=True, description="pooling indices")} if pooling else {}
    return _explorer(
        draw,
        source=_modality("source", "depth"),
        target=_modality("target", "segmentation"),
        room=_room(rooms, image),
        noise=_slider("latent noise", 0.0, 2.0, 0.1),
        **indices,
    )


def pooling_explorer(values: torch.Tensor) -> "ipywidgets.VBox | Picture":
    """Change the numbers of a 4 × 4 image, and see pooling, indices and unpooling follow; still: the image given."""
    if not live():
        return plots.pooling(values)
    width = values.shape[1]
    boxes = {
        f"cell{place}": ipywidgets.BoundedIntText(
            value=int(value),
            min=0,
            max=9,
            layout={"width": "60px"},
            tooltip=f"pixel {place}: row {place // width}, column {place % width}",
        )
        for place, value in enumerate(values.flatten())
    }

    def draw(**cells: int) -> Picture:
        return plots.pooling(torch.tensor([float(value) for value in cells.values()]).view(values.shape))

    explorer = _explorer(draw, **boxes)
    grid = ipywidgets.GridBox(list(boxes.values()), layout={"grid_template_columns": f"repeat({width}, 66px)"})
    return ipywidgets.VBox([grid, explorer.children[-1]])


def fusion_explorer(model, rooms: Rooms, image: int = 0) -> "ipywidgets.VBox | Picture":
    """Mix the latent of RGB with that of depth or of segmentation by α; with the pooling indices of either, if any.

    Still: (RGB, depth) → segmentation for four α.
    """
    if not live():
        return plots.fused(model, rooms.batch([image]), "rgb", "depth", "segmentation", (0.0, 0.3, 0.6, 0.9))

    def draw(pair: tuple[str, str], room: int, alpha: float, indices: str = "rgb") -> Picture:
        second, target = pair
        source = "rgb" if indices == "rgb" else second
        return plots.fused(model, rooms.batch([room]), "rgb", second, target, (alpha,), source)

    pairs = [("depth", "segmentation"), ("segmentation", "depth")]
    options = [(f"(RGB, {label(second)}) → {label(target)}", (second, target)) for second, target in pairs]
    controls = {
        "pair": ipywidgets.Dropdown(options=options, description="sources", layout={"width": "340px"}),
        "room": _room(rooms, image),
        "alpha": _slider("α (not RGB)", 0.2, 1.0, 0.05),
    }
    if any(reads_indices(model, target) for _, target in pairs):
        lenders = [("RGB", "rgb"), ("the other", "other")]
        controls["indices"] = ipywidgets.Dropdown(options=lenders, description="indices of")
    return _explorer(draw, **controls)


def domain_explorer(
    model, scenes: Rooms, trained: Callable[[str, str], bool], source: str, image: int = 0
) -> "ipywidgets.VBox | Picture":
    """Choose the source and the target among a network's domains, and a scene, and compare with the truth.

    `trained` says whether training had pairs of two domains. Still: a scene of `source` in the first four others.
    """
    if not live():
        others = [name for name in model.modalities if name != source]
        return plots.recoloured(model, scenes.batch([image]), source, trained, others[:4])

    def draw(source: str, target: str, scene: int) -> Picture:
        return plots.translations(model, scenes.batch([scene]), [source], [target], trained=trained)

    names = [(label(name), name) for name in model.modalities]
    return _explorer(
        draw,
        source=ipywidgets.Dropdown(options=names, value=source, description="source"),
        target=ipywidgets.Dropdown(options=names, value=names[0][1], description="target"),
        scene=ipywidgets.BoundedIntText(value=image, min=0, max=len(scenes) - 1, description="scene"),
    )


def photo_explorer(model: MixAndMatch, photo: torch.Tensor) -> "ipywidgets.VBox | Picture":
    """Choose a photo on your computer, and see what `python -m mmlib translate` makes of it.

    Shown first, and still: `photo`, raw RGB uint8 (3, H, W). A file that cannot be read is answered by a sentence.
    """
    targets = [name for name in model.modalities if name != "rgb"]

    def draw(upload: Sequence[Mapping[str, bytes]] = ()) -> Picture:
        raw = photo
        try:
            for file in upload:
                raw = decoded_photo(file["content"], "the photo")
        except ValueError as error:
            picture = Picture(10, 0.5, str(error))
            picture.text(0.01, 0.5, str(error), va="center")
            return picture
        return plots.sheet([translate_raw(model, raw, "rgb", targets, model.recipe.size)], "rgb", model.records)

    if not live():
        return draw()
    return _explorer(draw, upload=ipywidgets.FileUpload(accept="image/*", description="your photo"))


class _DescribedImage(ipywidgets.Image):
    """An image whose `tooltip` says what it shows; without a `description`, ipywidgets 8.1 fails to show it at all."""

    description = traitlets.Unicode().tag(sync=True)


def _explorer(draw: Callable[..., Picture], **controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """The controls above a picture that `draw` makes again from their values at every change."""
    picture = _DescribedImage(format="png", layout={"align_self": "flex-start", "max_width": "100%"})

    def redraw(_=None) -> None:
        drawn = draw(**{name: control.value for name, control in controls.items()})
        picture.value, picture.tooltip = drawn.png(), drawn.alt

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    gc.collect()
    gc.freeze()  # otherwise Python searches all objects at every seventh picture, and pauses for 150 ms
    return ipywidgets.VBox([ipywidgets.HBox(list(controls.values()), layout={"flex_flow": "row wrap"}), picture])


def _modality(description: str, value: str) -> ipywidgets.Dropdown:
    options = [(label(name), name) for name in MODALITIES]
    return ipywidgets.Dropdown(options=options, value=value, description=description)


def _room(rooms: Rooms, value: int) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(value=value, min=0, max=len(rooms) - 1, description="room", continuous_update=False)


def _slider(description: str, value: float, largest: float, step: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        value=value, min=0, max=largest, step=step, description=description, continuous_update=False
    )
