"""VGG-16 from torchvision's file and from ONNX, and its distillation into a slim RGB encoder."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from conftest import CPU
from mmlib import DepthPairs, Phase, SegmentationPairs, audit, checkpoints, preset
from mmlib.checkpoints import read_record
from mmlib.data.vgg16 import WIDTHS, read_vgg16
from mmlib.evidence.experiments import DISTILLATION, RGB_ENCODER
from mmlib.methods.distillation import VGG16, Distillation, distil
from mmlib.networks import Encoder
from mmlib.recipes import from_dict
from mmlib.resuming.pretrained import load_rgb_encoder, load_vgg16
from mmlib.training import Trainer

RECIPE = preset("smoke", phases=(Phase(steps=4),))


PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of the convolutions in torchvision's vgg16().features


def vgg(stages: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random convolutions of VGG-16's shapes."""
    random, inputs, found = torch.Generator().manual_seed(0), 3, []
    for width, count in zip(WIDTHS[:stages], (2, 2, 3, 3, 3)):
        for _ in range(count):
            weight = torch.randn(width, inputs, 3, 3, generator=random) / (9 * inputs) ** 0.5
            found.append((weight, torch.randn(width, generator=random)))
            inputs = width
    return found


def write(path, convolutions) -> str:
    """An ONNX file of these convolutions in a chain, as a converter of Keras's VGG16 writes them."""
    onnx = pytest.importorskip("onnx")
    held, nodes = [], []
    for number, pair in enumerate(convolutions):
        names = [f"{part}{number}" for part in ("weight", "bias")][: len(pair)]
        held += [onnx.numpy_helper.from_array(p.numpy(), name) for p, name in zip(pair, names)]
        nodes.append(onnx.helper.make_node("Conv", [f"x{number}", *names], [f"x{number + 1}"]))
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "vgg", [], [], held)), path)
    return str(path)


@pytest.fixture(scope="module")
def state():
    """A state dict with the names and shapes of torchvision's vgg16 (features alone), filled with random numbers."""
    parts = {f"features.{place}": pair for place, pair in zip(PLACES, vgg(), strict=True)}
    return {f"{name}.{part}": value for name, pair in parts.items() for part, value in zip(("weight", "bias"), pair)}


@pytest.fixture(scope="module")
def vgg_file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def paper_encoder():
    """The paper's RGB encoder alone; the other networks would need a gigabyte."""
    recipe = preset("paper")
    return Encoder(3, recipe.widths, recipe.convolutions, batch_norm=False)


def test_vgg_weights_answer_as_vgg_does_on_normalised_images(paper_encoder, vgg_file):
    load_vgg16(paper_encoder, vgg_file)
    ours, theirs = [layer for layer in paper_encoder.modules() if isinstance(layer, torch.nn.Conv2d)], vgg()
    for layer, (weight, bias) in zip(ours[1:], theirs[1:], strict=True):
        assert torch.equal(layer.weight, weight) and torch.equal(layer.bias, bias)
    image = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))  # 0 to 1, as torchvision reads
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = F.conv2d((image - mean) / std, *theirs[0], padding=1)
    with torch.no_grad():
        found = ours[0](2 * image - 1)
    inside = (..., slice(1, -1), slice(1, -1))
    assert torch.allclose(found[inside], expected[inside], atol=1e-4)
    assert expected.std() > 0.5  # the comparison is of something


def with_batch_norm(state: dict) -> dict:
    """The same convolutions under the names that they have in vgg16_bn: three layers a convolution, not two."""
    places, place = {}, 0
    for count in (2, 2, 3, 3, 3):
        places |= {PLACES[len(places) + k]: place + 3 * k for k in range(count)}
        place += 3 * count + 1
    renamed = {f"features.{places[int(k.split('.')[1])]}.{k.split('.')[2]}": v for k, v in state.items()}
    return renamed | {f"features.{place + 1}.weight": torch.ones(8) for place in places.values()}


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda s: with_batch_norm(s), "features.2.weight is missing"),
        (lambda s: {k: v for k, v in s.items() if k != "features.28.bias"}, "features.28.bias is missing"),
        (lambda s: s | {"features.5.weight": torch.zeros(128, 64, 1, 1)}, "features.5.weight is (128, 64, 1, 1)"),
        (lambda s: s | {"features.5.weight": 3}, "features.5.weight is"),
        (lambda s: list(s), "holds a list"),
        (lambda s: {}, "features.0.weight is missing, expected (64, 3, 3, 3)"),
    ],
    ids=["vgg16_bn", "missing", "shape", "number", "list", "empty"],
)
def test_other_state_dicts_are_refused_and_change_nothing(paper_encoder, state, tmp_path, spoil, words):
    before = [value.clone() for value in itertools.islice(paper_encoder.parameters(), 4)]
    torch.save(spoil(state), path := tmp_path / "other.pth")
    with pytest.raises(ValueError) as error:
        load_vgg16(paper_encoder, path)
    assert str(path) in str(error.value) and words in str(error.value)
    assert all(torch.equal(a, b) for a, b in zip(before, paper_encoder.parameters()))


