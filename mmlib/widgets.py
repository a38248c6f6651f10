"""Widgets for a live Jupyter server; where there is none, each draws its still twin instead."""

import os

import ipywidgets

from .data import Rooms
from .modalities import MODALITIES
from .plots import Picture, all_translations, label, translations


def live() -> bool:
    """Whether a person sits before a Jupyter server (headless runs have no session name)."""
    return bool(os.environ.get("JPY_SESSION_NAME"))


def translation_explorer(model, rooms: Rooms, image: int = 0) -> "ipywidgets.VBox | Picture":
    """Choose source, target and room, and see the translation beside the truth; still: all translations of one room."""
    if not live():
        return all_translations(model, rooms.batch([image]))
    names = [(label(name), name) for name in MODALITIES]
    source = ipywidgets.Dropdown(options=names, value="depth", description="source")
    target = ipywidgets.Dropdown(options=names, value="segmentation", description="target")
    slider = ipywidgets.IntSlider(value=image, min=0, max=len(rooms) - 1, description="room", continuous_update=False)
    picture = ipywidgets.Image(format="png")

    def draw(_=None) -> None:
        picture.value = translations(model, rooms.batch([slider.value]), [source.value], [target.value]).png()
        picture.alt = f"{label(source.value)} to {label(target.value)} of test room {slider.value}"

    for control in (source, target, slider):
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([source, target, slider]), picture])
