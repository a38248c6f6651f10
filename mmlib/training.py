"""Training: one step in the order of section 4.3, and `fit`, which repeats it, logs, saves and resumes.

Each step's randomness (which rooms, augmentation, latent noise) is a function of the seed and the step alone, so a run
that is killed and resumed ends bit-identical to one that never stopped (on CPU).
"""

import copy
import functools
import hashlib
import json
import math
import platform
import signal
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from . import __version__, checkpoints
from .data import Rooms
from .losses import discriminator_gan, generator_gan
from .modalities import modality
from .networks import MixAndMatch
from .objectives import Objective, Pair
from .pretrained import load_rgb_encoder
from .recipes import Recipe, from_dict, preset
from .untrusted import brief

# ---------------------------------------------------------------------------------------------- the machine


@dataclass(frozen=True)
class Machine:
    """Where and how to compute: a device, bf16 autocast or fp32, channels_last or not."""

    device: torch.device
    bf16: bool
    channels_last: bool

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, module_or_image):
        """On the device, in the memory format."""
        if self.channels_last:
            return module_or_image.to(self.device, memory_format=torch.channels_last)
        return module_or_image.to(self.device)


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, else MPS, else the CPU; `ValueError` where the device asked for is not there."""
    try:
        return _available(name)
    except RuntimeError as error:  # not a device's name at all
        raise ValueError(f"device {name!r}: {str(error).splitlines()[0]}; use auto, cpu, cuda or mps") from None


def _available(name: str) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind in available if available[kind]))
    if not available.get(name.split(":")[0]):
        raise ValueError(
            f"device {name!r} is not available here: use auto, {', '.join(k for k in available if available[k])}"
        )
    return torch.device(name)


def probe(device: str = "auto", precision: str = "auto") -> Machine:
    """Choose bf16 and channels_last by timing a SegNet of preset `course`, forward and backward, in each form."""
    return _probe(choose_device(device), precision)


@functools.cache
def _probe(device: torch.device, precision: str) -> Machine:
    choices = {"auto": (False, True), "fp32": (False,), "bf16": (True,)}[precision]
    candidates = [Machine(device, bf16, channels_last) for bf16 in choices for channels_last in (False, True)]
    recipe = preset("course")
    with torch.random.fork_rng(devices=[]):
        model = MixAndMatch.from_recipe(recipe)
        image = torch.randn(recipe.batch, 1, recipe.size, recipe.size)
    models = {machine: machine.place(copy.deepcopy(model)) for machine in candidates}
    seconds = {machine: [] for machine in candidates}
    for _ in range(5):  # in turns, so that other work on the machine falls on all forms alike
        for machine, model in models.items():
            x = machine.place(image)
            start = time.perf_counter()
            with machine.autocast():
                loss = model.translate(x, "depth", "depth").float().square().mean()
            loss.backward()
            loss.item()  # waits for an accelerator
            seconds[machine].append(time.perf_counter() - start)
    return min(candidates, key=lambda machine: min(seconds[machine][1:]))


# ---------------------------------------------------------------------------------------------- batches


def generator(device: torch.device | str, *numbers: int) -> torch.Generator:
    """Randomness as a function of some whole numbers (seed, step, purpose) alone."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device).manual_seed(seed)


