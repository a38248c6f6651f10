"""Damaged and hostile files: each ends in one sentence that names it, or is read exactly as it is; all else is a bug.

`fuzz.py` makes and reads them, in a process of its own, so that a crash is a failure and memory can be told. Under it
stands by name what it found in earlier versions.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load as parse
from safetensors.torch import save

import fuzz
from conftest import rooms_of, write_rooms
from mmlib import MixAndMatch, SegmentationPairs, Triplets, fit, load, preset
from mmlib.checkpoints import save_checkpoint
from mmlib.data.domains import folder_domains
from mmlib.data.sets import NormalsPairs
from mmlib.methods.plug_in import PlugIn
from mmlib.networks import Encoder
from mmlib.resuming.pretrained import load_rgb_encoder
from mmlib.resuming.state import load_state, save_state

SEED = 2018
MANY = int(os.environ.get("FUZZ_CASES", "200"))  # .ci/run asks for 1,000
CASES = {"checkpoints": MANY, "images": MANY, "states": MANY // 3, "indices": MANY // 3, "bombs": 0}  # 0: all there are
SMOKE = preset("smoke")


@pytest.fixture(scope="module")
def campaigns() -> dict[str, dict]:
    """What became of all damaged files, by kind."""
    kinds = [f"{kind}={cases}" for kind, cases in CASES.items()]
    command = [sys.executable, str(Path(fuzz.__file__)), str(SEED), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", CASES)
def test_damaged_files_are_refused_in_a_sentence_or_read_as_they_are(campaigns, kind):
    result = campaigns[kind]
    assert result["failures"] == []
    assert result["cases"] >= max(CASES[kind], 40) and result["megabytes"] < fuzz.MEGABYTES
    assert result["refused"] > result["cases"] / 2
    assert (result["read"] > result["cases"] / 20) == (kind != "bombs")  # some damage changes nothing that counts


# ── What it found in checkpoints ──


@pytest.fixture
def checkpoint(tmp_path):
    """The path of a checkpoint of preset `smoke`."""
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, MixAndMatch.from_recipe(SMOKE), {"recipe": SMOKE.to_dict()})
    return path


def rewrite(path: Path, **changes: torch.Tensor | None) -> None:
    """Change or remove tensors of a checkpoint, under names with two underscores for a point, and sign it anew."""
    named = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    tensors = {name: tensor for name, tensor in (parse(path.read_bytes()) | named).items() if tensor is not None}
    path.write_bytes(save(tensors))
    record = json.loads(path.with_suffix(".json").read_text())
    record["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(record))


def test_a_rewritten_checkpoint_is_read(checkpoint):
    rewrite(checkpoint, decoders__rgb__stages__1__bias=torch.tensor([1.0, 2.0, 3.0]))
    assert load(checkpoint).decoders["rgb"].stages[1].bias.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("decoders__rgb__stages__1__bias", torch.tensor([0.0, float("nan"), 0.0]), "not finite"),
        ("decoders__rgb__stages__1__bias", torch.tensor([0.0, 0.0, float("inf")]).half(), "not finite"),
        ("encoders__rgb__stages__0__0__1__running_var", torch.tensor([1.0, 1.0, -1.0, 1.0]), "below zero"),
        ("encoders__rgb__stages__0__0__1__num_batches_tracked", torch.tensor(-1), "below zero"),
        ("encoders__rgb__stages__0__0__1__num_batches_tracked", None, "num_batches_tracked is missing"),
        ("encoders__rgb__stages__0__0__1__num_batches_tracked", torch.tensor(1.0), "is F32"),
        ("decoders__rgb__stages__1__bias", torch.zeros(3, dtype=torch.float64), "is F64"),
        ("decoders__rgb__stages__1__bias", torch.zeros(3, dtype=torch.int64), "is I64"),
        ("decoders__rgb__stages__1__bias", torch.zeros(3, dtype=torch.bfloat16), "is BF16"),
        ("decoders__rgb__stages__1__bias", torch.zeros(3, 1), r"is F32 \(3, 1\), expected float32 \(3,\)"),
        ("decoders__rgb__stages__1__scale", torch.zeros(3), "stages.1.scale is no part"),
    ],
)  # fmt: skip
def test_tensors_that_pytorch_would_take_are_refused(checkpoint, name, tensor, words):
    rewrite(checkpoint, **{name: tensor})
    with pytest.raises(ValueError, match=words) as error:
        load(checkpoint)
    assert str(checkpoint) in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_pipe_is_no_checkpoint(checkpoint, suffix):
    path = checkpoint.with_suffix(suffix)
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    with pytest.raises(ValueError, match="it is not a file"):
        load(checkpoint)


def test_no_file_can_make_a_message_long_or_move_the_cursor(checkpoint):
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    for value in ([1] * 100_000, "\x1b[31m" * 100, "\n" * 100):
        record["recipe"]["size"] = value
        checkpoint.with_suffix(".json").write_text(json.dumps(record))
        with pytest.raises(ValueError, match="size") as error:
            load(checkpoint)
        assert len(str(error.value)) < 500 + len(str(checkpoint)) and str(error.value).isprintable()


def test_a_checkpoint_of_domains_says_what_it_needs(checkpoint):
    recipe = preset("domains", widths=(4, 8), convolutions=(1, 1), modalities=("stranger", "other"))
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    checkpoint.with_suffix(".json").write_text(json.dumps(record | {"recipe": recipe.to_dict()}))
    with pytest.raises(ValueError, match="do not fit"):
        load(checkpoint)
    save_checkpoint(checkpoint, MixAndMatch.from_recipe(recipe), {"recipe": recipe.to_dict()})
    assert load(checkpoint).modalities == ("stranger", "other")


@pytest.mark.parametrize("tensors", [{"weight": torch.zeros(3)}, {"stages.x.0": torch.zeros(3)}, {"": torch.zeros(3)}])
def test_an_encoder_of_other_names_is_refused(tmp_path, tensors):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(save(tensors))
    with pytest.raises(ValueError, match="encoder.safetensors: not an encoder"):
        load_rgb_encoder(Encoder(3, (4, 8), (1, 1)), path)


@pytest.mark.parametrize("data", [None, 3, [3], [{}], [{"role": "training", "split": "d1", "rooms": [["a", 3]]}]])
def test_a_modality_is_not_plugged_into_networks_of_unknown_rooms(checkpoint, data):
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    checkpoint.with_suffix(".json").write_text(json.dumps(record | {"data": data}))
    with pytest.raises(ValueError, match="does not say on which rooms"):
        PlugIn(rooms_of(NormalsPairs, 0), load(checkpoint))


# ── What it found in training states ──


@pytest.fixture
def run(tmp_path, objective):
    """A folder in which a training stopped after two steps, and a function that goes on to step three."""

    def train():
        return fit(SMOKE, objective, tmp_path, device="cpu", progress=False, resume=True, stop_after=3, log_every=1)

    fit(SMOKE, objective, tmp_path, device="cpu", progress=False, stop_after=2, log_every=1)
    return tmp_path, train


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts, record: parts["model"].popitem(), "is missing"),
        (lambda parts, record: parts.pop("optimizer_discriminator")["0.step"].zero_(), None),
        (lambda parts, record: record["recipe"].update(one_cycle=bool(record["recipe"].pop("schedule"))), None),
        (lambda parts, record: parts["optimizer_generator"].pop("3.exp_avg"), "3.exp_avg is missing"),
        (lambda parts, record: parts["optimizer_generator"].update({"x": torch.zeros(2)}), "generator:x is no part"),
        (lambda parts, record: parts["optimizer_generator"]["3.exp_avg_sq"].fill_(-1), "exp_avg_sq holds a number"),
        (lambda parts, record: parts["discriminator"]["R.head.bias"].fill_(float("nan")), "not finite"),
        (lambda parts, record: parts.update({"": {"": torch.zeros(2)}}), "is no part"),
        (lambda parts, record: record.pop("seconds"), "seconds"),
        (lambda parts, record: record.update(step=-1), "step"),
        (lambda parts, record: record.update(step=9), "step"),
        (lambda parts, record: record.update(step=True), "step"),
        (lambda parts, record: record.update(seconds=float("inf")), "seconds"),
        (lambda parts, record: record.update(machine={"bf16": 1, "channels_last": True}), "machine.bf16 must be"),
        (lambda parts, record: record.update(data=[3]), "data.0. must be"),
        (lambda parts, record: record.update(rgb_weights_sha256=3), "rgb_weights_sha256 must be"),
        (lambda parts, record: record.update(recipe=None), "recipe"),
        (lambda parts, record: record["recipe"].update(widths=[4, 10**9]), "widths"),
    ],
)  # fmt: skip
def test_a_state_that_its_maker_signed_is_not_trusted(run, change, words):
    folder, train = run
    path = folder / "state.safetensors"
    parts, record = load_state(path)
    change(parts, record)
    save_state(path, parts, record)
    log = (folder / "log.jsonl").read_bytes()
    if (
        words is None
    ):  # no step has changed the discriminator yet, and earlier versions wrote other recipes: that may be
        assert train().record["step"] == 3
        return
    with pytest.raises(ValueError, match=words) as error:
        train()
    assert str(path) in str(error.value) and str(error.value).isprintable()
    assert (folder / "log.jsonl").read_bytes() == log


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\n", b"[3]\n", b'{"step": "x"}\n', b"[" * 100_000 + b"\n", b"9" * 5000 + b"\n"]
)
def test_a_damaged_log_does_not_stop_a_training(run, line):
    folder, train = run
    before = (folder / "log.jsonl").read_bytes()
    (folder / "log.jsonl").write_bytes(before + line)
    train()
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


# ── What it found in data sets ──


@pytest.fixture
def photos(tmp_path):
    """Rooms that a test may spoil, and the file of a photo among them."""
    return write_rooms(tmp_path / "rooms", [100, 101]), tmp_path / "rooms/0/0/photo/0.jpg"


def test_a_photo_with_damaged_notes_is_the_photo(photos):
    rooms, path = photos
    whole = Triplets(rooms)
    parts, scan = fuzz.segments(path.read_bytes())
    damaged = [(0xE1, b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 0x11A, 5, 1, 2**31))]
    path.write_bytes(fuzz.jpeg([*damaged, *parts], scan))
    with warnings.catch_warnings(action="error"):  # Pillow warns
        again = Triplets(rooms)
    assert torch.equal(again.images["rgb"], whole.images["rgb"]) and again.sha256 != whole.sha256


def test_a_file_of_several_pictures_is_no_photo_but_a_cameras(photos):
    rooms, path = photos
    picture, whole, saved = Image.open(path), Triplets(rooms), {}
    for kind in ("PNG", "MPO"):
        saved[kind] = io.BytesIO()
        picture.save(saved[kind], kind, quality=95, save_all=True, append_images=[picture.rotate(90)])
    path.write_bytes(saved["PNG"].getvalue())
    with pytest.raises(ValueError, match="holds 2 pictures, expected one"):
        Triplets(rooms)
    path.write_bytes(saved["MPO"].getvalue())  # the first picture is the photo
    difference = Triplets(rooms).images["rgb"].float() - whole.images["rgb"].float()
    assert difference.abs().mean() < 8


@pytest.mark.parametrize("kind", ["EPS", "GIF", "PPM"])
def test_only_formats_of_photos_are_opened(photos, kind):
    rooms, path = photos
    picture = Image.open(path).convert("RGB")
    picture.save(path, kind)
    with pytest.raises(ValueError, match="no image in it"):
        Triplets(rooms)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_that_zipfile_inflates_without_bound_are_refused(photos, tmp_path, kind):
    rooms, _ = photos
    with zipfile.ZipFile(tmp_path / "rooms.zip", "w", kind) as archive:
        for path in rooms.rglob("*.*"):
            archive.write(path, path.relative_to(rooms))
    with pytest.raises(ValueError, match="rooms.zip/index.json cannot be read .it is compressed in another way"):
        Triplets(tmp_path / "rooms.zip")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": True}, "size must be `int`, not `bool`"),
        ({"size": 0}, "size must be `int` >= 1"),
        ({"size": 4097}, "size must be `int` <= 4096"),
        ({"split": ["d1"]}, "split"),
        ({"split": "d1\nd2"}, "split"),
        ({"modalities": ["rgb", {}]}, "modalities"),
        ({"rooms": [{"room": True, "path": "0/0"}]}, "room must be"),
        ({"rooms": [{"room": 1, "path": "0/0", "frame": 0.0}]}, "frame must be"),
        ({"rooms": [{"room": 1, "path": "0/0", "frame": None}]}, "frame must be"),
        ({"rooms": [{"room": 1, "path": "../rooms/0/0"}]}, "no file of the data set"),
        ({"rooms": [{"room": 1, "path": "0/0\x1b[31m"}]}, "no file of the data set"),
    ],
    ids=str,
)
def test_an_index_of_other_types_or_of_files_elsewhere_is_refused(photos, changes, words):
    index = photos[0] / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))
    with pytest.raises(ValueError, match=words) as error:
        Triplets(photos[0])
    assert str(index) in str(error.value) and str(error.value).isprintable()


def test_a_pipe_is_no_photo(photos):
    rooms, path = photos
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="0/0/photo/0.jpg cannot be read .it is not a file"):
        SegmentationPairs(rooms)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_an_image_of_a_domain_that_would_fill_the_memory_is_named(tmp_path, side):
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (32, 32)).save(tmp_path / name / f"{number}.png")
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    (tmp_path / "trainB/1.png").write_bytes(fuzz.png([(b"IHDR", header), (b"IDAT", fuzz.ZEROS), (b"IEND", b"")]))
    with pytest.raises(ValueError, match="trainB/1.png cannot be read .Image size"):
        folder_domains(tmp_path, 32)
