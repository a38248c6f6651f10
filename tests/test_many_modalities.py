"""More than three modalities: sets anchored in RGB, all trained jointly, or one plugged into a trained network."""

import json
import math

import pytest
import torch

from conftest import CPU, FIVE, rooms_of
from mmlib import DepthPairs, SegmentationPairs, Triplets, ZeroPair, audit, checkpoints, evaluate, fit, modality, preset
from mmlib.__main__ import main
from mmlib.audit import describe_audit
from mmlib.data.batches import augment, generator
from mmlib.data.sets import AlbedoPairs, AnchoredPairs, NormalsPairs, OraclePairs, Surfaces, joined
from mmlib.data.sources import Memory
from mmlib.evaluation import seen
from mmlib.losses import cosine
from mmlib.methods.plug_in import PlugIn, plugged_in
from mmlib.modalities import ALBEDO, DEPTH, NORMALS, RGB, SEGMENTATION, named
from mmlib.training import Trainer


@pytest.fixture(scope="module")
def base(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    fit(preset("smoke"), ZeroPair(*sets[:2]), folder, device="cpu", progress=False)
    return folder / "checkpoint.safetensors"


# ── Sets ──


def test_anchored_pairs_hold_rgb_and_one_other():
    for wrong in ((DEPTH, SEGMENTATION), (RGB, DEPTH, SEGMENTATION), (DEPTH, RGB), (RGB,)):
        with pytest.raises(TypeError, match="RGB and one other modality"):
            type("Wrong", (AnchoredPairs,), {"records": named(*wrong)})


def test_sets_in_memory_are_checked():
    images = dict(rooms_of(NormalsPairs, 0, 3).images)
    held = NormalsPairs.of(images, [4, 5, 6])
    assert len(held) == 3 and held.size == 32 and held.describe()["rooms"] == [[4, 6]]
    assert held.sha256 == NormalsPairs.of(images, [4, 5, 6]).sha256
    assert held.sha256 != NormalsPairs.of(images | {"rgb": 255 - images["rgb"]}, [4, 5, 6]).sha256
    for wrong in (
        (NormalsPairs, images, [4, 5]),
        (NormalsPairs, images, [4, 4, 5]),
        (DepthPairs, images, [4, 5, 6]),
        (NormalsPairs, images | {"rgb": images["rgb"][:, :, :16]}, [4, 5, 6]),
    ):
        with pytest.raises(ValueError, match="takes rgb, .*square and as many of each"):
            wrong[0].of(*wrong[1:])


def test_joined_sets_are_of_the_same_rooms():
    first, second = rooms_of(Triplets, 0), rooms_of(Surfaces, 0)
    five = joined(first, second)
    assert set(five.modalities) == set(FIVE) and five.rooms == first.rooms
    assert five.sha256 not in (first.sha256, second.sha256)
    with pytest.raises(ValueError, match="not the same rooms"):
        joined(first, rooms_of(Surfaces, 1))
    with pytest.raises(TypeError, match="AnchoredPairs hold two modalities"):
        joined(rooms_of(SegmentationPairs, 0), rooms_of(DepthPairs, 0))


# ── Modalities ──


def test_a_mirror_turns_normals_round():
    raw = {"normals": torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1).expand(64, 3, 8, 8)}
    turned = augment(raw, 8, generator("cpu", 0))["normals"]
    assert set(turned[:, 0].flatten().mul(10).round().tolist()) == {6.0, -6.0}
    assert torch.equal(turned[:, 2], raw["normals"][:, 2])


def test_stored_normals_are_unit_vectors_or_nothing():
    stored = torch.tensor([[255, 128, 1, 0], [128, 255, 128, 0], [128, 128, 128, 0]], dtype=torch.uint8).view(3, 1, 4)
    raw = NORMALS.from_stored(stored)
    assert raw.norm(dim=0)[0, :3].tolist() == pytest.approx([1, 1, 1]) and not raw[:, 0, 3].any()
    assert NORMALS.valid(raw[None]).flatten().tolist() == [True, True, True, False]
    assert raw[0, 0, 0] > 0.99 and raw[1, 0, 1] > 0.99 and raw[0, 0, 2] < -0.99


