"""The paper's tables and figures, and ours, declared: a grid has rows, each of a run that is repeated over seeds.

A run that several grids name is trained once. `experiments.run_grid` trains and measures, `tables` renders.
"""

import itertools
from dataclasses import dataclass

from .runs import ANCHORS, COLOUR_PAIRS, FIVE


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
            "consistency": "no noise",
            "idea_wide": "half as many channels again",
            "idea_little_rgb": "RGB as a target with a tenth of its weight",
            "idea_pseudo_self": "pseudo-pairs for the second half, made by the networks as they are",
            "idea_pseudo_average": "the same, made by their average over the past steps",
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