def draw(rooms: Rooms, batch: int, step: int, seed: int, number: int) -> torch.Tensor:
    """Indices of step's batch: each epoch a new permutation of the set, the incomplete last batch left out."""
    batch = min(batch, len(rooms))
    epoch, place = divmod(step, len(rooms) // batch)
    order = torch.randperm(len(rooms), generator=generator("cpu", seed, number, epoch))
    return order[place * batch : (place + 1) * batch]


def augment(raw: dict[str, torch.Tensor], size: int, random: torch.Generator) -> dict[str, torch.Tensor]:
    """Crop, zoom and mirror all members of a pair alike; vary the light of RGB alone.

    Raw images (N, C, H, W) of any equal size → raw images of size × size; windows of 60 to 100 % of the side.
    """
    count = len(next(iter(raw.values())))
    scale, *middle = torch.rand(3, count, generator=random)
    scale = 0.6 + 0.4 * scale
    mirror = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    x, y = ((1 - scale) * (2 * m - 1) for m in middle)
    zero = torch.zeros(count)
    theta = torch.stack([torch.stack([scale * mirror, zero, x], 1), torch.stack([zero, scale, y], 1)], 1)
    grid = F.affine_grid(theta, [count, 1, size, size], align_corners=False)
    light = torch.exp(0.25 * torch.randn(count, 1, 1, 1, generator=random))
    light = light * torch.exp(0.1 * torch.randn(count, 3, 1, 1, generator=random))
    result = {}
    for name, image in raw.items():
        mode = modality(name).resample
        sampled = F.grid_sample(image.float(), grid, mode, padding_mode="border", align_corners=False)
        if name == "rgb":
            sampled = (sampled * light).round().clamp(0, 255)
        mirrored = modality(name).mirrored(sampled)
        result[name] = torch.where(mirror.view(-1, 1, 1, 1) < 0, mirrored, sampled).to(image.dtype)
    return result


def load_batch(rooms: Rooms, recipe: Recipe, machine: Machine, step: int, number: int) -> Pair:
    """The pair of set `number` that belongs to `step`."""
    raw = rooms.batch(draw(rooms, recipe.batch, step, recipe.seed, number))
    if recipe.augment:
        raw = augment(raw, recipe.size, generator("cpu", recipe.seed, step, number, 1))
    images = {name: machine.place(modality(name).to_input(image)) for name, image in raw.items()}
    return Pair(images, {name: modality(name).valid(image).to(machine.device) for name, image in raw.items()})


# ---------------------------------------------------------------------------------------------- one step


class Trainer:
    """Networks, discriminators and their optimisers, and one `step` of training."""

    def __init__(self, recipe: Recipe, objective: Objective, machine: Machine):
        self.recipe, self.objective, self.machine = recipe, objective, machine
        self.model = machine.place(objective.networks(recipe))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.discriminators = machine.place(nn.ModuleDict(objective.discriminators(recipe)))
        adam = functools.partial(torch.optim.Adam, lr=recipe.learning_rate, betas=(0.5, 0.999), fused=True)
        self.optimizers = {"generator": adam(self.model.parameters())}
        if len(self.discriminators):
            self.optimizers["discriminator"] = adam(self.discriminators.parameters())
        self.average = None if recipe.teacher == "self" else copy.deepcopy(self.model).requires_grad_(False).eval()
        self.next_step = 0

    def learning_rate(self, step: int) -> float:
        """Constant; or one cycle: a linear rise over the first tenth, then a cosine to zero; or a linear decay to zero
        over the second half."""
        recipe = self.recipe
        if recipe.linear_decay:
            return recipe.learning_rate * min(1.0, 2 * (1 - step / recipe.steps))
        if not recipe.one_cycle:
            return recipe.learning_rate
        rise = max(1, recipe.steps // 10)
        if step < rise:
            return recipe.learning_rate * (step + 1) / rise
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, recipe.steps - rise)))

    def batches(self, step: int) -> list[Pair]:
        """The batch of each of the objective's sets that belongs to `step`."""
        return [load_batch(rooms, self.recipe, self.machine, step, k) for k, rooms in enumerate(self.objective.sets)]

    def step(self) -> dict[str, torch.Tensor]:
        """One step of the networks (encoders and decoders), then one of the discriminators; returns the loss terms.

        `FloatingPointError` names step and term of a non-finite loss, before it has changed any weight.
        """
        step, recipe, machine = self.next_step, self.recipe, self.machine
        phase = recipe.phase(step)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(step)
        self.model.train()
        self.discriminators.train()
        self.objective.freeze(self.model, phase)
        batches = self.batches(step)
        random = generator(machine.device if machine.device.type == "cuda" else "cpu", recipe.seed, step, 2)

        with machine.autocast():
            terms, judged = self.objective.terms(self.model, batches, recipe, phase, random, self.average)
            if phase.lambda_gan == 0:
                judged = {}
            self.discriminators.requires_grad_(False)
            for name, (_, made) in judged.items():
                terms[f"gan/*{name}"] = generator_gan(self.discriminators[name](made))
            self.discriminators.requires_grad_(True)
        self._update("generator", self.objective.total(terms, phase), terms, step)
        self._average()
        if judged:
            losses = {}
            with machine.autocast():
                for name, (real, made) in judged.items():
                    judge = self.discriminators[name]
                    shown = judge.shown(made.detach(), random)
                    # a pass each, as the generator's: batch normalization must not tell by the company an image keeps
                    losses[f"discriminator/{name}"] = discriminator_gan(judge(real), judge(shown))
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
        for a, b in zip(mine, theirs):
            a.lerp_(b, 1 - keep) if a.is_floating_point() else a.copy_(b)

    def _update(self, name: str, loss: torch.Tensor, terms: dict[str, torch.Tensor], step: int) -> None:
        if not torch.isfinite(loss):
            wrong = [f"{term} = {value.item()}" for term, value in terms.items() if not torch.isfinite(value)]
            raise FloatingPointError(
                f"step {step}: the loss is not finite ({', '.join(wrong) or name}); the last saved state is intact: "
                "lower the learning rate, or look at this step's images"
            )
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

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
                entries = {f"{i}.step": weight.new_empty(()), f"{i}.exp_avg": weight, f"{i}.exp_avg_sq": weight}
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


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"mmlib": __version__, "torch": torch.__version__, "python": platform.python_version()}