def test_angles_by_hand():
    """Four pixels: exact, 10° off, 90° off, opposite; and one without a target."""

    def at(*degrees):
        angles = torch.tensor(degrees).deg2rad()
        return torch.stack([angles.sin(), torch.zeros_like(angles), angles.cos()]).view(1, 3, 1, -1)

    target = at(0.0, 0.0, 0.0, 0.0, 0.0)
    target[..., 4] = 0
    metric = NORMALS.metric()
    metric.update(at(0.0, 10.0, 90.0, 180.0, 45.0), target)
    found = metric.compute()
    assert found["mean"] == pytest.approx((10 + 90 + 180) / 4, abs=0.05)
    assert found["median"] == pytest.approx(10, abs=0.05)
    assert [found[f"within{k}"] for k in (11, 22, 30)] == [0.5, 0.5, 0.5]
    assert NORMALS.metric().compute() == dict.fromkeys(found)


def test_cosine_loss_by_hand():
    target = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3)
    prediction = torch.tensor([[0.0, 0.0, 5.0], [1.0, 0.0, 1.0], [0.0, 0.0, -1.0]]).T.view(1, 3, 1, 3)
    valid = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    assert cosine(prediction, target, valid).item() == pytest.approx((0 + 1 - math.sqrt(0.5)) / 2, abs=1e-6)


# ── Joint training ──


def test_four_sets_train_all_their_pairs_and_no_others(sets):
    recipe = preset("smoke", modalities=FIVE)
    trainer, calls = Trainer(recipe, ZeroPair(*sets), CPU), []
    for kind in ("encoders", "decoders"):
        for name, network in getattr(trainer.model, kind).items():
            network.register_forward_hook(lambda *_, what=f"{kind}/{name}": calls.append(what))
    first = trainer.step()
    assert sorted(calls) == sorted(f"{kind}/{name}" for kind in ("encoders", "decoders") for name in FIVE)
    pairs = {f"{modality(name).name}/R{modality(name).letter}" for name in FIVE}
    assert pairs <= first.keys() and not any(name.startswith("pseudo") for name in first)
    assert {name for name in first if name.startswith("latent")} == {"latent/RS", "latent/RD", "latent/RN", "latent/RA"}
    trainer.next_step = 4
    later = trainer.step()
    unseen = {name for name in later if name.startswith("pseudo")}
    assert len(unseen) == 12 and "pseudo_normals/DN" in unseen and not any(name[-2] == "R" for name in unseen)


def test_two_sets_of_a_kind_or_with_common_rooms_are_refused(sets):
    with pytest.raises(TypeError, match="one set of each pair"):
        ZeroPair(*sets, rooms_of(AlbedoPairs, 100))
    with pytest.raises(ValueError, match="normals and with albedo share 4 rooms, the first is 20"):
        ZeroPair(*sets[:3], rooms_of(AlbedoPairs, 20))


def test_twenty_translations_of_which_eight_were_seen(sets, tmp_path):
    model = fit(preset("smoke", modalities=FIVE), ZeroPair(*sets), tmp_path, device="cpu", progress=False)
    assert audit(model.record) == []
    assert "no room gave two of albedo, depth, normals, segmentation" in describe_audit(model.record)
    result = evaluate(model, joined(rooms_of(Triplets, 900), rooms_of(Surfaces, 900)))["translations"]
    across = {name: row["seen"] for name, row in result.items() if len(set(name.split("_to_"))) == 2}
    assert len(across) == 20 and sum(across.values()) == 8
    assert not seen("normals", "albedo") and seen("rgb", "normals") and seen("depth", "depth")
    model.record["data"][3]["rooms"] = [[2, 3]]
    assert audit(model.record) == ["2 rooms from 2 on gave both albedo and segmentation, in AlbedoPairs (training) and "
                                   "SegmentationPairs (training)"]  # fmt: skip


