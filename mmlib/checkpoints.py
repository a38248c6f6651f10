"""Checkpoints: safetensors for numbers, JSON for everything else, written atomically, never pickle.

A *checkpoint* is two files, `NAME.safetensors` (the networks' weights) and `NAME.json` (recipe, step, data, versions,
metrics). A *training state* is one file more, `state.safetensors`: all that `train --resume` needs.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .data import written_whole
from .networks import MixAndMatch
from .recipes import Recipe, from_dict


def write(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; `OSError` says which path and why."""
    with written_whole(path) as stream:
        stream.write(content)


def save_checkpoint(path: str | Path, model: torch.nn.Module, record: dict, half: bool = False) -> None:
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


def read_record(path: str | Path) -> dict:
    """The JSON record of a checkpoint (its `.safetensors` or `.json` path); `ValueError` if missing or damaged."""
    path = _named(path).with_suffix(".json")
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; a checkpoint is NAME.safetensors with NAME.json beside it") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a readable checkpoint record ({error}); train again or copy it again") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path}: not a checkpoint record (it holds a {type(record).__name__}); copy it again")
    return record


def verified_record(path: str | Path) -> dict:
    """The JSON record of a checkpoint whose weights are those that it was written with; else `ValueError`."""
    path, record = _named(path).with_suffix(".safetensors"), read_record(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); train again or copy it again") from error
    if hashlib.sha256(content).hexdigest() != record.get("weights_sha256"):
        raise ValueError(f"{path}: corrupt, or not the weights that {path.stem}.json was written with; copy both again")
    return record


def load(path: str | Path, recipe: Recipe | None = None, build: Callable = MixAndMatch.from_recipe) -> MixAndMatch:
    """The trained networks of a checkpoint, in eval mode on the CPU; `model.recipe` and `model.record`
    (its JSON) say how it was made. `build` makes the networks of a recipe, where they are not the paper's.

    `ValueError` where a file is missing, corrupt, does not belong to its record, or was trained by another `recipe`
    than the one asked for.
    """
    path, record = _named(path).with_suffix(".safetensors"), verified_record(path)
    try:
        trained = from_dict(record.get("recipe") or {})
    except ValueError as error:
        raise ValueError(f"{path.with_suffix('.json')}: {error}") from error
    if recipe is not None:
        require_same(trained, recipe, path)
    model = build(trained)
    weights, _ = read_tensors(path)
    try:
        model.load_state_dict(weights)  # copies into float32 parameters, whatever the file's precision
    except RuntimeError as error:
        raise ValueError(f"{path}: its tensors do not fit the networks of recipe {trained.name!r}") from error
    model.recipe, model.record = trained, record
    return model.eval().to(memory_format=torch.channels_last)  # on CPUs the faster layout


def _named(path: str | Path) -> Path:
    """The path, if it names a file at all."""
    if not Path(path).name:
        raise ValueError(f"{str(path)!r} is not a checkpoint: give the path of NAME.safetensors")
    return Path(path)


def require_same(saved: Recipe, asked: Recipe, path: str | Path) -> None:
    """`ValueError` naming each key in which two recipes differ."""
    saved_keys, asked_keys = saved.to_dict(), asked.to_dict()
    differ = [f"{key} ({saved_keys[key]} there, {asked_keys[key]} here)" for key in saved_keys
              if saved_keys[key] != asked_keys[key]]  # fmt: skip
    if differ:
        raise ValueError(f"{path}: trained by another recipe; it differs in {'; '.join(differ)}")


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file; `ValueError` if it is not one or is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); train again or copy it again") from error


def save_state(path: str | Path, parts: dict[str, dict[str, torch.Tensor]], record: dict) -> None:
    """A training state: named groups of tensors and a JSON record, in one file."""
    tensors = {
        f"{part}:{name}": tensor.detach().cpu().contiguous().clone()
        for part, group in parts.items()
        for name, tensor in group.items()
    }
    text = json.dumps(record)
    write(path, save(tensors, metadata={"record": text, "sha256": _digest(tensors, text)}))


def load_state(path: str | Path) -> tuple[dict[str, dict[str, torch.Tensor]], dict]:
    """What `save_state` wrote; `ValueError` if it is damaged or no training state."""
    tensors, metadata = read_tensors(path)
    if not {"record", "sha256"} <= metadata.keys():
        raise ValueError(f"{path}: not a training state; give the folder that `train` wrote")
    if metadata["sha256"] != _digest(tensors, metadata["record"]):
        raise ValueError(f"{path}: corrupt; delete it and train again, or copy it again")
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        part, name = key.split(":", 1)
        parts.setdefault(part, {})[name] = tensor
    return parts, json.loads(metadata["record"])


def _digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    """SHA-256 over a text and all tensors, by name."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
