"""Explorers for a live Jupyter server; without one, each draws a still picture instead."""

import gc
import os
from collections.abc import Callable, Mapping

import ipywidgets
import torch
import traitlets

from ..data.sets import Rooms
from ..methods.disturbed import Disturbed
from ..modalities import MODALITIES
from . import plots
from .plots import Picture, label
from .plots.fusion import reads_indices


def live() -> bool:
    """Whether a person uses a Jupyter server (headless runs have no session name)."""
    return bool(os.environ.get("JPY_SESSION_NAME"))


def translation_explorer(model, rooms: Rooms, image: int = 0) -> "ipywidgets.VBox | Picture":
    """Choose source, target and room, take the pooling indices away, disturb the latent, and see the translation.

    Still: all translations of one room.
    """
    if not live():
        return plots.all_translations(model, rooms.batch([image]))

    def draw(source: str, target: str, room: int, indices: bool, noise: float) -> Picture:
        disturbed = Disturbed(model, indices, noise)
        picture = plots.translations(disturbed, rooms.batch([room]), [source], [target])
        taken = "" if indices else ", pooling indices taken away"
        added = f", latent noise {noise:.1f}" if noise else ""
        picture.alt = f"{label(source)} to {label(target)} of {rooms.split} room {room}{taken}{added}"
        return picture

    return _explorer(
        draw,
        source=_modality("source", "depth"),
        target=_modality("target", "segmentation"),
        room=_room(rooms, image),
        indices=ipywidgets.Checkbox(value=True, description="pooling indices"),
        noise=_slider("latent noise", 0.0, 2.0, 0.1),
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

    Still: (RGB, depth) → segmentation for five α.
    """
    if not live():
        return plots.fused(model, rooms.batch([image]), "rgb", "depth", "segmentation", (0.0, 0.2, 0.5, 0.8, 1.0))

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


def curves_explorer(curves: Mapping[str, list[dict]], term: str | None = None) -> "ipywidgets.VBox | Picture":
    """Compare the training curves of finished runs, one loss term at a time; still: `term`, or the first, of all runs.

    `curves`: name → the `curve` of a result in `data/results`.
    """
    terms = list(dict.fromkeys(key for curve in curves.values() for entry in curve for key in entry if "/" in key))
    first = term if term in terms else terms[0]
    if not live():
        return plots.compared_curves(curves, first)

    def draw(term: str, runs: tuple[str, ...], logarithmic: bool) -> Picture:
        return plots.compared_curves({name: curves[name] for name in runs}, term, logarithmic)

    return _explorer(
        draw,
        term=ipywidgets.Dropdown(options=terms, value=first, description="term"),
        runs=ipywidgets.SelectMultiple(options=list(curves), value=list(curves), description="runs"),
        logarithmic=ipywidgets.Checkbox(value=True, description="logarithmic"),
    )


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
