"""Metrics against hand-sized numbers and against torchmetrics."""

import math

import pytest
import torch
import torchmetrics

from mmlib.metrics import DepthMetrics, NumberMetrics, RGBMetrics
from mmlib.modalities import KNOWN, SEGMENTATION


def measure(metrics, prediction, target):
    metrics.update(torch.as_tensor(prediction)[None, None], torch.as_tensor(target)[None, None])
    return metrics.compute()


# ── Segmentation ──


def test_iou_by_hand():
    #               bed right ×2, bed taken for chair, chair right; the last two pixels have no target
    result = measure(SEGMENTATION.metric(), [[1, 1, 4, 4, 1, 9]], [[1, 1, 1, 4, 0, 0]])
    assert result["iou"]["Bed"] == pytest.approx(2 / 3) and result["iou"]["Chair"] == pytest.approx(1 / 2)
    assert result["iou"]["Sofa"] is None  # predicted only where nothing is known
    assert "Unknown" not in result["iou"] and len(result["iou"]) == 13
    assert result["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result["global"] == pytest.approx(3 / 4)


def test_predicted_but_absent_class_counts_as_zero():
    result = measure(SEGMENTATION.metric(), [[1, 2]], [[1, 1]])
    assert result["iou"]["Books"] == 0.0 and result["miou"] == pytest.approx(0.25)


def test_unknown_targets_are_ignored():
    target = torch.randint(0, 14, (2, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    prediction = target.clone()
    prediction[target == 0] = 7
    metrics = SEGMENTATION.metric()
    metrics.update(prediction, target)
    assert metrics.compute()["miou"] == metrics.compute()["global"] == 1.0
    assert metrics.confusion.sum() == (target > 0).sum() and metrics.confusion[0].sum() == 0


def test_nothing_valid_is_none_not_a_crash():
    assert measure(SEGMENTATION.metric(), [[1]], [[0]])["miou"] is None
    assert measure(DepthMetrics(), [[1.0]], [[0.0]])["rmse"] is None


def test_segmentation_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 14, (4, 1, 16, 16), generator=generator)
    noise = torch.randint(1, 14, target.shape, generator=generator)
    prediction = torch.where(torch.rand(target.shape, generator=generator) < 0.5, target.clamp_min(1), noise)
    ours = SEGMENTATION.metric()
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


def test_numbers_by_hand():
    found = measure(NumberMetrics(), [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [0.0, 5.0]])
    assert found == {"mae": 1.0, "rmse": pytest.approx(math.sqrt(2.5))}
    assert NumberMetrics().compute() == {"mae": None, "rmse": None}


@pytest.mark.parametrize("record", KNOWN.values(), ids=KNOWN)
def test_shapes_must_agree(record):
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 2\).*\(1, 1, 2, 3\)"):
        record.metric().update(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 3))
