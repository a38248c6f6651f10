"""A modality is one record: two of a user's own are trained, kept, measured, drawn and audited."""

import colorsys
import dataclasses
import pickle

import pytest
import torch

from conftest import rooms_of
from mmlib import DepthPairs, ZeroPair, audit, evaluate, fit, load, modality, preset
from mmlib.course import plots
from mmlib.data.domains import Domain
from mmlib.data.sets import AnchoredPairs, OraclePairs, Rooms
from mmlib.data.shipped import SHIPPED
from mmlib.modalities import DEPTH, RGB, domain, named, numbers, segmentation

PARTS = ("Unknown", *(f"part {number}" for number in range(1, 41)))
COLOURS = [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(number / 41, 1, 1)) for number in range(41)]
OWN = {
    "41 classes": segmentation("parts", "P", "parts", PARTS, COLOURS),
    "a float map": dataclasses.replace(DEPTH, name="heat", letter="H", folder="heat", weight=lambda phase: 5.0),
    "numbers": numbers("height", "H", "height", largest=8.0),
}


@pytest.mark.parametrize("kind", OWN)
def test_a_modality_of_ones_own_is_one_record(kind, tmp_path):
    own = OWN[kind]
    pairs = type("OwnPairs", (AnchoredPairs,), {"records": named(RGB, own)})
    truth = type("OwnTruth", (Rooms,), {"records": named(RGB, DEPTH, own)})
    recipe = preset("smoke", modalities=("rgb", "depth", own.name), class_balance=0.25)
    objective = ZeroPair(rooms_of(DepthPairs, 0), rooms_of(pairs, 10))
    trained = fit(recipe, objective, tmp_path, device="cpu", progress=False)
    assert audit(trained.record) == []

    model = load(tmp_path / "checkpoint.safetensors", records=[own])
    assert model.modalities == ("rgb", "depth", own.name) and model.records[own.name] is own
    with pytest.raises(ValueError, match=f"unknown modality '{own.name}'"):
        load(tmp_path / "checkpoint.safetensors")

    rooms = rooms_of(truth, 100)
    rows = evaluate(model, rooms)["translations"]
    assert len(rows) == 9 and not rows[f"depth_to_{own.name}"]["seen"] and rows[f"rgb_to_{own.name}"]["seen"]
    assert rows[f"depth_to_{own.name}"][own.metric().headline] is not None
    if own.classes:
        assert list(rows[f"depth_to_{own.name}"]["iou"]) == list(PARTS[1:])
    figure = plots.translations(model, rooms.batch([0]), ["rgb", "depth"], [own.name])
    assert figure.png().startswith(b"\x89PNG")
    keys = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert bool(keys) == bool(own.classes) and keys <= set(PARTS)


def test_a_class_too_many_is_named():
    record = OWN["41 classes"]
    assert record.problem(torch.tensor([[[40]]])) is None
    assert record.problem(torch.tensor([[[41]]])) == "it holds class 41, expected 0 (Unknown) to 40 (part 40)"


def test_numbers_go_into_the_network_and_back():
    record, raw = OWN["numbers"], torch.tensor([0.0, 2.0, 8.0]).view(1, 1, 1, 3)
    assert record.to_input(raw).flatten().tolist() == [-1.0, -0.5, 1.0]
    assert torch.equal(record.to_raw(record.to_input(raw)), raw) and record.valid(raw).all()
    assert record.to_raw(torch.tensor([-3.0, 3.0])).tolist() == [0.0, 8.0]
    assert torch.allclose(record.from_stored(record.to_stored(raw)), raw, atol=1e-4)
    assert record.to_stored(raw).flatten().tolist() == [0, 16384, 65535]
    assert record.problem(raw) is None and record.problem(raw * float("nan"))
    assert record.problem(2 * raw) == "it holds 0 to 16, expected 0 to 8"
    assert record.colours(raw[0], 1.0).shape == (1, 3, 3)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ({"rgb": torch.zeros(4, 32, 32, dtype=torch.uint8)}, r"rgb .* is \(4, 32, 32\), expected \(N, 3, H, W\)"),
        ({"rgb": torch.zeros(4, 3, 32, 32)}, "rgb cannot be used: it holds float32, expected uint8"),
        ({"height": torch.full((4, 1, 32, 32), 9.0)}, "height cannot be used: it holds 9 to 9, expected 0 to 8"),
        ({"height": torch.zeros(4, 1, 32, 32, dtype=torch.uint8)}, "it holds uint8, expected float32"),
    ],
)
def test_a_wrong_image_is_named_when_a_set_is_made(images, says):
    pairs = type("OwnPairs", (AnchoredPairs,), {"records": named(RGB, OWN["numbers"])})
    with pytest.raises(ValueError, match=says):
        pairs.of(rooms_of(pairs, 0).images | images, range(4))


def test_classes_without_a_colour_are_named():
    with pytest.raises(ValueError, match="health: 3 classes have 2 colours; give one to each, Unknown too"):
        segmentation("health", "H", "health", ("Unknown", "well", "ill"), ((0, 0, 0), (90, 160, 200)))


def test_an_unknown_modality_is_named():
    with pytest.raises(ValueError, match="unknown modality 'heat': known are rgb, depth, segmentation, normals"):
        modality("heat")
    assert modality("heat", OWN.values()) is OWN["a float map"]


def test_sets_travel_to_worker_processes(rooms_dir):
    pairs = pickle.loads(pickle.dumps(OraclePairs(rooms_dir, ("depth", "segmentation"))))
    assert pairs.records["depth"] is DEPTH and pairs.batch([0])["depth"].dtype == torch.float32
    red = pickle.loads(pickle.dumps(Domain(SHIPPED.parent / "colours" / "red.zip", "red", 32)))
    assert red.records == named(domain("red"))
