"""Metrics against hand-sized numbers and against torchmetrics; the table of translations; the zero-pair audit."""

import json
import math
import os
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import torchmetrics

from mmlib.baselines.cascade import Cascade
from mmlib.data import DepthPairs, SegmentationPairs, Triplets, ranges
from mmlib.evaluation import (
    METRICS,
    DepthMetrics,
    RGBMetrics,
    SegmentationMetrics,
    agreement,
    alignment,
    audit,
    bootstrap,
    cka,
    confusion_by_room,
    describe_audit,
    evaluate,
    iou,
    seen,
    table,
    write_json,
)
from mmlib.modalities import MODALITIES, modality
from mmlib.networks import MixAndMatch
from mmlib.recipes import preset


def measure(metrics, prediction, target):
    metrics.update(torch.as_tensor(prediction)[None, None], torch.as_tensor(target)[None, None])
    return metrics.compute()


# ── Segmentation ──


def test_iou_by_hand():
    #               bed right ×2, bed taken for chair, chair right; the last two pixels have no target
    result = measure(SegmentationMetrics(), [[1, 1, 4, 4, 1, 9]], [[1, 1, 1, 4, 0, 0]])
    assert result["iou"]["Bed"] == pytest.approx(2 / 3) and result["iou"]["Chair"] == pytest.approx(1 / 2)
    assert result["iou"]["Sofa"] is None  # predicted only where nothing is known
    assert "Unknown" not in result["iou"] and len(result["iou"]) == 13
    assert result["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result["global"] == pytest.approx(3 / 4)


def test_predicted_but_absent_class_counts_as_zero():
    result = measure(SegmentationMetrics(), [[1, 2]], [[1, 1]])
    assert result["iou"]["Books"] == 0.0 and result["miou"] == pytest.approx(0.25)


def test_unknown_targets_are_ignored():
    target = torch.randint(0, 14, (2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    prediction = target.clone()
    prediction[target == 0] = 7
    metrics = SegmentationMetrics()
    metrics.update(prediction, target)
    assert metrics.compute()["miou"] == metrics.compute()["global"] == 1.0
    assert metrics.confusion.sum() == (target > 0).sum() and metrics.confusion[0].sum() == 0


def test_nothing_valid_is_none_not_a_crash():
    assert measure(SegmentationMetrics(), [[1]], [[0]])["miou"] is None
    assert measure(DepthMetrics(), [[1.0]], [[0.0]])["rmse"] is None


def test_segmentation_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 14, (4, 1, 16, 16), generator=generator)
    noise = torch.randint(1, 14, target.shape, generator=generator)
    prediction = torch.where(torch.rand(target.shape, generator=generator) < 0.5, target.clamp_min(1), noise)
    ours = SegmentationMetrics()
    for half in (slice(0, 2), slice(2, 4)):
        ours.update(prediction[half], target[half])
    options = {"task": "multiclass", "num_classes": 14, "ignore_index": 0}
    iou = torchmetrics.JaccardIndex(average="none", **options)(prediction, target)
    accuracy = torchmetrics.Accuracy(average="micro", **options)(prediction, target)
    assert list(ours.compute()["iou"].values()) == pytest.approx(iou[1:].tolist(), abs=1e-6)
    assert ours.compute()["miou"] == pytest.approx(iou[1:].mean().item(), abs=1e-6)
    assert ours.compute()["global"] == pytest.approx(accuracy.item(), abs=1e-6)


# ── Depth and RGB ──


def test_depth_by_hand():
    # ratios 1, 1.2, 1.5, 1.9, 2.5 against 1.25, 1.5625, 1.953; the pixel without a hit would be far off
    result = measure(DepthMetrics(), [[2.0, 2.4, 1.0, 1.9, 2.0, 50.0]], [[2.0, 2.0, 1.5, 1.0, 5.0, 0.0]])
    assert (result["delta1"], result["delta2"], result["delta3"]) == pytest.approx((2 / 5, 3 / 5, 4 / 5))
    assert result["rmse"] == pytest.approx(math.sqrt((0.0 + 0.16 + 0.25 + 0.81 + 9.0) / 5))
    logs = [math.log(1.2), math.log(1.5), math.log(1.9), math.log(2.5)]
    assert result["rmse_log"] == pytest.approx(math.sqrt(sum(value**2 for value in logs) / 5))


def test_depth_threshold_is_strict_and_zero_predictions_stay_finite():
    result = measure(DepthMetrics(), [[1.25, 0.0]], [[1.0, 1.0]])
    assert result["delta1"] == 0.0 and result["delta2"] == 0.5
    assert result["rmse_log"] == pytest.approx(math.sqrt((math.log(1.25) ** 2 + math.log(1000) ** 2) / 2))


def test_depth_and_rgb_agree_with_torchmetrics():
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(3, 1, 12, 12, generator=generator) * 5 + 0.5
    prediction = target * (0.7 + torch.rand(target.shape, generator=generator))
    ours = DepthMetrics()
    ours.update(prediction, target)
    mse, mse_log = torchmetrics.MeanSquaredError()(prediction, target), torchmetrics.MeanSquaredError()
    assert ours.compute()["rmse"] == pytest.approx(mse.sqrt().item(), rel=1e-5)
    assert ours.compute()["rmse_log"] == pytest.approx(mse_log(prediction.log(), target.log()).sqrt().item(), rel=1e-5)

    pictures = [torch.randint(0, 256, (2, 3, 8, 8), generator=generator, dtype=torch.uint8) for _ in range(2)]
    colour = RGBMetrics()
    colour.update(*pictures)
    psnr = torchmetrics.image.PeakSignalNoiseRatio(data_range=255.0)(*(picture.float() for picture in pictures))
    assert colour.compute()["psnr"] == pytest.approx(psnr.item(), rel=1e-5)


@pytest.mark.parametrize("metrics", METRICS.values())
def test_shapes_must_agree(metrics):
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 2\).*\(1, 1, 2, 3\)"):
        metrics().update(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 3))


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