def test_files_that_are_no_state_dict_are_refused(paper_encoder, vgg_file, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_vgg16(paper_encoder, tmp_path / "absent.pth")
    (tmp_path / "garbage.pth").write_bytes(b"not weights at all")
    (tmp_path / "short.pth").write_bytes(vgg_file.read_bytes()[:1000])
    for name in ("garbage.pth", "short.pth", "."):
        with pytest.raises(ValueError, match="not a PyTorch state dict"):
            load_vgg16(paper_encoder, tmp_path / name)


def test_an_encoder_with_batch_norm_takes_no_vgg_weights(vgg_file):
    recipe = preset("paper")
    with pytest.raises(ValueError, match="batch normalization"):
        load_vgg16(Encoder(3, recipe.widths, recipe.convolutions, batch_norm=True), vgg_file)
    with pytest.raises(ValueError, match="the recipe is not the paper's"):
        load_vgg16(Encoder(3, (4, 8), (1, 1), batch_norm=False), vgg_file)


def test_onnx_weights_answer_as_keras_vgg_does_on_its_input(tmp_path):
    convolutions = vgg()
    found = read_vgg16(write(tmp_path / "vgg.onnx", convolutions))
    assert all(torch.equal(a, b) for mine, theirs in zip(found[1:], convolutions[1:]) for a, b in zip(mine, theirs))
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 9, 9)).astype(np.float32))  # RGB
    means = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)  # of blue, green, red
    theirs = F.conv2d(pixels.flip(1) - means, *convolutions[0])
    ours = F.conv2d(pixels / 127.5 - 1, *found[0])
    assert torch.allclose(ours, theirs, atol=1e-3) and theirs.std() > 1


def test_other_onnx_files_are_refused(tmp_path):
    (tmp_path / "garbage.onnx").write_bytes(b"no")
    for path in (tmp_path / "garbage.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(ValueError, match="not an ONNX file"):
            read_vgg16(path)
    for wrong in (vgg(2), [(weight,) for weight, _ in vgg()]):
        with pytest.raises(ValueError, match="not VGG-16's, each with a bias"):
            read_vgg16(write(tmp_path / "other.onnx", wrong))


def test_distillation_by_hand(rooms_dir):
    objective = Distillation((SegmentationPairs(rooms_dir), DepthPairs(rooms_dir)), vgg(2))
    trainer = Trainer(RECIPE, objective, CPU)
    trainer.model.eval()
    batches = trainer.batches(0)
    terms, judged = objective.terms(trainer.model, batches, RECIPE, RECIPE.phase(0), None)
    assert judged == {} and list(terms) == ["distillation/1", "distillation/2"]
    x = torch.cat([batch.images["rgb"] for batch in batches])
    theirs = VGG16(vgg(2), 2)(x)
    for number, (term, target) in enumerate(zip(terms.values(), theirs)):
        said = trainer.model.heads[number](trainer.model.encoder(x).pooled[number])
        mean, deviation = target.mean((0, 2, 3), keepdim=True), target.std((0, 2, 3), keepdim=True)
        by_hand = ((said - (target - mean) / (deviation + 1e-3)) ** 2).mean()
        assert term.item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_a_distilled_encoder_starts_a_training(rooms_dir, tmp_path):
    sets = (SegmentationPairs(rooms_dir), DepthPairs(rooms_dir))
    out = tmp_path / "encoder.safetensors"
    record = distil(
        write(tmp_path / "vgg.onnx", vgg()), RECIPE, sets, tmp_path / "run", out, device="cpu", progress=False
    )
    assert record["objective"] == "Distillation" and record["step"] == 4
    encoder = Encoder(3, RECIPE.widths, RECIPE.convolutions)
    load_rgb_encoder(encoder, out)
    assert any(
        (value != start).any() for value, start in zip(encoder.parameters(), Encoder(3, (4, 8), (1, 1)).parameters())
    )
    other = Encoder(3, (4, 16), RECIPE.convolutions)
    before = [value.clone() for value in other.parameters()]
    with pytest.raises(ValueError, match="not an encoder of these widths"):
        load_rgb_encoder(other, out)
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters()))


def test_the_shipped_encoder_fits_the_presets_of_the_tables():
    record = read_record(RGB_ENCODER)
    assert record["objective"] == "Distillation" and from_dict(record["recipe"]) == DISTILLATION
    assert audit(record) == [] and RGB_ENCODER.stat().st_size <= 2e6
    for name in ("ablation", "course"):
        recipe = preset(name)
        load_rgb_encoder(Encoder(3, recipe.widths, recipe.convolutions, recipe.rgb_batch_norm), RGB_ENCODER)


def test_an_encoder_with_fewer_stages_reads_the_first(tmp_path):
    weights, _ = checkpoints.read_tensors(RGB_ENCODER)
    recipe = preset("ablation")
    encoder = Encoder(3, recipe.widths, recipe.convolutions, recipe.rgb_batch_norm)
    load_rgb_encoder(encoder, RGB_ENCODER)
    mine = encoder.state_dict()
    assert all(torch.equal(mine[name], weights[name].float()) for name in mine) and len(mine) < len(weights)
