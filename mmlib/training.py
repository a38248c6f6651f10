"""Training: one step in the order of section 4.3, and `fit`, which repeats it, logs, saves and resumes.

Each step's randomness (which rooms, augmentation, latent noise) is a function of the seed and the step alone, so a run
that is killed and resumed ends bit-identical to one that never stopped (on CPU).
"""

import copy
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from . import checkpoints, muon
from .checkpoints import saved_run
from .data.batches import Pair, Steps, ahead, as_needed, generator, load_batch, resident, to_pair
from .data.sets import Rooms
from .hardware import processes
from .hardware.compute import Machine, choose_device
from .hardware.guards import catch_signals, out_of_memory
from .hardware.probing import probe
from .hardware.versions import versions
from .networks import MixAndMatch
from .objectives import Objective
from .pretrained import load_rgb_encoder
from .recipes import Phase, Recipe

UPDATED_BY = {"generator": ("generator", "muon"), "discriminator": ("discriminator",)}
"""The optimisers, by name, that change the networks and the discriminators; Muon only where the recipe asks for it."""


class NetworksLosses(nn.Module):
    """All losses of encoders and decoders in one forward, which is what several processes can share."""

    def __init__(self, objective: Objective, model: nn.Module, discriminators: nn.ModuleDict):
        super().__init__()
        self.objective, self.model = objective, model
        self.discriminators = [discriminators]  # in a list: their weights are none of this module's

    def forward(self, batches: list[Pair], recipe: Recipe, phase: Phase, random, average):
        terms, judged = self.objective.terms(self.model, batches, recipe, phase, random, average)
        if phase.lambda_gan == 0:
            judged = {}
        return terms | self.objective.fool(self.discriminators[0], judged), judged


class DiscriminatorsLosses(nn.Module):
    """The losses of all discriminators in one forward."""

    def __init__(self, objective: Objective, discriminators: nn.ModuleDict):
        super().__init__()
        self.objective, self.discriminators = objective, discriminators

    def forward(self, judged: dict[str, tuple[torch.Tensor, torch.Tensor]], random) -> dict[str, torch.Tensor]:
        return self.objective.judge(self.discriminators, judged, random)


