"""The sum of losses that notebook 02 shows is the library's, with a learner's two functions or without."""

import json
from pathlib import Path

import pytest
import torch

from conftest import rooms_of
from mmlib import MixAndMatch, preset
from mmlib.course.exercises import CHECKERS
from mmlib.data.batches import load_batch
from mmlib.data.sets import DepthPairs, SegmentationPairs
from mmlib.hardware.compute import Machine
from mmlib.objectives import PlainZeroPair

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks/02_latent_consistency.ipynb"


@pytest.mark.parametrize("consistency", [False, True], ids=["shared decoders alone", "with consistency"])
def test_the_loss_in_view_is_that_of_the_library(consistency):
    sets = rooms_of(SegmentationPairs, 0), rooms_of(DepthPairs, 10)
    names = {"d1": sets[0], "d2": sets[1]}
    (cell,) = (cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["id"] == "joint-loss")
    exec("".join(cell["source"]), names)
    yours = names["Joint"](CHECKERS["your_latent_consistency"].right if consistency else None)
    recipe = preset("smoke", side_information="none", consistency="latent", anchor_gradient=False, latent_noise=0.0)
    model = MixAndMatch.from_recipe(recipe).eval()
    machine = Machine(torch.device("cpu"), bf16=False, channels_last=False)
    batches = [load_batch(rooms, recipe, machine, 0, number) for number, rooms in enumerate(sets)]
    results = []
    for objective in (yours, PlainZeroPair(*sets)):
        model.zero_grad()
        terms, _ = objective.terms(model, batches, recipe, recipe.phase(0), torch.Generator())
        if not consistency:
            terms = {name: term for name, term in terms.items() if not name.startswith("latent")}
        objective.total(terms, recipe.phase(0)).backward()
        results.append((terms, [weight.grad for weight in model.parameters()]))
    (shown, gradients), (librarys, expected) = results
    assert shown.keys() == librarys.keys()
    for name, term in shown.items():
        assert torch.allclose(term, librarys[name], rtol=1e-4, atol=1e-6), name
    for first, second in zip(gradients, expected, strict=True):
        assert torch.allclose(first, second, rtol=1e-3, atol=1e-4 * float(second.abs().max()) + 1e-6)
