"""Results in words: the files of `data/results`, read and rendered as tables."""

import json
from pathlib import Path
from statistics import mean, stdev

from ..data.shipped import RESULTS, read
from ..hardware.files import markdown

NETWORK, BEGAN, ORACLE = "course/self_taught_0", "course/none_0", "course/depth_oracle_0"
"""The results of the network that ships, of the paper's method alone, from which it went on, and of its oracle."""
OURS = "**never: zero-pair**, with guesses of its own"
ROWS = (
    ("self_taught", "rgb_to_segmentation", "RGB → segmentation", "yes, in D1"),
    ("self_taught", "depth_to_segmentation", "**depth → segmentation**", OURS),
    ("none", "depth_to_segmentation", "depth → segmentation, the paper's method alone", "**never: zero-pair**"),
    ("depth_student", "depth_to_segmentation", "depth → segmentation, pseudo-label student", "with guesses from RGB"),
    ("depth_oracle", "depth_to_segmentation", "depth → segmentation, supervised oracle", "yes, in rooms of its own"),
    ("self_taught", "rgb_to_depth", "RGB → depth", "yes, in D2"),
    ("self_taught", "segmentation_to_depth", "**segmentation → depth**", OURS),
    ("none", "segmentation_to_depth", "segmentation → depth, the paper's method alone", "**never: zero-pair**"),
)  # fmt: skip
"""The rows of the headline: a run of the network that ships or of what it is compared with, and a translation."""


def segmentation_rows(network: dict, oracle: dict) -> dict[str, dict]:
    """What there is to compare about segmentation: label → measures, for `plots.headline` and `plots.per_class_iou`."""
    network, oracle = network["translations"], oracle["translations"]
    return {
        "RGB → segmentation (seen)": network["rgb_to_segmentation"],
        "depth → segmentation (zero-pair)": network["depth_to_segmentation"],
        "depth → segmentation (oracle)": oracle["depth_to_segmentation"],
    }


def headline_table(results: str | Path = RESULTS) -> str:
    """The main results as a Markdown table; what was not run is left out. `FileNotFoundError` where the network's own
    result is missing."""
    network = read(NETWORK, results)
    rows = []
    for run, translation, title, pair in ROWS:
        paths = sorted((Path(results) / "course").glob(f"{run}_[0-9].json"))
        found = [json.loads(path.read_text(encoding="utf-8"))["translations"][translation] for path in paths]
        if found:
            seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
            rows.append((title, pair, f"{_measures(*found)}{seeds}"))
    return markdown(("translation", "pair seen in training?", f"on {network['rooms']} test rooms"), rows)


def translations_table(result: dict) -> str:
    """All translations of a result as a Markdown table."""
    rows = []
    for name, row in result["translations"].items():
        pair = "yes" if row["seen"] else "**never: zero-pair**"
        rows.append((name.replace("_to_", " → ").replace("rgb", "RGB"), pair, _measures(row)))
    return markdown(("translation", "pair seen in training?", "measured"), rows)


def _measures(*rows: dict) -> str:
    """One translation's measures; the mean, and of the main one the standard deviation, where there are several."""
    measure = next(measure for measure in ("miou", "psnr", "delta1") if measure in rows[0])
    factor, digits = (1, 1) if measure == "psnr" else (100, 1)
    values = [factor * row[measure] for row in rows]
    main = f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
    if measure == "miou":
        return f"mIoU {main} %, {100 * mean(row['global'] for row in rows):.1f} % of pixels right"
    if measure == "psnr":
        return f"PSNR {main} dB"
    return f"δ < 1.25 for {main} % of pixels, RMSE {mean(row['rmse'] for row in rows):.2f} m"


