"""The paper's tables and figures, and ours, declared: a grid has rows, each of a run that is repeated over seeds.

A run that several grids name is trained once. `mmlib.experiments.run_grid` trains and measures, `mmlib.tables` renders.
"""

import dataclasses
import functools
import itertools
from dataclasses import dataclass

from .domains import COLOURS
from .recipes import SIDE_INFORMATION, Phase, Recipe, preset
from .styles import PHOTO, STYLES


@dataclass(frozen=True)
class Run:
    """One training of a grid, repeated over seeds.

    `objective` is a key of `experiments.OBJECTIVES`. `teacher` names the run whose network, of the same seed, labels
    for this one, or is the network that a modality is plugged into. `pair`: source and target of a supervised run; or
    RGB and the modality that is plugged in. `fuses`: Figure 7 is measured of it, too. `pretrained`: the RGB encoder
    starts from `RGB_ENCODER`. `selects`: a choice rests on it, so it is measured on `selection_pairs` alone, never on
    the test. `ship`: the name under which the network of seed 0 goes to `data/checkpoints`, in half precision.
    """

    recipe: Recipe
    objective: str = "zero_pair"
    teacher: str = ""
    pair: tuple[str, str] | None = None
    fuses: bool = False
    pretrained: bool = False
    selects: bool = False
    ship: str = ""


