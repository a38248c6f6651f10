"""Pictures are drawn, and say what they should in words."""

import io

import numpy as np
import torch
from PIL import Image

from mmlib import DepthPairs, SegmentationPairs, evaluate, shipped
from mmlib.course import plots
from mmlib.course.plots.picture import packed
from mmlib.modalities import DEPTH, RGB, SEGMENTATION

PNG = b"\x89PNG"


def titles(figure) -> list[str]:
    return [axis.get_title() or axis.get_title(loc="left") for axis in figure.axes]


def test_translations_mark_the_unseen_pair(model, rooms):
    figure = plots.translations(model, rooms.batch([0, 1]), ["rgb", "depth"], ["segmentation"])
    assert titles(figure)[:5] == [
        "input:\nRGB",
        "RGB → segmentation\nseen",
        "input:\ndepth",
        "depth → segmentation\nunseen (zero-pair)",
        "truth:\nsegmentation",
    ]
    assert figure.axes[-1].get_ylabel() == "depth in metres (grey: no hit)"
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.png().startswith(PNG)


def test_all_translations_are_nine_and_three_inputs(model, rooms):
    named = [title for title in titles(plots.all_translations(model, rooms.batch([0]))) if title]
    assert sum("→" in title for title in named) == 9
    assert sum("zero-pair" in title for title in named) == 2


def test_images_are_coloured_as_the_modality_says():
    depth = DEPTH.colours(torch.tensor([[[0.0, 2.0, 4.0]]]), 4.0)
    grey = torch.tensor([0x99 / 255] * 3).double()
    assert torch.allclose(torch.from_numpy(depth[0, 0]).double(), grey)
    assert depth[0, 2, 0] > 0.9 > depth[0, 2, 2]  # the far end of viridis is yellow
    assert (SEGMENTATION.colours(torch.tensor([[[1]]]), 1.0)[0, 0] == (0, 0, 1)).all()
    assert RGB.colours(torch.full((3, 1, 2), 255, dtype=torch.uint8), 1.0).tolist() == [[[1.0] * 3] * 2]


def test_splits_show_what_is_missing(rooms_dir):
    figure = plots.splits({"D1": SegmentationPairs(rooms_dir), "D2": DepthPairs(rooms_dir)}, count=2)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["no depth", "no segmentation"] * 2 or sorted(texts) == ["no depth"] * 2 + ["no segmentation"] * 2
    assert figure.png().startswith(PNG)


def test_results_and_curves_are_labelled(model, rooms, tmp_path):
    result = evaluate(model, rooms)["translations"]
    rows = {name: result[name] for name in ("rgb_to_segmentation", "depth_to_segmentation")}
    assert "%" in plots.headline(rows).axes[0].get_xlabel()
    assert "%" in plots.per_class_iou(rows).axes[0].get_ylabel()
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "rgb/RR": 1.0}\n{"step": 2, "rgb/RR": 0.5, "latent/RS": 0.1}\n')
    figure = plots.loss_curves(log, [1])
    assert titles(figure)[:2] == ["rgb", "latent"] and figure.axes[0].get_xlabel() == "step"
    assert plots.diagram().png().startswith(PNG)


def test_a_packed_photograph_is_of_near_colours_without_a_palette():
    photo = Image.fromarray(shipped("test").batch([0])["rgb"][0].permute(1, 2, 0).numpy())
    packed_photo = Image.open(io.BytesIO(packed(photo)))
    assert packed_photo.mode == "RGB"
    assert np.abs(np.asarray(packed_photo, int) - np.asarray(photo, int)).max() <= 2


def test_a_packed_class_map_has_a_palette_of_near_colours():
    drawn = SEGMENTATION.colours(shipped("test").batch([0])["segmentation"][0], 1.0)
    classes = Image.fromarray((255 * drawn).round().astype(np.uint8))
    packed_classes = Image.open(io.BytesIO(packed(classes.convert("RGBA"))))
    assert packed_classes.mode == "P"
    assert np.abs(np.asarray(packed_classes.convert("RGB"), int) - np.asarray(classes, int)).max() <= 2