def test_perfect_model_scores_perfectly(rooms_dir):
    rooms = Triplets(rooms_dir)
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
    assert {name for name, row in rows.items() if not row["seen"]} == {
        "depth_to_segmentation",
        "segmentation_to_depth",
    }
    lines = table(result).splitlines()
    assert len(lines) == 10 and lines[0].startswith("6 rooms") and sum("  *  " in line for line in lines) == 2


def test_wrong_model_scores_worse(rooms_dir):
    rooms = Triplets(rooms_dir)
    row = evaluate(Oracle(rooms, spoil=1), rooms, sources=["depth"], targets=["segmentation"])["translations"]
    assert list(row) == ["depth_to_segmentation"] and row["depth_to_segmentation"]["miou"] < 0.9


def test_mode_is_restored_when_a_model_fails(rooms_dir):
    rooms = Triplets(rooms_dir)
    model = Oracle(rooms).train()
    model.decode = None
    with pytest.raises(TypeError):
        evaluate(model, rooms)
    assert model.training


def test_confusion_by_room_sums_to_what_evaluate_measures(rooms_dir):
    rooms = Triplets(rooms_dir)
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


@pytest.fixture(scope="module")
def untrained():
    return MixAndMatch.from_recipe(preset("smoke")).eval()


@torch.inference_mode()
def test_a_cascade_is_one_translation_after_the_other(untrained, rooms_dir):
    depth = modality("depth").to_input(Triplets(rooms_dir).batch([0, 1])["depth"])
    cascade = Cascade(untrained)
    rgb = ((untrained.translate(depth, "depth", "rgb") + 1) * 127.5).round().clamp(0, 255)  # as a user would be given
    between = cascade.between(depth, "depth")
    assert between.dtype == torch.uint8 and torch.equal(between.float(), rgb)
    expected = untrained.translate(rgb / 127.5 - 1, "rgb", "segmentation")
    assert torch.allclose(cascade.decode(cascade.encode(depth, "depth"), "segmentation"), expected, atol=1e-5)
    assert not torch.allclose(untrained.translate(depth, "depth", "segmentation"), expected, atol=1e-2)


def test_a_cascade_from_where_it_goes_through_is_the_network_itself(untrained, rooms_dir):
    rooms = Triplets(rooms_dir)
    own, through = (evaluate(model, rooms)["translations"] for model in (untrained, Cascade(untrained)))
    assert through.keys() == own.keys()
    for name in own:
        assert (through[name] == own[name]) == name.startswith("rgb_to_"), name
    with pytest.raises(ValueError, match="unknown modality 'sound'"):
        Cascade(untrained, via="sound")


