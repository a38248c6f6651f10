"""Recipes: what is refused and in which words, the schedule, and the way to JSON and back."""

import json

import pytest

from mmlib import Phase, preset
from mmlib.recipes import PRESETS, from_dict


def test_paper_preset_is_section_5_1():
    recipe = preset("paper")
    first, second = recipe.phases
    assert (recipe.batch, recipe.learning_rate, recipe.latent_noise, recipe.size) == (6, 0.0002, 0.5, 256)
    assert (first.steps, second.steps) == (200_000, 200_000)
    names = ("lambda_rgb", "lambda_segmentation", "lambda_depth", "lambda_latent", "lambda_l2")
    assert [getattr(first, name) for name in names] == [1, 100, 10, 1, 1]
    assert [getattr(second, name) for name in names] == [10, 100, 10, 10, 10]
    assert (first.freeze_rgb_encoder, second.freeze_rgb_encoder) == (False, True)
    assert recipe.side_information == "pooling" and recipe.autoencoders and not recipe.rgb_batch_norm
    assert first.lambda_pseudo == second.lambda_pseudo == 0 and recipe.schedule == "constant" and not recipe.augment
    assert recipe.consistency == "latent" and recipe.class_balance == 0


@pytest.mark.parametrize("name", PRESETS)
def test_dictionaries_and_json_bring_a_recipe_back(name):
    recipe = preset(name, seed=7)
    assert from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.name == name and recipe.to_dict()["seed"] == 7


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"width": (4, 8)}, ["unknown recipe key 'width'", "widths", "steps"]),
        ({"batch": "8"}, ["batch = '8'", "int"]),
        ({"batch": True}, ["batch = True", "int"]),
        ({"batch": 2.0}, ["batch = 2.0"]),
        ({"batch": 1}, ["batch = 1", ">= 2"]),
        ({"augment": 1}, ["augment = 1", "bool"]),
        ({"widths": 4}, ["widths = 4", "array"]),
        ({"widths": (4, "8")}, ["widths", "int"]),
        ({"widths": (4, 0)}, ["widths", ">= 1"]),
        ({"convolutions": (1, 0)}, ["convolutions", ">= 1"]),
        ({"discriminator_widths": (-4,)}, ["discriminator_widths", ">= 1"]),
        ({"widths": (4,)}, ["widths (4,)", "equally long"]),
        ({"widths": (), "convolutions": ()}, ["widths ()"]),
        ({"size": 30}, ["size = 30", "multiple of 4"]),
        ({"size": 0}, ["size = 0"]),
        ({"side_information": "indices"}, ["side_information = 'indices'", "none, skip, pooling"]),
        ({"consistency": "all"}, ["consistency = 'all'", "latent, all_stages"]),
        ({"schedule": "cosine"}, ["schedule = 'cosine'", "constant, one_cycle, linear_decay"]),
        ({"one_cycle": True}, ["unknown recipe key 'one_cycle'", "schedule"]),
        ({"windows": (1.0, 0.5)}, ["windows = (1.0, 0.5)", "smaller"]),
        ({"windows": (0.0, 0.5)}, ["windows = (0.0, 0.5)", "> 0"]),
        ({"teacher_decay": 1.0}, ["teacher_decay = 1.0", "< 1"]),
        ({"precision": "fp16"}, ["precision = 'fp16'", "auto, fp32, bf16"]),
        ({"learning_rate": "fast"}, ["learning_rate = 'fast'"]),
        ({"learning_rate": -0.1}, ["learning_rate = -0.1", ">= 0"]),
        ({"latent_noise": float("nan")}, ["latent_noise = nan"]),
        ({"class_balance": -1.0}, ["class_balance = -1.0", ">= 0"]),
        ({"learning_rate": float("inf")}, ["learning_rate = inf"]),
        ({"seed": 10**20}, ["seed = 1000"]),
        ({"seed": -1}, ["seed = -1", ">= 0"]),
        ({"phases": ()}, ["phases"]),
        ({"phases": (3,)}, ["phases"]),
        ({"phases": (Phase(0),)}, ["at least one step"]),
        ({"widths": (4, 2**14 + 1)}, ["widths = (4, 16385)", "<= 16384"]),
        ({"discriminator_widths": (10**9,)}, ["discriminator_widths", "<= 16384"]),
        ({"convolutions": (85, 86)}, ["convolutions of all encoders must be at most 512"]),
        ({"size": 4100}, ["size = 4100", "<= 4096"]),
        ({"batch": 2**16 + 1}, ["batch = 65537", "<= 65536"]),
        ({"phases": (Phase(1),) * 101}, ["phases", "length <= 100"]),
        ({"modalities": ()}, ["modalities", "at least one"]),
        ({"modalities": ("rgb", "rgb")}, ["modalities", "none twice"]),
        ({"modalities": ("rgb", 3)}, ["modalities = ('rgb', 3)", "str"]),
        ({"modalities": ("rgb", "a.b")}, ["modalities ('rgb', 'a.b')", "not . /"]),
        ({"modalities": ("rgb", "a" * 65)}, ["aaa'", "1 to 64 letters"]),
        ({"steps": 0}, ["steps = 0", "at least 1"]),
        ({"steps": True}, ["steps = True"]),
        ({"steps": 2.5}, ["steps = 2.5"]),
    ],
    ids=str,
)
def test_recipes_that_make_no_sense_are_refused_by_key(changes, words):
    with pytest.raises(ValueError) as error:
        preset("smoke", **changes)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"lambda_depth": -1.0}, "lambda_depth = -1.0 must be `float` >= 0"),
        ({"lambda_gan": float("nan")}, "lambda_gan = nan"),
        ({"steps": -5}, "steps = -5 must be `int` >= 0"),
        ({"steps": 1.5}, "steps = 1.5"),
        ({"steps": 2**40 + 1}, "must be `int` <= 1099511627776"),
        ({"lambda_rgb": "1"}, "lambda_rgb = '1'"),
        ({"freeze_rgb_encoder": 0}, "freeze_rgb_encoder = 0"),
    ],
    ids=str,
)
def test_phases_that_make_no_sense_are_refused_by_key(changes, words):
    with pytest.raises(ValueError) as error:
        Phase(**{"steps": 1} | changes)
    assert words in str(error.value)


