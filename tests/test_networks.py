"""The networks: the paper's Tables 5 to 8 row by row, every translation's shape, and VGG-16's weights."""

import itertools
import re

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmlib import MODALITIES, Encoding, MixAndMatch, preset
from mmlib.blocks import PatchDiscriminator, pool, unpool, upper_left
from mmlib.methods.disturbed import Disturbed
from mmlib.recipes import SIDE_INFORMATION

# ── The paper's tables, copied as they are printed (batch 6, then height, width, channels) ──

TABLE_5 = """
conv1	[6,8,8,512] → [6, 16, 16, 512]	[3, 3], 1
conv2	[6,16,16,512] → [6, 32, 32, 256]	[3, 3], 1
conv3	[6,32,32,256] → [6, 64, 64, 128]	[3, 3], 1
conv4	[6,64,64,128] → [6, 128, 128, 64]	[3, 3], 1
conv5	[6,128,128,64] → [6, 256, 256, 3]	[3, 3], 1
"""
TABLE_6 = """
deconv1	[6, 256, 256, 3] → [6, 128, 128, 64]	[5, 5], 2
deconv2	[6, 128, 128, 64] → [6, 64, 64, 128]	[5, 5], 2
deconv3	[6, 64, 64, 128] → [6, 32, 32, 256]	[5,5], 2
deconv4	[6, 32, 32, 256] → [6, 16, 16, 512]	[5,5], 2
"""
TABLE_7 = """
conv1 (RGB)	[6,256,256,3] → [6,256,256,64]	[3,3], 1
conv1 (Depth)	[6, 256, 256, 1] → [6, 256, 256, 64]	[3,3], 1
conv1 (Segm.)	[6,256,256,14] → [6,256,256,64]	[3,3], 1
conv2	[6,256,256,64] → [6,256,256,64]	[3,3], 1
pool2 (max)	[6,256,256,64] → [6,128,128,64]+indices2	[2,2], 2
conv3	[6,128,128,64] → [6,128,128,128]	[3,3], 1
conv4	[6,128,128,128] → [6,128,128,128]	[3,3], 1
pool4 (max)	[6,128,128,128] → [6,64,64,128]+indices4	[2,2], 2
conv5	[6,64,64,128] → [6,64,64,256]	[3,3], 1
conv6	[6,64,64,256] → [6,64,64,256]	[3,3], 1
conv7	[6,64,64,256] → [6,64,64,256]	[3,3], 1
pool7 (max)	[6,64,64,256] → [6,32,32,256]+indices7	[2,2], 2
conv8	[6,32,32,256] → [6,32,32,512]	[3,3], 1
conv9	[6,32,32,512] → [6,32,32,512]	[3,3], 1
conv10	[6,32,32,512] → [6,32,32,512]	[3,3], 1
pool10 (max)	[6,32,32,512] → [6,16,16,512]+indices10	[2,2], 2
conv11	[6,16,16,512] → [6,16,16,512]	[3,3], 1
conv12	[6,16,16,512] → [6,16,16,512]	[3,3], 1
conv13	[6,16,16,512] → [6,16,16,512]	[3,3], 1
pool13 (max)	[6,16,16,512] → [6,8,8,512]+indices13	[2,2], 2
"""
TABLE_8 = """
unpool1	indices13 + [6,8,8,512] → [6, 16, 16, 512]	[2, 2], 2
conv1	[6,16,16,512] → [6, 16, 16, 512]	[3,3], 1
conv2	[6,16,16,512] → [6, 16, 16, 512]	[3,3], 1
conv3	[6,16,16,512] → [6, 16, 16, 512]	[3,3], 1
unpool4	indices10 + [6,16,16,512] → [6, 32, 32, 512]	[2, 2], 2
conv4	[6,32,32,512] → [6, 32, 32, 512]	[3,3], 1
conv5	[6,32,32,512] → [6, 32, 32, 512]	[3,3], 1
conv6	[6,32,32,512] → [6, 32, 32, 256]	[3,3], 1
unpool7	indices7 + [6,32,32,256] → [6, 64, 64, 256]	[2, 2], 2
conv7	[6,64,64,256] → [6, 64, 64, 256]	[3,3], 1
conv8	[6,64,64,256] → [6, 64, 64, 256]	[3,3], 1
conv9	[6,64,64,256] → [6, 64, 64, 128]	[3,3], 1
unpool10	indices4 + [6,64,64,128] → [6, 128, 128, 128]	[2, 2], 2
conv10	[6,128,128,128] → [6, 128, 128, 128]	[3,3], 1
conv11	[6,128,128,128] → [6, 128, 128, 64]	[3,3], 1
unpool12	indices2 + [6,128,128,64] → [6, 256, 256, 64]	[2, 2], 2
conv12	[6,256,256,64] → [6, 256, 256, 64]	[3,3], 1
conv13 (Depth)	[6,256,256,64] → [6, 256, 256, 1]	[3,3], 1
conv13 (Segm.)	[6,256,256,64] → [6, 256, 256, 14]	[3,3], 1
"""
PRINTED = {"rgb": "RGB", "depth": "Depth", "segmentation": "Segm."}


