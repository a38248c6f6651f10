"""Latent alignment, and the agreement of an unseen translation with the seen one, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmlib import MODALITIES, DepthPairs, alignment
from mmlib.alignment import agreement, cka


class Latents:
    """An encoder that answers with given latents, and takes the images for nothing."""

    def __init__(self, **latents):
        self.latents = {name: torch.tensor(latent) for name, latent in latents.items()}

    def encode(self, x, name):
        latent = self.latents[name][:, :, None, None]
        return SimpleNamespace(pooled=(2 * latent, latent), indices=(latent.long(), latent.long() + 1))


class Answers:
    """A network that gives each source its class ids, whatever the input."""

    records = MODALITIES

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
