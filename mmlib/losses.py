"""The terms of section 4.3: pure functions `(prediction, target, valid) -> scalar`.

Predictions and targets are in network form, `valid` is bool (N, 1, H, W). Every loss is a mean over the valid pixels
alone, computed in float32; a batch without any gives 0, with a gradient of 0, and never NaN.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .networks import Encoding


class Joint(NamedTuple):
    """The mean and the largest of a number over all processes that train together; by default there is one process.

    A loss divides the sum over the images of one process by the mean count of all processes. The mean of such losses
    over all processes is the loss that one process would have.
    """

    mean: Callable[[Tensor], Tensor] = lambda value: value
    max: Callable[[Tensor], Tensor] = lambda value: value


ALONE = Joint()


def masked_mean(values: Tensor, valid: Tensor, joint: Joint = ALONE) -> Tensor:
    """Mean of `values` (N, C, H, W) over the pixels where `valid` (N, 1, H, W); 0 where there is none."""
    weight = joint.mean(valid.to(values.dtype).sum() * values.shape[1])
    return (torch.where(valid, values, 0.0)).sum() / weight.clamp_min(1e-6)


def l2(prediction: Tensor, target: Tensor, valid: Tensor, joint: Joint = ALONE) -> Tensor:
    """L_L2, the mean squared error of RGB in [−1, 1] (section 4.3; squared and averaged, as in the authors' code)."""
    return masked_mean((prediction.float() - target) ** 2, valid, joint)


def berhu(prediction: Tensor, target: Tensor, valid: Tensor, joint: Joint = ALONE) -> Tensor:
    """L_DEPTH, the reverse Huber loss (section 4.3; Laina et al. 2016).

    |e| where |e| ≤ c, else (e² + c²) / (2c), with c = 0.2 · max |e| over the valid pixels of the batch.
    """
    error = torch.where(valid, (prediction.float() - target).abs(), 0.0)
    c = (0.2 * joint.max(error.max().detach())).clamp_min(1e-6)
    return masked_mean(torch.where(error <= c, error, (error**2 + c**2) / (2 * c)), valid, joint)


def cross_entropy(
    prediction: Tensor, target: Tensor, valid: Tensor, class_weights: Tensor | None = None, joint: Joint = ALONE
) -> Tensor:
    """L_SEG, cross-entropy of logits (N, K, H, W) against class probabilities (N, K, H, W), one-hot or soft.

    `class_weights` (K,) weighs each pixel by its class; the mean divides by the weights, as PyTorch's does.
    """
    nats = -(target * F.log_softmax(prediction.float(), 1)).sum(1, keepdim=True)
    if class_weights is None:
        return masked_mean(nats, valid, joint)
    weights = class_weights.to(target.device, non_blocking=True).view(1, -1, 1, 1)
    weight = (target * weights).sum(1, keepdim=True) * valid
    return (torch.where(valid, nats, 0.0) * weight).sum() / joint.mean(weight.sum()).clamp_min(1e-6)


def cosine(prediction: Tensor, target: Tensor, valid: Tensor, joint: Joint = ALONE) -> Tensor:
    """1 − cos of the angle between predicted vectors, of any length, and unit vectors: (N, 3, H, W) each."""
    cosines = F.cosine_similarity(prediction.float(), target, dim=1, eps=1e-6).unsqueeze(1)
    return masked_mean(1 - cosines, valid, joint)


def generator_gan(scores_of_fake: Tensor) -> Tensor:
    """Least-squares GAN, the decoder's side: E[(C(x̂) − 1)²] (section 4.3; Mao et al. 2016)."""
    return ((scores_of_fake.float() - 1) ** 2).mean()


def discriminator_gan(scores_of_real: Tensor, scores_of_fake: Tensor) -> Tensor:
    """Least-squares GAN, the discriminator's side: L_GAN = E[(C(x) − 1)²] + E[C(x̂)²] (section 4.3)."""
    return ((scores_of_real.float() - 1) ** 2).mean() + (scores_of_fake.float() ** 2).mean()


def latent_consistency(first: "Encoding", second: "Encoding", stages: str = "latent") -> Tensor:
    """L_LAT of one paired set: mean squared distance of the latents of the same scene (section 4.3).

    `stages="latent"` compares h alone, as the paper writes; `"all_stages"` also every pooled stage before it (the
    authors' code compares the last three), averaged, because pooling indices only mean the same where features do.
    """
    every = stages == "all_stages"
    pairs = list(zip(first.pooled, second.pooled, strict=True)) if every else [(first.latent, second.latent)]
    return functools.reduce(torch.add, [F.mse_loss(a.float(), b.float()) for a, b in pairs]) / len(pairs)