class Trainer:
    """Networks, discriminators and their optimisers, and one `step` of training.

    With several processes (`mmlib.hardware.processes`) each has a share of the recipe's batch, and gradients are
    averaged. `workers` prepare batches ahead, of consecutive steps. `ValueError` where a batch cannot be shared out.
    """

    def __init__(self, recipe: Recipe, objective: Objective, machine: Machine, workers: int = 0):
        self.recipe, self.objective, self.machine = recipe, objective, machine
        for rooms in objective.sets:
            batch = min(recipe.batch, len(rooms))
            if batch % processes.count() or batch // processes.count() < 2:
                raise ValueError(
                    f"a batch of {batch} of split {rooms.split} cannot be shared by {processes.count()} processes: "
                    "give each the same number of images, at least 2 (batch normalization)"
                )
        self.workers, self._ahead = workers, None
        self.model = machine.place(objective.networks(recipe))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.discriminators = machine.place(nn.ModuleDict(objective.discriminators(recipe)))
        adam = functools.partial(torch.optim.Adam, lr=recipe.learning_rate, betas=(0.5, 0.999), fused=True)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        if recipe.optimizer == "muon" and (matrices := muon.matrices(self.model)):
            self.optimizers["muon"] = muon.Muon(matrices, recipe.muon_rate)
            kept = set(matrices)
            others = [weight for weight in self.model.parameters() if weight not in kept]
            self.optimizers["generator"] = adam(others, betas=(0.9, 0.99))
        else:
            self.optimizers["generator"] = adam(self.model.parameters())
        if len(self.discriminators):
            self.optimizers["discriminator"] = adam(self.discriminators.parameters())
        self.average = None if recipe.teacher == "self" else copy.deepcopy(self.model).requires_grad_(False).eval()
        for networks in (self.model, self.discriminators, self.average):
            if networks is not None:
                machine.switch(networks)
        self.sets = objective.sets if workers else resident(objective.sets, machine)
        self.next_step = 0
        self._phase, self._losses = None, {}
        self.deferred = machine.device.type == "cuda"
        torch.backends.cudnn.benchmark = self.deferred  # all steps have the same shapes: let it try its algorithms
        self.first_infinite = torch.tensor(-1, device=machine.device)

    def learning_rate(self, step: int) -> float:
        """The rate of Adam at a step; Muon's follows the same schedule."""
        return self.recipe.learning_rate * self.recipe.schedule(step)

    def batches(self, step: int) -> list[Pair]:
        """The batch of each of the objective's sets that belongs to `step`."""
        if self.workers == 0:
            return [load_batch(rooms, self.recipe, self.machine, step, k) for k, rooms in enumerate(self.sets)]
        if self._ahead is None:
            self._ahead = ahead(Steps(self.objective.sets, self.recipe), step, self.workers, self.machine.device)
        ready = zip(next(self._ahead), self.objective.sets)
        return [to_pair(raw, self.machine, rooms.records) for raw, rooms in ready]

    def _wrap(self, phase: Phase) -> None:
        """The losses as modules whose gradients all processes share; anew in each phase, for what is frozen differs."""
        if phase is not self._phase:
            networks = NetworksLosses(self.objective, self.model, self.discriminators)
            wrapped = functools.partial(processes.wrapped, device=self.machine.device, partly=self.objective.partly)
            self._losses = {"generator": wrapped(networks)}
            self._losses["discriminator"] = wrapped(DiscriminatorsLosses(self.objective, self.discriminators))
            self._phase = phase

    def step(self) -> dict[str, torch.Tensor]:
        """One step of the networks (encoders and decoders), then one of the discriminators; returns the loss terms.

        `FloatingPointError` names step and term of a non-finite loss, before it has changed any weight; on a GPU
        `check` does so later.
        """
        step, recipe, machine = self.next_step, self.recipe, self.machine
        phase = recipe.phase(step)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = recipe.schedule(step) * (recipe.muon_rate if name == "muon" else recipe.learning_rate)
        self.model.train()
        self.discriminators.train()
        self.objective.freeze(self.model, phase)
        self._wrap(phase)
        batches = self.batches(step)
        random = generator(machine.device if machine.device.type == "cuda" else "cpu", recipe.seed, step, 2)

        self.discriminators.requires_grad_(False)
        with machine.autocast():
            terms, judged = self._losses["generator"](batches, recipe, phase, random, self.average)
        self.discriminators.requires_grad_(True)
        self._update("generator", self.objective.total(terms, phase), terms, step)
        self._average()
        if judged:
            with machine.autocast():
                losses = self._losses["discriminator"](judged, random)
            self._update("discriminator", sum(losses.values()), losses, step)
            terms |= losses
        self.next_step += 1
        return terms

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights a little towards the networks' own."""
        if self.average is None:
            return
        keep = min(self.recipe.teacher_decay, (1 + self.next_step) / (10 + self.next_step))  # short at the beginning
        mine, theirs = self.average.state_dict().values(), self.model.state_dict().values()
        pairs = [(a, b) for a, b in zip(mine, theirs) if a.is_floating_point()]
        torch._foreach_lerp_(*map(list, zip(*pairs)), 1 - keep)
        for a, b in zip(mine, theirs):
            if not a.is_floating_point():
                a.copy_(b)

    def _update(self, name: str, loss: torch.Tensor, terms: dict[str, torch.Tensor], step: int) -> None:
        """Change the weights of the networks (`generator`) or of the discriminators by the gradient of their loss."""
        optimizers = [self.optimizers[key] for key in UPDATED_BY[name] if key in self.optimizers]
        infinite = ~torch.isfinite(loss.detach())
        if not self.deferred and infinite:
            wrong = [f"{term} = {value.item()}" for term, value in terms.items() if not torch.isfinite(value)]
            self._not_finite(step, ", ".join(wrong) or name)
        if self.deferred:
            self.first_infinite = torch.where((self.first_infinite < 0) & infinite, step, self.first_infinite)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            if self.deferred:
                optimizer.found_inf = infinite.float()  # such an update is left out without asking
            optimizer.step()

    def check(self) -> None:
        """`FloatingPointError` where a loss was not finite since the last check: on a GPU, where asking at each step
        would make the CPU wait, and where the update is left out without asking."""
        if self.deferred and (step := int(self.first_infinite)) >= 0:
            self._not_finite(step, "its update was left out")

    @staticmethod
    def _not_finite(step: int, what: str):
        raise FloatingPointError(
            f"step {step}: the loss is not finite ({what}); the last saved state is intact: lower the learning rate, "
            "or look at this step's images"
        )

    # ------------------------------------------------------------------------------------ saving, resuming

    def parts(self) -> dict[str, dict[str, torch.Tensor]]:
        """All tensors of the training state, in named groups."""
        parts = {"model": self.model.state_dict(), "discriminator": self.discriminators.state_dict()}
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()["state"]
            parts[f"optimizer_{name}"] = {
                f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()
            }
        return parts

    def expected(self, held: Collection[str]) -> dict[str, torch.Tensor]:
        """The tensors, by part and name, of a state that holds these names; of a weight that no step has changed yet it
        need not hold what the optimiser knows."""
        parts = {part: tensors for part, tensors in self.parts().items() if not part.startswith("optimizer_")}
        for name, optimizer in self.optimizers.items():
            known = parts[f"optimizer_{name}"] = {}
            for i, weight in enumerate(weight for group in optimizer.param_groups for weight in group["params"]):
                adams = {f"{i}.step": weight.new_empty(()), f"{i}.exp_avg": weight, f"{i}.exp_avg_sq": weight}
                entries = {f"{i}.momentum_buffer": weight} if name == "muon" else adams
                if any(f"optimizer_{name}:{entry}" in held for entry in entries):
                    known |= entries
        return {f"{part}:{name}": tensor for part, group in parts.items() for name, tensor in group.items()}

    def restore(self, parts: dict[str, dict[str, torch.Tensor]], step: int) -> None:
        """Go back to a saved training state."""
        self.model.load_state_dict(parts["model"])
        self.discriminators.load_state_dict(parts.get("discriminator", {}))
        if self.average is not None:
            self.average.load_state_dict(parts["average"])
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in parts.get(f"optimizer_{name}", {}).items():
                i, entry = key.split(".", 1)
                # the fused kernel walks memory: moments must lie as their weights do
                placed = self.machine.place(value) if value.dim() == 4 else value
                state.setdefault(int(i), {})[entry] = placed
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.next_step = step