def saved_run(path: str | Path) -> tuple[Recipe, dict]:
    """The recipe and the record of a training state; `ValueError` where it says less than resuming needs."""
    saved = checkpoints.read_state_record(path)
    try:
        recipe = from_dict(saved.get("recipe"))
    except ValueError as error:
        raise ValueError(f"{path}: {brief(error)}") from error
    data, machine, step, seconds = (saved.get(key) for key in ("data", "machine", "step", "seconds"))
    right = {
        "data": isinstance(data, list) and all(isinstance(entry, dict) for entry in data),
        "machine": isinstance(machine, dict)
        and {key: type(value) for key, value in machine.items()} == {"bf16": bool, "channels_last": bool},
        "step": type(step) is int and 0 <= step <= recipe.steps,
        "seconds": type(seconds) in (int, float) and 0 <= seconds < math.inf,
        "rgb_weights_sha256": isinstance(saved.get("rgb_weights_sha256", ""), str),
    }
    if wrong := [key for key, is_right in right.items() if not is_right]:
        raise ValueError(f"{path}: its record has no usable {', '.join(wrong)}; train again or copy it again")
    return recipe, saved


def fit(
    recipe: Recipe,
    objective,
    folder: str | Path,
    *,
    device: str = "auto",
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
    `stop_after` ends early after that many steps, resumable. `rgb_weights`: a file that the RGB encoder starts from, as
    `pretrained.load_rgb_encoder` reads it. `tuned_on`: rooms by which the recipe was chosen, for the record. Ctrl-C
    saves the state.
    `save_every` and `log_every` count steps; `half` stores the checkpoint in half precision. Returns the networks in
    eval mode, on the device. `ValueError` where a state is corrupt, of another recipe or other data, or `folder` holds
    a run and `resume` is not given; `FloatingPointError` where a loss or weight is not finite.
    """
    folder = Path(folder)
    state_path, log_path = folder / "state.safetensors", folder / "log.jsonl"
    for rooms in objective.sets:
        if len(rooms) < 2:
            raise ValueError(f"split {rooms.split}: {len(rooms)} rooms are too few to train on; at least 2 are needed")
    if not recipe.augment:
        objective = copy.copy(objective)
        objective.sets = tuple(rooms.resized(recipe.size) for rooms in objective.sets)
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
    machine = Machine(choose_device(device), **saved["machine"]) if saved else probe(device, recipe.precision)
    trainer = Trainer(recipe, objective, machine)
    seconds, initial = 0.0, {}
    if saved:
        initial = {key: saved[key] for key in ("rgb_weights_sha256",) if key in saved}
        parts, _ = checkpoints.load_state(state_path, trainer.expected)
        trainer.restore(parts, saved["step"])
        seconds = saved["seconds"]
    elif rgb_weights is not None:
        load_rgb_encoder(trainer.model.encoders["rgb"], rgb_weights)
        initial = {"rgb_weights_sha256": hashlib.sha256(Path(rgb_weights).read_bytes()).hexdigest()}
    checkpoints.write(log_path, _log_until(log_path, trainer.next_step) if saved else b"")

    def record() -> dict:
        return {
            "recipe": recipe.to_dict(),
            "step": trainer.next_step,
            "objective": type(objective).__name__,
            **initial,
            "data": data + [rooms.describe("selection") for rooms in tuned_on],
            "selection": "checkpoint: the last step",
            "machine": {"bf16": machine.bf16, "channels_last": machine.channels_last},
            "device": str(machine.device),
            "versions": versions(),
            "seconds": round(seconds + time.perf_counter() - start, 1),
        }

    def save_state() -> None:
        parts = trainer.parts()
        if not all(torch.isfinite(value).all() for group in parts.values() for value in group.values()):
            raise FloatingPointError(
                f"step {trainer.next_step}: a weight is not finite; the last saved state is intact"
            )
        checkpoints.save_state(state_path, parts, record())

    start = time.perf_counter()
    last = recipe.steps if stop_after is None else min(recipe.steps, stop_after)
    often = 0.5 if sys.stdout.isatty() else 5.0  # seconds; each refresh is a line where standard output is a log
    bar = tqdm(total=recipe.steps, initial=trainer.next_step, unit="step", disable=not progress, mininterval=often,
               file=sys.stdout, dynamic_ncols=False, ncols=125)  # fmt: skip
    interrupted = _catch_interrupt()
    if not saved:
        save_state()  # from now on a killed run goes on with the same arithmetic and initial weights
    try:
        with open(log_path, "a") as log, bar:
            while trainer.next_step < last and not interrupted():
                terms = trainer.step()
                step = trainer.next_step
                if step % log_every == 0 or step == last:
                    values = {name: round(value.item(), 5) for name, value in terms.items()}
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
    checkpoints.save_checkpoint(folder / "checkpoint.safetensors", trainer.model, trainer.model.record, half)
    return trainer.model.eval()


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


def _catch_interrupt():
    """Turn the first Ctrl-C into a flag that the loop reads between two steps, so that no step is left half done."""
    pressed = []
    try:
        before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    except ValueError:  # not the main thread: leave the signal alone
        return lambda restore=False: False

    def interrupted(restore: bool = False) -> bool:
        if restore:
            signal.signal(signal.SIGINT, before)
        return bool(pressed)

    return interrupted