def rows(table: str, name: str | None = None) -> list[tuple]:
    """Rows (layer, input, output, kernel, stride, indices) of a printed table that concern one modality."""
    parsed = []
    for line in table.strip().splitlines():
        layer, shapes, kernel = line.split("\t")
        only = re.search(r"\((RGB|Depth|Segm\.)\)", layer)
        if only and PRINTED[name] != only[1]:
            continue
        before, after = (tuple(map(int, re.search(r"\[(.*?)\]", side)[1].split(","))) for side in shapes.split("→"))
        size, stride = re.fullmatch(r"\[(\d), ?\d\], (\d)", kernel).groups()
        indices = re.search(r"indices\d+", shapes)
        parsed.append((layer.split()[0], before, after, int(size), int(stride), indices and indices[0]))
    return parsed


def as_parameters(*tables: tuple[str, str, str | None]):
    """(network, position in it, row) of every row of (network, table, modality)."""
    return [
        pytest.param(network, place, row, id=f"{network}-{row[0]}")
        for network, table, name in tables
        for place, row in enumerate(rows(table, name))
    ]


class Recorder(TorchDispatchMode):
    """Writes down each convolution, pooling and unpooling, and which operations come after it."""

    def __init__(self):
        super().__init__()
        self.layers = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        kind = next((k for k in KINDS if k in function.overloadpacket.__name__), None)
        if kind in ("convolution", "max_pool2d", "max_unpool2d", "upsample"):
            x, second = arguments[:2]
            output, indices = result if kind == "max_pool2d" else (result, None)
            layer = {"kind": kind, "input": nhwc(x), "output": nhwc(output), "after": [], "indices": indices}
            if kind == "convolution":
                layer |= {"kernel": tuple(second.shape[2:]), "stride": tuple(arguments[3])}
            elif kind == "max_pool2d":
                layer |= {"kernel": tuple(second), "stride": tuple(arguments[2] if len(arguments) > 2 else second)}
            elif kind == "max_unpool2d":
                layer |= {"indices": second}
            self.layers.append(layer)
        elif kind:
            self.layers[-1]["after"].append(kind)
        return result


KINDS = ("convolution", "max_pool2d", "max_unpool2d", "upsample", "batch_norm", "leaky_relu", "relu", "tanh", "softmax")


def nhwc(tensor: torch.Tensor) -> tuple[int, ...]:
    n, c, h, w = tensor.shape
    return (n, h, w, c)


@pytest.fixture(scope="module")
def paper():
    """All networks of the paper preset run once on fake tensors (shapes without numbers), layer by layer."""
    recipe, trace = preset("paper"), {}
    with FakeTensorMode(), torch.no_grad():
        model = MixAndMatch.from_recipe(recipe)
        discriminator = PatchDiscriminator(3, recipe.discriminator_widths)
        for name, record in MODALITIES.items():
            with Recorder() as recorder:
                encoding = model.encode(torch.zeros(6, record.channels, 256, 256), name)
            trace[f"{name} encoder"] = recorder.layers
        trace["encoding"] = encoding
        for name in MODALITIES:
            with Recorder() as recorder:
                trace[f"{name} output"] = nhwc(model.decode(encoding, name))
            trace[f"{name} decoder"] = recorder.layers
        with Recorder() as recorder:
            trace["scores"] = nhwc(discriminator(torch.zeros(6, 3, 256, 256)))
        trace["discriminator"] = recorder.layers
    return trace


# ── The paper preset ──


@pytest.mark.parametrize("network, place, row", as_parameters(*((f"{m} encoder", TABLE_7, m) for m in MODALITIES)))
def test_encoders_are_table_7(paper, network, place, row):
    name, before, after, kernel, stride, indices = row
    layer = paper[network][place]
    assert layer["kind"] == ("max_pool2d" if name.startswith("pool") else "convolution")
    assert (layer["input"], layer["output"]) == (before, after)
    assert (layer["kernel"], layer["stride"]) == ((kernel, kernel), (stride, stride))
    if indices:
        assert nhwc(layer["indices"]) == after and layer["after"] == []
    else:  # "the only exception is the RGB encoder", which has no batch normalization
        assert layer["after"] == (["relu"] if network == "rgb encoder" else ["batch_norm", "relu"])