def fit(
    recipe: Recipe,
    objective,
    folder: str | Path,
    *,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    save_every: int = 500,
    log_every: int = 20,
    stop_after: int | None = None,
    progress: bool = True,
    rgb_weights: str | Path | None = None,
    half: bool = False,
    tuned_on: Sequence[Rooms] = (),
) -> MixAndMatch:
    """Train a recipe and leave `checkpoint.safetensors`, `checkpoint.json`, `log.jsonl` and `state.safetensors`.

    `objective`: `ZeroPair(d1, d2)`, or a baseline's. `resume` goes on from `folder`'s state; without one it starts.
    `workers`: processes that prepare batches ahead. Started by torchrun, several processes train together, each on its
    share of every batch, and the first alone writes. `stop_after` ends early after that many steps, resumable.
    `rgb_weights`: a file that the RGB encoder starts from, as `pretrained.load_rgb_encoder` reads it. `tuned_on`: rooms
    by which the recipe was chosen, for the record. Ctrl-C and SIGTERM save the state after the step at hand.
    `save_every` and `log_every` count steps; `half` stores the checkpoint in half precision. Returns the networks in
    eval mode, on the device. `ValueError` where a state is corrupt, of another recipe or other data, or `folder` holds
    a run and `resume` is not given; `FloatingPointError` where a loss or weight is not finite; `ConnectionError` where
    another of several processes is lost; `MemoryError` names a batch that would fit.
    """
    options = {key: value for key, value in locals().items() if key not in ("recipe", "objective", "folder", "device")}
    with processes.together(device) as own:
        return _fit(recipe, objective, Path(folder), own, **options)


