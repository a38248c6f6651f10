"""Many domains from unpaired images: sets, mixed CycleGANs, colours, styles, and what is measured of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import CPU
from mmlib import MixAndMatch, checkpoints, fit, preset
from mmlib.__main__ import main
from mmlib.data.domains import COLOURS, Domain, folder_domains, square_image
from mmlib.evidence import experiments, ingredients, measure, tables
from mmlib.evidence.grids import GRIDS
from mmlib.evidence.runs import ANCHORS, COLOUR_PAIRS, runs
from mmlib.methods import colours, styles
from mmlib.methods.mixed_cycles import MixedCycles
from mmlib.training import Trainer

NAMES = ("blue", "red", "green")
RECIPE = preset("smoke", modalities=NAMES, architecture="resnet")


def noise(name: str, start: int, count: int = 4) -> Domain:
    """Noise in place of a domain's images, of scenes numbered from `start` on."""
    random = torch.Generator().manual_seed(start)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=random, dtype=torch.uint8)
    return Domain.of({name: images}, range(start, start + count), name)


@pytest.fixture(scope="module")
def sets():
    return [noise(name, 10 * number) for number, name in enumerate(NAMES)]


# ── Folders ──


def write_images(folder, count: int, size=(40, 30)) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((size[1], size[0], 3), 10 * number, np.uint8)).save(folder / f"{number}.jpg")


def test_folders_as_cyclegan_has_them(tmp_path):
    for name in ("trainA", "trainB", "testA", "testB"):
        write_images(tmp_path / name, 3 if name.startswith("train") else 2)
    found = folder_domains(tmp_path, 32)
    assert [rooms.modalities for rooms in found] == [("A",), ("B",)]
    assert found[0].images["A"].shape == (3, 3, 32, 32) and not set(found[0].rooms) & set(found[1].rooms)
    assert [len(rooms) for rooms in folder_domains(tmp_path, 32, part="test")] == [2, 2]
    assert [rooms.split for rooms in folder_domains(tmp_path, 32, "B")] == ["B", "A"], "the anchor comes first"


