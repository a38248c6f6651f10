"""The paper's tables and figures, and ours, declared: a grid has rows, each of a run that is repeated over seeds.

A run that several grids name is trained once. `experiments.run_grid` trains and measures, `tables` renders.
"""

import itertools
from dataclasses import dataclass

from .ingredients import FIVE
from .runs import ANCHORS, COLOUR_PAIRS

SEGMENTATION_MEASURES = ("miou", "global")
COLOUR_MEASURES = ("colour_error", "named", "psnr", "ssim", "background")
STYLE_MEASURES = ("psnr", "ssim")
DEPTH_MEASURES = ("delta1", "delta2", "delta3", "rmse", "rmse_log")


@dataclass(frozen=True)
class Row:
    """A row of a table: what one run's result says of one translation.

    `translation`: its name, or one of `GROUPS`, for the mean of several. `measured`: the part of the result:
    `translations`, `through_rgb` or `through_anchor` (cascades), `unchanged` (the source itself), `autoencoders` (each
    domain to itself), `fused` (α = 0.2, RGB's indices), or `lent` (α = 1, so that the latent is the second source's
    alone, and RGB's indices).
    `paper`: the paper's figures, in per cent (δ as share, RMSE as printed), in the order of the grid's measures.
    `role`: `baseline`, `reference` or `oracle`, or nothing for zero-pair methods.
    """

    title: str
    run: str
    translation: str = "depth_to_segmentation"
    measured: str = "translations"
    paper: tuple[float, ...] = ()
    role: str = ""


@dataclass(frozen=True)
class Grid:
    """A table or figure: its rows, the measures of its columns, and the preset and the seeds of its runs."""

    caption: str
    rows: tuple[Row, ...]
    measures: tuple[str, ...] = SEGMENTATION_MEASURES
    preset: str = "ablation"
    seeds: int = 3


