"""The losses of section 4.3 against numbers worked out by hand."""

import math

import pytest
import torch

from mmlib import Encoding, Phase, preset
from mmlib.losses import berhu, cosine, cross_entropy, discriminator_gan, generator_gan, l2, latent_consistency
from mmlib.modalities import MODALITIES, SEGMENTATION
from mmlib.objectives import pseudo_pair, total

LOSSES = {"l2": l2, "berhu": berhu, "cross_entropy": cross_entropy, "cosine": cosine}


def row(*values: float) -> torch.Tensor:
    """A one-channel image of one row."""
    return torch.tensor(values).view(1, 1, 1, -1)


def everywhere(image: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(image[:, :1], dtype=torch.bool)


# ── L2 ──


def test_l2_is_the_mean_square_over_valid_pixels_and_channels():
    prediction = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 9.0]]).view(1, 3, 1, 2)  # pixels (1, 0, 3) and (2, 0, 9)
    target = torch.zeros(1, 3, 1, 2)
    assert l2(prediction, target, everywhere(target)).item() == pytest.approx((1 + 9 + 4 + 81) / 6)
    only_first = torch.tensor([True, False]).view(1, 1, 1, 2)
    assert l2(prediction, target, only_first).item() == pytest.approx((1 + 0 + 9) / 3)


# ── BerHu ──


def test_berhu_by_hand():
    # errors 0.5, 1, 2, 10 → c = 0.2 · 10 = 2: three are linear, 10 gives (100 + 4) / 4 = 26
    prediction, target = row(1.5, 2.0, 6.0, -7.0), row(1.0, 3.0, 4.0, 3.0)
    assert berhu(prediction, target, everywhere(target)).item() == pytest.approx((0.5 + 1 + 2 + 26) / 4)


def test_berhu_takes_c_from_valid_pixels_alone():
    prediction, target = row(0.1, 1.0, 1000.0), row(0.0, 0.0, 0.0)
    valid = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    # c = 0.2: 0.1 is linear, 1 gives (1 + 0.04) / 0.4 = 2.6
    assert berhu(prediction, target, valid).item() == pytest.approx((0.1 + 2.6) / 2)
    # with the third pixel c would be 200 and both errors linear
    assert berhu(prediction, target, everywhere(target)).item() == pytest.approx((0.1 + 1 + (1e6 + 4e4) / 400) / 3)


def test_berhu_takes_c_from_the_whole_batch():
    prediction, target = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    assert berhu(prediction, target, everywhere(target)).item() == pytest.approx((1 + 26) / 2)


def test_berhu_gradient_is_sign_then_error_over_c():
    prediction = row(1.0, -10.0).requires_grad_()
    berhu(prediction, row(0.0, 0.0), everywhere(prediction)).backward()
    assert prediction.grad.flatten().tolist() == pytest.approx([0.5, -10 / 2 / 2])  # c is a constant: no gradient


# ── Cross-entropy ──


def logits(*pixels: tuple[float, ...]) -> torch.Tensor:
    """An image of one row from the probabilities of each pixel's classes."""
    return torch.tensor(pixels).log().T.reshape(1, len(pixels[0]), 1, len(pixels))


def one_hot(*classes: int, count: int = 3) -> torch.Tensor:
    return torch.eye(count)[list(classes)].T.reshape(1, count, 1, len(classes))


def test_cross_entropy_by_hand():
    prediction = logits((0.2, 0.5, 0.3), (0.1, 0.1, 0.8))
    target = one_hot(1, 2)
    expected = -(math.log(0.5) + math.log(0.8)) / 2
    assert cross_entropy(prediction, target, everywhere(target)).item() == pytest.approx(expected)


def test_cross_entropy_leaves_unknown_pixels_out():
    prediction = logits((0.2, 0.5, 0.3), (0.1, 0.1, 0.8)).requires_grad_()
    target = one_hot(1, 0)
    loss = cross_entropy(prediction, target, target[:, :1] == 0)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(0.5))
    assert prediction.grad[..., 0].abs().sum() > 0 and prediction.grad[..., 1].abs().sum() == 0


def test_cross_entropy_of_soft_targets():
    prediction, target = logits((0.25, 0.25, 0.5)), logits((0.1, 0.6, 0.3)).exp()
    expected = -(0.1 * math.log(0.25) + 0.6 * math.log(0.25) + 0.3 * math.log(0.5))
    assert cross_entropy(prediction, target, everywhere(target)).item() == pytest.approx(expected)


def test_cross_entropy_divides_by_the_class_weights_as_pytorch_does():
    prediction = logits((0.2, 0.5, 0.3), (0.1, 0.1, 0.8), (0.3, 0.3, 0.4))
    weights, target = torch.tensor([0.0, 3.0, 1.0]), one_hot(1, 2, 2)
    expected = -(3 * math.log(0.5) + math.log(0.8) + math.log(0.4)) / (3 + 1 + 1)
    assert cross_entropy(prediction, target, everywhere(target), weights).item() == pytest.approx(expected)
    theirs = torch.nn.functional.cross_entropy(prediction, target.argmax(1), weights)
    assert cross_entropy(prediction, target, everywhere(target), weights).item() == pytest.approx(theirs.item())
    first_out = torch.tensor([False, True, True]).view(1, 1, 1, 3)
    expected = -(math.log(0.8) + math.log(0.4)) / 2
    assert cross_entropy(prediction, target, first_out, weights).item() == pytest.approx(expected)


# ── What all share ──


