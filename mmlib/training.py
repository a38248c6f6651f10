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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from . import __version__, checkpoints
from .blocks import PatchDiscriminator
from .data import DepthPairs, Rooms, SegmentationPairs
from .losses import LOSSES, discriminator_gan, generator_gan, latent_consistency, pseudo_pair, total
from .modalities import CLASSES, MODALITIES
from .networks import Encoding, MixAndMatch, load_vgg16
from .recipes import Phase, Recipe, from_dict, preset

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
        mode = MODALITIES[name].resample
        sampled = F.grid_sample(image.float(), grid, mode, padding_mode="border", align_corners=False)
        if name == "rgb":
            sampled = (sampled * light).round().clamp(0, 255)
        result[name] = sampled.to(image.dtype)
    return result


@dataclass
class Pair:
    """A batch of one training set on the device: network-form images and valid masks, by modality name."""

    images: dict[str, torch.Tensor]
    valid: dict[str, torch.Tensor]


def load_batch(rooms: Rooms, recipe: Recipe, machine: Machine, step: int, number: int) -> Pair:
    """The pair of set `number` that belongs to `step`."""
    raw = rooms.batch(draw(rooms, recipe.batch, step, recipe.seed, number))
    if recipe.augment:
        raw = augment(raw, recipe.size, generator("cpu", recipe.seed, step, number, 1))
    images = {name: machine.place(MODALITIES[name].to_input(image)) for name, image in raw.items()}
    return Pair(images, {name: MODALITIES[name].valid(image).to(machine.device) for name, image in raw.items()})


# ---------------------------------------------------------------------------------------------- the objective


def add_noise(encoding: Encoding, deviation: float, random: torch.Generator) -> Encoding:
    """N(0, deviation) on the latent at the output of an encoder (section 3.2)."""
    if deviation == 0:
        return encoding
    h = encoding.latent
    noise = torch.randn(h.shape, generator=random, device=random.device).to(h.device, h.dtype)
    return encoding.with_latent(h + deviation * noise)


class ZeroPair:
    """The paper's objective on its two training sets: (x, y) of D1 and (x, z) of D2, never (z, y)."""

    def __init__(self, d1: SegmentationPairs, d2: DepthPairs):
        if not isinstance(d1, SegmentationPairs) or not isinstance(d2, DepthPairs):
            raise TypeError("zero-pair training takes SegmentationPairs (D1) and DepthPairs (D2), nothing else")
        if shared := set(d1.rooms) & set(d2.rooms):
            raise ValueError(
                f"D1 and D2 share {len(shared)} rooms, the first is {min(shared)}: depth and segmentation of a room "
                "would both be seen; give two sets of different rooms"
            )
        self.sets: tuple[Rooms, ...] = (d1, d2)

    def terms(self, model: MixAndMatch, batches, recipe: Recipe, phase: Phase, random: torch.Generator):
        """All generator terms of section 4.3 but the GAN's, and (real, translated) RGB for the discriminator.

        Each input is encoded once, and each decoder runs once on the latents of all its translations.
        """
        d1, d2 = batches
        x1, y = d1.images["rgb"], d1.images["segmentation"]
        x2, z = d2.images["rgb"], d2.images["depth"]
        x, n = torch.cat([x1, x2]), len(x1)
        f_R, f_S, f_D = model.encode(x, "rgb"), model.encode(y, "segmentation"), model.encode(z, "depth")

        terms = {}
        if phase.lambda_latent > 0:
            terms["latent/RS"] = latent_consistency(f_R[:n], f_S, recipe.consistency)
            terms["latent/RD"] = latent_consistency(f_R[n:], f_D, recipe.consistency)

        f_R, f_S, f_D = (add_noise(f, recipe.latent_noise, random) for f in (f_R, f_S, f_D))
        x1_h, x2_h = f_R[:n], f_R[n:]

        def decode(target: str, sources: dict[str, tuple[Encoding, torch.Tensor, torch.Tensor]]):
            """Decode the sources in one pass; a loss term for each source that has a target image."""
            output = model.decode(Encoding.cat([f for f, _, _ in sources.values()]), target)
            parts = dict(zip(sources, output.split([len(f) for f, _, _ in sources.values()])))
            loss = target_loss(target, recipe, self.sets[0])
            for source, (_, image, valid) in sources.items():
                if image is not None:
                    name = f"{target}/{source}{MODALITIES[target].letter}"
                    terms[name] = loss(parts[source], image, valid)
            return output, parts

        everywhere = torch.cat([d1.valid["rgb"], d2.valid["rgb"]])
        rgb = {"S": (f_S, x1, d1.valid["rgb"]), "D": (f_D, x2, d2.valid["rgb"])}
        segmentation = {"R": (x1_h, y, d1.valid["segmentation"])}
        depth = {"R": (x2_h, z, d2.valid["depth"])}
        if recipe.autoencoders:
            rgb["R"] = (f_R, x, everywhere)
            segmentation["S"] = (f_S, y, d1.valid["segmentation"])
            depth["D"] = (f_D, z, d2.valid["depth"])
        if phase.lambda_pseudo > 0:
            segmentation |= {"teacher": (x2_h.detach(), None, None), "D": (f_D, None, None)}
            depth |= {"teacher": (x1_h.detach(), None, None), "S": (f_S, None, None)}
        translated, _ = decode("rgb", rgb)
        _, y_hat = decode("segmentation", segmentation)
        _, z_hat = decode("depth", depth)
        if phase.lambda_pseudo > 0:
            terms["pseudo_segmentation/DS"] = pseudo_pair(y_hat["D"], y_hat["teacher"], "segmentation")
            terms["pseudo_depth/SD"] = pseudo_pair(z_hat["S"], z_hat["teacher"], "depth")
        return terms, (x, translated)


