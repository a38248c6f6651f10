"""The table of translations, room by room, and cascades."""

import json
import os

import pytest
import torch

from mmlib import MODALITIES, DepthPairs, evaluate, modality, table
from mmlib.evaluation import bootstrap, confusion_by_room, rooms_by_rank, seen
from mmlib.hardware.files import write_json
from mmlib.methods.cascade import Cascade
from mmlib.metrics import iou

# ── All translations ──


class Oracle(torch.nn.Module):
    """Looks the answer up by the photo's position in the data: perfect, and counts its encodings."""

    modalities = tuple(MODALITIES)

    def __init__(self, rooms, spoil=0):
        super().__init__()
        self.frozen = torch.nn.BatchNorm2d(3).eval()
        self.truth = {name: modality(name).to_input(raw) for name, raw in rooms.batch(range(len(rooms))).items()}
        self.encoded, self.modes, self.spoil = [], set(), spoil

    def encode(self, x, name):
        self.encoded.append(name)
        self.modes.add(self.training)
        return [int((self.truth[name] - one).flatten(1).abs().sum(1).argmin()) for one in x]

    def decode(self, encoding, name):
        return self.truth[name][[(room + self.spoil) % 6 for room in encoding]]


def test_perfect_model_scores_perfectly(rooms):
    model = Oracle(rooms).train()
    model.frozen.eval()
    result = evaluate(model, rooms, batch_size=4)
    rows = result["translations"]
    assert len(rows) == 9 and result["rooms"] == 6 and result["data_sha256"] == rooms.sha256 and result["size"] == 32
    for source in MODALITIES:
        assert rows[f"{source}_to_segmentation"]["miou"] == rows[f"{source}_to_segmentation"]["global"] == 1.0
        assert rows[f"{source}_to_depth"]["delta1"] == 1.0 and rows[f"{source}_to_depth"]["rmse"] < 1e-5
        assert rows[f"{source}_to_rgb"]["rmse"] == 0.0 and rows[f"{source}_to_rgb"]["psnr"] is None
    assert len(model.encoded) == 3 * 2  # each input once a batch, not once a translation
    assert model.modes == {False} and model.training and not model.frozen.training
    unseen = {name for name, row in rows.items() if not row["seen"]}
    assert unseen == {"depth_to_segmentation", "segmentation_to_depth"}
    lines = table(result).splitlines()
    assert len(lines) == 10 and lines[0].startswith("6 rooms") and sum("  *  " in line for line in lines) == 2


def test_wrong_model_scores_worse(rooms):
    row = evaluate(Oracle(rooms, spoil=1), rooms, sources=["depth"], targets=["segmentation"])["translations"]
    assert list(row) == ["depth_to_segmentation"] and row["depth_to_segmentation"]["miou"] < 0.9


def test_mode_is_restored_when_a_model_fails(rooms):
    model = Oracle(rooms).train()
    model.decode = None
    with pytest.raises(TypeError):
        evaluate(model, rooms)
    assert model.training


def test_rooms_to_show_are_chosen_by_their_place_in_the_order():
    right = torch.randperm(10, generator=torch.Generator().manual_seed(0))  # of ten pixels each, so many are right
    confusions = torch.zeros(10, 3, 3, dtype=torch.int64)
    confusions[:, 1, 1], confusions[:, 1, 2], confusions[:, 2, 2] = right, 10 - right, 1
    shown = rooms_by_rank(confusions, (1.0, 0.9, 0.5, 0.1, 0.0))
    assert right[shown].tolist() == [9, 9, 5, 1, 0]
    assert rooms_by_rank(confusions) == shown[1:4]


def test_confusion_by_room_sums_to_what_evaluate_measures(rooms):
    confusions = confusion_by_room(Oracle(rooms, spoil=1), rooms, "depth", batch_size=4)
    assert confusions.shape == (6, 14, 14)
    assert confusions.sum((1, 2)).tolist() == [int((raw > 0).sum()) for raw in rooms.batch(range(6))["segmentation"]]
    row = evaluate(Oracle(rooms, spoil=1), rooms, targets=["segmentation"])["translations"]["depth_to_segmentation"]
    assert iou(confusions.sum(0)).nanmean().item() == pytest.approx(row["miou"])
    perfect = confusion_by_room(Oracle(rooms), rooms, "depth")
    assert (iou(perfect).nanmean(-1) == 1).all()


def test_bootstrap_draws_rooms_as_often_as_it_says():
    confusions = torch.zeros(3, 14, 14, dtype=torch.int64)
    for room in range(3):
        confusions[room, 1, 1], confusions[room, 1, 2], confusions[room, 2, 2] = 4**room, 2, 3
    drawn = torch.tensor([[0, 1, 2], [0, 0, 2], [1, 1, 1]])
    expected = [iou(confusions[rows].sum(0)).nanmean().item() for rows in drawn]
    assert bootstrap(confusions, drawn).tolist() == pytest.approx(expected) and len(set(expected)) == 3


# ── Cascades ──


@torch.inference_mode()
def test_a_cascade_is_one_translation_after_the_other(model, rooms):
    depth = modality("depth").to_input(rooms.batch([0, 1])["depth"])
    cascade = Cascade(model)
    rgb = ((model.translate(depth, "depth", "rgb") + 1) * 127.5).round().clamp(0, 255)  # as a user would be given
    between = cascade.between(depth, "depth")
    assert between.dtype == torch.uint8 and torch.equal(between.float(), rgb)
    expected = model.translate(rgb / 127.5 - 1, "rgb", "segmentation")
    assert torch.allclose(cascade.decode(cascade.encode(depth, "depth"), "segmentation"), expected, atol=1e-5)
    assert not torch.allclose(model.translate(depth, "depth", "segmentation"), expected, atol=1e-2)


def test_a_cascade_from_where_it_goes_through_is_the_network_itself(model, rooms):
    own, through = (evaluate(network, rooms)["translations"] for network in (model, Cascade(model)))
    assert through.keys() == own.keys()
    for name in own:
        assert (through[name] == own[name]) == name.startswith("rgb_to_"), name
    with pytest.raises(ValueError, match="unknown modality 'sound'"):
        Cascade(model, via="sound")


def test_evaluate_needs_the_modalities_it_measures(rooms, rooms_dir):
    pairs, model = DepthPairs(rooms_dir), Oracle(rooms)
    with pytest.raises(ValueError, match="holds rgb, depth; segmentation was asked for"):
        evaluate(model, pairs)
    assert set(evaluate(model, pairs, sources=["rgb"], targets=["depth"])["translations"]) == {"rgb_to_depth"}


def test_seen_is_every_pair_but_one():
    unseen = [(source, target) for source in MODALITIES for target in MODALITIES if not seen(source, target)]
    assert unseen == [("depth", "segmentation"), ("segmentation", "depth")]


def test_write_json(tmp_path, capsys):
    result = {"a": 1 / 3, "b": [True, None, float("nan")], "rooms": 3}
    path = tmp_path / "result.json"
    path.write_text("old")
    write_json(result, path)
    assert json.loads(path.read_text()) == {"a": 0.333333, "b": [True, None, None], "rooms": 3}
    assert os.listdir(tmp_path) == ["result.json"]
    write_json(result, "-")
    assert capsys.readouterr().out == path.read_text()
    with pytest.raises(OSError, match="cannot write .*result.json/inner.json.*choose another folder"):
        write_json(result, path / "inner.json")  # a file is no folder
