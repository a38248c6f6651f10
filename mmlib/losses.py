"""The objective of section 4.3, term by term: pure functions `(prediction, target, valid) -> scalar`.

Predictions and targets are in network form, `valid` is bool (N, 1, H, W). Every loss is a mean over the valid pixels
alone, computed in float32; a batch without any gives 0, with a gradient of 0, and never NaN. With several processes it
is a process's part of the mean over all their pixels: averaged over them it is what one process would have.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from .hardware import processes
from .hardware.processes import joint_max, joint_mean

if TYPE_CHECKING:
    from .networks import Encoding


def masked_mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean of `values` (N, C, H, W) over the pixels where `valid` (N, 1, H, W); 0 where there is none."""
    weight = joint_mean(valid.to(values.dtype).sum() * values.shape[1])
    return (torch.where(valid, values, 0.0)).sum() / weight.clamp_min(1.0 / processes.world_size())


def l2(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """L_L2, the mean squared error of RGB in [−1, 1] (section 4.3; squared and averaged, as in the authors' code)."""
    return masked_mean((prediction.float() - target) ** 2, valid)


def berhu(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """L_DEPTH, the reverse Huber loss (section 4.3; Laina et al. 2016).

    |e| where |e| ≤ c, else (e² + c²) / (2c), with c = 0.2 · max |e| over the valid pixels of the batch.
    """
    error = torch.where(valid, (prediction.float() - target).abs(), 0.0)
    c = (0.2 * joint_max(error.max().detach())).clamp_min(1e-6)
    return masked_mean(torch.where(error <= c, error, (error**2 + c**2) / (2 * c)), valid)


def cross_entropy(
    prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """L_SEG, cross-entropy of logits (N, K, H, W) against class probabilities (N, K, H, W), one-hot or soft.

    `class_weights` (K,) weighs each pixel by its class; the mean divides by the weights, as PyTorch's does.
    """
    nats = -(target * F.log_softmax(prediction.float(), 1)).sum(1, keepdim=True)
    if class_weights is None:
        return masked_mean(nats, valid)
    weight = (target * class_weights.view(1, -1, 1, 1)).sum(1, keepdim=True) * valid
    return (torch.where(valid, nats, 0.0) * weight).sum() / joint_mean(weight.sum()).clamp_min(1e-6)


def cosine(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """1 − cos of the angle between predicted vectors, of any length, and unit vectors: (N, 3, H, W) each."""
    cosines = F.cosine_similarity(prediction.float(), target, dim=1, eps=1e-6).unsqueeze(1)
    return masked_mean(1 - cosines, valid)


LOSSES = {"l2": l2, "berhu": berhu, "cross_entropy": cross_entropy, "cosine": cosine}
"""By `Modality.loss`."""


def generator_gan(scores_of_fake: torch.Tensor) -> torch.Tensor:
    """Least-squares GAN, the decoder's side: E[(C(x̂) − 1)²] (section 4.3; Mao et al. 2016)."""
    return ((scores_of_fake.float() - 1) ** 2).mean()


def discriminator_gan(scores_of_real: torch.Tensor, scores_of_fake: torch.Tensor) -> torch.Tensor:
    """Least-squares GAN, the discriminator's side: L_GAN = E[(C(x) − 1)²] + E[C(x̂)²] (section 4.3)."""
    return ((scores_of_real.float() - 1) ** 2).mean() + (scores_of_fake.float() ** 2).mean()


def latent_consistency(first: "Encoding", second: "Encoding", stages: str = "latent") -> torch.Tensor:
    """L_LAT of one paired set: mean squared distance of the latents of the same scene (section 4.3).

    `stages="latent"` compares h alone, as the paper writes; `"all_stages"` also every pooled stage before it (the
    authors' code compares the last three), averaged, because pooling indices only mean the same where features do;
    `"features"` each stage before its pooling as well, where the indices come from. `"indices"` adds to that of the
    latents `index_consistency`.
    """
    if stages in ("latent", "indices"):
        loss = F.mse_loss(first.latent.float(), second.latent.float())
        return loss + index_consistency(first, second) if stages == "indices" else loss
    pairs = list(zip(first.pooled, second.pooled, strict=True))
    if stages == "features":
        pairs += zip(first.features, second.features, strict=True)
    return sum(F.mse_loss(a.float(), b.float()) for a, b in pairs) / len(pairs)


def index_consistency(first: "Encoding", second: "Encoding") -> torch.Tensor:
    """Agreement of pooling indices as a loss, in nats: both encoders should find a window's maximum at the same place.

    Cross-entropy of the softmax over the four pixels of a window against the other encoder's index, either way, over
    the windows in which the other has a maximum above 0, summed over both ways and averaged over the stages. 2 log 4
    says that nothing is agreed.
    """
    losses = []
    for a, b in zip(first.features, second.features, strict=True):
        a, b = windows(a.float()), windows(b.float())
        for mine, other in ((a, b), (b, a)):
            highest, place = other.detach().max(-1, keepdim=True)
            nats = -mine.log_softmax(-1).gather(-1, place)
            alive = highest > 0
            number = joint_mean(alive.sum().float()).clamp_min(1.0 / processes.world_size())
            losses.append(torch.where(alive, nats, 0.0).sum() / number)
    return sum(losses) / len(first.features)


def windows(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) → (N, C, H / 2, W / 2, 4): the pixels of each 2×2 window, row by row."""
    return features.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)