def target_loss(target: str, recipe: Recipe, rooms: Rooms):
    """The target modality's loss, with the classes of `rooms` weighted where the recipe balances them."""
    loss = LOSSES[MODALITIES[target].loss]
    if target == "segmentation" and recipe.class_balance > 0:
        weights = class_weights(rooms, recipe.class_balance)
        return lambda prediction, image, valid: loss(prediction, image, valid, weights.to(prediction.device))
    return loss


@functools.lru_cache(maxsize=8)
def class_weights(rooms: Rooms, balance: float) -> torch.Tensor:
    """(14,) weights ∝ frequency ** −balance of the classes in `rooms`, 1 on the average pixel; 0 for Unknown."""
    counts = torch.bincount(rooms.images["segmentation"].flatten().long(), minlength=len(CLASSES)).double()
    counts[0] = 0
    frequency = counts / counts.sum().clamp_min(1)
    weights = torch.where(frequency > 0, frequency.clamp_min(1e-12) ** -balance, 0.0)
    return (weights / (weights * frequency).sum().clamp_min(1e-12)).float()


# ---------------------------------------------------------------------------------------------- one step


class Trainer:
    """Networks, discriminator and their two optimisers, and one `step` of training."""

    def __init__(self, recipe: Recipe, objective, machine: Machine, model: MixAndMatch | None = None):
        self.recipe, self.objective, self.machine = recipe, objective, machine
        self.model = machine.place(model or MixAndMatch.from_recipe(recipe))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.discriminator = machine.place(PatchDiscriminator(3, recipe.discriminator_widths))
        adam = functools.partial(torch.optim.Adam, lr=recipe.learning_rate, betas=(0.5, 0.999), fused=True)
        self.optimizers = {
            "generator": adam(self.model.parameters()),
            "discriminator": adam(self.discriminator.parameters()),
        }
        self.next_step = 0

    def learning_rate(self, step: int) -> float:
        """Constant, or one cycle: a linear rise over the first tenth, then a cosine to zero."""
        recipe = self.recipe
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
        """One step of the generator (encoders and decoders), then one of the discriminator; returns the loss terms.

        `FloatingPointError` names step and term of a non-finite loss, before it has changed any weight.
        """
        step, recipe, machine = self.next_step, self.recipe, self.machine
        phase = recipe.phase(step)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(step)
        self.model.train()
        self.discriminator.train()
        f_R = self.model.encoders["rgb"].requires_grad_(not phase.freeze_rgb_encoder)
        f_R.train(not phase.freeze_rgb_encoder)
        batches = self.batches(step)
        random = generator(machine.device if machine.device.type == "cuda" else "cpu", recipe.seed, step, 2)

        with machine.autocast():
            terms, rgb = self.objective.terms(self.model, batches, recipe, phase, random)
            adversarial = rgb is not None and phase.lambda_gan > 0
            if adversarial:
                self.discriminator.requires_grad_(False)
                terms["gan/*R"] = generator_gan(self.discriminator(rgb[1]))
                self.discriminator.requires_grad_(True)
        self._update("generator", total(terms, phase), terms, step)
        if adversarial:
            real, fake = rgb
            with machine.autocast():
                # a pass each, as the generator's: batch normalization must not tell by the company an image keeps
                loss = discriminator_gan(self.discriminator(real), self.discriminator(fake.detach()))
            self._update("discriminator", loss, {"discriminator/R": loss}, step)
            terms["discriminator/R"] = loss
        self.next_step += 1
        return terms

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
        parts = {"model": self.model.state_dict(), "discriminator": self.discriminator.state_dict()}
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()["state"]
            parts[f"optimizer_{name}"] = {
                f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()
            }
        return parts

    def restore(self, parts: dict[str, dict[str, torch.Tensor]], step: int) -> None:
        """Go back to a saved training state."""
        self.model.load_state_dict(parts["model"])
        self.discriminator.load_state_dict(parts["discriminator"])
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
    `stop_after` ends early after that many steps, resumable. `rgb_weights`: a torchvision `vgg16` state dict for the
    RGB encoder. `tuned_on`: rooms by which the recipe was chosen, for the record. Ctrl-C saves the state.
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
    data = [rooms.describe() for rooms in objective.sets]
    saved = None
    if state_path.exists():
        if not resume:
            raise ValueError(f"{folder} already holds a run: pass --resume to go on with it, or name another folder")
        parts, saved = checkpoints.load_state(state_path)
        checkpoints.require_same(from_dict(saved["recipe"]), recipe, state_path)
        if [entry for entry in saved["data"] if entry["role"] == "training"] != data:
            raise ValueError(f"{state_path}: trained on other data; give the same splits, or name another folder")
    # the form of the arithmetic is part of the state: a resumed run keeps it
    machine = Machine(choose_device(device), **saved["machine"]) if saved else probe(device, recipe.precision)
    trainer = Trainer(recipe, objective, machine)
    seconds, initial = 0.0, {}
    if saved:
        initial = {key: saved[key] for key in ("rgb_weights_sha256",) if key in saved}
        trainer.restore(parts, saved["step"])
        seconds = saved["seconds"]
    elif rgb_weights is not None:
        load_vgg16(trainer.model.encoders["rgb"], rgb_weights)
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
    lines = path.read_text().splitlines() if path.exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
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
