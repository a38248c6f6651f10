"""Checkpoints: safetensors for numbers, JSON for everything else, written atomically, never pickle.

A *checkpoint* is two files, `NAME.safetensors` (the networks' weights) and `NAME.json` (recipe, step, data, versions,
metrics).
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.overrides import TorchFunctionMode

from .data.indices import check_classes, require_classes
from .hardware.files import (
    DIMENSIONS,
    FILE_BYTES,
    JSON_BYTES,
    brief,
    fitted,
    json_object,
    read_file,
    require_file,
    write,
)
from .modalities import KNOWN, Modality, classified
from .networks import MixAndMatch, Translator
from .recipes import Recipe, from_dict

T = TypeVar("T")


def save_checkpoint(path: str | Path, model: torch.nn.Module, record: dict[str, Any], half: bool = False) -> None:
    """Write `path` (.safetensors) and the JSON record beside it.

    `half` stores floating-point weights as float16 (they are read back as float32). The record gains `weights_sha256`,
    by which `load` knows that the two files belong together.
    """
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    content = save(weights)
    record = {**record, "weights_sha256": hashlib.sha256(content).hexdigest()}
    write(path, content)
    write(Path(path).with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())


def read_record(path: str | Path) -> dict[str, Any]:
    """The JSON record of a checkpoint (its `.safetensors` or `.json` path); `ValueError` if missing or damaged."""
    path = _named(path).with_suffix(".json")
    try:
        return json_object(read_file(path, JSON_BYTES))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; a checkpoint is NAME.safetensors with NAME.json beside it") from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: not a readable checkpoint record ({brief(error)}); train again or copy it again"
        ) from error


def verified_record(path: str | Path) -> dict[str, Any]:
    """The JSON record of a checkpoint whose weights are those that it was written with; else `ValueError`.

    That tells of accidents alone: whoever makes a file can make a record for it.
    """
    path, record = _named(path).with_suffix(".safetensors"), read_record(path)
    try:
        require_file(path, FILE_BYTES)
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: cannot be read ({reason}); train again or copy it again") from error
    if digest != record.get("weights_sha256"):
        raise ValueError(f"{path}: corrupt, or not the weights that {path.stem}.json was written with; copy both again")
    return record


def load(path: str | Path, recipe: Recipe | None = None, records: Collection[Modality] = ()) -> MixAndMatch:
    """The trained networks of a checkpoint, in eval mode on the CPU; `model.recipe` and `model.record`
    (its JSON) say how it was made. `records`: those of modalities that are not the library's.

    `ValueError` where a file is missing, corrupt, does not belong to its record, or was trained by another `recipe`
    than the one asked for; or holds anything but finite numbers in exactly the tensors of its recipe's networks. Their
    names, types and shapes are compared before any memory is set aside for them.
    """
    path, record = _named(path).with_suffix(".safetensors"), verified_record(path)
    try:
        trained = from_dict(record.get("recipe") or {})
        own = fitted(
            record.get("classes", {}), dict[str, Annotated[tuple[str, ...], Meta(min_length=2, max_length=256)]]
        )
        for name, classes in own.items():
            check_classes("it", name, classes)
        records = (*(classified(name, classes) for name, classes in own.items() if name in KNOWN), *records)
        expected = _shapes(trained, records)
    except ValueError as error:
        raise ValueError(f"{path.with_suffix('.json')}: {brief(error)}") from error
    if recipe is not None:
        require_same(trained, recipe, path)
    weights, _ = read_tensors(path, lambda names: expected)
    model = MixAndMatch.from_recipe(trained, records)
    model.load_state_dict(weights)
    model.recipe, model.record = trained, record
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # on CPUs the faster layout
    return model


class _Undrawn(TorchFunctionMode):
    """Networks built in it keep the weights that they would draw as they are: on `meta` there is nothing to draw, and
    PyTorch imports for two seconds to find out."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if getattr(function, "__name__", "") == "normal_":
            return arguments[0] if arguments else options["tensor"]
        return function(*arguments, **options)


def _shapes(recipe: Recipe, records: Collection[Modality]) -> dict[str, torch.Tensor]:
    """The tensors of a recipe's networks, with shapes and without memory; `ValueError` where none can be built."""
    try:
        with torch.device("meta"), _Undrawn(), warnings.catch_warnings(action="ignore"):
            return MixAndMatch.from_recipe(recipe, records).state_dict()
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"recipe: no networks can be built by it ({error})") from error


def _named(path: str | Path) -> Path:
    """The path, if it names a file at all; that of the checkpoint in the folder of a run."""
    if Path(path).is_dir() and (Path(path) / "checkpoint.json").exists():
        return Path(path) / "checkpoint"
    if not Path(path).name:
        raise ValueError(f"{str(path)!r} is not a checkpoint: give the path of NAME.safetensors")
    return Path(path)


