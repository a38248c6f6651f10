"""Training: one step in the order of section 4.3, and `fit`, which repeats it, logs, saves and resumes.

The randomness of a step (its rooms, augmentation and latent noise) is a function of the seed and the step alone. So a
run that is killed and resumed ends bit-identical to one that never stopped (on CPU).
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from .blocks import Discriminator
from .data.batches import Pair, Steps, ahead, as_needed, generator, load_batch, resident, to_pair
from .hardware import processes
from .hardware.compute import Machine, autotuned, choose_device
from .hardware.guards import FiniteLosses, batch_that_fits, stop_signals
from .hardware.muon import Muon, matrices
from .hardware.probing import fastest_form, gradient_norm
from .hardware.progress import Progress
from .networks import MixAndMatch, Translator
from .objectives import Judged, Objective, Terms
from .recipes import Phase, Recipe, preset
from .resuming.folder import RunFolder, RunOptions


class Trainer:
    """Networks, discriminators and their optimisers, and one `step` of training.

    With several processes (`mmlib.hardware.processes`) each has a share of the recipe's batch, and gradients are
    averaged. `workers` are processes that prepare the batches of later steps. `ValueError` where a batch cannot be
    shared out.
    """

    def __init__(self, recipe: Recipe, objective: Objective, machine: Machine, workers: int = 0):
        for rooms in objective.sets:
            processes.require_shares(min(recipe.batch, len(rooms)), rooms.split)
        self.recipe, self.objective, self.machine, self.workers = recipe, objective, machine, workers
        self.model = machine.place(objective.networks(recipe))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.discriminators = machine.place(nn.ModuleDict(objective.discriminators(recipe)))
        self._judges = cast(Mapping[str, Discriminator], self.discriminators)
        self.optimizers = optimizers(recipe, self.model, self.discriminators)
        self.average = None if recipe.teacher == "self" else copy.deepcopy(self.model).requires_grad_(False).eval()
        for networks in self.networks.values():
            machine.switch(networks)
        self.sets = objective.sets if workers else resident(objective.sets, machine)
        self.finite = FiniteLosses(machine.device)
        self.next_step = 0
        self._phase: Phase | None = None
        self._ahead: Iterator[list[dict[str, torch.Tensor]]] | None = None

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks, by the names that a training state gives them."""
        averaged = {} if self.average is None else {"average": self.average}
        return {"model": self.model, "discriminator": self.discriminators, **averaged}

    def learning_rate(self, step: int) -> float:
        """The rate of Adam at a step; that of Muon follows the same schedule."""
        return self.recipe.learning_rate * self.recipe.rate_at(step)

    def batches(self, step: int) -> list[Pair]:
        """The batch of each of the objective's sets that belongs to `step`."""
        if self.workers == 0:
            return [load_batch(rooms, self.recipe, self.machine, step, index) for index, rooms in enumerate(self.sets)]
        if self._ahead is None:
            self._ahead = ahead(Steps(self.objective.sets, self.recipe), step, self.workers, self.machine.device)
        ready = zip(next(self._ahead), self.objective.sets)
        return [to_pair(raw, self.machine, rooms.records) for raw, rooms in ready]

    @autotuned
    def step(self) -> dict[str, torch.Tensor]:
        """One step of the networks (encoders and decoders), then one of the discriminators; returns the loss terms.

        `FloatingPointError` names step and term of a loss that is not finite, before it has changed any weight; on a
        GPU `check` does so later.
        """
        step, phase = self.next_step, self.recipe.phase(self.next_step)
        self._enter(phase)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.rate_at(step) * optimizer.defaults["lr"]
        batches, random = self.batches(step), self._random(step)

        with frozen(self.discriminators), self.machine.autocast():
            terms, judged = self._shared_model(self._terms, batches, phase, random)
        self._update(self.objective.total(terms, phase), terms, "generator", "muon")
        if self.average is not None and self.recipe.teacher == "average":
            self._move_average(self.average)
        if judged:
            with self.machine.autocast():
                judge = functools.partial(self.objective.judge, self._judges)
                losses = self._shared_discriminators(judge, judged, random)
            self._update(functools.reduce(torch.add, losses.values()), losses, "discriminator")
            terms |= losses
        self.next_step += 1
        return terms

    def _random(self, step: int) -> torch.Generator:
        """The randomness of a step's loss terms: latent noise, and what discriminators are shown."""
        device = self.machine.device
        return generator(device if device.type == "cuda" else "cpu", self.recipe.seed, step, 2)

    def _enter(self, phase: Phase) -> None:
        """Put the networks in training mode, but for what the phase freezes. Each phase shares its losses among the
        processes anew, because DDP must know what is frozen."""
        self.model.train()
        self.discriminators.train()
        self.objective.freeze(self.model, phase)
        if phase is not self._phase:
            shared = functools.partial(processes.shared, device=self.machine.device, partly=self.objective.partly)
            self._shared_model, self._shared_discriminators = shared(self.model), shared(self.discriminators)
            self._phase = phase

    def _terms(self, batches: list[Pair], phase: Phase, random: torch.Generator) -> tuple[Terms, Judged]:
        """All loss terms of encoders and decoders, and for each discriminator (real images, made ones)."""
        terms, judged = self.objective.terms(self.model, batches, self.recipe, phase, random, self.average)
        if phase.lambda_gan == 0:
            judged = {}
        return terms | self.objective.fool(self._judges, judged), judged

    def _update(self, loss: torch.Tensor, terms: dict[str, torch.Tensor], *names: str) -> None:
        """Change the weights of these optimisers by the gradient of a loss, the sum of the terms."""
        changed = [self.optimizers[name] for name in names if name in self.optimizers]
        found_inf = self.finite.watch(self.next_step, loss, terms)
        for optimizer in changed:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in changed:
            optimizer.found_inf = found_inf  # type: ignore[attr-defined]  # fused kernels and Muon read it
            optimizer.step()

    @torch.no_grad()
    def _move_average(self, networks: nn.Module) -> None:
        """Move the averaged weights a little towards the networks' own."""
        keep = min(self.recipe.teacher_decay, (1 + self.next_step) / (10 + self.next_step))  # short at the beginning
        pairs = list(zip(networks.state_dict().values(), self.model.state_dict().values()))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([average for average, _ in floating], [current for _, current in floating], 1 - keep)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)

    @torch.no_grad()
    def settle(self) -> None:
        """Measure the statistics of batch normalization anew, on the last batches and on latents without noise, as the
        networks are used from now on (precise batch normalization, Wu and Johnson 2021)."""
        quiet, phase = self.recipe.replace(latent_noise=0.0), self.recipe.phases[-1]
        self._enter(phase)
        norms = [part for part in self.model.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # all batches weigh the same
        for step in range(self.recipe.steps)[-SETTLING:]:
            batches = [load_batch(rooms, quiet, self.machine, step, index) for index, rooms in enumerate(self.sets)]
            with self.machine.autocast():
                self.objective.terms(self.model, batches, quiet, phase, self._random(step), self.average)
        for norm in norms:
            norm.momentum = 0.1
        processes.average_statistics(self.model)

    def check(self) -> None:
        """`FloatingPointError` where a loss was not finite since the last check, and its update was left out (CUDA)."""
        self.finite.check()


SETTLING = 5
"""Batches on which `Trainer.settle` measures."""


def optimizers(recipe: Recipe, model: nn.Module, discriminators: nn.ModuleDict) -> dict[str, torch.optim.Optimizer]:
    """Adam for all weights; where the recipe asks for Muon, that for the convolutions between features."""
    adam = functools.partial(torch.optim.Adam, lr=recipe.learning_rate, betas=(0.5, 0.999), fused=True)
    if recipe.optimizer == "muon" and (convolutions := matrices(model)):
        theirs = set(convolutions)
        others = [weight for weight in model.parameters() if weight not in theirs]
        made = {"muon": Muon(convolutions, recipe.muon_rate), "generator": adam(others, betas=(0.9, 0.99))}
    else:
        made = {"generator": adam(model.parameters())}
    if len(discriminators):
        made["discriminator"] = adam(discriminators.parameters())
    return made


@contextlib.contextmanager
def frozen(networks: nn.Module) -> Iterator[None]:
    """Gradients flow through the networks, but reach none of their weights."""
    networks.requires_grad_(False)
    try:
        yield
    finally:
        networks.requires_grad_(True)


COMPILE_FROM = 5_000
"""Steps from which on a GPU may spend minutes on compiling the networks."""


def probe(device: str = "auto", precision: str = "auto", recipe: Recipe | None = None) -> Machine:
    """Choose bf16 and channels_last by timing a SegNet of preset `course`, forward and backward, in each form.

    On CUDA the SegNet is that of `recipe`, at its size, and window codes and compiling are tried, too.
    """
    chosen = choose_device(device)
    if chosen.type != "cuda" or recipe is None:
        return _probed(chosen, precision, preset("course"), ())
    return _probed(chosen, precision, recipe, ("window_codes", "compiled")[: 1 + (recipe.steps >= COMPILE_FROM)])


@functools.cache
def _probed(device: torch.device, precision: str, recipe: Recipe, switches: tuple[str, ...]) -> Machine:
    with torch.random.fork_rng(devices=[]):
        segnet = MixAndMatch.from_recipe(recipe.replace(modalities=("depth",), architecture="segnet"))
        image = torch.randn(recipe.batch, 1, recipe.size, recipe.size)

    def work(form: Machine) -> Callable[[], float]:
        model = form.place(copy.deepcopy(segnet))
        form.switch(model)
        return lambda: gradient_norm(model, form, lambda: model.translate(form.place(image), "depth", "depth"))

    return fastest_form(device, precision, work, switches)


def fit(
    recipe: Recipe, objective: Objective, folder: str | Path, *, machine: Machine | None = None, **options: Any
) -> Translator:
    """Train a recipe and leave `checkpoint.safetensors`, `checkpoint.json`, `log.jsonl` and `state.safetensors`.

    `objective`: `ZeroPair(d1, d2)`, or a baseline's. `machine`: how to compute; without it `probe` chooses. `options`:
    the fields of `RunOptions`. Started by torchrun, several processes train together, each on its share of every batch,
    and the first alone writes. Ctrl-C and SIGTERM save the state after the current step. Returns the networks in eval
    mode, on the device. `ValueError` where a state is corrupt, of another recipe or other data, or `folder` holds a run
    and `resume` is not given, or another training is using it; `FloatingPointError` where a loss or weight is not
    finite; `ConnectionError` where one of several processes is lost; `MemoryError` names a batch that would fit.
    """
    how = RunOptions(**options)
    objective = copy.copy(objective)
    objective.sets = tuple(as_needed(rooms, recipe) for rooms in objective.sets)
    with processes.together(str(machine.device) if machine else how.device) as device, ExitStack() as held:
        run = RunFolder(folder, recipe, objective, how)
        held.enter_context(run.alone())
        form = run.form or processes.from_first((machine or probe(device, recipe.precision, recipe)).form())
        trainer = Trainer(recipe, objective, Machine(choose_device(device), **form), how.workers)
        run.start(trainer)
        last = recipe.steps if how.stop_after is None else min(recipe.steps, how.stop_after)
        progress = Progress(run.log, trainer.next_step, recipe.steps, how.progress)
        with stop_signals() as stopped, batch_that_fits(trainer), progress:
            while trainer.next_step < last and not stopped():
                terms = trainer.step()
                step = trainer.next_step
                logs, saves = (step % every == 0 or step == last for every in (how.log_every, how.save_every))
                if logs or saves:
                    trainer.check()
                progress.update(step, trainer.learning_rate(step - 1), terms if logs else None)
                if saves:
                    run.save(trainer)
            if stopped():
                run.save(trainer)
                raise KeyboardInterrupt(f"stopped at step {trainer.next_step}; go on with --resume")
            if recipe.precise_statistics and trainer.next_step == recipe.steps:
                trainer.settle()
        return run.finish(trainer)
