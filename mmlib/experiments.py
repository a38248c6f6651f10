"""Experiments: what is trained and measured, declared; each run leaves one JSON in `data/results/`.

Single experiments (`course`, `oracle`, `consistency_*`) stand in `EXPERIMENTS`. The paper's tables and figures are
`GRIDS`: rows, each of a run that is repeated over seeds. A run that several grids name is trained once.
"""

import base64
import dataclasses
import functools
import io
import json
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image

from . import checkpoints, evaluation
from .baselines.cascade import Cascade
from .baselines.cyclegan import CycleGAN
from .baselines.pix2pix import Pix2Pix
from .baselines.student import Student
from .baselines.supervised import Supervised
from .data import SHIPPED, DepthPairs, LabelledDepth, Rooms, SegmentationPairs, shipped
from .modalities import MODALITIES
from .objectives import Objective, ZeroPair
from .recipes import SIDE_INFORMATION, Phase, Recipe, from_dict, preset
from .training import choose_device, fit

RESULTS = SHIPPED.parent / "results"
CHECKPOINTS = SHIPPED.parent / "checkpoints"
RGB_ENCODER = CHECKPOINTS / "rgb_encoder.safetensors"  # distilled from VGG-16 by `distil`
ORACLE_ROOMS = 5  # the seed of the rooms that are rendered for the oracles alone

DISTILLATION = preset("ablation", size=64, steps=1500, learning_rate=2e-3)  # what `distil` trains

# ── Single experiments ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Experiment:
    """A training run and what is reported of it.

    `translations` are evaluated on the test split, once, when the run has ended. `ship` copies the trained network, in
    half precision, to `data/checkpoints`. `rooms` is the seed of rooms that are rendered for it alone (the oracle).
    `selects` marks a run that a choice in a recipe rests on: it is measured on `selection_pairs`, never on the test.
    """

    recipe: Recipe
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    ship: bool = False
    rooms: int | None = None
    selects: bool = False


COURSE = preset("course")
FIRST_PHASE = COURSE.replace(phases=COURSE.phases[:1]).with_steps(2_000)
EXPERIMENTS = {
    # which consistency the preset course has: the paper's, of the last latent, or that of every pooled stage; measured
    # at the end of a first phase, before any pseudo-pair, twice
    **{
        f"consistency_{kind}_{seed}": Experiment(FIRST_PHASE.replace(consistency=kind, seed=seed), selects=True)
        for seed in range(2)
        for kind in ("latent", "all_stages")
    },
    # the shipped network: the course preset, four times as long as `make run` trains
    "course": Experiment(COURSE.with_steps(6_000), ship=True),
    # its upper reference: the same f_D and g_S on true depth–segmentation pairs of 1,200 other rooms
    "oracle": Experiment(COURSE.with_steps(6_000), ("depth",), ("segmentation",), rooms=ORACLE_ROOMS),
}


def selection_pairs(size: int) -> tuple[SegmentationPairs, DepthPairs]:
    """The validation split as choices may see it: RGB and segmentation of its first half, RGB and depth of the other.

    Depth and segmentation of one room never meet here either, so nothing can be tuned on the unseen pair.
    """
    segmentation, depth = (pairs(SHIPPED / "validation.zip", size) for pairs in (SegmentationPairs, DepthPairs))
    half = len(segmentation) // 2
    return segmentation.subset(0, half), depth.subset(half)