@pytest.mark.parametrize(
    "network, place, row", as_parameters(*((f"{m} decoder", TABLE_8, m) for m in ("depth", "segmentation")))
)
def test_depth_and_segmentation_decoders_are_table_8(paper, network, place, row):
    name, before, after, kernel, stride, indices = row
    layer = paper[network][place]
    assert (layer["input"], layer["output"]) == (before, after)
    if indices:
        assert layer["kind"] == "max_unpool2d" and layer["after"] == []
        assert nhwc(layer["indices"]) == before
        # the encoder of `encoding` is the segmentation encoder: "indices7" are those that its pool7 gave
        pools = dict(zip((r[5] for r in rows(TABLE_7, "segmentation")), paper["segmentation encoder"]))
        assert layer["indices"] is pools[indices]["indices"]
        assert after[1] == stride * before[1] == kernel * before[1]
    else:
        assert layer["kind"] == "convolution"
        assert (layer["kernel"], layer["stride"]) == ((kernel, kernel), (stride, stride))
        assert layer["after"] == ([] if name == "conv13" else ["batch_norm", "relu"])  # the output is linear


@pytest.mark.parametrize("network, place, row", as_parameters(("rgb decoder", TABLE_5, "rgb")))
def test_rgb_decoder_is_table_5(paper, network, place, row):
    name, before, after, kernel, stride, _ = row
    repeat, convolution = paper[network][2 * place : 2 * place + 2]
    assert (repeat["kind"], convolution["kind"]) == ("upsample", "convolution")
    assert (repeat["input"], convolution["output"]) == (before, after)
    assert (convolution["kernel"], convolution["stride"]) == ((kernel, kernel), (stride, stride))
    assert convolution["after"] == (["tanh"] if name == "conv5" else ["batch_norm", "relu"])


@pytest.mark.parametrize("network, place, row", as_parameters(("discriminator", TABLE_6, "rgb")))
def test_discriminator_is_table_6(paper, network, place, row):
    name, before, after, kernel, stride, _ = row
    layer = paper[network][place]
    assert (layer["input"], layer["output"]) == (before, after)
    assert (layer["kernel"], layer["stride"]) == ((kernel, kernel), (stride, stride))
    assert layer["after"] == ["batch_norm", "leaky_relu"]


def test_paper_networks_have_no_layer_that_the_tables_lack(paper):
    for name in MODALITIES:
        layers = [layer["kind"] for layer in paper[f"{name} encoder"]]
        assert len(layers) == len(rows(TABLE_7, name)) and layers.count("convolution") == 13
    for name in ("depth", "segmentation"):
        layers = [layer["kind"] for layer in paper[f"{name} decoder"]]
        assert len(layers) == len(rows(TABLE_8, name)) and layers.count("convolution") == 13
    assert len(paper["rgb decoder"]) == 2 * len(rows(TABLE_5)) == 10
    assert len(paper["discriminator"]) == len(rows(TABLE_6)) + 1  # the head, which the table leaves out
    assert paper["discriminator"][-1]["after"] == [] and paper["scores"] == (6, 16, 16, 1)
    assert nhwc(paper["encoding"].latent) == (6, 8, 8, 512)
    assert [paper[f"{name} output"][3] for name in MODALITIES] == [3, 1, 14]


# ── Pooling by hand ──


