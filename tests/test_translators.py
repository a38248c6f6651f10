"""What every translator offers, whatever it is made of."""

import itertools

import pytest
import torch

from conftest import noise
from mmlib import MixAndMatch, evaluate, preset
from mmlib.data.sets import Rooms
from mmlib.methods.cascade import Cascade
from mmlib.methods.disturbed import Disturbed

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
