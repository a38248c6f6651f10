"""What a recipe costs, by its shapes, is what a real step costs, by PyTorch's counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from conftest import CPU
from mmlib import DepthPairs, SegmentationPairs, Triplets, ZeroPair, preset
from mmlib.blocks import PatchDiscriminator
from mmlib.course import plots
from mmlib.evidence import costs
from mmlib.evidence.costs import Convolution, cost
from mmlib.methods.supervised import Supervised
from mmlib.networks import Encoder
from mmlib.objectives import PlainZeroPair
from mmlib.training import Trainer

VGG16 = 15_346_630_656  # multiply-adds of the 13 convolutions of VGG-16 on one 224 × 224 image


@pytest.fixture(scope="module")
def pairs(rooms_dir):
    return ZeroPair(SegmentationPairs(rooms_dir).subset(0, 3), DepthPairs(rooms_dir).subset(3))


@pytest.fixture(scope="module")
def paper(pairs):
    return cost(preset("paper"), pairs)


def test_the_formula_of_a_convolution_is_the_counters():
    layer, image = nn.Conv2d(3, 8, 5, stride=2, padding=2), torch.rand(2, 3, 7, 9, requires_grad=True)
    shape = Convolution(3, 8, 5, 2, 2, 7, 9, True, image_gradient=True, weight_gradient=True)
    with FlopCounterMode(display=False) as counter:
        output = layer(image)
    assert shape.forward == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        output.sum().backward()
    assert shape.flops - shape.forward == counter.get_total_flops()


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_rehearsal_counts_what_a_real_step_does(pairs, phase, bf16):
    recipe = preset("smoke")
    rehearsed = cost(recipe, pairs, phase, bf16)
    trainer = Trainer(recipe.replace(phases=(recipe.phases[phase],)), pairs, CPU)
    with FlopCounterMode(display=False) as counter:
        trainer.step()
    assert rehearsed.flops == rehearsed.counted == counter.get_total_flops()
    weights = sum(p.numel() for network in (trainer.model, trainer.discriminators) for p in network.parameters())
    assert sum(rehearsed.parameters.values()) == weights


def test_the_paper_takes_seven_tflop_a_step(paper, pairs):
    assert paper.images == {
        "rgb encoder": 12,
        "depth encoder": 6,
        "segmentation encoder": 6,
        "rgb decoder": 24,
        "depth decoder": 12,
        "segmentation decoder": 12,
        "discriminator": 24 + 12 + 24,
    }
    assert paper.forward["rgb encoder"] * 224**2 == 2 * VGG16 * 256**2
    tripled = 3 * sum(paper.forward[name] * images for name, images in paper.images.items())
    assert 7.2e12 < paper.flops == paper.counted < tripled < 7.4e12
    frozen = cost(preset("paper"), pairs, phase=1)
    assert frozen.step["rgb encoder"] == 12 * paper.forward["rgb encoder"]
    assert frozen.step["depth encoder"] == paper.step["depth encoder"]


def test_arithmetic_grows_with_pixels_and_images(paper, pairs):
    small = cost(preset("paper", size=64, batch=2), pairs)
    assert paper.flops == small.flops * (256 // 64) ** 2 * 6 // 2
    assert paper.parameters == small.parameters


def test_memory_is_that_of_what_backward_keeps(paper, pairs, rooms_dir):
    # f_R without normalization keeps its image, each convolution's output after ReLU, each pooled one, and indices
    recipe = preset("smoke", rgb_batch_norm=False)
    rgb = cost(recipe, Supervised(Triplets(rooms_dir), "rgb", "segmentation"))
    wider = cost(recipe.replace(batch=4), Supervised(Triplets(rooms_dir), "rgb", "segmentation"))
    indices = 8 * (4 * 16**2 + 8 * 8**2)
    assert rgb.indices == 2 * indices and wider.indices == 4 * indices
    assert 1.9 < wider.activations / rgb.activations < 2.1
    assert rgb.images["depth encoder"] == rgb.forward["rgb decoder"] == 0 and "discriminator" not in rgb.step
    halved = cost(preset("paper"), pairs, bf16=True)
    assert 0.45 < halved.activations / paper.activations < 0.6 and halved.indices == paper.indices
    assert halved.memory()["weights"] == paper.memory()["weights"] == 4 * sum(paper.parameters.values())


def test_the_naive_step_pays_for_every_encoding(paper, pairs):
    naive = cost(preset("paper"), PlainZeroPair(pairs.sets[0], pairs.sets[1]))
    assert naive.images["rgb encoder"] == 6 * 6 and naive.images["rgb decoder"] == 24
    assert naive.flops > 1.4 * paper.flops


def test_layers_are_listed_as_the_appendix_prints_them():
    with costs.shapes_only():
        listed = costs.layers(Encoder(1, (4, 8), (1, 1)), torch.zeros(2, 1, 8, 8))
        last = costs.layers(PatchDiscriminator(3, (4,)), torch.zeros(2, 3, 8, 8))
    assert listed == [
        ("conv", (2, 8, 8, 1), (2, 8, 8, 4), 3, 1),
        ("pool", (2, 8, 8, 4), (2, 4, 4, 4), 2, 2),
        ("conv", (2, 4, 4, 4), (2, 4, 4, 8), 3, 1),
        ("pool", (2, 4, 4, 8), (2, 2, 2, 8), 2, 2),
    ]
    assert last[0] == ("conv", (2, 8, 8, 3), (2, 4, 4, 4), 5, 2)


def test_costs_are_drawn_with_units(paper):
    drawn = plots.network_costs(paper)
    assert drawn.alt.startswith("bars by network of weights: rgb encoder 15") and drawn.png().startswith(b"\x89PNG")
    assert [axis.get_xlabel().split()[0] for axis in drawn.axes] == ["millions", "TFLOP"]
    shares = plots.stage_shares(["1", "2"], {"weights": [1, 3], "FLOPs": [2, 2]})
    assert [text.get_text() for text in shares.axes[0].texts] == ["25", "75", "50", "50"]
    assert "10.0 GB" in plots.memory_bars({"fp32": {"weights": 4e9, "activations": 6e9}}).alt
    hours = plots.hours_by_share(3.6e18, {"a GPU": 1000}, 0.2, 0.5)
    line = hours.axes[0].lines[0].get_xydata()
    assert line[line[:, 0].round(6) == 50][0, 1] == pytest.approx(2.0)


def test_several_gpus_by_hand():
    one = costs.Cost({"encoder": 6, "decoder": 4}, {}, {}, {"encoder": 900, "decoder": 100}, 1000, 0, 0)
    eight = costs.parallel(one, 8, rate=100, bandwidth=14)
    assert eight.exchanged == 2 * 7 / 8 * 4 * 10 == 70
    assert (eight.compute, eight.exchange) == (10, 5)
    assert eight.seconds == (15, 10) and eight.speed == (8 * 10 / 15, 8)
    assert costs.parallel(one, 8, 100, 3.5).speed == (8 / 3, 4)  # the exchange is longer than the arithmetic
    assert costs.parallel(one, 1, 100, 14).speed == (1, 1)


def test_operations_are_counted_without_views(pairs):
    trainer = Trainer(preset("smoke"), pairs, CPU)
    trainer.step = lambda: torch.zeros(2, 3).view(6).add(1).mul(2)  # zeros, add, mul
    assert costs.operations(trainer) == 3
