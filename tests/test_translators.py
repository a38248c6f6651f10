"""What every translator offers, whatever it is made of."""

import itertools

import pytest
import torch

from conftest import noise, rooms_of
from mmlib import DepthPairs, MixAndMatch, SegmentationPairs, evaluate, preset
from mmlib.data.sets import Rooms
from mmlib.methods.cascade import Cascade
from mmlib.methods.disturbed import Disturbed
from mmlib.methods.lazy import Lazy

SMOKE = preset("smoke")
DOMAINS = SMOKE.replace(architecture="resnet", modalities=("photo", "brush", "dots"))
KINDS = {
    "MixAndMatch": lambda: MixAndMatch.from_recipe(SMOKE),
    "domains": lambda: MixAndMatch.from_recipe(DOMAINS),
    "Cascade": lambda: Cascade(MixAndMatch.from_recipe(SMOKE)),
    "Disturbed": lambda: Disturbed(MixAndMatch.from_recipe(SMOKE), indices=False, noise=0.1),
}


@pytest.mark.parametrize("kind", KINDS)
class TestEveryTranslator:
    @pytest.fixture
    def model(self, kind):
        return KINDS[kind]().eval()

    @pytest.fixture
    def images(self, model):
        random = torch.Generator().manual_seed(0)
        return {name: record.to_input(noise(record, 2, random)) for name, record in model.records.items()}

    def test_it_composes_any_encoder_with_any_decoder(self, model, images):
        assert model.modalities == tuple(model.records) and len(model.modalities) == 3
        for source, target in itertools.product(model.modalities, repeat=2):
            made = model.translate(images[source], source, target)
            assert made.shape == (2, model.records[target].channels, 32, 32)
            assert torch.equal(made, model.decode(model.encode(images[source], source), target))

    def test_it_names_what_does_not_fit(self, model, images):
        name = model.modalities[0]
        with pytest.raises(ValueError, match="unknown modality 'sound': this model knows"):
            model.encode(images[name], "sound")
        with pytest.raises(ValueError, match="unknown modality 'sound': this model knows"):
            model.translate(images[name], name, "sound")
        with pytest.raises(ValueError, match=rf"a {name} image for the network is \(N, 3, H, W\)"):
            model.encode(images[name][:, :2], name)
        with pytest.raises(ValueError, match="height and width must be multiples of"):
            model.encode(images[name][..., :31], name)

    def test_it_is_measured(self, model):
        truth = type("Truth", (Rooms,), {"records": model.records})
        random = torch.Generator().manual_seed(1)
        images = {name: noise(record, 3, random) for name, record in model.records.items()}
        result = evaluate(model.train(), truth.of(images, range(3)), batch_size=2)
        assert len(result["translations"]) == 9 and model.training
        assert sum(not row["seen"] for row in result["translations"].values()) == 2


def test_the_lazy_answer_is_the_commonest_class_the_median_and_the_mean_colour():
    segmented, measured = rooms_of(SegmentationPairs, 0), rooms_of(DepthPairs, 10)
    segmented.images["segmentation"][:3] = 5
    segmented.images["rgb"][:] = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1)
    lazy = Lazy(segmented, measured)
    answers = {name: record.to_raw(lazy.translate(torch.zeros(2, 3, 8, 8), "rgb", name))
               for name, record in lazy.records.items()}  # fmt: skip
    assert all(raw.shape[0] == 2 and raw.shape[2:] == (8, 8) for raw in answers.values())
    assert answers["segmentation"].unique().tolist() == [5]
    assert answers["depth"].unique().item() == pytest.approx(measured.images["depth"].median().item())
    assert answers["rgb"][0, :, 0, 0].tolist() == [10, 20, 30]
    rows = evaluate(lazy, segmented, sources=segmented.modalities, targets=["segmentation"])["translations"]
    assert rows["rgb_to_segmentation"]["global"] == rows["segmentation_to_segmentation"]["global"] > 0.75
    with pytest.raises(ValueError, match="unknown modality 'sound': this model knows rgb, segmentation, depth"):
        lazy.translate(torch.zeros(2, 3, 8, 8), "rgb", "sound")