ALPHA = 0.2  # of fused rows, with RGB's indices: fixed beforehand, the paper's (section 5.4)
SHARE = {"fused": ALPHA, "lent": 1.0}
"""The second source's share of the latent, by what a row measures of a fusion with RGB's indices."""
FUSED_DEPTH, FUSED_SEGMENTATION = "rgb+segmentation_to_depth", "rgb+depth_to_segmentation"
TABLE_1 = {
    ("none", ""): (32.2, 63.5), ("skip", ""): (14.1, 52.6), ("pooling", ""): (45.6, 73.4),
    ("pooling", "_pretrained"): (49.5, 80.0),
}  # fmt: skip
"""The paper's figures; which indices its decoder had, it does not say, and its authors' code has RGB's."""
GRIDS: dict[str, Grid] = {
    "table1": Grid(
        "**Side information** (the paper's Table 1): depth → segmentation, zero-pair. The paper's figures are of its "
        "own data and scale, and of its own ablation. With *RGB's* indices the translation needs RGB, too.",
        tuple(
            Row(f"{title}{after}", f"{run}{kind}", translation, measured, TABLE_1.get((run, kind), ()))
            for kind, after in (("", ""), ("_pretrained", ", pretrained"), ("_deep", ", a stage deeper"))
            for title, run, translation, measured in (
                ("none", "none", "depth_to_segmentation", "translations"),
                ("skip connections", "skip", "depth_to_segmentation", "translations"),
                ("pooling indices, depth's own", "pooling", "depth_to_segmentation", "translations"),
                ("pooling indices, RGB's", "pooling", FUSED_SEGMENTATION, "lent"),
            )
        ),
    ),
    "table2": Grid(
        "**What each part adds** (Table 2): depth → segmentation, zero-pair, with pooling indices.",
        (
            Row("translations alone", "translations", paper=(5.64, 13.5)),
            Row("+ autoencoders", "autoencoders", paper=(22.9, 52.6)),
            Row("+ latent consistency", "consistency", paper=(48.9, 78.2)),
            Row("+ noise", "pooling", paper=(49.5, 80.0)),
            Row("+ consistency at every pooled stage", "all_stages"),
        ),
    ),
    "table3": Grid(
        "**Depth → segmentation by all methods** (Table 3). *Gap closed*: 0 % is the best of the paper's own "
        "baselines, 100 % the oracle.",
        (
            Row("CycleGAN", "cyclegan", paper=(6.34, 14.2), role="baseline"),
            Row("2×pix2pix", "pix2pix", measured="through_rgb", paper=(25.4, 57.6), role="baseline"),
            Row("M&MNet D → R → S, pooling", "pooling", measured="through_rgb", paper=(5.96, 32.3), role="baseline"),
            Row("M&MNet D → R → S, skip", "skip", measured="through_rgb", paper=(24.7, 59.7), role="baseline"),
            Row("M&MNet D → S", "pooling", paper=(55.4, 80.4)),
            Row("M&MNet D → S, RGB's indices", "pooling", FUSED_SEGMENTATION, "lent"),
            Row("M&MNet (R, D) → S", "pooling", FUSED_SEGMENTATION, "fused", paper=(57.1, 81.2)),
            Row("M&MNet D → S, no indices", "none"),
            Row("M&MNet (R, D) → S, no indices", "none", FUSED_SEGMENTATION, "fused"),
            Row("M&MNet D → S, no indices, pseudo-pairs", "pseudo_pairs"),
            Row("M&MNet D → S, no indices, a quarter more steps", "gone_on"),
            Row("M&MNet D → S, no indices, a quarter more steps, self-taught", "self_taught"),
            Row("pseudo-label student D → S", "depth_student", role="student"),
            Row("M&MNet D → S, no indices, twice the steps", "none_long"),
            Row("M&MNet (R, D) → S, no indices, twice the steps", "none_long", FUSED_SEGMENTATION, "fused"),
            Row("M&MNet D → S, no indices, pseudo-pairs, twice the steps", "pseudo_pairs_long"),
            Row("pseudo-label student D → S, twice the steps", "depth_student_long", role="student"),
            Row("RGB → segmentation alone (seen)", "rgb_to_segmentation", "rgb_to_segmentation", role="reference"),
            Row("RGB → segmentation alone (seen), twice the steps", "rgb_to_segmentation_long", "rgb_to_segmentation",
                role="reference"),
            Row("oracle D → S (true pairs)", "depth_oracle", role="oracle"),
            Row("oracle D → S (true pairs), twice the steps", "depth_oracle_long", role="reference"),
        ),
    ),
    "table4": Grid(
        "**Segmentation → depth by all methods** (Table 4).",
        (
            Row("CycleGAN", "cyclegan", "segmentation_to_depth", paper=(0.05, 0.12, 0.20, 4.63, 1.98), role="baseline"),
            Row("M&MNet S → R → D", "pooling", "segmentation_to_depth", "through_rgb",
                paper=(0.15, 0.30, 0.44, 3.24, 1.24), role="baseline"),
            Row("M&MNet S → D", "pooling", "segmentation_to_depth", paper=(0.33, 0.42, 0.59, 2.8, 0.67)),
            Row("M&MNet (R, S) → D", "pooling", FUSED_DEPTH, "fused", paper=(0.36, 0.48, 0.65, 2.48, 0.64)),
            Row("M&MNet S → D, no indices", "none", "segmentation_to_depth"),
            Row("M&MNet (R, S) → D, no indices", "none", FUSED_DEPTH, "fused"),
            Row("M&MNet S → D, no indices, pseudo-pairs", "pseudo_pairs", "segmentation_to_depth"),
            Row("M&MNet S → D, no indices, a quarter more steps", "gone_on", "segmentation_to_depth"),
            Row("M&MNet S → D, no indices, a quarter more steps, self-taught", "self_taught", "segmentation_to_depth"),
            Row("pseudo-label student S → D", "segmentation_student", "segmentation_to_depth", role="student"),
            Row("M&MNet S → D, no indices, twice the steps", "none_long", "segmentation_to_depth"),
            Row("M&MNet S → D, no indices, pseudo-pairs, twice the steps", "pseudo_pairs_long",
                "segmentation_to_depth"),
            Row("pseudo-label student S → D, twice the steps", "segmentation_student_long", "segmentation_to_depth",
                role="student"),
            Row("RGB → depth alone (seen)", "rgb_to_depth", "rgb_to_depth", role="reference"),
            Row("RGB → depth alone (seen), twice the steps", "rgb_to_depth_long", "rgb_to_depth", role="reference"),
            Row("oracle S → D (true pairs)", "segmentation_oracle", "segmentation_to_depth", role="oracle"),
            Row("oracle S → D (true pairs), twice the steps", "segmentation_oracle_long", "segmentation_to_depth",
                role="reference"),
        ),
        DEPTH_MEASURES,
    ),
    "ideas": Grid(
        "**What each choice is worth**: one change at a time to the tables' recipe without indices, on seen pairs of "
        "validation alone.",
        tuple(
            Row(title, run, "rgb_to_segmentation")
            for run, title in {
                "none": "the paper's method without indices",
                "idea_anchor_still": "consistency does not move RGB's encoder",
                "idea_strong": "consistency four times as strong",
                "idea_anchor_still_strong": "both",
                "idea_all_stages": "consistency of every pooled stage",
                "idea_no_noise": "no noise",
                "idea_unbalanced": "no balance of classes",
                "idea_enlarged": "windows of 60 to 100 %, enlarged",
                "idea_zoomed": "windows of 75 to 133 %, whole images at the end",
                "idea_adam": "Adam in place of Muon",
                "pseudo_pairs": "pseudo-pairs from a quarter on",
            }.items()
        ),
    ),
    "rivals": Grid(
        "**The optimiser of 2×pix2pix**, on seen pairs of validation alone.",
        (
            Row("2×pix2pix, Adam, rate 0.0002, its paper's", "pix2pix_adam_0.0002", "rgb_to_segmentation"),
            Row("2×pix2pix, Adam, rate 0.002", "pix2pix_adam_0.002", "rgb_to_segmentation"),
            Row("2×pix2pix, Muon, rate 0.02", "pix2pix_muon_0.02", "rgb_to_segmentation"),
            Row("2×pix2pix, Muon, rate 0.06", "pix2pix", "rgb_to_segmentation"),
        ),
    ),
    "shipped": Grid(
        "**The network that ships**, and what was trained beside it. The network goes on from the paper's method alone "
        "for a quarter of its steps; the others have as many steps as that method.",
        (
            Row("RGB → segmentation (seen)", "self_taught", "rgb_to_segmentation", role="reference"),
            Row("depth → segmentation, zero-pair", "self_taught"),
            Row("(RGB, depth) → segmentation", "self_taught", FUSED_SEGMENTATION, "fused"),
            Row("the paper's method alone: RGB → segmentation (seen)", "none", "rgb_to_segmentation", role="reference"),
            Row("the paper's method alone: depth → segmentation, zero-pair", "none"),
            Row("the paper's method alone: (RGB, depth) → segmentation", "none", FUSED_SEGMENTATION, "fused"),
            Row("RGB → segmentation alone", "rgb_to_segmentation", "rgb_to_segmentation", role="reference"),
            Row("pseudo-label student", "depth_student", role="student"),
            Row("oracle (true pairs)", "depth_oracle", role="oracle"),
        ),
        preset="course", seeds=1,
    ),
    "figure7": Grid(
        "**Fusion over α** (Figure 7).",
        (
            Row("M&MNet (R, D) → S", "pooling", FUSED_SEGMENTATION, "fused"),
            Row("M&MNet (R, D) → S, no indices", "none", FUSED_SEGMENTATION, "fused"),
            Row("M&MNet (R, S) → D", "pooling", FUSED_DEPTH, "fused"),
            Row("M&MNet (R, S) → D, no indices", "none", FUSED_DEPTH, "fused"),
        ),
    ),
    "five": Grid(
        "**Five modalities**: each cell says trained jointly / plugged in one after the other / alone on pairs of its "
        "own. Bold: no pair was seen, but by *alone*.",
        (
            Row("trained jointly", "five_jointly"),
            Row("normals, then albedo, plugged in", "albedo_plugged"),
            *(Row("alone, on pairs of its own", f"alone_{s}_to_{t}", f"{s}_to_{t}", role="oracle")
              for s, t in itertools.permutations(FIVE, 2)),
        ),
    ),
    "colours": Grid(
        "**Eleven colours**: furniture recoloured, on 60 scenes rendered in all colours; one training a row. Errors "
        "(CIEDE2000) within the object and, against the source, outside it.",
        (
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
            Row("each colour to itself, mixed CycleGANs", "colours_mixed", "itself", "autoencoders", role="reference"),
        ),
        COLOUR_MEASURES, "domains", 1,
    ),
    "styles": Grid(
        "**Four styles and photos**: against the exact stylisation of 100 test rooms; one training a row.",
        (
            Row("mixed CycleGANs, photo ↔ style (seen)", "styles_mixed", "with photo"),
            Row("mixed CycleGANs, style → style (unseen)", "styles_mixed", "without photo"),
            Row("cascade through a photo", "styles_mixed", "without photo", "through_anchor"),
            Row("the source, unchanged", "styles_mixed", "without photo", "unchanged", role="reference"),
        ),
        STYLE_MEASURES, "domains", 1,
    ),
}  # fmt: skip
"""Each table and figure of the paper, and ours: `ideas` and `rivals` are what choices rest on."""

GROUPS = {
    **{f"with {anchor}": lambda source, target, anchor=anchor: anchor in (source, target) for anchor in ANCHORS},
    **{f"without {anchor}": lambda source, target, anchor=anchor: anchor not in (source, target) for anchor in ANCHORS},
    "itself": lambda source, target: source == target,
    **{f"{a} and {b}": lambda source, target, pair={a, b}: {source, target} == pair for a, b in COLOUR_PAIRS},
}
"""Translations whose mean a row may show, by the name that stands in the place of a translation."""