def test_a_photo_is_turned_upright_and_cut_square(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255  # white on the left; the tag says that this is the top
    tag = Image.Exif()
    tag[0x0112] = 6  # turn it by 90° to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=tag)
    image = square_image(tmp_path / "a.png", 8)
    assert image.shape == (3, 8, 8) and image.dtype == torch.uint8
    assert image[:, :3].min() > 200 and image[:, 5:].max() < 55


def test_folders_one_a_domain(tmp_path):
    for name in ("monet", "photo", "ukiyoe"):
        write_images(tmp_path / name, 2)
    assert [rooms.split for rooms in folder_domains(tmp_path, 32, "photo")] == ["photo", "monet", "ukiyoe"]
    assert len(folder_domains(tmp_path, 32, "photo", "test")) == 3, "without test folders these serve as well"


def test_unusable_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds 0 domains"):
        folder_domains(tmp_path / "nothing", 32)
    write_images(tmp_path / "one", 2)
    with pytest.raises(ValueError, match="holds 1 domains"):
        folder_domains(tmp_path, 32)
    write_images(tmp_path / "two", 1)
    with pytest.raises(ValueError, match="two holds 1 images"):
        folder_domains(tmp_path, 32)
    (tmp_path / "two" / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="broken.png cannot be read"):
        folder_domains(tmp_path, 32)
    with pytest.raises(ValueError, match="not the anchor three"):
        folder_domains(tmp_path, 32, "three")


# ── Mixed CycleGANs ──


def test_an_unseen_pair_is_never_translated(sets, monkeypatch):
    trainer = Trainer(RECIPE.replace(latent_noise=0.0), MixedCycles(sets), CPU)
    encode, decode, translated = trainer.model.encode, trainer.model.decode, set()

    def encode_and_mark(image, source):
        encoding = encode(image, source)
        encoding.latent.source = source
        return encoding

    def decode_and_note(encoding, target):
        translated.add((encoding.latent.source, target))
        return decode(encoding, target)

    monkeypatch.setattr(trainer.model, "encode", encode_and_mark)
    monkeypatch.setattr(trainer.model, "decode", decode_and_note)
    for _ in range(12):
        trainer.step()
    everything = {(a, b) for a in NAMES for b in NAMES}
    assert translated == everything - {("red", "green"), ("green", "red")}


def test_terms_are_cyclegans_with_autoencoders_and_aligned_latents(sets):
    objective, model = MixedCycles(sets[:2]), MixAndMatch.from_recipe(RECIPE.replace(modalities=NAMES[:2]))
    trainer = Trainer(RECIPE.replace(modalities=NAMES[:2]), objective, CPU)
    terms = trainer.step()
    kinds = {name.split("/")[0] for name in terms}
    assert {"autoencoder", "cycle", "latent", "gan", "discriminator"} <= kinds
    weights = objective.total(
        {"cycle/blue": torch.tensor(1.0), "autoencoder/blue": torch.tensor(1.0)}, RECIPE.phases[0]
    )
    assert weights == 15 and model.modalities == NAMES[:2]


def test_without_weight_no_latent_term_is_computed(sets):
    run = runs("smoke")["colours_apart"].recipe.replace(modalities=NAMES)
    terms = Trainer(run, MixedCycles(sets), CPU).step()
    assert not [name for name in terms if name.startswith("latent")] and run.latent_noise == 0


def test_pairs_are_those_with_the_anchor_or_all(sets):
    assert len(MixedCycles(sets, "all").pairs) == 3
    with pytest.raises(ValueError, match="not one of anchor, all"):
        MixedCycles(sets, "some")
    with pytest.raises(ValueError, match="at least two domains, each once"):
        MixedCycles([sets[0], sets[0]])
    with pytest.raises(ValueError, match="at least two domains"):
        MixedCycles(sets[:1])


def test_shapes_of_the_halves_of_the_generator():
    model = MixAndMatch.from_recipe(preset("domains", modalities=NAMES))
    image = torch.zeros(2, 3, 64, 64)
    encoding = model.encode(image, "red")
    assert encoding.latent.shape == (2, 32, 16, 16)
    assert model.decode(encoding, "green").shape == image.shape


def test_a_network_of_domains_is_trained_kept_and_loaded(sets, tmp_path):
    fit(RECIPE, MixedCycles(sets), tmp_path, device="cpu", progress=False)
    model = checkpoints.load(tmp_path / "checkpoint.safetensors")
    assert model.modalities == NAMES
    assert [entry["split"] for entry in model.record["data"]] == list(NAMES)


# ── Measures ──


def scenes(count: int = 3) -> colours.Scenes:
    """Flat squares of each colour on grey, each scene a little darker."""
    paints = dict(zip(COLOURS, np.random.default_rng(0).integers(30, 225, (len(COLOURS), 3))))
    mask = torch.zeros(count, 1, 32, 32, dtype=torch.uint8)
    mask[:, :, 8:24, 8:24] = 1
    images = {}
    for name, paint in paints.items():
        images[name] = torch.full((count, 3, 32, 32), 128, dtype=torch.uint8)
        for k in range(count):
            images[name][k, :, 8:24, 8:24] = torch.from_numpy(paint - 3 * k).view(3, 1, 1).to(torch.uint8)
    return colours.Scenes.of({**images, "mask": mask}, range(count), "test")


def test_the_true_recolouring_is_perfect_and_the_source_is_not():
    held = scenes()
    names, mask = colours.ColourNames(held), held.images["mask"]
    red, green = held.images["red"], held.images["green"]
    perfect = colours.recolouring(green, green, red, mask, names, "green")
    assert perfect["colour_error"] == 0 and perfect["named"] == 1 and perfect["background"] == 0
    assert perfect["psnr"] == 60 and perfect["ssim"] == pytest.approx(1)
    kept = colours.recolouring(red, green, red, mask, names, "green")
    assert kept["colour_error"] > 5 and kept["named"] == 0 and kept["background"] == 0
    assert names.accuracy() == 1


def test_ciede2000_of_a_published_pair():
    """Sharma et al. 2005, Table 1, pair 1."""
    from skimage.color import deltaE_ciede2000

    assert deltaE_ciede2000([50, 2.6772, -79.7751], [50, 0, -82.7485]) == pytest.approx(2.0425, abs=1e-4)


def test_all_translations_of_colours_are_measured():
    model = MixAndMatch.from_recipe(RECIPE)
    result = colours.measure_colours(model, scenes(2), {frozenset(("blue", "red"))}, "blue")
    assert len(result["translations"]) == len(result["unchanged"]) == 6
    assert result["through_anchor"].keys() == {"red_to_green", "green_to_red"}
    assert [name for name, row in result["translations"].items() if row["seen"]] == ["blue_to_red", "red_to_blue"]
    assert result["unchanged"]["red_to_green"]["background"] == 0
    itself = colours.translated(model, scenes(2).images["red"], "red", "red")
    assert result["autoencoders"].keys() == {"blue_to_blue", "green_to_green", "red_to_red"}
    assert result["autoencoders"]["red_to_red"]["psnr"] == colours.likeness(itself, scenes(2).images["red"])["psnr"]
    pair = MixAndMatch.from_recipe(RECIPE.replace(modalities=("red", "green")))
    result = colours.measure_colours(pair, scenes(2), {frozenset(("green", "red"))}, "blue")
    assert result["translations"].keys() == {"red_to_green", "green_to_red"}
    assert not result["through_anchor"] and result["translations"]["red_to_green"]["seen"], "trained by itself"


@pytest.mark.parametrize("name", styles.STYLES)
def test_a_style_is_a_function_of_photo_and_room(name):
    photo = torch.randint(0, 256, (2, 3, 48, 48), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    once, again = (styles.stylised(name, photo, [7, 8]) for _ in range(2))
    assert once.shape == photo.shape and once.dtype == torch.uint8
    assert torch.equal(once, again) and not torch.equal(once, photo)


def test_no_room_is_in_two_styles():
    sets = styles.style_domains(32)
    assert [rooms.modalities[0] for rooms in sets] == ["photo", *styles.STYLES]
    rooms = [room for one in sets for room in one.rooms]
    assert len(rooms) == len(set(rooms)) == 2000


def test_styles_are_measured_against_the_exact_ones(rooms):
    model = MixAndMatch.from_recipe(RECIPE.replace(modalities=("photo", "brush", "dots")))
    result = styles.measure_styles(model, rooms)
    assert result["through_anchor"].keys() == {"brush_to_dots", "dots_to_brush"}
    assert {name for name, row in result["translations"].items() if not row["seen"]} == result["through_anchor"].keys()


# ── Declared ──


def test_declared_colours_and_styles():
    declared = runs("domains")
    assert declared["colours_mixed"].recipe.modalities == COLOURS and len(COLOURS) == 11
    for a, b in COLOUR_PAIRS:
        pair = declared[f"colours_{a}_{b}"].recipe
        assert pair.modalities == (a, b) and COLOURS[0] not in (a, b)
        assert pair.steps >= declared["colours_mixed"].recipe.steps / 10, "at least the steps of a seen pair"


def test_a_group_is_the_mean_of_its_translations(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    (tmp_path / "hand").mkdir()
    values = {"blue_to_red": 1.0, "red_to_blue": 3.0, "red_to_green": 7.0, "green_to_red": 9.0}
    rows = {name: {"psnr": value, "ssim": 0.5, "seen": True} for name, value in values.items()}
    (tmp_path / "hand/x_0.json").write_text(json.dumps({"translations": rows}))
    for group, mean in (("with blue", 2.0), ("without blue", 8.0), ("red and green", 8.0)):
        row = tables.Row("", "x", group)
        assert tables.value(row, "psnr", "hand", 3) == (mean, 0.0, 1), group
    assert {row.translation for row in GRIDS["styles"].rows} == {f"with {ANCHORS[1]}", f"without {ANCHORS[1]}"}


def test_a_run_of_colours_end_to_end(tmp_path, monkeypatch):
    held = scenes(2)
    monkeypatch.setattr(experiments, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        ingredients, "shipped_colours", lambda size: [noise(name, 10 * n) for n, name in enumerate(COLOURS)]
    )
    monkeypatch.setitem(measure.TEST, "colours", lambda size=None: held)
    result = experiments.train_run("smoke", "colours_mixed", 0, tmp_path / "runs", "cpu")
    assert len(result["translations"]) == 110 and len(result["through_anchor"]) == 90
    assert sum(row["seen"] for row in result["translations"].values()) == 20
    assert "| mixed CycleGANs, all other pairs (unseen) | 1 |" in tables.render("colours", "smoke")
    assert [run.ship for run in runs("smoke").values() if run.ship] == [], "trials leave data/checkpoints alone"


def test_folders_by_one_command(tmp_path, capsys):
    for name in ("trainA", "trainB", "trainC"):
        write_images(tmp_path / "images" / name, 2)
    arguments = ["experiment", "styles", "--domains", str(tmp_path / "images"), "--anchor", "B", "--preset", "smoke"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "the anchor is B" in capsys.readouterr().out
    assert (tmp_path / "out/domains/translations.png").stat().st_size > 10_000
    assert main(["experiment", "colours", "--domains", str(tmp_path)]) == 2
    assert "belongs to the experiment styles" in capsys.readouterr().err


def test_what_more_domains_cost(monkeypatch):
    from mmlib.course import plots
    from mmlib.evidence import bench
    from mmlib.evidence.bench import methods

    def colours(size):
        return [noise(name, 10 * number) for number, name in enumerate(COLOURS)]

    monkeypatch.setattr(methods, "shipped_colours", colours)
    monkeypatch.setattr(methods, "probe", lambda *_: CPU)
    result = bench.bench_domains("smoke", steps=1)
    mixed, pairwise = result["mixed"], result["pairwise"]
    assert {n: row["networks"] for n, row in mixed.items()} == {3: 9, 5: 15, 8: 24, 11: 33}
    assert {n: row["networks"] for n, row in pairwise.items()} == {3: 18, 4: 36, 5: 60, 8: 168, 11: 330}
    assert [n for n, row in pairwise.items() if row["computed"]] == [5, 8, 11] and not mixed[11]["computed"]
    assert mixed[11]["parameters"] * 3 == mixed[3]["parameters"] * 11 and mixed[3]["epoch"] > 0
    assert mixed[3]["memory"] > 4 * 4 * mixed[3]["parameters"]
    assert "11: " in plots.domain_costs(result).alt