def test_evaluate_needs_the_modalities_it_measures(rooms_dir):
    rooms, model = DepthPairs(rooms_dir), Oracle(Triplets(rooms_dir))
    with pytest.raises(ValueError, match="holds rgb, depth; segmentation was asked for"):
        evaluate(model, rooms)
    assert set(evaluate(model, rooms, sources=["rgb"], targets=["depth"])["translations"]) == {"rgb_to_depth"}


class Latents:
    """An encoder that answers with given latents, and takes the images for nothing."""

    def __init__(self, **latents):
        self.latents = {name: torch.tensor(latent) for name, latent in latents.items()}

    def encode(self, x, name):
        latent = self.latents[name][:, :, None, None]
        return SimpleNamespace(pooled=(2 * latent, latent), indices=(latent.long(), latent.long() + 1))


class Answers:
    """A network that gives each source its class ids, whatever the input."""

    modalities = ("rgb", "depth", "segmentation")

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def translate(self, x, source, target):
        self.asked.append((source, target))
        return F.one_hot(self.answers[source][: len(x), 0], 14).permute(0, 3, 1, 2)


def test_agreement_measures_the_unseen_translation_against_the_seen_one(rooms_dir):
    rooms = DepthPairs(rooms_dir)
    rgb, depth = torch.full((2, 6, 1, 32, 32), 3)
    depth[:, :, :8] = 4  # a quarter of the pixels
    model = Answers(rgb=rgb, depth=depth)
    result = agreement(model, rooms, "depth", "segmentation", batch_size=4)
    assert result["global"] == 0.75 and result["miou"] == pytest.approx((0.75 + 0) / 2)
    assert set(model.asked) == {("depth", "segmentation"), ("rgb", "segmentation")}
    assert agreement(Answers(rgb=rgb, depth=rgb), rooms, "depth", "segmentation")["miou"] == 1


def test_alignment_by_hand(rooms_dir):
    rooms = DepthPairs(rooms_dir).subset(0, 4)
    rgb = [[0.0, 0.0], [4.0, 0.0], [0.0, 3.0], [4.0, 3.0]]
    perfect = {"retrieval_at_1": 1.0, "distance": [0.0, 0.0], "index_agreement": [1.0, 1.0]}
    result = alignment(Latents(rgb=rgb, depth=rgb), rooms, "rgb", "depth")
    assert result.pop("cka") == pytest.approx([1.0, 1.0]) and result == perfect
    # the third room's nearest depth is the first room's, the fourth's is the second's
    depth = [[0.0, 0.0], [4.0, 3.0], [0.0, 0.0], [4.0, 0.0]]
    result = alignment(Latents(rgb=rgb, depth=depth), rooms, "rgb", "depth")
    own, others = (0 + 3 + 3 + 3) / 4, (5 + 0 + 4 + 4 + 4 + 0 + 3 + 4 + 5 + 5 + 0 + 5) / 12
    assert result["retrieval_at_1"] == pytest.approx(1 / 4) and result["distance"] == pytest.approx([own / others] * 2)
    assert result["index_agreement"] == pytest.approx([5 / 8] * 2)  # three of the eight numbers differ
    assert result["cka"][0] == pytest.approx(result["cka"][1]) and result["cka"][0] < 1  # twice as large says the same


def test_alignment_of_few_rooms_says_nothing(rooms_dir):
    with pytest.raises(ValueError, match="alignment compares rooms, at least 4, and has only 3"):
        alignment(Latents(), DepthPairs(rooms_dir).subset(0, 3), "rgb", "depth")


