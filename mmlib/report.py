"""Results in words: the headline table of the README and of the notebooks, made from `data/results/*.json`."""

import json
from pathlib import Path

from .data import SHIPPED, written_whole

RESULTS = SHIPPED.parent / "results"
CHECKPOINT = SHIPPED.parent / "checkpoints" / "course.safetensors"
PICTURE = RESULTS / "zero_pair.png"
README = SHIPPED.parents[1] / "README.md"
BEGIN, END = "<!-- headline:begin -->", "<!-- headline:end -->"

ROWS = (
    ("course", "rgb_to_segmentation", "RGB → segmentation", "yes, in D1"),
    ("course", "depth_to_segmentation", "**depth → segmentation**", "**never: zero-pair**"),
    ("oracle", "depth_to_segmentation", "depth → segmentation, supervised oracle", "yes, in rooms of its own"),
    ("course", "rgb_to_depth", "RGB → depth", "yes, in D2"),
    ("course", "segmentation_to_depth", "**segmentation → depth**", "**never: zero-pair**"),
)


def read(name: str, results: str | Path = RESULTS) -> dict:
    """The result `name` (course, oracle) as `evaluate` made it; `FileNotFoundError` names the missing file."""
    path = Path(results) / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: it comes with the repository, get it again")
    return json.loads(path.read_text())


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


def consistency_table(results: str | Path = RESULTS) -> str:
    """The trials behind the choice of a consistency, on validation's seen pairs, as a Markdown table."""
    forms = {"latent": "last latent", "all_stages": "every stage"}
    trials = {
        f"{form}, seed {seed}": _validated(read(f"consistency_{kind}_{seed}", results))
        for kind, form in forms.items()
        for seed in range(2)
    }
    lines = [f"| on validation | {' | '.join(trials)} |", "| --- " * (1 + len(trials)) + "|"]
    for title in next(iter(trials.values())):
        lines.append(f"| {title} | {' | '.join(cells[title] for cells in trials.values())} |")
    return "\n".join(lines)


def _validated(trial: dict) -> dict[str, str]:
    """What a trial's result says of each seen translation, and of the alignment of each pair, stage by stage."""
    cells = {}
    for name, row in trial["translations"].items():
        measure = next(measure for measure in ("miou", "delta1", "psnr") if measure in row)
        value = f"{row[measure]:.1f} dB" if measure == "psnr" else f"{100 * row[measure]:.1f} %"
        cells[f"{name.replace('_to_', ' → ')}: {UNITS[measure]}"] = value
    for pair, row in trial["alignment"].items():
        cells[f"{pair}: retrieval@1"] = f"{100 * row['retrieval_at_1']:.0f} %"
        for measure in ("distance", "cka", "index_agreement"):
            cells[f"{pair}: {UNITS[measure]} by stage"] = ", ".join(f"{stage:.2f}" for stage in row[measure])
    return cells


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


def update_readme(readme: str | Path = README, results: str | Path = RESULTS) -> bool:
    """Put the headline table between the README's markers; whether anything changed."""
    old = Path(readme).read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise ValueError(f"{readme} lacks the markers {BEGIN} and {END}: put them where the table belongs")
    new = old[: old.index(BEGIN)] + f"{BEGIN}\n{headline_table(results)}\n" + old[old.index(END) :]
    if new != old:
        with written_whole(readme) as stream:
            stream.write(new.encode())
    return new != old


def agree(live: dict, stored: dict, tolerance: float = 0.005) -> bool:
    """Whether two results of `evaluate` say the same of the same rooms, in every share (mIoU, global, δ)."""
    if live["data_sha256"] != stored["data_sha256"] or live["translations"].keys() != stored["translations"].keys():
        return False
    shares = ("miou", "global", "delta1", "delta2", "delta3")
    return all(
        abs(row[share] - stored["translations"][name][share]) <= tolerance
        for name, row in live["translations"].items()
        for share in shares
        if share in row
    )


def verdict(claim: str, holds: bool) -> None:
    """Print `PASS claim`; where it does not hold, `AssertionError` with the claim stops the notebook."""
    if not holds:
        raise AssertionError(f"FAIL {claim}")
    print(f"PASS {claim}")
