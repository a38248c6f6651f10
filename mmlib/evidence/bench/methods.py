"""What whole trainings take: the methods of the tables, and more and more domains."""

import itertools

from ...data.domains import shipped_colours
from ...hardware.compute import Machine
from ...methods.mixed_cycles import MixedCycles
from ...networks import MixAndMatch
from ...recipes import preset
from ...training import Trainer, probe
from ..ingredients import Ingredients
from ..runs import runs
from .timing import step_seconds, where

METHODS = (
    "cyclegan", "pix2pix", "rgb_to_segmentation", "depth_student", "pooling", "none", "pseudo_pairs", "none_long",
)  # fmt: skip


def bench_methods(preset_name: str = "ablation", steps: int = 5, device: str = "auto") -> dict:
    """Minutes that training each of `METHODS` takes, all of `runs.runs`: the time of a step in each phase, times
    the phase's steps; the student's include its teacher's.

    Steps of all methods alternate, so that the machine's drift falls on all alike.
    """
    declared, trainers, machine = runs(preset_name), {}, probe(device)
    for name in METHODS:
        run = declared[name]
        teacher = MixAndMatch.from_recipe(run.recipe) if run.teacher else None
        for phase in run.recipe.phases:
            recipe = run.recipe.replace(phases=(phase,))
            trainers[name, phase] = Trainer(recipe, run.objective(Ingredients(recipe, teacher=teacher)), machine)
    seconds = step_seconds(trainers, steps)
    minutes = {
        name: sum(phase.steps * seconds[name, phase] for phase in declared[name].recipe.phases) / 60 for name in METHODS
    }
    for name in METHODS:
        if teacher := declared[name].teacher:
            minutes[name] += minutes[teacher]
    return {"preset": preset_name, "minutes": minutes, "steps": steps, **where(machine.device)}


COUNTS, PAIRWISE = (3, 5, 8, 11), (3, 4)
"""Numbers of domains at which mixed CycleGANs, and a CycleGAN for each pair, are measured."""


def bench_domains(preset_name: str = "domains", steps: int = 5, device: str = "auto") -> dict:
    """How training grows with the number of domains N (section 3.3): `mixed`, one encoder and one decoder per domain
    and N − 1 trained pairs; `pairwise`, two generators for each of the N (N − 1) / 2 pairs.

    For each N: `networks`, `parameters`, seconds of an `epoch`, in which each image of each domain meets each domain
    that its own is trained with, and `memory`, the bytes that training holds from step to step: weights, gradients,
    Adam's moments, pools of images. Where pairwise was not measured it is computed from the largest measured N, by the
    number of pairs, and marked.
    """
    recipe = preset(preset_name)
    machine = probe(device, recipe.precision)
    images = len(shipped_colours(recipe.size)[0])
    result: dict = {"preset": preset_name, "steps": steps, "images": images, "mixed": {}, "pairwise": {}}
    for kind, counts in (("mixed", COUNTS), ("pairwise", PAIRWISE)):
        for count in counts:
            result[kind][count] = _domains(preset_name, kind, count, steps, images, machine)
    most = max(PAIRWISE)
    pairs = {count: count * (count - 1) // 2 for count in (*COUNTS, most)}
    for count in set(COUNTS) - set(PAIRWISE):
        factor = pairs[count] / pairs[most]
        computed = {key: value * factor for key, value in result["pairwise"][most].items() if key != "computed"}
        result["pairwise"][count] = {**computed, "computed": True}
    result["pairwise"] = dict(sorted(result["pairwise"].items()))
    return {**result, **where(machine.device)}


def _domains(preset_name: str, kind: str, count: int, steps: int, images: int, machine: Machine) -> dict:
    """One method at one number of domains, for `bench_domains`."""
    declared = runs(preset_name)["colours_mixed"].recipe
    declared = declared.replace(phases=declared.phases[-1:])  # not the one autoencoder that all begin as
    sets = shipped_colours(declared.size)[:count]
    groups = [sets] if kind == "mixed" else list(itertools.combinations(sets, 2))
    trainers = {}
    for number, group in enumerate(groups):
        recipe = declared.replace(modalities=tuple(rooms.modalities[0] for rooms in group))
        trainers[number] = Trainer(recipe, MixedCycles(group), machine)
    seconds = step_seconds(trainers, steps)
    held = [part for trainer in trainers.values() for part in (trainer.model, *trainer.discriminators.values())]
    a_pair = sum(seconds.values()) / len(seconds) * images / declared.batch
    parameters = [weight for part in held for weight in part.parameters()]
    pools = sum(buffer.nbytes for part in held for buffer in part.buffers())
    return {
        "networks": sum(
            len(t.model.encoders) + len(t.model.decoders) + len(t.discriminators) for t in trainers.values()
        ),
        "parameters": sum(weight.numel() for weight in parameters),
        "epoch": a_pair * (count - 1 if kind == "mixed" else len(groups)),
        "memory": 4 * sum(weight.nbytes for weight in parameters) + pools,  # with a gradient and two moments each
        "computed": False,
    }