# ── Plugged in ──


def test_plugging_in_leaves_every_old_bit(sets, base, tmp_path):
    old = checkpoints.load(base)
    recipe = plugged_in(old.recipe, "normals", 3)
    fit(recipe, PlugIn(sets[2], checkpoints.load(base)), tmp_path, device="cpu", progress=False)
    new = checkpoints.load(tmp_path / "checkpoint.safetensors")
    assert new.modalities == ("rgb", "depth", "segmentation", "normals")
    for name, value in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], value), name
    batch = rooms_of(Triplets, 0).batch(range(4))
    for source in old.modalities:
        image = modality(source).to_input(batch[source])
        for target in old.modalities:
            assert torch.equal(old.translate(image, source, target), new.translate(image, source, target))
    start = Trainer(recipe, PlugIn(sets[2], old), CPU).model.state_dict()
    changed = {name.split(".")[1] for name, value in new.state_dict().items() if not torch.equal(value, start[name])}
    assert changed == {"normals"}
    assert audit(new.record) == [] and len(new.record["data"]) == 3


def test_a_plug_in_goes_on_after_a_stop(sets, base, tmp_path):
    recipe = plugged_in(preset("smoke"), "normals", 4)
    objective = PlugIn(sets[2], checkpoints.load(base))
    whole = fit(recipe, objective, tmp_path / "whole", device="cpu", progress=False)
    fit(recipe, objective, tmp_path / "parts", device="cpu", progress=False, stop_after=2)
    parts = fit(recipe, objective, tmp_path / "parts", device="cpu", progress=False, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), parts.state_dict().values()))


def test_what_cannot_be_plugged_in_is_refused(sets, base):
    network = checkpoints.load(base)
    with pytest.raises(ValueError, match="depth is in the network already"):
        PlugIn(rooms_of(DepthPairs, 50), network)
    with pytest.raises(ValueError, match="shares rooms with SegmentationPairs, on which the network was trained"):
        PlugIn(rooms_of(NormalsPairs, 2), network)
    with pytest.raises(TypeError, match="AnchoredPairs"):
        PlugIn(rooms_of(Surfaces, 50), network)
    other = plugged_in(preset("smoke", side_information="skip"), "normals")
    with pytest.raises(ValueError, match="its networks are not the frozen ones with normals more"):
        PlugIn(sets[2], network).networks(other)


def test_the_command_line_plugs_in(sets, base, tmp_path, capsys, monkeypatch):
    from mmlib.data import shipped

    held = {"normals": sets[2], "test": rooms_of(Triplets, 90), "test_surfaces": rooms_of(Surfaces, 90)}
    monkeypatch.setattr(shipped, "open_split", lambda source, split, *others: held[split])
    arguments = ["train", "--out", str(tmp_path / "run"), "--device", "cpu", "--steps", "2"]
    assert main([*arguments, "--add", "normals", "--to", str(base)]) == 0
    trained = tmp_path / "run/checkpoint.safetensors"
    assert checkpoints.load(trained).modalities[-1] == "normals"
    assert main(["evaluate", str(trained), "--json", str(tmp_path / "all.json"), "--device", "cpu"]) == 0
    assert len(json.loads((tmp_path / "all.json").read_text())["translations"]) == 16
    assert main([*arguments, "--add", "normals"]) == 2
    assert "--add MODALITY and --to CHECKPOINT belong together" in capsys.readouterr().err


def test_oracles_alone_take_other_pairs():
    images = {name: torch.full((1, 1, 2, 2), number) for number, name in enumerate(("depth", "normals", "albedo"))}
    memory = Memory(images, named(DEPTH, NORMALS, ALBEDO), {"rooms": [{"room": 1}]}, "oracle", "hash")
    both = OraclePairs(memory, images)
    assert both.narrowed(("albedo", "depth")).images == {"albedo": images["albedo"], "depth": images["depth"]}
    with pytest.raises(TypeError, match="zero-pair training takes"):
        ZeroPair(both, both)
