"""Pictures are drawn, and say what they should in words."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mmlib import DepthPairs, SegmentationPairs, evaluate, shipped
from mmlib.course import plots
from mmlib.course.plots.alignment import principal_components
from mmlib.course.plots.picture import packed
from mmlib.methods.cascade import Cascade
from mmlib.modalities import CLASSES, DEPTH, RGB, SEGMENTATION

PNG = b"\x89PNG"


def titles(figure) -> list[str]:
    return [title for axis in figure.axes if (title := axis.get_title() or axis.get_title(loc="left"))]


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
    named = titles(plots.all_translations(model, rooms.batch([0])))
    assert sum("→" in title for title in named) == 9
    assert sum("zero-pair" in title for title in named) == 2
    figure = plots.all_translations(model, rooms.batch([0]), lambda source, target: source == target)
    assert sum("zero-pair" in title for title in titles(figure)) == 6


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


# ── Notebook 01 ──


def test_functions_are_a_panel_each_with_a_line_each():
    x = torch.linspace(-1, 1, 11, requires_grad=True)
    figure = plots.functions(x, {"loss": {"|e|": x.abs(), "e²": x**2}, "slope": {"one": x}}, "error in metres")
    assert [axis.get_title() for axis in figure.axes] == ["loss", "slope"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 1]
    assert all(axis.get_xlabel() == "error in metres" for axis in figure.axes)
    assert len({line.get_linestyle() for line in figure.axes[0].lines}) == 2, "a second sign beside colour"
    assert figure.alt.startswith("loss over error in metres: |e|, e²") and figure.png()


def test_copies_are_a_column_each_and_mixed_ones_are_framed(rooms):
    raw = rooms.batch([0, 1])["depth"]
    figure = plots.copies("depth", {"input": raw, "mixed": raw + 1}, mixed=["mixed"])
    assert titles(figure) == ["input", "mixed"]
    assert [axis.spines["left"].get_linewidth() for axis in figure.axes[:4]] == [0.5, 3, 0.5, 3] and figure.png()


def test_latent_channels_are_a_row_an_encoder():
    figure = plots.latent_channels({"rgb": torch.rand(3, 6, 6), "depth": torch.zeros(9, 6, 6)}, 4)
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == ["RGB", "depth"]
    assert sum(len(axis.images) for axis in figure.axes) == 3 + 4 and figure.png()
    assert [axis.get_title() for axis in figure.axes[:3]] == ["channel 0", "channel 1", "channel 2"]


# ── Notebook 02 ──

ALIGNED = {
    "retrieval_at_1": 0.5,
    "distance": [0.9, 0.5],
    "cka": [0.1, 0.8],
    "index_agreement": [0.3, 0.6],
}


def test_principal_components_by_hand():
    # a cross, twice as wide as high, away from the origin: its arms are the axes
    points = torch.tensor([[12.0, 5.0], [8.0, 5.0], [10.0, 6.0], [10.0, 4.0]])
    coordinates, shares = principal_components(points)
    assert shares.tolist() == pytest.approx([0.8, 0.2])
    assert coordinates.abs().flatten().tolist() == pytest.approx([2, 0, 2, 0, 0, 1, 0, 1], abs=1e-9)
    again, _ = principal_components(-points + 3)
    assert coordinates.amax(0).tolist() == again.amax(0).tolist() == pytest.approx([2, 1])
    for flat in principal_components(torch.ones(3, 2, 2, 2)):
        assert flat.isfinite().all()


def test_the_map_joins_the_same_room():
    random = torch.Generator().manual_seed(0)
    latents = {name: torch.randn(5, 4, 2, 2, generator=random) for name in ("rgb", "depth", "segmentation")}
    figure = plots.latent_map({"before": latents, "after": latents})
    assert [axis.get_title() for axis in figure.axes] == ["before", "after"]
    assert len(figure.axes[0].lines) == 5 and len(figure.axes[0].collections) == 3
    assert "% of the variance" in figure.axes[0].get_xlabel() and "before" in figure.alt


def test_alignment_is_drawn_over_steps():
    curve = [{"step": 0, **ALIGNED}, {"step": 10, **ALIGNED}]
    figure = plots.alignment_over_time({"depth – segmentation": curve, "RGB – depth": curve}, rooms=100)
    assert [axis.get_xlabel() for axis in figure.axes] == ["training step"] * 3
    assert figure.axes[0].lines[0].get_ydata().tolist() == [50, 50]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.5, 0.5]  # the latent's, the last stage
    assert figure.png().startswith(PNG)


# ── Notebook 05 ──


def test_confusion_is_normalised_by_row():
    matrix = torch.zeros(14, 14, dtype=torch.int64)
    matrix[0, 5] = 1000  # Unknown: left out
    matrix[1, 1], matrix[1, 9], matrix[12, 12] = 30, 10, 60
    axis = plots.confusion(matrix).axes[0]
    written = {text.get_position(): text.get_text() for text in axis.texts}
    assert written == {(0, 0): "75", (8, 0): "25", (11, 11): "100"}  # (column, row)
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names[0] == "Bed (40.0 %)" and names[11] == "Wall (60.0 %)" and names[1] == "Books (0.0 %)"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == list(CLASSES[1:])
    assert axis.get_xlabel() == "predicted class"


def test_gallery_names_rooms_and_their_share(model, rooms):
    figure = plots.gallery(model, rooms, [4, 1])
    found = titles(figure)
    assert len(found) == 6  # five columns, and the second room's first
    assert found[0].startswith("test room 4:\n") and found[0].endswith("% right")
    assert "depth → segmentation\nunseen (zero-pair)" in found and found[-1].startswith("test room 1:\n")
    assert figure.png().startswith(PNG)


def test_cascaded_shows_the_image_between(model, rooms):
    figure = plots.cascaded(Cascade(model), rooms.batch([0]), "segmentation", "depth")
    assert titles(figure) == [
        "input:\nsegmentation",
        "between:\nRGB",
        "depth\nthrough RGB",
        "depth\ndirect (zero-pair)",
        "truth:\ndepth",
    ]


def test_histogram_has_its_marks():
    figure = plots.histogram(torch.arange(100.0), {"median": 50.0, "end": 90.0}, "metres (m)", "rooms")
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("metres (m)", "rooms")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["median", "end"]
    assert "median, end" in figure.alt


def test_networks_that_had_the_pairs_are_not_framed_as_unseen(model, rooms):
    figure = plots.compared(
        {"zero-pair": model, "oracle": model}, rooms.batch([0]), "depth", "segmentation", ["oracle"]
    )
    framed = [title for axis in figure.axes if (title := axis.get_title()) and axis.spines["top"].get_linewidth() > 1]
    assert framed == ["depth → segmentation\nzero-pair"] and "oracle" in " ".join(titles(figure))
