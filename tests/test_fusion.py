"""Fusion: its ends are the translations of one source, exactly; curves and maps of mistakes."""

import dataclasses

import pytest
import torch

from mmlib import Encoding, MixAndMatch, SegmentationPairs, evaluate, modality, preset
from mmlib.alignment import fusion
from mmlib.course import plots

PAIRS = [("rgb", "depth", "segmentation"), ("rgb", "segmentation", "depth")]


@pytest.fixture(scope="module")
def encodings(model, rooms):
    batch = rooms.batch([0, 1])
    return {name: model.encode(modality(name).to_input(batch[name]), name) for name in ("rgb", "depth")}


# ── Encoding.fuse ──


def test_fuse_averages_the_latent_alone():
    f, g = (Encoding(torch.tensor([[x, 2.0]]), (torch.ones(1),), (torch.tensor([1]),), ()) for x in (4, 2))
    fused = f.fuse(g, 0.25)
    assert fused.latent.tolist() == [[3.5, 2.0]]
    for field in dataclasses.fields(Encoding)[1:]:
        assert getattr(fused, field.name) is getattr(f, field.name)


def test_the_ends_of_fuse_are_exact(encodings):
    f, g = encodings["rgb"], encodings["depth"]
    assert torch.equal(f.fuse(g, 0.0).latent, f.latent) and torch.equal(f.fuse(g, 1.0).latent, g.latent)


@pytest.mark.parametrize("alpha", [-0.1, 1.2, float("nan")])
def test_fuse_refuses_what_is_no_share(encodings, alpha):
    with pytest.raises(ValueError, match="must be between 0"):
        encodings["rgb"].fuse(encodings["depth"], alpha)


def test_fuse_refuses_other_rooms(encodings):
    with pytest.raises(ValueError, match="cannot be fused: encode the same rooms"):
        encodings["rgb"].fuse(encodings["depth"][:1], 0.5)


# ── alignment.fusion ──


@pytest.mark.parametrize(("first", "second", "target"), PAIRS)
def test_the_ends_of_fusion_are_the_translations_of_one_source(model, rooms, first, second, target):
    alone = evaluate(model, rooms)["translations"]
    own = fusion(model, rooms, first, second, target, [0.0, 0.5])
    other = fusion(model, rooms, first, second, target, [0.5, 1.0], indices=second)
    swapped = fusion(model, rooms, second, first, target, [0.5, 0.0])
    assert [point["alpha"] for point in own] == [0.0, 0.5]
    for row, translation in ((own[0], f"{first}_to_{target}"), (other[1], f"{second}_to_{target}")):
        assert {key: row[key] for key in row if key != "alpha"}.items() <= alone[translation].items()
    for a, b in zip(other, swapped):
        assert {**a, "alpha": None} == {**b, "alpha": None}
    assert own[1] != other[0]  # the same latent, other indices


def test_fusion_leaves_a_training_model_as_it_was(rooms):
    model = MixAndMatch.from_recipe(preset("smoke"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fusion(model, rooms, "rgb", "depth", "segmentation", [0.5])
    assert model.training and model.encoders["rgb"].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_fusion_does_not_depend_on_the_batch_size(model, rooms):
    small, large = (fusion(model, rooms, *PAIRS[1], [0.3], batch_size=size)[0] for size in (2, 6))
    assert small == pytest.approx(large, rel=1e-5)


def test_fusion_says_what_it_lacks(model, rooms, rooms_dir):
    with pytest.raises(ValueError, match="depth was asked for"):
        fusion(model, SegmentationPairs(rooms_dir), *PAIRS[0], [0.5])
    with pytest.raises(ValueError, match="indices of 'segmentation' were asked for, but the sources are rgb and depth"):
        fusion(model, rooms, *PAIRS[0], [0.5], indices="segmentation")
    with pytest.raises(ValueError, match="must be between 0"):
        fusion(model, rooms, *PAIRS[0], [2.0])


# ── Pictures ──


def test_fusion_curves_are_labelled_and_ring_the_best():
    curve = [{"alpha": 0.0, "miou": 0.5}, {"alpha": 0.5, "miou": 0.6}, {"alpha": 1.0, "miou": 0.4}]
    near = [{"alpha": 0.0, "distance": 1.0}, {"alpha": 1.0, "distance": 0.5}]
    figure = plots.fusion_curves({PAIRS[0]: {"indices of RGB": curve}})
    (axis,) = figure.axes
    assert axis.get_title() == "(RGB, depth) → segmentation" and "%" in axis.get_ylabel() and "α" in axis.get_xlabel()
    assert "50.0 at α = 0, 40.0 at α = 1, best 60.0 at α = 0.5" in figure.alt
    assert "best 50.0 at α = 1" in plots.fusion_curves({PAIRS[0]: {"latent": near}}, "distance").alt


def test_mistakes_say_who_is_right(rooms):
    batch = rooms.batch([0])
    target = batch["segmentation"]
    wrong = target % 13 + 1
    figure = plots.mistakes(batch, target.clamp_min(1), wrong)
    assert "both right 0 %, only RGB right 100 %, only depth right 0 %, both wrong 0 %" in figure.alt
    shown = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "only RGB right" in shown and "no class" in shown and "both wrong" not in shown
    assert figure.png().startswith(b"\x89PNG")


def test_fused_shows_every_alpha(model, rooms):
    figure = plots.fused(model, rooms.batch([0, 1]), "rgb", "depth", "segmentation", (0.0, 1.0), indices="depth")
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles[2:4] == ["100 % RGB,\n0 % depth", "0 % RGB,\n100 % depth"]
    assert figure.alt.endswith("pooling indices of depth")