def test_pool_and_unpool_by_hand():
    rows = [1.0, 2.0, 0.0, 5.0], [3.0, 9.0, 4.0, 1.0], [7.0, 0.0, 2.0, 2.5], [6.0, 1.0, 8.0, 0.0]
    image = torch.tensor(rows)[None, None]
    pooled, indices = pool(image)
    assert pooled.flatten().tolist() == [9.0, 5.0, 7.0, 8.0]
    assert indices.flatten().tolist() == [5, 3, 8, 14]  # row by row in the 4 × 4 plane
    back = unpool(pooled * 10, indices)[0, 0]
    expected = torch.zeros(4, 4)
    expected[1, 1], expected[0, 3], expected[2, 0], expected[3, 2] = 90.0, 50.0, 70.0, 80.0
    assert torch.equal(back, expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_window_codes_say_the_same_as_indices(memory_format):
    image = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    image[0, 0, :2, :2] = 1.0  # of equals the first
    image = image.contiguous(memory_format=memory_format).requires_grad_()
    (pooled, indices), (coded, codes) = pool(image), pool(image, codes=True)
    assert torch.equal(coded, pooled) and codes.dtype == torch.uint8 and codes.shape == indices.shape
    assert torch.equal(codes, indices // 6 % 2 * 2 + indices % 2) and codes[0, 0, 0, 0] == 0
    assert torch.equal(upper_left(codes), torch.zeros_like(codes))
    back, slope = unpool(coded, codes), torch.randn(2, 3, 8, 6, dtype=torch.float64)
    assert torch.equal(back, plain := unpool(pooled, indices))
    assert all(image.is_contiguous(memory_format=memory_format) for image in (back, plain))
    losses = (unpooled.mul(slope).sum() + small.square().sum() for unpooled, small in
              ((unpool(pooled, indices), pooled), (back, coded)))  # fmt: skip
    first, second = (torch.autograd.grad(loss, image)[0] for loss in losses)
    assert torch.allclose(first, second)
    other = torch.rand(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)  # without equals
    assert torch.autograd.gradcheck(lambda x: unpool(*pool(x, codes=True)), other)


def test_upper_left_points_at_the_first_pixel_of_every_window():
    indices = pool(torch.rand(2, 3, 4, 6))[1]
    corners = upper_left(indices)
    assert corners.dtype == indices.dtype and corners.shape == (2, 3, 2, 3)
    assert (corners == torch.tensor([[0, 2, 4], [12, 14, 16]])).all()  # row by row in the 4 × 6 plane
    back = unpool(torch.ones(2, 3, 2, 3), corners)
    assert (back[..., ::2, ::2] == 1).all() and back.sum() == 2 * 3 * 2 * 3
    # so do the indices of an image that says nothing: of equal pixels the first counts as the maximum
    assert torch.equal(pool(torch.zeros(2, 3, 4, 6))[1], corners)


# ── All translations ──


def image_of(name: str, size: int, batch: int = 2, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(batch, MODALITIES[name].channels, size, size, generator=random)


@pytest.mark.parametrize("side", SIDE_INFORMATION)
@pytest.mark.parametrize("name", ["smoke", "course"])
def test_nine_translations_have_the_targets_shape(name, side):
    recipe = preset(name, side_information=side)
    with FakeTensorMode(), torch.no_grad():
        model = MixAndMatch.from_recipe(recipe)
        for source, target in itertools.product(MODALITIES, repeat=2):
            image = torch.zeros(2, MODALITIES[source].channels, 64, 32)  # not square
            encoding = model.encode(image, source)
            latent = (2, recipe.widths[-1], 64 // recipe.stride, 32 // recipe.stride)
            assert encoding.latent.shape == latent and len(encoding) == 2
            assert model.decode(encoding, target).shape == (2, MODALITIES[target].channels, 64, 32)
            assert bool(encoding.features) == (side == "skip")


def test_translate_is_encode_then_decode(model):
    image = image_of("depth", 32)
    expected = model.decoders["segmentation"](model.encoders["depth"](image))
    assert torch.equal(model.translate(image, "depth", "segmentation"), expected)


@pytest.mark.parametrize("target", MODALITIES)
def test_decoders_use_the_indices_of_the_source_but_for_rgb(model, target):
    own, other = model.encode(image_of("depth", 32), "depth"), model.encode(image_of("rgb", 32), "rgb")
    assert not torch.equal(own.indices[0], other.indices[0])
    swapped = Encoding(own.latent, own.pooled, other.indices, other.features)
    same = torch.equal(model.decode(own, target), model.decode(swapped, target))
    assert same == (target == "rgb")


def test_without_indices_the_latent_stays_and_the_indices_say_nothing(model):
    encoding = model.encode(image_of("depth", 32), "depth")
    blind = encoding.without_indices()
    assert blind.latent is encoding.latent and blind.pooled is encoding.pooled and blind.features is encoding.features
    assert len(blind.indices) == len(encoding.indices)
    for indices, own in zip(blind.indices, encoding.indices):
        assert torch.equal(indices, upper_left(own)) and not torch.equal(indices, own)


def test_a_disturbed_network_decodes_with_less(model):
    def translate(model, target="segmentation"):
        return model.decode(model.encode(image_of("depth", 32), "depth"), target)

    whole = model.translate(image_of("depth", 32), "depth", "segmentation")
    assert Disturbed(model).modalities == model.modalities
    assert torch.equal(translate(Disturbed(model)), whole)
    blind = model.decode(model.encode(image_of("depth", 32), "depth").without_indices(), "segmentation")
    assert torch.equal(translate(Disturbed(model, indices=False)), blind) and not torch.equal(blind, whole)
    assert torch.equal(translate(Disturbed(model, indices=False), "rgb"), translate(model, "rgb"))  # it takes none


def test_the_noise_of_a_disturbed_network_is_the_same_in_every_call(model):
    image = image_of("depth", 32, batch=8)
    clean = model.encode(image, "depth")
    noisy = Disturbed(model, noise=0.5).encode(image, "depth")
    assert torch.equal(noisy.latent, Disturbed(model, noise=0.5).encode(image, "depth").latent)
    assert not torch.equal(noisy.latent, Disturbed(model, noise=0.5, seed=1).encode(image, "depth").latent)
    assert (noisy.latent - clean.latent).std().item() == pytest.approx(0.5, rel=0.05)
    assert all(map(torch.equal, noisy.indices, clean.indices))


def test_skip_connections_use_the_features_of_the_source():
    model = MixAndMatch.from_recipe(preset("smoke", side_information="skip")).eval()
    own, other = model.encode(image_of("depth", 32), "depth"), model.encode(image_of("rgb", 32), "rgb")
    swapped = Encoding(own.latent, own.pooled, own.indices, other.features)
    assert not torch.equal(model.decode(own, "depth"), model.decode(swapped, "depth"))
    unchanged = Encoding(own.latent, own.pooled, other.indices, own.features)
    assert torch.equal(model.decode(own, "depth"), model.decode(unchanged, "depth"))


def test_eval_answers_an_image_alone_as_in_a_batch_and_train_does_not():
    model = MixAndMatch.from_recipe(preset("smoke"))
    image = image_of("depth", 32)
    with torch.no_grad():
        model.eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        together, alone = (model.translate(images, "depth", "segmentation") for images in (image, image[:1]))
        assert torch.allclose(together[:1], alone, atol=1e-5)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        model.train()
        assert not torch.allclose(model.translate(image, "depth", "segmentation")[:1], alone, atol=1e-3)
        assert not all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_rgb_output_is_within_plus_minus_one(model):
    output = model.translate(100 * image_of("depth", 32), "depth", "rgb")
    assert output.abs().max() <= 1


def test_encodings_split_and_join(model):
    encoding = model.encode(image_of("rgb", 32, batch=4), "rgb")
    joined = Encoding.cat([encoding[:1], encoding[1:]])
    assert len(joined) == 4 and len(encoding[:1]) == 1
    for part in ("pooled", "indices", "features"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(joined, part), getattr(encoding, part), strict=True))
    assert torch.equal(joined.latent, encoding.latent) and torch.equal(encoding.pooled[-1], encoding.latent)
    assert encoding.latent.requires_grad and not encoding.detach().latent.requires_grad
    noisy = encoding.with_latent(encoding.latent + 1)
    assert torch.equal(noisy.latent, encoding.latent + 1) and noisy.indices is encoding.indices


@pytest.mark.parametrize(
    "shape, source, words",
    [
        ((1, 1, 32, 32), "rgb", ["rgb image", "(N, 3, H, W)", "(1, 1, 32, 32)", 'modality("rgb").to_input']),
        ((3, 32, 32), "rgb", ["(N, 3, H, W)", "(3, 32, 32)"]),
        ((1, 1, 32, 32), "segmentation", ["(N, 14, H, W)"]),
        ((1, 3, 30, 33), "rgb", ["30×33", "multiples of 4", "crop to 28×32", "pad to 32×36"]),
        ((1, 3, 3, 32), "rgb", ["3×32", "pad to 4×32"]),
        ((1, 3, 32, 32), "infrared", ["unknown modality 'infrared'", "rgb, depth, segmentation"]),
    ],
)
def test_images_that_do_not_fit_are_told_what_does(model, shape, source, words):
    with pytest.raises(ValueError) as error:
        model.encode(torch.zeros(shape), source)
    assert all(word in str(error.value) for word in words), error.value


def test_from_recipe_depends_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = MixAndMatch.from_recipe(preset("smoke")).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = MixAndMatch.from_recipe(preset("smoke")).state_dict()
    other = MixAndMatch.from_recipe(preset("smoke", seed=1)).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["encoders.rgb.stages.0.0.0.weight"], other["encoders.rgb.stages.0.0.0.weight"])