TRIALS = {
    "gpu/shapes": {
        "s_none": "RGB → segmentation alone, whole images",
        "s_win_in": "the same, windows of 60 to 100 %, whole images in the last 15 % of the steps",
        "s_win_both": "the same, windows of 75 to 133 %, whole images in the last 15 %",
        "s_cutmix": "the same, whole images, CutMix in half of them",
        "s_cutmix_both": "the same, windows of 75 to 133 % and CutMix",
        "s_slow": "the same, whole images, Muon at a third of the rate",
        "m_four": "all nine, four stages of 16 to 128 channels",
        "m_three": "all nine, three stages of 24 to 96",
        "m_three_table5": "the same with Table 5's RGB decoder",
        "m_three_all": "the same with consistency of all stages",
        "m_three_pseudo": "the same with pseudo-pairs from a quarter on",
        "m_three_r10": "the same with λ_R = 10",
        "m_wide": "all nine, three stages of 32 to 128",
    },
    "levers": {
        "base": "the third record's recipe, 350 steps",
        "shorter": "the same, 290 steps",
        "precise": "350 steps and precise statistics",
        "dirac": "convolutions that begin as the identity (Dirac)",
        "small_first": "32 × 32 pixels in the first 40 % of the steps",
        "quarter": "autoencoders and RGB targets on a quarter of the batch",
        "averaged": "weights averaged over the last steps (decay 0.97)",
        "quarter_small_first": "a quarter of the batch, and 32 × 32 pixels in the first half of the steps",
        "one_convolution": "precise statistics, and one convolution in the encoders' first stage",
        "single_convolutions": "the same in the second stage, too, and 96 channels in the third",
        "base_310": "precise statistics, on 4 batches, and 310 steps",
        "faster_muon": "the same, Muon at 0.09 in place of 0.06",
        "faster_muon_13": "the same, Muon at 0.13",
        "faster_muon_20": "the same, Muon at 0.2",
        "faster_muon_13_short": "Muon at 0.13, 280 steps",
        "pseudo": "310 steps, Muon at 0.06, pseudo-pairs in the last 40 % of the steps",
    },
    "anchor": {
        "still": "none",
        "still_strong": "none, and consistency four times as strong",
        "tenth": "that of both, with a tenth of its gradient",
        "quarter": "that of both, with a quarter",
        "segmentation": "that of segmentation",
        "depth": "that of depth",
        "both": "that of both, as in the paper",
    },
    "self_training": {
        "plain": "nobody: more steps alone, Muon at 0.03",
        "rgb": "the network as it was, from RGB",
        "mean": "the network as it was, from the mean of two latents",
        "mean_and_rgb": "the same, and RGB learns from it, too",
        "mean_faster": "from the mean of two latents, Muon at 0.06",
    },
}
"""By file of `data/results`: its trials, with their titles."""


def trials_table(file: str) -> str:
    """What trials measured on validation's seen pairs, the mean of their seeds, as a Markdown table."""
    heads = (
        "trial", "seeds", "steps", "RGB → segmentation", "RGB → depth", "RGB → RGB",
        "agreement of depth → segmentation", "agreement of segmentation → depth",
    )  # fmt: skip
    columns = (
        ("translations", "rgb_to_segmentation", "miou"), ("translations", "rgb_to_depth", "delta1"),
        ("translations", "rgb_to_rgb", "psnr"), ("agreement", "depth_to_segmentation", "miou"),
        ("agreement", "segmentation_to_depth", "delta1"),
    )  # fmt: skip
    table, runs = [], read(file)["runs"]
    for name, title in TRIALS[file].items():
        seeds = [run for run in runs if run["name"] == name]
        cells = [title, str(len(seeds)), f"{seeds[0]['steps']:,}"]
        for part, row, measure in columns:
            found = [run[part][row][measure] for run in seeds if row in run.get(part, {})]
            unit, factor = ("dB", 1) if measure == "psnr" else ("%", 100)
            cells.append(f"{factor * mean(found):.1f} {unit}" if found else "")
        table.append(cells)
    return markdown(heads, table)


def curve(log: str | Path) -> list[dict]:
    """The training curve that `fit` wrote, thinned to about a hundred lines: step, learning rate and loss terms."""
    lines = Path(log).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // 100)]]