def run(name: str, folder: str | Path, device: str = "auto", resume: bool = False) -> dict:
    """Train, measure and write `data/results/NAME.json`; `folder` keeps state, log and checkpoint.

    The oracle renders its rooms into `folder/rooms` first. `ValueError` names the known experiments.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: known are {', '.join([*EXPERIMENTS, *GRIDS])}")
    experiment, folder = EXPERIMENTS[name], Path(folder)
    if experiment.rooms is None:
        objective = ZeroPair(shipped("d1"), shipped("d2"))
    else:
        objective = Supervised(_oracle_rooms(folder / "rooms", name), "depth", "segmentation")
    tuned_on = selection_pairs(experiment.recipe.size) if experiment.ship else ()
    fit(experiment.recipe, objective, folder, device=device, resume=resume, half=True, tuned_on=tuned_on)
    model = checkpoints.load(folder / "checkpoint.safetensors")  # what is measured is what is on disk
    model.to(choose_device(device))
    if experiment.selects:
        result = select(model, *selection_pairs(model.recipe.size))
    else:
        test = shipped("test", model.recipe.size)
        result = evaluation.evaluate(model, test, sources=experiment.sources, targets=experiment.targets)
        if experiment.rooms is not None:
            for row in result["translations"].values():
                row["seen"] = True  # by the oracle, on its own rooms
    result = _report(name, result, model.record, folder)
    evaluation.write_json(result, RESULTS / f"{name}.json")
    if experiment.ship:
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        for suffix in (".safetensors", ".json"):
            shutil.copyfile(folder / f"checkpoint{suffix}", CHECKPOINTS / f".{name}{suffix}")
            (CHECKPOINTS / f".{name}{suffix}").replace(CHECKPOINTS / f"{name}{suffix}")
    return result


def _report(name: str, measured: dict, record: dict, folder: Path) -> dict:
    """What was measured, with how it was made and its training curve."""
    keys = ("recipe", "step", "objective", "data", "selection", "device", "machine", "versions", "seconds")
    made = {key: record[key] for key in keys}
    return {"experiment": name, **measured, **made, "curve": curve(folder / "log.jsonl")}


def _oracle_rooms(folder: Path, split: str) -> LabelledDepth:
    from .rooms.render import render

    render(1200, ORACLE_ROOMS, 96, folder, ("depth", "segmentation"))
    pairs = LabelledDepth(folder)
    pairs.split = split
    return pairs


def curve(log: str | Path, points: int = 100) -> list[dict]:
    """The training curve that `fit` wrote, thinned to about so many lines: step, learning rate and loss terms."""
    lines = Path(log).read_text().splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // points)]]


def _translations(parts: list[dict]) -> dict[str, dict]:
    """The translations of several results of `evaluate` as one table."""
    return {name: row for part in parts for name, row in part["translations"].items()}


def select(model, *pairs: Rooms) -> dict:
    """What a choice may rest on, without a true pair that training must not see: seen translations (RGB → RGB: the last
    set's), alignment, and the agreement of unseen translations with the seen ones of the same rooms."""
    parts = [evaluation.evaluate(model, rooms, sources=rooms.modalities, targets=rooms.modalities) for rooms in pairs]
    translations = _translations(parts)
    alignment = {" – ".join(rooms.modalities): evaluation.alignment(model, rooms, *rooms.modalities) for rooms in pairs}
    agreement = {
        f"{source}_to_{target}": evaluation.agreement(model, rooms, source, target)
        for rooms in pairs
        for _, source in [rooms.modalities]
        for target in ({"depth", "segmentation"} - {source})
    }
    rooms = sum(part["rooms"] for part in parts)
    measured = {"translations": translations, "alignment": alignment, "agreement": agreement}
    return {**parts[0], "rooms": rooms, **measured}


# ── Grids: the paper's tables and figures ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Run:
    """One training of a grid, repeated over seeds.

    `objective` is a key of `OBJECTIVES`. `teacher` names the run whose network, of the same seed, labels for this one.
    `fuses`: Figure 7 is measured of it, too. `pretrained`: the RGB encoder starts from `RGB_ENCODER`.
    `selects`: a choice rests on it, so it is measured on `selection_pairs` alone, never on the test.
    """

    recipe: Recipe
    objective: str = "zero_pair"
    teacher: str = ""
    fuses: bool = False
    pretrained: bool = False
    selects: bool = False


OBJECTIVES = {
    "zero_pair": lambda teacher, rooms: ZeroPair(shipped("d1"), shipped("d2")),
    "rgb_to_segmentation": lambda teacher, rooms: Supervised(shipped("d1"), "rgb", "segmentation"),
    "rgb_to_depth": lambda teacher, rooms: Supervised(shipped("d2"), "rgb", "depth"),
    "depth_student": lambda teacher, rooms: Student(shipped("d2"), teacher, "depth", "segmentation"),
    "segmentation_student": lambda teacher, rooms: Student(shipped("d1"), teacher, "segmentation", "depth"),
    "depth_oracle": lambda teacher, rooms: Supervised(_oracle_rooms(rooms, "oracle"), "depth", "segmentation"),
    "segmentation_oracle": lambda teacher, rooms: Supervised(_oracle_rooms(rooms, "oracle"), "segmentation", "depth"),
    "cyclegan": lambda teacher, rooms: CycleGAN(shipped("d1"), shipped("d2")),
    "pix2pix": lambda teacher, rooms: Pix2Pix(shipped("d1"), shipped("d2")),
}
"""By name, what makes an objective of a trained teacher, or None, and of a folder for the oracles' rooms."""

MEASURED = {
    "rgb_to_segmentation": (("rgb", "segmentation"),),
    "rgb_to_depth": (("rgb", "depth"),),
    "depth_student": (("depth", "segmentation"),),
    "segmentation_student": (("segmentation", "depth"),),
    "depth_oracle": (("depth", "segmentation"),),
    "segmentation_oracle": (("segmentation", "depth"),),
    "cyclegan": (("depth", "segmentation"), ("segmentation", "depth")),
    "pix2pix": (("rgb", "segmentation"), ("depth", "rgb")),
}
"""The translations that an objective trains, where it is not all of them."""


def runs(name: str) -> dict[str, Run]:
    """The runs of all grids by name, at the size and length of a preset (`ablation`, or a smaller one to try)."""
    base = preset(name)
    first = base.replace(phases=(dataclasses.replace(base.phases[0], steps=base.steps, lambda_pseudo=0.0),))
    (phase,) = first.phases

    def weighted(recipe: Recipe, **weights: float) -> Recipe:
        return recipe.replace(phases=(dataclasses.replace(phase, **weights),))

    late = _pseudo_pairs_from(base.steps // 2, phase)
    wide = base.widths[-1]  # of the baselines, so that each has at least the parameters of ours
    return {
        "pooling": Run(first, fuses=True),
        "none": Run(first.replace(side_information="none")),
        "skip": Run(first.replace(side_information="skip")),
        **{
            f"{kind}_pretrained": Run(first.replace(side_information=kind), pretrained=True)
            for kind in SIDE_INFORMATION
        },
        "translations": Run(weighted(first, lambda_latent=0.0).replace(autoencoders=False, latent_noise=0.0)),
        "autoencoders": Run(weighted(first, lambda_latent=0.0).replace(latent_noise=0.0)),
        "consistency": Run(first.replace(latent_noise=0.0)),
        "all_stages": Run(first.replace(consistency="all_stages")),
        **{f"idea_{idea}": Run(recipe, selects=True) for idea, recipe in _ideas(first, phase).items()},
        "pseudo_pairs": Run(first.replace(phases=late, teacher="average"), fuses=True),
        "rgb_to_segmentation": Run(first, "rgb_to_segmentation"),
        "rgb_to_depth": Run(first, "rgb_to_depth"),
        "depth_student": Run(first, "depth_student", teacher="rgb_to_segmentation"),
        "segmentation_student": Run(first, "segmentation_student", teacher="rgb_to_depth"),
        "depth_oracle": Run(first, "depth_oracle"),
        "segmentation_oracle": Run(first, "segmentation_oracle"),
        "cyclegan": Run(_rival(first, (wide // 4, wide // 2, wide), batch=2), "cyclegan"),
        "pix2pix": Run(_rival(first, (wide // 4, wide // 2, wide, 2 * wide), batch=base.batch), "pix2pix"),
    }


def _ideas(first: Recipe, phase: Phase) -> dict[str, Recipe]:
    """What might serve the seen translations, and the alignment of their encoders, better than the paper's recipe."""
    half = phase.steps // 2
    strong, weak = (dataclasses.replace(phase, steps=steps, lambda_latent=weight)
                    for steps, weight in ((phase.steps - half, 40.0), (half, 4.0)))  # fmt: skip
    late, early = (first.replace(phases=_pseudo_pairs_from(start, phase)) for start in (half, phase.steps // 4))
    return {
        "all_stages_full_weight": first.replace(
            consistency="all_stages",
            phases=(dataclasses.replace(phase, lambda_latent=phase.lambda_latent * len(first.widths)),),
        ),
        "features": first.replace(consistency="features"),
        "strong_then_weak": first.replace(phases=(strong, weak)),
        "one_shared_stage": first.replace(shared_stages=1),
        "two_shared_stages": first.replace(shared_stages=min(2, len(first.widths) - 1)),
        "little_noise": first.replace(latent_noise=0.1),
        "little_rgb": first.replace(phases=(dataclasses.replace(phase, lambda_rgb=0.1),)),
        "pseudo_self": late,
        "pseudo_average": late.replace(teacher="average"),
        "pseudo_both": late.replace(teacher="both"),
        "pseudo_both_confident": late.replace(teacher="both", confidence=0.5),
        "pseudo_both_early": early.replace(teacher="both"),
    }


def _pseudo_pairs_from(start: int, phase: Phase) -> tuple[Phase, Phase]:
    """A phase in two, the second of which has pseudo-pairs."""
    return (
        dataclasses.replace(phase, steps=start, lambda_pseudo=0.0),
        dataclasses.replace(phase, steps=phase.steps - start, lambda_pseudo=1.0),
    )


def _rival(recipe: Recipe, widths: tuple[int, ...], batch: int) -> Recipe:
    """A baseline's recipe: its own widths, and the schedule and loss weights of its paper."""
    return recipe.replace(
        widths=widths,
        convolutions=(1,) * len(widths),
        discriminator_widths=widths[:3],
        batch=batch,
        learning_rate=2e-4,
        one_cycle=False,
        linear_decay=True,
        phases=(Phase(steps=recipe.steps),),
    )


@dataclass(frozen=True)
class Row:
    """A row of a table: what one run's result says of one translation.

    `measured`: the part of the result: `translations`, `through_rgb` (the cascade) or `fused` (α = 0.2, RGB's indices).
    `paper`: the paper's figures, in per cent (δ as share, RMSE as printed), in the order of the grid's measures.
    `role`: `baseline`, `reference` or `oracle`, or nothing for zero-pair methods.
    """

    title: str
    run: str
    translation: str = "depth_to_segmentation"
    measured: str = "translations"
    paper: tuple[float, ...] = ()
    role: str = ""


SEGMENTATION_MEASURES = ("miou", "global")
DEPTH_MEASURES = ("delta1", "delta2", "delta3", "rmse", "rmse_log")
FUSED_DEPTH, FUSED_SEGMENTATION = "rgb+segmentation_to_depth", "rgb+depth_to_segmentation"
ALPHAS = tuple(k / 10 for k in range(11))
EXAMPLES = (0, 1, 2, 3)  # the test rooms of the qualitative figures
GRIDS: dict[str, tuple[Row, ...]] = {
    "table1": (
        Row("none", "none", paper=(32.2, 63.5)),
        Row("skip connections", "skip", paper=(14.1, 52.6)),
        Row("pooling indices", "pooling", paper=(45.6, 73.4)),
        Row("none, pretrained", "none_pretrained"),
        Row("skip connections, pretrained", "skip_pretrained"),
        Row("pooling indices, pretrained", "pooling_pretrained", paper=(49.5, 80.0)),
    ),
    "table2": (
        Row("translations alone", "translations", paper=(5.64, 13.5)),
        Row("+ autoencoders", "autoencoders", paper=(22.9, 52.6)),
        Row("+ latent consistency", "consistency", paper=(48.9, 78.2)),
        Row("+ noise", "pooling", paper=(49.5, 80.0)),
        Row("+ consistency at every pooled stage", "all_stages"),
    ),
    "table3": (
        Row("CycleGAN", "cyclegan", paper=(6.34, 14.2), role="baseline"),
        Row("2×pix2pix", "pix2pix", measured="through_rgb", paper=(25.4, 57.6), role="baseline"),
        Row("M&MNet D → R → S, pooling", "pooling", measured="through_rgb", paper=(5.96, 32.3), role="baseline"),
        Row("M&MNet D → R → S, skip", "skip", measured="through_rgb", paper=(24.7, 59.7), role="baseline"),
        Row("M&MNet D → S", "pooling", paper=(55.4, 80.4)),
        Row("M&MNet (R, D) → S", "pooling", FUSED_SEGMENTATION, "fused", paper=(57.1, 81.2)),
        Row("pseudo-label student D → S", "depth_student", role="student"),
        Row("M&MNet D → S, pseudo-pairs", "pseudo_pairs"),
        Row("M&MNet (R, D) → S, pseudo-pairs", "pseudo_pairs", FUSED_SEGMENTATION, "fused"),
        Row("RGB → segmentation alone (seen)", "rgb_to_segmentation", "rgb_to_segmentation", role="reference"),
        Row("oracle D → S (true pairs)", "depth_oracle", role="oracle"),
    ),
    "table4": (
        Row("CycleGAN", "cyclegan", "segmentation_to_depth", paper=(0.05, 0.12, 0.20, 4.63, 1.98), role="baseline"),
        Row("M&MNet S → R → D", "pooling", "segmentation_to_depth", "through_rgb",
            paper=(0.15, 0.30, 0.44, 3.24, 1.24), role="baseline"),
        Row("M&MNet S → D", "pooling", "segmentation_to_depth", paper=(0.33, 0.42, 0.59, 2.8, 0.67)),
        Row("M&MNet (R, S) → D", "pooling", FUSED_DEPTH, "fused", paper=(0.36, 0.48, 0.65, 2.48, 0.64)),
        Row("pseudo-label student S → D", "segmentation_student", "segmentation_to_depth", role="student"),
        Row("M&MNet S → D, pseudo-pairs", "pseudo_pairs", "segmentation_to_depth"),
        Row("RGB → depth alone (seen)", "rgb_to_depth", "rgb_to_depth", role="reference"),
        Row("oracle S → D (true pairs)", "segmentation_oracle", "segmentation_to_depth", role="oracle"),
    ),
    "ideas": tuple(
        Row(title, run, "rgb_to_segmentation")
        for run, title in {
            "pooling": "as in the paper: consistency of the last latent",
            "all_stages": "consistency of every pooled stage, the weight shared out",
            "idea_all_stages_full_weight": "the same, each stage with the full weight",
            "idea_features": "consistency of features before pooling, too",
            "idea_strong_then_weak": "consistency strong first, then weak",
            "idea_one_shared_stage": "the encoders share the last stage's convolutions",
            "idea_two_shared_stages": "the encoders share those of the last two",
            "idea_little_noise": "noise 0.1 in place of 0.5",
            "idea_little_rgb": "RGB as a target with a tenth of its weight",
            "idea_pseudo_self": "pseudo-pairs for the second half, made by the networks as they are",
            "idea_pseudo_average": "the same, made by their average over the past steps",
            "idea_pseudo_both": "the same, made from both images of a room",
            "idea_pseudo_both_confident": "the same, where a class has a probability of one half",
            "idea_pseudo_both_early": "pseudo-pairs from both images, for three quarters of the steps",
        }.items()
    ),
    "figure7": (
        Row("M&MNet (R, D) → S", "pooling", FUSED_SEGMENTATION, "fused"),
        Row("M&MNet (R, D) → S, pseudo-pairs", "pseudo_pairs", FUSED_SEGMENTATION, "fused"),
    ),
}  # fmt: skip
"""The rows of each table and figure of the paper, and ours."""


def result_path(preset_name: str, run: str, seed: int) -> Path:
    """Where the result of a run stands."""
    return RESULTS / preset_name / f"{run}_{seed}.json"


def run_grid(
    name: str, seeds: int = 3, preset_name: str = "ablation", folder: str | Path = "runs", device: str = "auto",
    processes: int = 1, progress=print,
) -> None:  # fmt: skip
    """Train and measure what a grid's rows need and `data/results/` lacks, several runs at once where `processes` says.

    `folder` keeps states, so that a killed grid goes on where it was saved last. `ValueError` names the known grids.
    """
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}: known are {', '.join(GRIDS)}")
    declared = runs(preset_name)
    named = list(dict.fromkeys(row.run for row in GRIDS[name]))
    named = list(dict.fromkeys([*(t for r in named if (t := declared[r].teacher)), *named]))  # teachers first
    waiting = [(run, seed) for seed in range(seeds) for run in named if not _is_done(preset_name, run, seed)]
    progress(f"{name}: {len(named) * seeds - len(waiting)} of {len(named) * seeds} results are there already")
    start, count, done = time.perf_counter(), len(waiting), 0
    threads = max(1, torch.get_num_threads() // processes)
    many = functools.partial(ProcessPoolExecutor, processes, get_context("spawn"), torch.set_num_threads, (threads,))
    with many() if processes > 1 else _Here() as pool:
        going = {}
        while waiting or going:
            ready = [
                task for task in waiting if (t := declared[task[0]].teacher) == "" or _is_done(preset_name, t, task[1])
            ]
            for task in ready[: processes - len(going)]:
                waiting.remove(task)
                going[pool.submit(train_run, preset_name, *task, folder, device)] = task
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                run, seed = going.pop(future)
                seconds, done = future.result()["seconds"], done + 1
                left = (time.perf_counter() - start) / done * (count - done)
                progress(f"{done}/{count}  {run}, seed {seed}: {seconds:.0f} s; about {left / 60:.0f} minutes left")


class _Here(Executor):
    """Runs in this process what is submitted, at once."""

    def submit(self, function, /, *arguments):
        future: Future = Future()
        future.set_result(function(*arguments))
        return future


def _is_done(preset_name: str, run: str, seed: int) -> bool:
    """Whether the result is there, of the recipe as declared now and of the test split as shipped."""
    path = result_path(preset_name, run, seed)
    if not path.exists():
        return False
    result = json.loads(path.read_text())
    declared = runs(preset_name)[run]
    recipe, split = declared.recipe.replace(seed=seed), "validation" if declared.selects else "test"
    return from_dict(result["recipe"]) == recipe and result["data_sha256"] == _sha256(split)


@functools.cache
def _sha256(split: str) -> str:
    return shipped(split).sha256


def train_run(preset_name: str, name: str, seed: int, folder: str | Path, device: str = "auto") -> dict:
    """Train one run of one seed, measure it on the test split, and write its result; returns that."""
    run = runs(preset_name)[name]
    recipe, folder = run.recipe.replace(seed=seed), Path(folder)
    place = folder / preset_name / f"{name}_{seed}"
    teacher = None
    if run.teacher:
        teacher = checkpoints.load(folder / preset_name / f"{run.teacher}_{seed}" / "checkpoint.safetensors")
    objective = OBJECTIVES[run.objective](teacher, folder / "oracle_rooms")
    weights = RGB_ENCODER if run.pretrained else None
    fit(recipe, objective, place, device=device, resume=True, progress=False, rgb_weights=weights)
    model = checkpoints.load(place / "checkpoint.safetensors", build=objective.networks).to(choose_device(device))
    measured = measure(model, run, objective)
    result = _report(name, {"preset": preset_name, **measured}, model.record, place)
    result["parameters"] = sum(weight.numel() for weight in model.parameters())
    evaluation.write_json(result, result_path(preset_name, name, seed))
    return result


def measure(model, run: Run, objective: Objective) -> dict:
    """All that tables and figures ask of a run's networks, on the test split."""
    if run.selects:
        return select(model, *selection_pairs(model.recipe.size))
    test, device = shipped("test", model.recipe.size), next(model.parameters()).device
    if run.objective in MEASURED:
        pairs = MEASURED[run.objective]
        parts = [evaluation.evaluate(model, test, sources=[source], targets=[target]) for source, target in pairs]
        result = {**parts[0], "translations": _translations(parts)}
        if run.objective.endswith("oracle"):
            for row in result["translations"].values():
                row["seen"] = True  # by the oracle, on its own rooms
    else:
        result = evaluation.evaluate(model, test)
        result["validation"] = select(model, *selection_pairs(model.recipe.size))
        hundred = test.subset(0, 100)
        result["alignment"] = {
            f"{first} – {second}": evaluation.alignment(model, hundred, first, second)
            for first, second in (("rgb", "segmentation"), ("rgb", "depth"), ("depth", "segmentation"))
        }
    if run.objective in ("zero_pair", "pix2pix"):
        through = Cascade(model)
        ways = (("depth", "segmentation"), ("segmentation", "depth"))[: 1 if run.objective == "pix2pix" else 2]
        parts = [evaluation.evaluate(through, test, sources=[s], targets=[t], device=device) for s, t in ways]
        result["through_rgb"] = _translations(parts)
        result["examples_through_rgb"] = examples(through, test, ways, device)
    pairs = MEASURED.get(run.objective, [(s, t) for s in model.modalities for t in model.modalities])
    result["examples"] = examples(model, test, pairs, device)
    if run.fuses:
        result["fused"] = {
            f"rgb+{second}_to_{target}": {
                lender: evaluation.fusion(model, test, "rgb", second, target, ALPHAS, lender)
                for lender in ("rgb", second)
            }
            for second, target in (("depth", "segmentation"), ("segmentation", "depth"))
        }
    return result


def examples(model, rooms: Rooms, pairs, device: torch.device) -> dict[str, str]:
    """What a model makes of the rooms of the qualitative figures, by translation: PNGs in base64, rooms side by side.

    Only of targets that are stored as grey pixels: class ids, and millimetres.
    """
    batch, made = rooms.batch(EXAMPLES[: len(rooms)]), {}
    for source, target in pairs:
        kind = {"8-bit grey": (1, torch.uint8), "16-bit grey": (1000, torch.uint16)}.get(MODALITIES[target].pixels)
        if kind:
            with torch.inference_mode():
                encoding = model.encode(MODALITIES[source].to_input(batch[source].to(device)), source)
                raw = MODALITIES[target].to_raw(model.decode(encoding, target)).cpu()
            stored = (raw * kind[0]).round().to(torch.int64).clamp(0, 65535).to(kind[1])
            stream = io.BytesIO()
            Image.fromarray(torch.cat(list(stored[:, 0]), 1).numpy()).save(stream, "PNG", optimize=True)
            made[f"{source}_to_{target}"] = base64.b64encode(stream.getvalue()).decode()
    return made