def start_from(model: Translator, path: str | Path) -> str:
    """Give networks the weights of a checkpoint; returns their hash. `ValueError` names a network that differs."""
    trained = load(path)
    require_classes("the data", model.records, trained.records)
    weights, wanted = trained.state_dict(), model.state_dict()
    shapes = [{(name, tensor.shape) for name, tensor in held.items()} for held in (weights, wanted)]
    if differ := sorted(name for name, _ in shapes[0] ^ shapes[1]):
        raise ValueError(f"{path}: its networks have other tensors, the first is {differ[0]}: train by its "
                         "recipe, without --preset")  # fmt: skip
    model.load_state_dict(weights)
    return trained.record["weights_sha256"]


def require_same(saved: Recipe, asked: Recipe, path: str | Path) -> None:
    """`ValueError` naming each key in which two recipes differ."""
    if saved.steps != asked.steps and saved == asked.with_steps(saved.steps):
        raise ValueError(
            f"{path}: a run of {saved.steps} steps, not of {asked.steps}; its learning rate was planned to end there. "
            "To train on from its weights, start another folder with --from THIS_FOLDER"
        )
    saved_keys, asked_keys = saved.to_dict(), asked.to_dict()
    differ = [f"{key} ({brief(saved_keys[key])} there, {brief(asked_keys[key])} here)" for key in saved_keys
              if saved_keys[key] != asked_keys[key]]  # fmt: skip
    if differ:
        raise ValueError(f"{path}: trained by another recipe; it differs in {'; '.join(differ)}")


DTYPES = {"F32": torch.float32, "F16": torch.float32, "I64": torch.int64}
"""What may be stored, and as what it is read."""

Expected = Callable[[Collection[str]], dict[str, torch.Tensor]]
"""The tensors that a file must hold, given the names that it has; on the device `meta` they take no memory."""


def read_tensors(path: str | Path, expected: Expected | None = None) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file, half precision as float32.

    `ValueError` if it is not one or is damaged, if its tensors are not exactly those `expected`, or hold what no
    training leaves: numbers that are not finite, a variance or a count below zero.
    """
    layout, metadata = read_layout(path)
    if problem := _misfit(layout, expected(layout.keys()) if expected else None):
        raise ValueError(f"{path}: its tensors do not fit: {brief(problem)}; train again or copy it again")
    # copies: as they lie in the file, tensors may begin at any byte
    tensors = _read(path, lambda file: {n: file.get_tensor(n).to(DTYPES[k], copy=True) for n, (k, _) in layout.items()})
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: {brief(name)} holds a number that is not finite; train again or copy it again")
        counted = tensor.dtype == torch.int64 or name.endswith((".running_var", ".exp_avg_sq", ".step"))
        if counted and (tensor < 0).any():
            raise ValueError(f"{path}: {brief(name)} holds a number below zero; train again or copy it again")
    return tensors, metadata


def read_layout(path: str | Path) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
    """Each tensor's type and shape, and the metadata, from the header of a safetensors file alone."""

    def layout(file: Any) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        return {n: (part.get_dtype(), tuple(part.get_shape())) for n, part in parts.items()}, file.metadata() or {}

    return _read(path, layout)


def _read(path: str | Path, read: Callable[[Any], T]) -> T:
    """What `read` makes of an open safetensors file, whose header fits into memory."""
    try:
        require_file(path, FILE_BYTES)
        with open(path, "rb") as stream:
            header = int.from_bytes(stream.read(8), "little")
        if header > JSON_BYTES:
            raise ValueError(f"its header claims {header:,} bytes, more than {JSON_BYTES:,}")
        with safe_open(path, framework="pt") as file:
            return read(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: not a readable safetensors file ({brief(error)}); train again or copy it again"
        ) from error


def _misfit(layout: dict[str, tuple[str, tuple[int, ...]]], expected: dict[str, torch.Tensor] | None) -> str | None:
    """The first thing in which a file's layout is not the expected one, or none that is ever written."""
    for name, (kind, shape) in layout.items():
        if kind not in DTYPES or len(shape) > DIMENSIONS:
            return f"{name} is {kind} of {len(shape)} dimensions, but only {', '.join(DTYPES)} of few are read"
    if expected is None:
        return None
    if absent := expected.keys() - layout.keys():
        return f"{min(absent)} is missing"
    if extra := layout.keys() - expected.keys():
        return f"{min(extra)} is no part of the networks of the recipe"
    for name, tensor in expected.items():
        kind, shape = layout[name]
        if DTYPES[kind] != tensor.dtype or shape != tuple(tensor.shape):
            wanted = str(tensor.dtype).removeprefix("torch.")
            return f"{name} is {kind} {shape}, expected {wanted} {tuple(tensor.shape)}"
    return None
