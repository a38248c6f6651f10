"""Results in words: the files of `data/results`, read and rendered as tables."""

import json
from pathlib import Path

from ..data.shipped import RESULTS, read

ROWS = (
    ("course", "rgb_to_segmentation", "RGB → segmentation", "yes, in D1"),
    ("course", "depth_to_segmentation", "**depth → segmentation**", "**never: zero-pair**"),
    ("oracle", "depth_to_segmentation", "depth → segmentation, supervised oracle", "yes, in rooms of its own"),
    ("course", "rgb_to_depth", "RGB → depth", "yes, in D2"),
    ("course", "segmentation_to_depth", "**segmentation → depth**", "**never: zero-pair**"),
)


def segmentation_rows(course: dict, oracle: dict) -> dict[str, dict]:
    """What there is to compare about segmentation: label → measures, for `plots.headline` and `plots.per_class_iou`."""
    course, oracle = course["translations"], oracle["translations"]
    return {
        "RGB → segmentation (seen)": course["rgb_to_segmentation"],
        "depth → segmentation (zero-pair)": course["depth_to_segmentation"],
        "depth → segmentation (oracle)": oracle["depth_to_segmentation"],
    }


def headline_table(results: str | Path = RESULTS) -> str:
    """The main results as a Markdown table."""
    found = {name: read(name, results) for name in ("course", "oracle")}
    rooms = found["course"]["rooms"]
    lines = [f"| translation | pair seen in training? | on {rooms} test rooms |", "| --- | --- | --- |"]
    for name, translation, title, pair in ROWS:
        lines.append(f"| {title} | {pair} | {_measures(found[name]['translations'][translation])} |")
    return "\n".join(lines)


def translations_table(result: dict) -> str:
    """All translations of a result as a Markdown table."""
    lines = ["| translation | pair seen in training? | measured |", "| --- | --- | --- |"]
    for name, row in result["translations"].items():
        pair = "yes" if row["seen"] else "**never: zero-pair**"
        lines.append(f"| {_arrow(name)} | {pair} | {_measures(row)} |")
    return "\n".join(lines)


CONSISTENCIES = {
    f"consistency_{kind}_{seed}": f"{form}, seed {seed}"
    for kind, form in (("latent", "last latent"), ("all_stages", "every stage"))
    for seed in range(2)
}
RECIPES = {
    "choice_latent": "last latent",
    "choice_all_stages": "every stage",
    "choice_three_stages": "last latent, three stages",
    "choice_long": "last latent, 6,000 steps",
}
"""Trials with their titles: of forms of consistency, before any pseudo-pair; of other recipes in place of `course`."""


def trials(titles: dict[str, str], results: str | Path = RESULTS) -> dict[str, dict]:
    """The results of trials by their titles."""
    return {title: read(name, results) for name, title in titles.items()}


def trials_table(measured: dict[str, dict]) -> str:
    """What trials, or `experiments.select`, measured on validation's seen pairs, a column each, as a Markdown table."""
    columns = {title: _validated(trial) for title, trial in measured.items()}
    lines = [f"| on validation | {' | '.join(columns)} |", "| --- " * (1 + len(columns)) + "|"]
    for title in next(iter(columns.values())):
        lines.append(f"| {title} | {' | '.join(cells.get(title, '') for cells in columns.values())} |")
    return "\n".join(lines)


def _validated(trial: dict) -> dict[str, str]:
    """What a trial's result says of each seen translation, of the agreement of the unseen ones with RGB's, and of the
    alignment of each pair, stage by stage."""
    cells = {}
    agreement = {f"{name}, agreement with RGB's": row for name, row in trial.get("agreement", {}).items()}
    for name, row in {**trial["translations"], **agreement}.items():
        measure = next(measure for measure in ("miou", "delta1", "psnr") if measure in row)
        value = f"{row[measure]:.1f} dB" if measure == "psnr" else f"{100 * row[measure]:.1f} %"
        cells[f"{_arrow(name)}: {UNITS[measure]}"] = value
    for pair, row in trial["alignment"].items():
        pair = _arrow(pair)
        cells[f"{pair}: retrieval@1"] = f"{100 * row['retrieval_at_1']:.0f} %"
        for measure in ("distance", "cka", "index_agreement"):
            cells[f"{pair}: {UNITS[measure]} by stage"] = ", ".join(f"{stage:.2f}" for stage in row[measure])
    return cells


