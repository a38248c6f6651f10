"""The explorers: a still twin where nobody sits before a server, else a picture that follows every control, soon."""

import datetime
import io
import statistics
import time

import ipywidgets
import pytest
import torch
from PIL import Image

from mmlib import MixAndMatch, Triplets, preset
from mmlib.course import plots, widgets
from mmlib.methods.own_images import translate_raw

IMAGE = torch.tensor([[1, 2, 0, 5], [3, 9, 4, 1], [7, 0, 2, 3], [6, 1, 8, 0]])
EXPLORERS = {
    "translation": widgets.translation_explorer,
    "pooling": lambda model, rooms: widgets.pooling_explorer(IMAGE),
    "fusion": widgets.fusion_explorer,
}


@pytest.fixture
def live(monkeypatch):
    """A person sits before a Jupyter server."""
    monkeypatch.setenv("JPY_SESSION_NAME", "a notebook")
    monkeypatch.setattr(widgets, "_started_by", lambda: ["python", "-m", "jupyter", "lab", "/home/me/mmlib"])


def parts(box: ipywidgets.VBox) -> tuple[list[ipywidgets.Widget], ipywidgets.Image]:
    """An explorer's controls and its picture."""
    controls, picture = box.children
    assert isinstance(picture, ipywidgets.Image) and bytes(picture.value).startswith(b"\x89PNG") and picture.tooltip
    return list(controls.children), picture


@pytest.mark.parametrize("name", EXPLORERS)
def test_an_explorer_is_still_without_a_live_server(name, model, rooms, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    still = EXPLORERS[name](model, rooms)
    assert isinstance(still, plots.Picture) and still.alt


@pytest.mark.parametrize("command", ["/venv/bin/python /venv/bin/papermill a.ipynb b.ipynb", "python -m mmlib execute"])
def test_a_headless_run_that_a_notebook_started_is_still(live, monkeypatch, command):
    assert widgets.live()
    monkeypatch.setattr(widgets, "_started_by", command.split)
    assert not widgets.live()


def test_the_translation_explorer_follows_every_control(live, model, rooms):
    (source, target, room, noise, indices), picture = parts(widgets.translation_explorer(model, rooms))
    assert room.max == 5 and (source.value, target.value) == ("depth", "segmentation")
    seen = [bytes(picture.value)]
    for control, value in ((indices, False), (noise, 1.5), (target, "depth"), (source, "rgb"), (room, 3)):
        control.value = value
        seen.append(bytes(picture.value))
    assert len(set(seen)) == 6
    assert picture.tooltip.startswith("RGB to depth of ")
    assert picture.tooltip.endswith(" room 3, pooling indices taken away, latent noise 1.5")
    for control, value in ((room, 0), (source, "depth"), (target, "segmentation"), (noise, 0.0), (indices, True)):
        control.value = value
    assert bytes(picture.value) == seen[0], "the same values, another picture"


def test_the_pooling_explorer_follows_every_number(live):
    boxes, picture = parts(widgets.pooling_explorer(IMAGE))
    assert [box.value for box in boxes] == IMAGE.flatten().tolist()
    assert boxes[6].tooltip == "pixel 6: row 1, column 2"
    assert "their indices: [[5, 3], [8, 14]]" in picture.tooltip
    before = bytes(picture.value)
    boxes[2].value = 9  # the upper right window's new maximum
    assert bytes(picture.value) != before and "their indices: [[5, 2], [8, 14]]" in picture.tooltip


def test_the_fusion_explorer_follows_every_control(live, model, rooms):
    controls, picture = parts(widgets.fusion_explorer(model, rooms))
    for control in controls:
        before = bytes(picture.value)
        change(control)
        assert bytes(picture.value) != before, control


def test_the_fusion_explorer_asks_for_indices_only_where_a_decoder_reads_them(live, rooms):
    model = MixAndMatch.from_recipe(preset("smoke", side_information="none")).eval()
    controls, picture = parts(widgets.fusion_explorer(model, rooms))
    assert [control.description for control in controls] == ["sources", "room", "α (not RGB)"]
    assert "indices" not in picture.tooltip


def change(control: ipywidgets.Widget) -> None:
    """Give a control a value that it does not have now."""
    if isinstance(control, ipywidgets.Dropdown):
        control.index = (control.index + 1) % len(control.options)
    elif isinstance(control, ipywidgets.Checkbox):
        control.value = not control.value
    else:
        control.value = control.max if control.value != control.max else control.min


@pytest.mark.parametrize("name", EXPLORERS)
def test_an_explorer_answers_within_a_second(name, live, rooms_dir):
    """On two idle cores it takes less than 200 ms; the bound is generous because other work may go on beside."""
    recipe = preset("course")
    model, rooms = MixAndMatch.from_recipe(recipe).eval(), Triplets(rooms_dir, recipe.size)
    controls, _ = parts(EXPLORERS[name](model, rooms))
    seconds = []
    for control in controls[:5] * 2:
        start = time.perf_counter()
        change(control)
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 1.0, seconds


def test_a_photo_is_uploaded_and_translated_as_the_command_does(live, monkeypatch):
    model = MixAndMatch.from_recipe(preset("smoke")).eval()
    model.recipe = preset("smoke")
    photo = torch.randint(0, 255, (3, 40, 70), dtype=torch.uint8)
    (upload,), picture = parts(widgets.photo_explorer(model, photo))
    first = bytes(picture.value)
    file = io.BytesIO()
    Image.fromarray((255 - photo).permute(1, 2, 0).numpy()).save(file, "PNG")
    entry = {"name": "mine.png", "type": "image/png", "last_modified": datetime.datetime.now(datetime.UTC)}
    upload.value = ({**entry, "size": len(file.getvalue()), "content": file.getvalue()},)
    second = bytes(picture.value)
    made = translate_raw(model, 255 - photo, "rgb", ["depth", "segmentation"], model.recipe.size)
    assert second == plots.sheet([made], "rgb", model.records).png() != first
    upload.value = ({**entry, "size": 3, "content": b"bad"},)
    assert picture.tooltip.startswith("the photo cannot be read (") and "tmp" not in picture.tooltip
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert widgets.photo_explorer(model, photo).png() == first
