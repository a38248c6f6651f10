"""The training state, one file `state.safetensors`: all that `train --resume` needs of a trainer."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta, Struct
from safetensors.torch import save

from ..checkpoints import Expected, read_layout, read_tensors
from ..hardware.files import brief, fitted, json_object, write
from ..recipes import Recipe, from_dict

Parts = dict[str, dict[str, torch.Tensor]]
"""The tensors of a training state, in named groups: each network, and what each optimiser knows."""


def parts(trainer) -> Parts:
    """All tensors of a trainer: its networks, and what its optimisers know of the weights that they have changed."""
    known = {f"optimizer_{name}": optimizer.state_dict()["state"] for name, optimizer in trainer.optimizers.items()}
    networks = {name: network.state_dict() for name, network in trainer.networks.items()}
    return networks | {
        part: {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}
        for part, state in known.items()
    }


def expected(trainer, held: Collection[str]) -> dict[str, torch.Tensor]:
    """The tensors, by part and name, of a state that holds these names. Of a weight that no step has changed yet, a
    state need not hold what the optimiser knows."""
    tensors = {f"{name}:{key}": v for name, net in trainer.networks.items() for key, v in net.state_dict().items()}
    for name, optimizer in trainer.optimizers.items():
        for i, weight in enumerate(_weights(optimizer)):
            adams = {"step": weight.new_empty(()), "exp_avg": weight, "exp_avg_sq": weight}
            known = {"momentum_buffer": weight} if name == "muon" else adams
            entries = {f"optimizer_{name}:{i}.{key}": tensor for key, tensor in known.items()}
            if any(entry in held for entry in entries):
                tensors |= entries
    return tensors


def restore(trainer, saved: Parts, step: int) -> None:
    """Bring a trainer to a saved state."""
    for name, network in trainer.networks.items():
        network.load_state_dict(saved.get(name, {}))
    for name, optimizer in trainer.optimizers.items():
        weights, state = _weights(optimizer), {}
        for key, value in saved.get(f"optimizer_{name}", {}).items():
            i, entry = key.split(".", 1)
            if value.dim():  # moments must lie in memory as their weights do: the fused kernel reads both at once
                value = torch.empty_like(weights[int(i)]).copy_(value)
            state.setdefault(int(i), {})[entry] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    trainer.next_step = step


def _weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


# ── Its file ──


def save_state(path: str | Path, parts: Parts, record: dict) -> None:
    """A training state: named groups of tensors and a JSON record, in one file."""
    tensors = {
        f"{part}:{name}": tensor.detach().cpu().contiguous().clone()
        for part, group in parts.items()
        for name, tensor in group.items()
    }
    text = json.dumps(record)
    write(path, save(tensors, metadata={"record": text, "sha256": _digest(tensors, text)}))


def read_state_record(path: str | Path) -> dict:
    """The JSON record of a training state, without its tensors; `ValueError` if it is damaged or no training state."""
    _, metadata = read_layout(path)
    if not {"record", "sha256"} <= metadata.keys():
        raise ValueError(f"{path}: not a training state; give the folder that `train` wrote")
    try:
        return json_object(metadata["record"].encode())
    except ValueError as error:
        raise ValueError(f"{path}: its record cannot be read ({brief(error)}); train again or copy it again") from error


def load_state(path: str | Path, expected: Expected | None = None) -> tuple[Parts, dict]:
    """What `save_state` wrote; `ValueError` if it is damaged, no training state, or not what is `expected`."""
    record = read_state_record(path)
    tensors, metadata = read_tensors(path, expected)
    if metadata["sha256"] != _digest(tensors, metadata["record"]):
        raise ValueError(f"{path}: corrupt; delete it and train again, or copy it again")
    parts: Parts = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition(":")
        parts.setdefault(part, {})[name] = tensor
    return parts, record


def _digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    """SHA-256 over a text and all tensors, by name."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class _Form(Struct, forbid_unknown_fields=True):
    """The form of the arithmetic that a training ran in, as `Machine.form` keeps it."""

    bf16: bool
    channels_last: bool
    window_codes: bool = False
    compiled: bool = False


class _SavedRun(Struct):
    """What resuming needs of a training state's record besides the recipe."""

    data: list[dict]
    machine: _Form
    step: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0, lt=2.0**63)]
    rgb_weights_sha256: str = ""


def saved_run(path: str | Path) -> tuple[Recipe, dict]:
    """The recipe and the record of a training state; `ValueError` where it says less than resuming needs."""
    saved = read_state_record(path)
    try:
        recipe = from_dict(saved.get("recipe"))
        if fitted(saved, _SavedRun).step > recipe.steps:
            raise ValueError(f"step: {saved['step']} is more than the {recipe.steps} steps of the recipe")
    except ValueError as error:
        raise ValueError(f"{path}: its record is of no use ({brief(error)}); train again or copy it again") from error
    return recipe, saved