def _arrow(translation: str) -> str:
    """A translation as a reader writes it: RGB → depth."""
    return translation.replace("_to_", " → ").replace("rgb", "RGB")


UNITS = {
    "miou": "mIoU",
    "delta1": "δ < 1.25",
    "psnr": "PSNR",
    "distance": "distance",
    "cka": "CKA",
    "index_agreement": "index agreement",
}


def _measures(row: dict) -> str:
    if "miou" in row:
        return f"mIoU {100 * row['miou']:.1f} %, {100 * row['global']:.1f} % of pixels right"
    if "psnr" in row:
        return f"PSNR {row['psnr']:.1f} dB"
    return f"δ < 1.25 for {100 * row['delta1']:.1f} % of pixels, RMSE {row['rmse']:.2f} m"


MINUTES = {
    "ten_minutes_course": "preset `course`, cut short",
    "ten_minutes_ablation": "preset `ablation`, no pooling indices, pseudo-pairs from a quarter on",
}
"""The trainings that were measured on the way, with their titles."""


def minutes_table(results: str | Path = RESULTS, goal: float = 0.4) -> str:
    """How far minutes of training go, and when depth → segmentation reached `goal`, as a Markdown table."""
    measured = f"depth → segmentation, zero-pair | RGB → segmentation | mIoU {goal:.0%} after"
    lines = [f"| recipe | images | steps | minutes | {measured} |", "| --- " * 7 + "|"]
    for name, title in MINUTES.items():
        result = read(name, results)
        reached = [point["seconds"] for point in result["progress"] if point["depth_to_segmentation"] >= goal]
        cells = [title, f"{result['size']} × {result['size']}", f"{result['step']:,}", f"{result['seconds'] / 60:.1f}"]
        for translation in ("depth_to_segmentation", "rgb_to_segmentation"):
            cells.append(f"mIoU {100 * result['translations'][translation]['miou']:.1f} %")
        cells.append(f"{reached[0] / 60:.1f} minutes" if reached else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


SHAPES = {
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
}
"""The trials of `data/results/gpu/shapes.json`, with their titles."""


def shapes_table(results: str | Path = RESULTS) -> str:
    """What trials on a GPU measured on validation's seen pairs, as a Markdown table."""
    runs = {run["name"]: run for run in read("gpu/shapes", results)["runs"]}
    heads = ("steps", "RGB → segmentation", "RGB → depth", "RGB → RGB", "agreement of depth → segmentation")
    lines = [f"| trial | {' | '.join(heads)} |", "| --- " * (1 + len(heads)) + "|"]
    for name, title in SHAPES.items():
        run, rows = runs[name], runs[name]["translations"]
        cells = [f"{run['steps']:,}"]
        for row, measure in (("rgb_to_segmentation", "miou"), ("rgb_to_depth", "delta1"), ("rgb_to_rgb", "psnr")):
            value = rows.get(row, {}).get(measure)
            cells.append("" if value is None else f"{value:.1f} dB" if measure == "psnr" else f"{100 * value:.1f} %")
        agreed = run.get("agreement", {}).get("depth_to_segmentation")
        cells.append(f"{100 * agreed['miou']:.1f} %" if agreed else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def curve(log: str | Path, points: int = 100) -> list[dict]:
    """The training curve that `fit` wrote, thinned to about so many lines: step, learning rate and loss terms."""
    lines = Path(log).read_text().splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // points)]]


def curves(preset: str = "course", results: str | Path = RESULTS) -> dict[str, list[dict]]:
    """The training curves of finished runs of a preset, by experiment; results without one are left out."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(Path(results).glob("*.json"))}
    return {
        name: result["curve"]
        for name, result in found.items()
        if "curve" in result and result["recipe"]["name"] == preset
    }