def features(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_cka_is_blind_to_rotation_scale_and_shift():
    first = features(0, 12, 3, 4, 4)
    rotation, _ = torch.linalg.qr(features(1, 48, 48))
    assert cka(first, first) == pytest.approx(1.0)
    assert cka(first, 7 * first.flatten(1) @ rotation + 2) == pytest.approx(1.0, abs=1e-4)
    other = features(2, 12, 3, 4, 4) + first
    assert 0 < cka(first, other) < 1 and cka(other, first) == pytest.approx(cka(first, other))


@pytest.mark.parametrize("rooms", [6, 20])
def test_cka_of_independent_features_is_about_zero_even_with_few_rooms(rooms):
    values = [cka(features(2 * k, rooms, 500), features(2 * k + 1, rooms, 300)) for k in range(60)]
    assert abs(sum(values) / 60) < 0.15
    centred = [x - x.mean(0) for x in (features(0, rooms, 500), features(1, rooms, 300))]
    first, second = (x @ x.T for x in centred)
    assert (first * second).sum() / (first.norm() * second.norm()) > 0.8  # what the plain form would say


def test_cka_by_hand():
    """Song et al. 2012, equation 5, with the sums written out for 4 rooms of one number each."""
    a, b = torch.tensor([1.0, 2.0, 3.0, 0.0])[:, None], torch.tensor([1.0, 0.0, 2.0, 1.0])[:, None]
    # off-diagonal products: a 2 3 0 / 6 0 / 0 and b 0 2 1 / 0 0 / 2, each twice; row sums 5 8 9 0 and 3 0 4 3
    both = 2 * (0 + 6 + 0 + 0 + 0 + 0) + 22 * 10 / 6 - (15 + 0 + 36 + 0)
    one = 2 * (4 + 9 + 36) + 22 * 22 / 6 - (25 + 64 + 81)
    two = 2 * (4 + 1 + 4) + 10 * 10 / 6 - (9 + 16 + 9)
    assert cka(a, b) == pytest.approx(both / math.sqrt(one * two))


@pytest.mark.parametrize("counts", [(3, 3), (4, 5)])
def test_cka_needs_four_rooms_in_both(counts):
    with pytest.raises(ValueError, match="at least 4 rooms, the same in both: got"):
        cka(*(features(0, count, 5) for count in counts))


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


# ── Audit ──


def entry(split="d1", modalities=("rgb", "segmentation"), rooms=((0, 99),), role="training"):
    rows = [list(run) for run in rooms]
    return {"role": role, "split": split, "sha256": "ab" * 32, "modalities": list(modalities), "rooms": rows}


D1, D2 = entry(), entry("d2", ("rgb", "depth"), [(100, 199)])


def test_ranges():
    assert ranges([9, 3, 5, 4, 3]) == [[3, 5], [9, 9]] and ranges([]) == []


def test_clean_record_passes(rooms_dir):
    assert audit({"data": [D1, D2, entry("validation", rooms=[(500, 510)], role="selection")]}) == []
    pairs = [SegmentationPairs(rooms_dir).subset(0, 3), DepthPairs(rooms_dir).subset(3)]
    record = json.loads(json.dumps({"data": [rooms.describe() for rooms in pairs]}))
    assert record["data"][0]["rooms"] == [[100, 102]] and audit(record) == []
    assert "clean" in describe_audit(record) and "3 (100–102)" in describe_audit(record)


LEAKS = {  # what is wrong: the record, what the audit must say
    "one set with both": ({"data": [entry("d1", ("depth", "segmentation"))]}, "100 rooms from 0 .* in d1"),
    "across sets": ({"data": [D1, entry("d2", ("rgb", "depth"), [(98, 150)])]}, "2 rooms from 98 .*d2.*d1"),
    "selection too": ({"data": [D1, D2, entry("validation", ("depth",), [(7, 7)], "selection")]}, "1 room from 7"),
    "test split": ({"data": [D1, D2, entry("test", ("rgb", "depth"), [(900, 901)], "selection")]}, "test split"),
    "empty": ({"data": []}, "lists no data"),
    "no data": ({}, "lists no data"),
    "no record": (None, "lists no data"),
    "no training": ({"data": [entry(role="selection")]}, "no training data"),
    "no rooms": ({"data": [D1, entry("d2", ("rgb", "depth"), [])]}, "entry 1 .* malformed"),
    "run backwards": ({"data": [D1, entry("d2", ("rgb", "depth"), [(99, 0)])]}, "entry 1 .* malformed"),
    "no hash": ({"data": [{**D1, "sha256": None}]}, "entry 0 .* malformed"),
    "not an entry": ({"data": ["d1"]}, "entry 0 .* malformed"),
    "no modality": ({"data": [{**D1, "modalities": [1]}]}, "entry 0 .* malformed"),
    "misspelt modality": ({"data": [{**D1, "modalities": ["Depth", "segmentation"]}]}, "entry 0 .* malformed"),
    "test rooms, renamed": ({"data": [D1, entry("d2", ("rgb", "depth"), [(4_000_399, 4_000_900)])]}, "test split"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leak_is_found(name):
    record, says = LEAKS[name]
    problems = audit(record)
    assert len(problems) == 1 and re.search(says, problems[0])
    assert problems[0] in describe_audit(record) and "clean" not in describe_audit(record)