def test_unknown_preset_names_the_known():
    known = "paper, course, sketch, ablation, domains, smoke, speedrun"
    with pytest.raises(ValueError, match=f"unknown preset 'huge': known are {known}"):
        preset("huge")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record | {"colour": 1},
        lambda record: {key: value for key, value in record.items() if key != "size"},
        lambda record: {key: value for key, value in record.items() if key != "phases"},
        lambda record: record | {"phases": [{"steps": 1, "lambda_gold": 1.0}]},
        lambda record: record | {"phases": 3},
        lambda record: record | {"phases": [4]},
        lambda record: record | {"widths": [4, "8"]},
        lambda record: [record],
        lambda record: None,
        lambda record: "smoke",
    ],
)
def test_dictionaries_that_are_no_recipe_are_refused(spoil):
    with pytest.raises(ValueError, match="recipe"):
        from_dict(spoil(preset("smoke").to_dict()))


@pytest.mark.parametrize(
    "one_cycle, linear_decay, schedule",
    [
        (False, False, "constant"),
        (True, False, "one_cycle"),
        (False, True, "linear_decay"),
        (True, True, "linear_decay"),  # as such a training ran
        (True, None, "one_cycle"),  # older still
    ],
)
def test_records_with_the_two_switches_of_earlier_versions_load(one_cycle, linear_decay, schedule):
    record = preset("smoke").to_dict() | {"pseudo_inputs": False, "one_cycle": one_cycle}
    del record["schedule"]
    if linear_decay is not None:
        record["linear_decay"] = linear_decay
    assert from_dict(record) == preset("smoke", schedule=schedule)
    for spoilt in (record | {"one_cycle": 1}, record | {"schedule": "constant"}, record | {"pseudo_inputs": True}):
        with pytest.raises(ValueError, match="one_cycle|bool|pseudo_inputs"):
            from_dict(spoilt)


def test_lists_become_tuples():
    assert preset("smoke", widths=[4, 8], windows=[1, 1]) == preset("smoke", windows=(1.0, 1.0))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 90, 91, 6000])
def test_with_steps_keeps_the_total_and_the_proportion(steps):
    recipe = preset("course", phases=(Phase(2000), Phase(1000, lambda_pseudo=50.0)))
    first, second = recipe.with_steps(steps).phases
    assert recipe.with_steps(steps).steps == first.steps + second.steps == steps
    assert abs(first.steps - steps * 2 / 3) <= 0.5
    assert (first.lambda_pseudo, second.lambda_pseudo) == (0, 50)
    assert recipe.replace(steps=steps) == recipe.with_steps(steps)


def test_phase_belongs_to_its_step():
    phases = (Phase(3), Phase(0, lambda_l2=7.0), Phase(2, lambda_l2=2.0), Phase(1, lambda_l2=3.0))
    recipe = preset("smoke", phases=phases)
    assert [recipe.phase(step).lambda_l2 for step in range(7)] == [1, 1, 1, 2, 2, 3, 3]


def test_replace_changes_a_copy():
    recipe = preset("smoke")
    assert recipe.replace(steps=100, batch=3).batch == 3 and recipe.batch == 2
    assert recipe.replace(steps=100, batch=3).steps == 100 and recipe.steps == 8
    assert recipe.stride == 4 and preset("paper").stride == 32
