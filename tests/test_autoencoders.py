"""The plots of notebook 01 draw what they are given and say it in words."""

import torch

from mmlib import MixAndMatch, Triplets, preset
from mmlib.course import plots


def test_functions_are_a_panel_each_with_a_line_each():
    x = torch.linspace(-1, 1, 11, requires_grad=True)
    figure = plots.functions(x, {"loss": {"|e|": x.abs(), "e²": x**2}, "slope": {"one": x}}, "error in metres")
    assert [axis.get_title() for axis in figure.axes] == ["loss", "slope"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 1]
    assert all(axis.get_xlabel() == "error in metres" for axis in figure.axes)
    assert len({line.get_linestyle() for line in figure.axes[0].lines}) == 2, "a second sign beside colour"
    assert figure.alt.startswith("loss over error in metres: |e|, e²") and figure.png()


def test_latent_channels_are_a_row_an_encoder():
    figure = plots.latent_channels({"rgb": torch.rand(3, 6, 6), "depth": torch.zeros(9, 6, 6)}, 4)
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == ["RGB", "depth"]
    assert sum(len(axis.images) for axis in figure.axes) == 3 + 4 and figure.png()
    assert [axis.get_title() for axis in figure.axes[:3]] == ["channel 0", "channel 1", "channel 2"]


def test_all_translations_mark_what_was_trained(rooms_dir):
    model = MixAndMatch.from_recipe(preset("smoke")).eval()
    figure = plots.all_translations(model, Triplets(rooms_dir).batch([0]), lambda source, target: source == target)
    titles = [axis.get_title() for axis in figure.axes if "→" in axis.get_title()]
    assert sum("zero-pair" in title for title in titles) == 6