def _fit(
    recipe: Recipe, objective, folder: Path, device: str, *, workers: int, resume: bool, save_every: int,
    log_every: int, stop_after: int | None, progress: bool, rgb_weights, half: bool, tuned_on: Sequence[Rooms],
) -> MixAndMatch:  # fmt: skip
    """`fit`, by one of the processes that train together."""
    state_path, log_path = folder / "state.safetensors", folder / "log.jsonl"
    for rooms in objective.sets:
        if len(rooms) < 2:
            raise ValueError(f"split {rooms.split}: {len(rooms)} rooms are too few to train on; at least 2 are needed")
    objective = copy.copy(objective)
    objective.sets = tuple(as_needed(rooms, recipe) for rooms in objective.sets)
    data = [*objective.inherited, *(rooms.describe() for rooms in objective.sets)]
    saved = None
    if state_path.exists():
        if not resume:
            raise ValueError(f"{folder} already holds a run: pass --resume to go on with it, or name another folder")
        trained, saved = saved_run(state_path)
        checkpoints.require_same(trained, recipe, state_path)
        if [entry for entry in saved["data"] if entry.get("role") == "training"] != data:
            raise ValueError(f"{state_path}: trained on other data; give the same splits, or name another folder")
    # the form of the arithmetic is part of the state: a resumed run keeps it
    form = saved["machine"] if saved else processes.from_first(probe(device, recipe.precision, recipe).form())
    machine = Machine(choose_device(device), **form)
    trainer = Trainer(recipe, objective, machine, workers)
    first = processes.number() == 0
    seconds, initial = 0.0, {}
    if saved:
        initial = {key: saved[key] for key in ("rgb_weights_sha256",) if key in saved}
        parts, _ = checkpoints.load_state(state_path, trainer.expected)
        trainer.restore(parts, saved["step"])
        seconds = saved["seconds"]
    elif rgb_weights is not None:
        load_rgb_encoder(trainer.model.encoders["rgb"], rgb_weights)
        initial = {"rgb_weights_sha256": hashlib.sha256(Path(rgb_weights).read_bytes()).hexdigest()}
    if first:
        checkpoints.write(log_path, _log_until(log_path, trainer.next_step) if saved else b"")

    def record() -> dict:
        return {
            "recipe": recipe.to_dict(),
            "step": trainer.next_step,
            "objective": type(objective).__name__,
            **initial,
            "data": data + [rooms.describe("selection") for rooms in tuned_on],
            "selection": "checkpoint: the last step",
            "machine": machine.form(),
            "device": str(machine.device),
            **({"processes": processes.count()} if processes.count() > 1 else {}),
            "versions": versions(),
            "seconds": round(seconds + time.perf_counter() - start, 1),
        }

    def save_state() -> None:
        processes.average_statistics(trainer.model)
        processes.average_statistics(trainer.discriminators)
        if not first:
            return
        parts = trainer.parts()
        if not all(torch.isfinite(value).all() for group in parts.values() for value in group.values()):
            raise FloatingPointError(
                f"step {trainer.next_step}: a weight is not finite; the last saved state is intact"
            )
        checkpoints.save_state(state_path, parts, record())

    start = time.perf_counter()
    last = recipe.steps if stop_after is None else min(recipe.steps, stop_after)
    often = 0.5 if sys.stdout.isatty() else 5.0  # seconds; each refresh is a line where standard output is a log
    bar = tqdm(total=recipe.steps, initial=trainer.next_step, unit="step", disable=not (progress and first),
               mininterval=often, file=sys.stdout, dynamic_ncols=False, ncols=125)  # fmt: skip
    interrupted = catch_signals()
    if not saved:
        save_state()  # from now on a killed run goes on with the same arithmetic and initial weights
    try:
        with open(log_path if first else os.devnull, "a") as log, bar:
            while trainer.next_step < last and not interrupted():
                terms = _attempt(trainer)
                if terms is None:
                    step, trainer = trainer.next_step, None  # its memory is needed for trying smaller batches
                    raise MemoryError(_too_large(recipe, objective, machine, step))
                step = trainer.next_step
                if step % log_every == 0 or step % save_every == 0 or step == last:
                    trainer.check()
                if step % log_every == 0 or step == last:
                    values = {name: round(processes.joint_mean(value).item(), 5) for name, value in terms.items()}
                    log.write(
                        json.dumps({"step": step, "learning_rate": trainer.learning_rate(step - 1), **values}) + "\n"
                    )
                    log.flush()
                    bar.set_postfix({k: f"{v:.3g}" for k, v in values.items() if k in SHOWN}, refresh=False)
                bar.update()
                if step % save_every == 0 or step == last:
                    save_state()
        if interrupted():
            save_state()
            raise KeyboardInterrupt(f"stopped at step {trainer.next_step}; go on with --resume")
    finally:
        interrupted(restore=True)
    trainer.model.recipe, trainer.model.record = recipe, record()
    if first:
        checkpoints.save_checkpoint(folder / "checkpoint.safetensors", trainer.model, trainer.model.record, half)
    return trainer.model.eval()


def _too_large(recipe: Recipe, objective: Objective, machine: Machine, step: int) -> str:
    """What to say of a batch that did not fit: the largest of its halves, quarters, … whose step does."""
    fits = recipe.batch // 2
    while fits >= 2 and processes.count() == 1 and not _fits(recipe.replace(batch=fits), objective, machine, step):
        fits //= 2
    if processes.count() > 1:
        advice = "take a smaller one, or more processes"
    else:
        advice = f"--batch {fits} does" if fits >= 2 else "nor does a batch of 2: take a smaller size or smaller widths"
    return (
        f"step {step}: a batch of {recipe.batch} at {recipe.size} × {recipe.size} pixels does not fit into the memory "
        f"of {machine.device}; {advice}. Nothing was changed, and the last saved state is whole"
    )


def _fits(recipe: Recipe, objective: Objective, machine: Machine, step: int) -> bool:
    """Whether a step of a recipe fits into memory."""
    if machine.device.type == "cuda":
        torch.cuda.empty_cache()
    trial = Trainer(recipe, objective, machine)
    trial.next_step = step
    return _attempt(trial) is not None


def _attempt(trainer: Trainer) -> dict[str, torch.Tensor] | None:
    """A step's terms, or None where memory did not suffice; the error, which holds on to that memory, is gone then."""
    try:
        return trainer.step()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return None


SHOWN = ("segmentation/RS", "depth/RD", "latent/RD", "rgb/RR")


def _log_until(path: Path, step: int) -> bytes:
    """The log's lines up to `step`, so that a resumed run does not write any twice."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            break  # the line that a kill cut short
    return "".join(kept).encode()
