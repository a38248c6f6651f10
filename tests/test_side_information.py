"""What is measured and drawn of pooling indices and skip features, on numbers small enough to check by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from mmlib import MODALITIES, MixAndMatch, preset
from mmlib.alignment import index_agreement
from mmlib.blocks import pool
from mmlib.course import plots, widgets
from mmlib.methods.disturbed import Disturbed

PNG = b"\x89PNG"


def stage(*images) -> SimpleNamespace:
    """An encoding of one stage with one channel: a room an image."""
    pooled, indices = pool(torch.tensor(images, dtype=torch.float32)[:, None])
    return SimpleNamespace(pooled=(pooled,), indices=(indices,))


def test_index_agreement_by_hand():
    first = stage([[9, 0, 0, 0], [0, 0, 0, 0]], [[0, 1, 0, 0], [0, 0, 0, 2]])  # indices 0, 2 and 1, 7
    second = stage([[5, 0, 0, 3], [0, 0, 0, 0]], [[0, 4, 0, 0], [0, 0, 0, 1]])  # indices 0, 3 and 1, 7
    assert index_agreement(first, second) == [3 / 4]
    assert index_agreement(first, second, alive=True) == [1.0]  # the second window of the first image is 0 in `first`
    nothing = stage([[0] * 4] * 2, [[0] * 4] * 2)
    assert index_agreement(nothing, nothing) == [1.0]  # all upper left: equal, and they say nothing
    assert math.isnan(index_agreement(nothing, nothing, alive=True)[0])


def test_models_are_compared_beside_input_and_truth(model, rooms):
    models = {"with indices": model, "without": Disturbed(model, indices=False)}
    figure = plots.compared(models, rooms.batch([0, 1]), "depth", "segmentation")
    titles = [axis.get_title() for axis in figure.axes][:4]
    assert titles == [
        "input:\ndepth",
        "depth → segmentation\nwith indices",
        "depth → segmentation\nwithout",
        "truth:\nsegmentation",
    ]
    assert figure.png().startswith(PNG)


def test_index_maps_show_corners_and_grey_where_all_is_zero(model, rooms):
    figure = plots.index_maps(model, rooms.batch([0]), stage=1, channels=(0, 3))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["RGB", "depth", "segmentation"]
    raw = model.encode(torch.zeros(1, 1, 32, 32), "depth")
    shown = figure.axes[4].images[0].get_array()
    assert shown.shape == (8, 8) and set(shown.flatten().tolist()) <= {0, 1, 2, 3, 4}
    assert raw.indices[1].shape[-2:] == (8, 8)
    assert figure.png().startswith(PNG)


def test_corners_are_counted_row_by_row():
    class Encoder:
        modalities, records = ("depth",), MODALITIES

        def encode(self, image, name):
            features = torch.zeros(1, 1, 4, 6)
            features[0, 0, 0, 1] = features[0, 0, 1, 2] = features[0, 0, 3, 5] = features[0, 0, 2, 0] = 1.0
            pooled, indices = pool(features)
            return SimpleNamespace(pooled=(pooled,), indices=(indices,))

    figure = plots.index_maps(Encoder(), {"depth": torch.full((1, 1, 4, 6), 2.0)}, channels=(0,))
    # upper right, lower left, all 0; upper left, all 0, lower right
    assert figure.axes[1].images[0].get_array().tolist() == [[1, 2, 4], [0, 4, 3]]


def test_measures_of_side_information_are_drawn_with_units():
    kinds = ("none", "skip", "pooling")
    measured = {kind: {"rgb_to_segmentation": 0.3, "depth_to_segmentation": 0.2} for kind in kinds}
    figure = plots.side_information_bars(measured, dict(zip(kinds, (0.322, 0.141, 0.456))))
    assert "%" in figure.axes[0].get_ylabel() and "RGB → segmentation 30.0 %" in figure.alt
    assert figure.png().startswith(PNG)
    figure = plots.agreement_by_stage({"RGB – depth": {"same room": [0.5, 0.6], "another room": [0.3, 0.2]}})
    assert "%" in figure.axes[0].get_ylabel() and "same room 50 60 %" in figure.alt


@pytest.mark.parametrize("kind", ["none", "pooling"])
def test_the_explorer_offers_to_take_indices_away_where_there_are_some(kind, rooms, monkeypatch):
    monkeypatch.setattr(widgets, "live", lambda: True)
    network = MixAndMatch.from_recipe(preset("smoke", side_information=kind)).eval()
    controls = widgets.translation_explorer(network, rooms).children[0].children
    assert ("pooling indices" in [control.description for control in controls]) == (kind == "pooling")