@functools.cache
def runs(name: str) -> dict[str, Run]:
    """The runs of all grids by name, at the size and length of a preset (`ablation`, or a smaller one to try)."""
    base = preset(name)
    first = base.replace(phases=(dataclasses.replace(base.phases[0], steps=base.steps, lambda_pseudo=0.0),))
    (phase,) = first.phases
    untied = _weighted(first, lambda_latent=0.0).replace(latent_noise=0.0)
    long = first.with_steps(2 * base.steps)
    taught = first.replace(phases=_pseudo_pairs_from(base.steps // 4, phase), teacher="average")
    no_indices = taught.replace(side_information="none")
    deep = first.replace(widths=(*base.widths, 2 * base.widths[-1]), convolutions=(*base.convolutions, 3))
    wide = base.widths[-1]  # of the baselines, so that each has at least the parameters of ours
    unet = (wide // 4, wide // 2, wide, 2 * wide)
    return {
        "pooling": Run(first, fuses=True),
        "none": Run(first.replace(side_information="none")),
        "skip": Run(first.replace(side_information="skip")),
        **{
            f"{kind}_pretrained": Run(first.replace(side_information=kind), pretrained=True, fuses=kind == "pooling")
            for kind in SIDE_INFORMATION
        },
        **{
            f"{kind}_deep": Run(deep.replace(side_information=kind), fuses=kind == "pooling")
            for kind in SIDE_INFORMATION
        },
        "translations": Run(untied.replace(autoencoders=False)),
        "autoencoders": Run(untied),
        "consistency": Run(first.replace(latent_noise=0.0)),
        "all_stages": Run(first.replace(consistency="all_stages")),
        **{f"idea_{idea}": Run(recipe, selects=True) for idea, recipe in _ideas(first, phase).items()},
        "pseudo_pairs": Run(taught, fuses=True),
        "pseudo_pairs_none": Run(no_indices, fuses=True),
        # as many steps as the student and its teacher have together
        "pseudo_pairs_long": Run(no_indices.with_steps(long.steps), fuses=True),
        "rgb_to_segmentation": Run(first, "rgb_to_segmentation"),
        "rgb_to_depth": Run(first, "rgb_to_depth"),
        "depth_student": Run(first, "depth_student", teacher="rgb_to_segmentation"),
        "segmentation_student": Run(first, "segmentation_student", teacher="rgb_to_depth"),
        "rgb_to_segmentation_long": Run(long, "rgb_to_segmentation"),
        "rgb_to_depth_long": Run(long, "rgb_to_depth"),
        "depth_student_long": Run(long, "depth_student", teacher="rgb_to_segmentation_long"),
        "segmentation_student_long": Run(long, "segmentation_student", teacher="rgb_to_depth_long"),
        "depth_oracle": Run(first, "depth_oracle"),
        "segmentation_oracle": Run(first, "segmentation_oracle"),
        "depth_oracle_long": Run(long, "depth_oracle"),
        "segmentation_oracle_long": Run(long, "segmentation_oracle"),
        **_many_modalities(first, no_indices),
        **_domains(base),
        "cyclegan": Run(_rival(first, (wide // 4, wide // 2, wide), 2, 2e-4), "cyclegan"),
        "pix2pix": Run(_rival(first, unet, base.batch, 2e-3), "pix2pix"),
        **{
            f"pix2pix_rate_{rate:g}": Run(_rival(first, unet, base.batch, rate), "pix2pix", selects=True)
            for rate in (2e-4, 1e-3)
        },
    }


def _many_modalities(first: Recipe, no_indices: Recipe) -> dict[str, Run]:
    """Five modalities: trained jointly; the fourth and the fifth plugged in, one after the other; and each translation
    alone, on pairs of its own."""
    (phase,) = first.phases
    plugged = no_indices.replace(phases=(dataclasses.replace(phase, lambda_pseudo=1.0),), teacher="self")
    return {
        "five_jointly": Run(no_indices.replace(modalities=FIVE), "five_jointly"),
        "normals_plugged": Run(
            plugged.replace(modalities=FIVE[:4]), "plug_in", teacher="pseudo_pairs_none", pair=("rgb", "normals")
        ),
        "albedo_plugged": Run(
            plugged.replace(modalities=FIVE), "plug_in", teacher="normals_plugged", pair=("rgb", "albedo")
        ),
        **{
            f"alone_{source}_to_{target}": Run(
                no_indices.replace(modalities=FIVE, phases=first.phases, teacher="self"), "alone", pair=(source, target)
            )
            for source, target in itertools.permutations(FIVE, 2)
        },
    }


def _domains(base: Recipe) -> dict[str, Run]:
    """Section 5.5: colours and styles, from pairs with an anchor; with nothing that aligns; on all pairs; and pair by
    pair."""
    mixed = [phase for phase in base.phases if not phase.one_autoencoder]
    apart = base.replace(
        phases=tuple(dataclasses.replace(phase, lambda_latent=0.0) for phase in mixed), latent_noise=0.0
    ).with_steps(base.steps)
    ships = base.name == "domains"  # other presets are for trying
    colours, styles = {"modalities": COLOURS}, {"modalities": (PHOTO, *STYLES)}
    return {
        "colours_mixed": Run(base.replace(**colours), "mixed_cycles", ship="colours" if ships else ""),
        "colours_apart": Run(apart.replace(**colours), "mixed_cycles"),
        "colours_combogan": Run(base.replace(**colours), "combogan"),
        **{  # each with twice the steps that a pair with the anchor has
            f"colours_{a}_{b}": Run(base.replace(modalities=(a, b)).with_steps(base.steps // 5), "combogan")
            for a, b in COLOUR_PAIRS
        },
        "styles_mixed": Run(base.replace(**styles), "mixed_cycles", ship="styles" if ships else ""),
    }


FIVE = ("rgb", "depth", "segmentation", "normals", "albedo")
ANCHORS = (COLOURS[0], PHOTO)
COLOUR_PAIRS = (("red", "green"), ("white", "black"), ("orange", "purple"))
"""The unseen pairs that are trained by themselves, too, for comparison."""


def _ideas(first: Recipe, phase: Phase) -> dict[str, Recipe]:
    """What might serve the seen translations, and the alignment of their encoders, better than the paper's recipe."""
    late = first.replace(phases=_pseudo_pairs_from(phase.steps // 2, phase))
    strongly = first.replace(phases=_pseudo_pairs_from(phase.steps // 4, phase, 3.0))
    return {
        "strong": _weighted(first, lambda_latent=10 * phase.lambda_latent),
        "weak": _weighted(first, lambda_latent=0.1 * phase.lambda_latent),
        "features": first.replace(consistency="features"),
        "indices": first.replace(consistency="indices"),
        "two_shared_stages": first.replace(shared_stages=min(2, len(first.widths) - 1)),
        "wide": first.replace(widths=tuple(3 * width // 2 for width in first.widths)),
        "little_rgb": _weighted(first, lambda_rgb=0.1),
        "pseudo_self": late,
        "pseudo_average": late.replace(teacher="average"),
        "pseudo_confident": late.replace(teacher="average", confidence=0.5),
        "pseudo_early_strong": strongly.replace(teacher="average"),
    }


def _weighted(recipe: Recipe, **weights: float) -> Recipe:
    """A recipe of one phase with other loss weights."""
    (phase,) = recipe.phases
    return recipe.replace(phases=(dataclasses.replace(phase, **weights),))


def _pseudo_pairs_from(start: int, phase: Phase, weight: float = 1.0) -> tuple[Phase, Phase]:
    """A phase in two, the second of which has pseudo-pairs."""
    return (
        dataclasses.replace(phase, steps=start, lambda_pseudo=0.0),
        dataclasses.replace(phase, steps=phase.steps - start, lambda_pseudo=weight),
    )


def _rival(recipe: Recipe, widths: tuple[int, ...], batch: int, learning_rate: float) -> Recipe:
    """A baseline's recipe: its own widths and learning rate (the papers' is 2e-4; pix2pix's was chosen on validation,
    grid `rivals`), and the schedule and loss weights of its paper."""
    return recipe.replace(
        widths=widths,
        convolutions=(1,) * len(widths),
        discriminator_widths=widths[:3],
        batch=batch,
        learning_rate=learning_rate,
        one_cycle=False,
        linear_decay=True,
        phases=(Phase(steps=recipe.steps),),
    )


@dataclass(frozen=True)
class Row:
    """A row of a table: what one run's result says of one translation.

    `translation`: its name, or one of `GROUPS`, for the mean of several. `measured`: the part of the result:
    `translations`, `through_rgb` or `through_anchor` (cascades), `unchanged` (the source itself), or `fused` (α = 0.2,
    RGB's indices).
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
COLOUR_MEASURES = ("colour_error", "named", "psnr", "ssim", "background")
STYLE_MEASURES = ("psnr", "ssim")
DEPTH_MEASURES = ("delta1", "delta2", "delta3", "rmse", "rmse_log")
ALPHA = 0.2  # of fused rows, with RGB's indices: fixed beforehand, the paper's (section 5.4)
FUSED_DEPTH, FUSED_SEGMENTATION = "rgb+segmentation_to_depth", "rgb+depth_to_segmentation"
GRIDS: dict[str, tuple[Row, ...]] = {
    "table1": (
        Row("none", "none", paper=(32.2, 63.5)),
        Row("skip connections", "skip", paper=(14.1, 52.6)),
        Row("pooling indices", "pooling", paper=(45.6, 73.4)),
        Row("none, pretrained", "none_pretrained"),
        Row("skip connections, pretrained", "skip_pretrained"),
        Row("pooling indices, pretrained", "pooling_pretrained", paper=(49.5, 80.0)),
        Row("none, a stage deeper", "none_deep"),
        Row("skip connections, a stage deeper", "skip_deep"),
        Row("pooling indices, a stage deeper", "pooling_deep"),
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
        Row("pseudo-label student D → S, twice the steps", "depth_student_long", role="student"),
        Row("M&MNet D → S, pseudo-pairs", "pseudo_pairs"),
        Row("M&MNet (R, D) → S, pseudo-pairs", "pseudo_pairs", FUSED_SEGMENTATION, "fused"),
        Row("M&MNet D → S, pseudo-pairs, no indices", "pseudo_pairs_none"),
        Row("M&MNet (R, D) → S, pseudo-pairs, no indices", "pseudo_pairs_none", FUSED_SEGMENTATION, "fused"),
        Row("M&MNet D → S, pseudo-pairs, no indices, twice the steps", "pseudo_pairs_long"),
        Row("M&MNet (R, D) → S, pseudo-pairs, no indices, twice the steps", "pseudo_pairs_long",
            FUSED_SEGMENTATION, "fused"),
        Row("RGB → segmentation alone (seen)", "rgb_to_segmentation", "rgb_to_segmentation", role="reference"),
        Row("RGB → segmentation alone (seen), twice the steps", "rgb_to_segmentation_long", "rgb_to_segmentation",
            role="reference"),
        Row("oracle D → S (true pairs)", "depth_oracle", role="oracle"),
        Row("oracle D → S (true pairs), twice the steps", "depth_oracle_long", role="reference"),
    ),
    "table4": (
        Row("CycleGAN", "cyclegan", "segmentation_to_depth", paper=(0.05, 0.12, 0.20, 4.63, 1.98), role="baseline"),
        Row("M&MNet S → R → D", "pooling", "segmentation_to_depth", "through_rgb",
            paper=(0.15, 0.30, 0.44, 3.24, 1.24), role="baseline"),
        Row("M&MNet S → D", "pooling", "segmentation_to_depth", paper=(0.33, 0.42, 0.59, 2.8, 0.67)),
        Row("M&MNet (R, S) → D", "pooling", FUSED_DEPTH, "fused", paper=(0.36, 0.48, 0.65, 2.48, 0.64)),
        Row("pseudo-label student S → D", "segmentation_student", "segmentation_to_depth", role="student"),
        Row("pseudo-label student S → D, twice the steps", "segmentation_student_long", "segmentation_to_depth",
            role="student"),
        Row("M&MNet S → D, pseudo-pairs", "pseudo_pairs", "segmentation_to_depth"),
        Row("M&MNet S → D, pseudo-pairs, no indices", "pseudo_pairs_none", "segmentation_to_depth"),
        Row("M&MNet S → D, pseudo-pairs, no indices, twice the steps", "pseudo_pairs_long", "segmentation_to_depth"),
        Row("RGB → depth alone (seen)", "rgb_to_depth", "rgb_to_depth", role="reference"),
        Row("RGB → depth alone (seen), twice the steps", "rgb_to_depth_long", "rgb_to_depth", role="reference"),
        Row("oracle S → D (true pairs)", "segmentation_oracle", "segmentation_to_depth", role="oracle"),
        Row("oracle S → D (true pairs), twice the steps", "segmentation_oracle_long", "segmentation_to_depth",
            role="reference"),
    ),
    "ideas": tuple(
        Row(title, run, "rgb_to_segmentation")
        for run, title in {
            "pooling": "as in the paper: consistency of the last latent",
            "all_stages": "consistency of every pooled stage, the weight shared out",
            "idea_strong": "consistency of the last latent, ten times as strong",
            "idea_weak": "the same, a tenth as strong",
            "idea_features": "consistency of features before pooling, too",
            "idea_indices": "consistency of the last latent and of all pooling indices",
            "idea_two_shared_stages": "the encoders share the convolutions of the last two stages",
            "consistency": "no noise",
            "idea_wide": "half as many channels again",
            "idea_little_rgb": "RGB as a target with a tenth of its weight",
            "idea_pseudo_self": "pseudo-pairs for the second half, made by the networks as they are",
            "idea_pseudo_average": "the same, made by their average over the past steps",
            "idea_pseudo_confident": "… by that average, where a class has a probability of one half",
            "pseudo_pairs": "… by that average, for three quarters of the steps",
            "idea_pseudo_early_strong": "… and with three times the weight",
            "pseudo_pairs_none": "… for three quarters of the steps, without side information",
        }.items()
    ),
    "rivals": (
        Row("2×pix2pix, learning rate 0.0002, its paper's", "pix2pix_rate_0.0002", "rgb_to_segmentation"),
        Row("2×pix2pix, learning rate 0.001", "pix2pix_rate_0.001", "rgb_to_segmentation"),
        Row("2×pix2pix, learning rate 0.002", "pix2pix", "rgb_to_segmentation"),
    ),
    "figure7": (
        Row("M&MNet (R, D) → S", "pooling", FUSED_SEGMENTATION, "fused"),
        Row("M&MNet (R, D) → S, pseudo-pairs", "pseudo_pairs", FUSED_SEGMENTATION, "fused"),
        Row("M&MNet (R, S) → D", "pooling", FUSED_DEPTH, "fused"),
        Row("M&MNet (R, S) → D, pseudo-pairs", "pseudo_pairs", FUSED_DEPTH, "fused"),
    ),
    "five": (
        Row("trained jointly", "five_jointly"),
        Row("normals, then albedo, plugged in", "albedo_plugged"),
        *(Row("alone, on pairs of its own", f"alone_{s}_to_{t}", f"{s}_to_{t}", role="oracle")
          for s, t in itertools.permutations(FIVE, 2)),
    ),
    "colours": (
        Row("mixed CycleGANs, pairs with blue (seen)", "colours_mixed", "with blue"),
        Row("mixed CycleGANs, all other pairs (unseen)", "colours_mixed", "without blue"),
        Row("the same from random starts, without latent consistency or noise", "colours_apart", "without blue"),
        Row("cascade through blue", "colours_mixed", "without blue", "through_anchor"),
        Row("ComboGAN (all pairs seen)", "colours_combogan", "without blue", role="reference"),
        Row("the source, unchanged", "colours_mixed", "without blue", "unchanged", role="reference"),
        *(row for a, b in COLOUR_PAIRS for row in (
            Row(f"{a} ↔ {b}, mixed CycleGANs (unseen)", "colours_mixed", f"{a} and {b}"),
            Row(f"{a} ↔ {b}, a CycleGAN of its own (seen)", f"colours_{a}_{b}", f"{a} and {b}", role="reference"),
        )),
    ),
    "styles": (
        Row("mixed CycleGANs, photo ↔ style (seen)", "styles_mixed", "with photo"),
        Row("mixed CycleGANs, style → style (unseen)", "styles_mixed", "without photo"),
        Row("cascade through a photo", "styles_mixed", "without photo", "through_anchor"),
        Row("the source, unchanged", "styles_mixed", "without photo", "unchanged", role="reference"),
    ),
}  # fmt: skip
"""The rows of each table and figure of the paper, and ours: `ideas` and `rivals` are what choices rest on."""

PRESET = {"colours": "domains", "styles": "domains"}
"""The preset of a grid, where it is not `ablation`."""

GROUPS = {
    **{f"with {anchor}": lambda source, target, anchor=anchor: anchor in (source, target) for anchor in ANCHORS},
    **{f"without {anchor}": lambda source, target, anchor=anchor: anchor not in (source, target) for anchor in ANCHORS},
    **{f"{a} and {b}": lambda source, target, pair={a, b}: {source, target} == pair for a, b in COLOUR_PAIRS},
}
"""Translations whose mean a row may show, by the name that stands in the place of a translation."""