@pytest.mark.parametrize("name", [*LOSSES, "weighted"])
def test_a_batch_without_valid_pixels_costs_nothing(name):
    prediction = torch.randn(2, 14, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.full((2, 14, 4, 4), 1 / 14)
    nowhere = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    extra = {"class_weights": torch.ones(14)} if name == "weighted" else {}
    loss = LOSSES.get(name, cross_entropy)(prediction, target, nowhere, **extra)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_prediction_has_a_finite_gradient(name):
    target = torch.zeros(1, 14, 2, 2)
    if name == "cosine":
        target[:, 0] = 1
    prediction = target.clone().requires_grad_()
    loss = LOSSES[name](prediction, target, torch.ones(1, 1, 2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_computed_in_float32(name):
    prediction = torch.full((1, 14, 2, 2), 1.0078125, dtype=torch.bfloat16)
    assert LOSSES[name](prediction, torch.ones(1, 14, 2, 2), torch.ones(1, 1, 2, 2) > 0).dtype == torch.float32


# ── Adversarial ──


def test_least_squares_gan_both_sides():
    real, fake = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 2.0])
    assert generator_gan(fake).item() == pytest.approx((1 + 1) / 2)
    assert discriminator_gan(real, fake).item() == pytest.approx((0 + 0.25) / 2 + (0 + 4) / 2)
    assert generator_gan(torch.ones(3)).item() == 0
    assert discriminator_gan(torch.ones(3), torch.zeros(5)).item() == 0


# ── Latent consistency ──


def encoding(*stages: float) -> Encoding:
    pooled = tuple(torch.full((1, 2, 2 ** (3 - k), 2 ** (3 - k)), v).requires_grad_() for k, v in enumerate(stages))
    return Encoding(pooled[-1], pooled, (), ())


def test_latent_consistency_compares_the_latents_or_every_stage():
    first, second = encoding(1.0, 2.0, 3.0), encoding(2.0, 5.0, 3.5)
    assert latent_consistency(first, second, "latent").item() == pytest.approx(0.25)
    assert latent_consistency(first, second, "all_stages").item() == pytest.approx((1 + 9 + 0.25) / 3)


@pytest.mark.parametrize("stages, reached", [("latent", [False, True]), ("all_stages", [True, True])])
def test_latent_consistency_pulls_both_encoders(stages, reached):
    first, second = encoding(1.0, 2.0), encoding(2.0, 4.0)
    latent_consistency(first, second, stages).backward()
    for side in (first, second):
        assert [tensor.grad is not None and bool(tensor.grad.any()) for tensor in side.pooled] == reached
    assert torch.equal(first.latent.grad, -second.latent.grad)


# ── Pseudo-pairs ──


@pytest.mark.parametrize("target, channels", [("segmentation", 14), ("depth", 1)])
def test_pseudo_pairs_teach_the_unseen_translation_alone(target, channels):
    random = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, channels, 4, 4, generator=random).requires_grad_() for _ in range(2))
    pseudo_pair(student, teacher, MODALITIES[target]).backward()
    assert student.grad.any() and teacher.grad is None


def test_pseudo_segmentation_is_the_teachers_soft_labels():
    student, teacher = logits((0.25, 0.25, 0.5)), logits((0.1, 0.6, 0.3))
    expected = -(0.1 * math.log(0.25) + 0.6 * math.log(0.25) + 0.3 * math.log(0.5))
    assert pseudo_pair(student, teacher, SEGMENTATION).item() == pytest.approx(expected)
    depths = row(1.5, 2.0, 6.0, -7.0), row(1.0, 3.0, 4.0, 3.0)
    assert pseudo_pair(*depths, MODALITIES["depth"]).item() == pytest.approx(29.5 / 4)


# ── The sum ──

TERMS = {"rgb/RR": 0.5, "rgb/SR": 0.25, "rgb/DR": 0.125, "gan/*R": 2.0, "segmentation/RS": 0.03}
TERMS |= {"segmentation/SS": 0.01, "depth/RD": 0.7, "depth/DD": 0.2, "latent/RS": 1.5, "latent/RD": 0.5}


@pytest.mark.parametrize(
    "step, expected",
    [
        # λ_R (λ_L2 · 0.875 + 2) + λ_S · 0.04 + λ_D · 0.9 + λ_A · 2
        (0, 1 * (1 * 0.875 + 2) + 100 * 0.04 + 10 * 0.9 + 1 * 2),
        (199_999, 17.875),
        (200_000, 10 * (10 * 0.875 + 2) + 100 * 0.04 + 10 * 0.9 + 10 * 2),
        (399_999, 140.5),
    ],
)
def test_total_weighs_as_section_5_1_says(step, expected):
    terms = {name: torch.tensor(value) for name, value in TERMS.items()}
    assert total(terms, preset("paper").phase(step)).item() == pytest.approx(expected)


def test_total_weighs_pseudo_pairs_and_the_adversary():
    phase = Phase(1, lambda_pseudo=0.5, lambda_gan=3.0, lambda_rgb=2.0)
    terms = {"pseudo_segmentation/DS": torch.tensor(0.1), "pseudo_depth/SD": torch.tensor(0.2)}
    assert total(terms, phase).item() == pytest.approx(0.5 * 100 * 0.1 + 0.5 * 10 * 0.2)
    assert total({"gan/*R": torch.tensor(1.0)}, phase).item() == pytest.approx(3.0 * 2.0)


def test_total_refuses_a_term_without_a_weight():
    with pytest.raises(KeyError, match="heat"):
        total({"heat/RH": torch.tensor(1.0)}, Phase(1))
