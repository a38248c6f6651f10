"""Images of one's own: read as they are meant, translated at any size, and made into a data set."""

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import edit, equal, write_rooms
from mmlib import SegmentationPairs, load, open_split
from mmlib.__main__ import main
from mmlib.data import importing, photos
from mmlib.data.domains import folder_domains
from mmlib.data.packing import check, pack
from mmlib.data.shards import write
from mmlib.data.shipped import CHECKPOINT
from mmlib.methods.own_images import translate_raw
from mmlib.modalities import KNOWN

ORIENTATION = 0x0112


def striped(height=48, width=64) -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = pixels[height // 2 :, :, 2] = 255
    return Image.fromarray(pixels)


def lying(image: Image.Image) -> tuple[Image.Image, Image.Exif]:
    """As the sensor of a phone stores it that was held upright, with EXIF that says so."""
    exif = image.getexif()
    exif[ORIENTATION] = 6
    return image.rotate(90, expand=True), exif


def is_upright(raw: torch.Tensor) -> bool:
    return raw[0, :4].float().mean() > 200 and raw[2, -4:].float().mean() > 200


def test_photos_lie_upright_wherever_they_are_read(tmp_path):
    turned, exif = lying(striped(64, 64))
    write_rooms(tmp_path / "rooms", [1, 2], 64)
    turned.save(tmp_path / "rooms/0/0/photo/0.jpg", exif=exif)
    assert is_upright(SegmentationPairs(tmp_path / "rooms").images["rgb"][0])
    for name in ("trainA", "trainB"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for n in range(2):
            turned.save(tmp_path / "set" / name / f"{n}.jpg", exif=exif)
    assert is_upright(folder_domains(tmp_path / "set", 32)[0].images["A"][0])
    assert is_upright(photos.photo(tmp_path / "set/trainA/0.jpg"))


@pytest.mark.parametrize(
    "form", ["grey.png", "cmyk.jpg", "palette.png", "two.mpo", "web.webp", "sixteen.png", "alpha.png"]
)
def test_a_photo_of_any_form_becomes_rgb(tmp_path, form):
    image, file = striped(), tmp_path / form
    grey = np.array(image.convert("L"))
    if form == "two.mpo":
        image.save(file, format="MPO", save_all=True, append_images=[image.resize((32, 32))])
    elif form == "sixteen.png":
        Image.fromarray(grey.astype(np.uint16) * 257).save(file)
    else:
        mode = {"grey.png": "L", "cmyk.jpg": "CMYK", "palette.png": "P", "alpha.png": "RGBA"}.get(form, "RGB")
        image.convert(mode).save(file)
    expected = grey[None] if form in ("grey.png", "sixteen.png") else np.array(image).transpose(2, 0, 1)
    assert np.abs(photos.photo(file).numpy().astype(int) - expected).mean() < 8


def test_what_is_transparent_lies_on_white(tmp_path):
    image = striped().convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "clear.png")
    assert (photos.photo(tmp_path / "clear.png") == 255).all()


def test_a_palette_of_greys_says_the_ids_by_its_greys_and_one_of_colours_by_its_indices(tmp_path):
    write_rooms(tmp_path, [1, 2])
    file = tmp_path / "0/0/semantic_class/0.png"
    ids = np.array(Image.open(file))
    present = np.unique(ids)
    optimised = Image.fromarray(np.searchsorted(present, ids).astype(np.uint8)).convert("P")
    optimised.putpalette(np.repeat(present, 3).astype(np.uint8).tobytes())
    optimised.save(file)
    assert np.array_equal(SegmentationPairs(tmp_path).images["segmentation"][0, 0].numpy(), ids)
    coloured = Image.fromarray(ids).convert("P")
    coloured.putpalette(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes())
    coloured.save(file)
    assert np.array_equal(SegmentationPairs(tmp_path).images["segmentation"][0, 0].numpy(), ids)


def test_class_maps_in_a_lossy_format_are_refused(tmp_path):
    write_rooms(tmp_path, [1, 2])
    file = tmp_path / "0/0/semantic_class/0.png"
    Image.open(file).save(tmp_path / "lossy.jpg")
    (tmp_path / "lossy.jpg").replace(file)
    (problem,) = check(tmp_path)
    assert "JPEG" in problem and "save the original as PNG" in problem


@pytest.fixture(scope="module")
def model():
    return load(CHECKPOINT)


@pytest.mark.parametrize("shape", [(50, 71), (31, 200), (300, 96)])
def test_an_image_of_any_shape_is_translated_whole(model, shape):
    raw = torch.randint(0, 255, (3, *shape), dtype=torch.uint8)
    made = translate_raw(model, raw, "rgb", ["depth", "segmentation"], 40)
    height, width = made["rgb"].shape[1:]
    assert min(height, width) == 40 and abs(width / height - shape[1] / shape[0]) < 0.03
    assert made["depth"].shape == made["segmentation"].shape == (1, height, width)


def test_padding_changes_nothing_of_an_image_that_fits(model):
    raw = torch.randint(0, 255, (3, 48, 64), dtype=torch.uint8)
    x = model.records["rgb"].to_input(raw[None])
    with torch.inference_mode():
        expected = model.records["depth"].to_raw(model.translate(x, "rgb", "depth"))[0]
    assert torch.equal(translate_raw(model, raw, "rgb", ["depth"], 48)["depth"], expected)


def test_a_folder_of_photos_by_one_command(tmp_path, capsys):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    turned, exif = lying(striped())
    turned.save(folder / "phone.jpg", exif=exif)
    striped().save(folder / "sub/phone.png")
    (folder / ".DS_Store.jpg").write_bytes(b"junk")
    assert main(["translate", str(folder), "--out", str(tmp_path / "out"), "--size", "32"]) == 0
    written = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.png")}
    answers = ("depth", "depth_colours", "segmentation", "segmentation_colours")
    assert written == {f"{stem}_{name}.png" for stem in ("phone", "sub/phone") for name in answers} | {"sheet.png"}
    depth = np.array(Image.open(tmp_path / "out/phone_depth.png"))
    assert depth.dtype == np.uint16 and depth.shape == (32, 43) and 300 < np.median(depth) < 20_000
    assert np.array(Image.open(tmp_path / "out/phone_segmentation.png")).max() < 14
    assert "2 of 2 translated into depth, segmentation" in capsys.readouterr().out
    (folder / "bad.jpg").write_bytes(b"nothing")
    assert main(["translate", str(folder), "--out", str(tmp_path / "again"), "--to", "depth", "--size", "32"]) == 2
    said = capsys.readouterr()
    assert "2 of 3 translated" in said.out and "bad.jpg cannot be read" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize("words, says", [
    (["nowhere"], "nowhere: no such file or folder"),
    (["{folder}", "--to", "heat"], "unknown modality 'heat'"),
    (["{folder}"], "holds no image"),
])  # fmt: skip
def test_what_cannot_be_translated_is_one_sentence(tmp_path, capsys, words, says):
    words = [word.format(folder=tmp_path) for word in words]
    assert main(["translate", *words, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_answers_among_the_images_are_not_translated_again(tmp_path, capsys):
    for name in ("-a b.jpg", "ü.png"):
        striped().save(tmp_path / name)
    for _ in range(2):
        assert (
            main(["translate", str(tmp_path), "--to", "depth,depth", "--out", f"{tmp_path}/answers", "--size", "32"])
            == 0
        )
        assert "2 of 2 translated into depth:" in capsys.readouterr().out
    assert main(["translate", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "holds the images themselves" in capsys.readouterr().err
    assert main(["translate", str(tmp_path), "--to", "rgb", "--out", f"{tmp_path}/answers"]) == 2
    Image.new("L", (1, 9000)).save(tmp_path / "line.png")
    assert main(["translate", f"{tmp_path}/line.png", "--out", f"{tmp_path}/none"]) == 2
    assert "line.png: it would be 96×864000" in capsys.readouterr().err and not (tmp_path / "none").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("numbers, source, says", [
    (np.full((8, 8), 261), "segmentation", "holds 261 to 261, expected class ids"),
    (np.full((8, 8), 2.5), "segmentation", "numbers that are not whole"),
    (np.full((8, 8), 5e30), "segmentation", "numbers that are not whole"),
    (np.full((8, 8), np.nan), "segmentation", "numbers that are not whole"),
    (np.full((8, 8), 3000.0), "depth", "expected metres"),
    (np.full((8, 8), -3.0), "depth", "expected metres"),
])  # fmt: skip
def test_numbers_that_are_no_ids_and_no_metres_are_refused(tmp_path, numbers, source, says):
    np.save(tmp_path / "x.npy", numbers)
    with pytest.raises(ValueError, match=says) as error:
        photos.read_raw(tmp_path / "x.npy", KNOWN[source])
    assert "x.npy" in str(error.value)


# ── import ──


def own_files(root, scenes=10, depth_unit=256, label=lambda ids: ids):
    """Photos of 80×48, depth as .npy and class maps of half that size, in folders by scene; a view per scene."""
    random = np.random.default_rng(0)
    for scene in range(scenes):
        ids = np.where(np.arange(24)[:, None].repeat(40, 1) < 12, 12, 5).astype(np.uint8)
        metres = np.where(ids == 12, 4.0, 3.0)
        y, x = random.integers(0, 12), random.integers(8, 20)
        ids[y : y + 8, x : x + 8], metres[y : y + 8, x : x + 8] = random.integers(1, 14), 1.5
        for name, save in {
            "photos/{}.jpg": lambda f, ids=ids: Image.fromarray(ids * 18).convert("RGB").resize((80, 48)).save(f),
            "depths/{}.npy": lambda f, metres=metres: np.save(f, (metres * depth_unit).astype(np.float32)),
            "labels/{}_ids.png": lambda f, ids=ids: Image.fromarray(label(ids)).save(f),
        }.items():
            file = root / name.format(f"s{scene}/view")
            file.parent.mkdir(parents=True, exist_ok=True)
            save(file)
    return [
        "--rgb", f"{root}/photos/{{scene}}/{{id}}.jpg", "--depth", f"{root}/depths/{{scene}}/{{id}}.npy",
        "--segmentation", f"{root}/labels/{{scene}}/{{id}}_ids.png", "--size", "16",
    ]  # fmt: skip


def test_files_of_ones_own_become_a_data_set_split_by_scene(tmp_path, capsys):
    words = own_files(tmp_path)
    assert main(["import", *words, "--depth-scale", "256", "--out", str(tmp_path / "set")]) == 0
    assert "d1 4, d2 4 views" in capsys.readouterr().out and check(tmp_path / "set") == []
    sets = {name: open_split(tmp_path / "set", name) for name in ("d1", "d2", "validation", "test")}
    scenes = [entry["scene"] for rooms in sets.values() for entry in rooms.index["rooms"]]
    assert sorted(scenes) == [f"s{k}" for k in range(10)] and sets["d1"].modalities == ("rgb", "segmentation")
    assert set(sets["test"].images["depth"].unique().tolist()) <= {1.5, 3.0, 4.0}


def test_an_import_replaces_all_of_the_one_before(tmp_path):
    words = [*own_files(tmp_path), "--depth-scale", "256", "--out", str(tmp_path / "set")]
    assert main(["import", *words]) == 0
    assert main(["import", *words, "--test", "0", "--validation", "0"]) == 0
    assert sorted(file.name for file in (tmp_path / "set").iterdir()) == [
        "d1.zip",
        "d2.zip",
    ]  # else a test of other rooms


def test_a_table_names_each_file_once_and_is_read_as_windows_writes_it(tmp_path, capsys):
    own_files(tmp_path)
    lines = [f"photos\\s{k}\\view.jpg;depths\\s{k}\\view.npy;labels\\s{k}\\view_ids.png" for k in range(10)]
    words = ["import", "--table", f"{tmp_path}/t.csv", "--depth-scale", "256", "--out", str(tmp_path / "set")]
    for more, status in (([], 0), (lines[:1], 2)):
        text = "\r\n".join(["\ufeffRGB;Depth;Segmentation", *lines, *more])
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        assert main(words) == status
    assert "t.csv, line 12: " in (said := capsys.readouterr().err) and "stands in the table before" in said


def test_own_classes_go_from_the_table_into_sets_networks_and_results(tmp_path, capsys):
    words = own_files(tmp_path, label=lambda ids: (ids + 20).astype(np.uint8))
    lines = [f"{k + 20};thing {k}" for k in range(1, 14)]
    (tmp_path / "classes.csv").write_text("\n".join(["\ufeffid;name", *lines]), encoding="utf-8")
    words += ["--classes", str(tmp_path / "classes.csv"), "--depth-scale", "256"]
    assert main(["import", *words, "--out", str(tmp_path / "set")]) == 0
    assert main(["train", "--preset", "smoke", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "run"),
                 "--steps", "4", "--device", "cpu"]) == 0  # fmt: skip
    model = load(tmp_path / "run")
    assert model.records["segmentation"].classes == ("Unknown", *(f"thing {k}" for k in range(1, 14)))
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "set")]) == 0
    assert '"thing 13"' in capsys.readouterr().out
    assert main(["evaluate", str(CHECKPOINT), "--data", str(tmp_path / "set")]) == 2
    assert "test has other classes of segmentation than the network (Unknown, thing 1," in capsys.readouterr().err
    assert (
        main(["train", "--from", str(CHECKPOINT), "--data", str(tmp_path / "set"), "--out", str(tmp_path / "on")]) == 2
    )
    assert "the data has other classes of segmentation than the network" in capsys.readouterr().err


def test_own_classes_travel_through_shards_and_packs(tmp_path):
    words = own_files(tmp_path, label=lambda ids: (ids + 20).astype(np.uint8))
    lines = ["id,name", *(f"{k + 20},thing {k}" for k in range(1, 14))]
    (tmp_path / "classes.csv").write_text("\n".join(lines))
    words += ["--classes", str(tmp_path / "classes.csv"), "--depth-scale", "256", "--out", str(tmp_path / "set")]
    assert main(["import", *words]) == 0
    packed = SegmentationPairs(pack(tmp_path / "set/d1.zip", tmp_path / "again/d1.zip", ("rgb", "segmentation")))
    write(packed, tmp_path / "shards")
    streamed, classes = open_split(tmp_path / "shards", "d1"), ("Unknown", *(f"thing {k}" for k in range(1, 14)))
    assert streamed.records["segmentation"].classes == packed.records["segmentation"].classes == classes
    assert equal(packed, streamed) and streamed.class_counts().tolist() == packed.class_counts().tolist()
    write_rooms(tmp_path / "rooms", [1001, 1002], 16)
    with pytest.raises(ValueError, match="have different classes"):
        pack([tmp_path / "set/d1.zip", tmp_path / "rooms"], tmp_path / "both.zip", ("rgb", "segmentation"))


@pytest.mark.parametrize("classes, says", [
    ({"segmentation": ["Unknown", "a", "a"]}, "give each a name of its own"),
    ({"segmentation": ["Unknown", "\x1b[31m"]}, "give each a name of its own"),
    ({"depth": ["Unknown", "a"]}, "classes of depth, which is no segmentation"),
])  # fmt: skip
def test_classes_that_are_none_are_named(tmp_path, classes, says):
    edit(write_rooms(tmp_path, [1, 2]) / "index.json", classes=classes)
    (problem,) = check(tmp_path)
    assert says in problem and "index.json" in problem and problem.isprintable()


def test_nyu40_becomes_the_thirteen_classes():
    ids, classes = importing.class_table("nyu40")
    named = {
        1: "Wall",
        2: "Floor",
        4: "Bed",
        6: "Sofa",
        14: "Table",
        22: "Ceiling",
        23: "Books",
        25: "TV",
        40: "Objects",
    }
    assert {stored: classes[ids[stored]] for stored in named} == named and len(ids) == 40


@pytest.mark.parametrize("change, says", [
    ({"--depth-scale": "900"}, None),
    ({"--depth-scale": "3000"}, "looks like centimetres, expected millimetres (median"),
    ({"--depth-scale": "1"}, "give --depth-scale"),
    ({"--rgb": "{root}/photos/{{id}}.gif"}, "finds no file"),
    ({"--rgb": "{root}/photos/view.jpg"}, "write {id} where"),
    ({"--classes": "{root}/none.csv"}, "none.csv cannot be read (No such file"),
    ({"--classes": "{root}/twice.csv"}, "gives an id two names"),
    ({"--classes": "{root}/far.csv"}, "one above 65535"),
    ({"--depth-scale": "nan"}, "--depth-scale is above 0"),
    ({"--holes": "many"}, "no numbers"),
    ({"--test": "0.9", "--validation": "0.2"}, "below 1 together"),
])  # fmt: skip
def test_what_cannot_be_imported_is_one_sentence(tmp_path, capsys, change, says):
    words = own_files(tmp_path, scenes=6)
    (tmp_path / "twice.csv").write_text("id,name\n1,a\n1,b\n")
    (tmp_path / "far.csv").write_text("id,name\n99999999999,a\n")  # a table up to it would fill the memory
    given = dict(zip(words[::2], words[1::2]), **{k: v.format(root=tmp_path) for k, v in change.items()})
    status = main(["import", *(word for pair in given.items() for word in pair), "--out", str(tmp_path / "set")])
    said = capsys.readouterr()
    if says is None:
        assert status == 0 and "the median depth is 0.8" in said.out
    else:
        assert status == 2 and says in said.err and said.err.count("\n") == 1 and not (tmp_path / "set").exists()


def test_members_of_another_shape_and_strange_classes_are_named(tmp_path, capsys):
    words = own_files(tmp_path, scenes=6) + ["--out", str(tmp_path / "set"), "--depth-scale", "256"]
    file = tmp_path / "labels/s3/view_ids.png"
    before = Image.open(file).copy()
    before.resize((24, 24)).save(file)
    assert main(["import", *words]) == 2
    assert "s3/view_ids.png is 24×24" in capsys.readouterr().err
    strange = np.array(before)
    strange[0] = 77
    Image.fromarray(strange).save(file)
    assert main(["import", *words]) == 2 and "classes [77]" in capsys.readouterr().err
    assert main(["import", *words, "--ignore", "77,255"]) == 0
