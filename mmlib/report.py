"""Results in words, made from `data/results/*.json`, and what the notebooks say of themselves, as tables."""

import functools
import json
import re
from pathlib import Path

from .costs import cost, parallel
from .data import SHIPPED, shipped, written_whole
from .experiments import CHECKPOINTS, RESULTS
from .grids import PRESET
from .objectives import ZeroPair
from .recipes import preset
from .speedrun import records_table
from .tables import grid_table, render

CHECKPOINT = CHECKPOINTS / "course.safetensors"
COLOUR_CHECKPOINT = CHECKPOINTS / "colours.safetensors"
STYLE_CHECKPOINT = CHECKPOINTS / "styles.safetensors"
PICTURE = RESULTS / "zero_pair.png"
README = SHIPPED.parents[1] / "README.md"
BEGIN, END = "<!-- headline:begin -->", "<!-- headline:end -->"
EVIDENCE_BEGIN, EVIDENCE_END = "<!-- evidence:begin -->", "<!-- evidence:end -->"
MANY_BEGIN, MANY_END = "<!-- many-domains:begin -->", "<!-- many-domains:end -->"
NOTEBOOKS = SHIPPED.parents[1] / "notebooks"
INSTRUCTORS = NOTEBOOKS / "instructors.md"
EXERCISES_BEGIN, EXERCISES_END = "<!-- exercises:begin -->", "<!-- exercises:end -->"

MINUTES_BEGIN, MINUTES_END = "<!-- minutes:begin -->", "<!-- minutes:end -->"
RECORDS_BEGIN, RECORDS_END = "<!-- records:begin -->", "<!-- records:end -->"
SHAPES_BEGIN, SHAPES_END = "<!-- shapes:begin -->", "<!-- shapes:end -->"
MACHINES = NOTEBOOKS / "several_machines.md"
GPUS_BEGIN, GPUS_END = "<!-- gpus:begin -->", "<!-- gpus:end -->"

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


EVIDENCE = {
    "table1": "**Side information** (the paper's Table 1): depth → segmentation, zero-pair. The paper's figures are of "
    "its own data and scale, and of its own ablation.",
    "table2": "**What each part adds** (Table 2): depth → segmentation, zero-pair, with pooling indices.",
    "table3": "**Depth → segmentation by all methods** (Table 3). *Gap closed*: 0 % is the best of the paper's own "
    "baselines, 100 % the oracle.",
    "table4": "**Segmentation → depth by all methods** (Table 4).",
}
"""The grids that the README shows, with their captions."""


def evidence(preset: str = "ablation") -> str:
    """The paper's tables, measured, as Markdown."""
    return "\n\n".join(f"{caption}\n\n{grid_table(name, preset)}" for name, caption in EVIDENCE.items())


MANY = {
    "five": "**Five modalities**: each cell says trained jointly / plugged in one after the other / alone on pairs of "
    "its own (one seed). Bold: no pair was seen, but by *alone*.",
    "colours": "**Eleven colours**: furniture recoloured, on 60 scenes rendered in all colours; one training a row. "
    "Errors (CIEDE2000) within the object and, against the source, outside it.",
    "styles": "**Four styles and photos**: against the exact stylisation of 100 test rooms; one training a row.",
}
"""The grids of many domains (sections 3.3 and 5.5), with their captions."""


def many_domains() -> str:
    """What was measured of many domains, as Markdown."""
    return "\n\n".join(
        f"{caption}\n\n{render(name, PRESET.get(name, 'ablation'), 1 if name in PRESET else 3)}"
        for name, caption in MANY.items()
    )


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


def update_readme(readme: str | Path = README, results: str | Path = RESULTS) -> bool:
    """Put the headline table of `results`, the evidence, and the tables of many domains, of minutes, of records and of
    shapes between the README's markers; whether anything changed."""
    tables = ((BEGIN, END, headline_table(results)), (EVIDENCE_BEGIN, EVIDENCE_END, evidence()),
              (MANY_BEGIN, MANY_END, many_domains()), (MINUTES_BEGIN, MINUTES_END, minutes_table()),
              (RECORDS_BEGIN, RECORDS_END, records_table()), (SHAPES_BEGIN, SHAPES_END, shapes_table()))  # fmt: skip
    return any([_put(readme, *table) for table in tables])


def update_instructors(page: str | Path = INSTRUCTORS, notebooks: str | Path = NOTEBOOKS) -> bool:
    """Put the table of exercises between the markers of the instructors' page; whether anything changed."""
    return _put(page, EXERCISES_BEGIN, EXERCISES_END, f"\n{exercise_table(notebooks)}\n")


PEAK, SHARES = 990e12, (0.2, 0.5)  # FLOP/s of an H100 in dense bf16, by its data sheet; the share reached is assumed
LINKS = {"NVLink, 450 GB/s": 450e9, "a network of 50 GB/s for each GPU": 50e9}
"""Bytes a second that a GPU sends while it receives as many, by link: the H100's data sheet; 400 Gbit/s."""


@functools.cache
def gpus_table() -> str:
    """What several GPUs would give the paper's training, computed, as a Markdown table."""
    recipe, rooms = preset("paper"), ZeroPair(shipped("d1").subset(0, 2), shipped("d2").subset(0, 2))
    phases = [(phase.steps, cost(recipe, rooms, number)) for number, phase in enumerate(recipe.phases)]
    lines = [
        f"| GPUs | each sends in a step | {' | '.join(f'times as fast over {link}' for link in LINKS)} | hours |",
        "| --- " * (3 + len(LINKS)) + "|",
    ]
    for gpus in (1, 2, 4, 8, 32):
        cells = []
        for bandwidth in LINKS.values():
            speeds = [parallel(phases[0][1], gpus, PEAK * share, bandwidth).speed for share in SHARES]
            cells.append(f"{min(map(min, speeds)):.1f} to {max(map(max, speeds)):.1f}")
        hours = [sum(steps * one.flops for steps, one in phases) / (gpus * PEAK * share) / 3600 for share in SHARES]
        sent = f"{parallel(phases[0][1], gpus, PEAK, 1.0).exchanged / 1e9:.2f} GB"
        lines.append(f"| {gpus} | {sent} | {' | '.join(cells)} | {min(hours):.2f} to {max(hours):.2f} |")
    return "\n".join(lines)


def update_machines(page: str | Path = MACHINES) -> bool:
    """Put the arithmetic of several GPUs between the markers of their page; whether anything changed."""
    return _put(page, GPUS_BEGIN, GPUS_END, f"\n{gpus_table()}\n")


def _put(page: str | Path, begin: str, end: str, text: str) -> bool:
    old = Path(page).read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise ValueError(f"{page} lacks the markers {begin} and {end}: put them where the table belongs")
    new = old[: old.index(begin)] + f"{begin}\n{text}\n" + old[old.index(end) :]
    if new != old:
        with written_whole(page) as stream:
            stream.write(new.encode())
    return new != old


def curves(preset: str = "course", results: str | Path = RESULTS) -> dict[str, list[dict]]:
    """The training curves of finished runs of a preset, by experiment; results without one are left out."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(Path(results).glob("*.json"))}
    return {
        name: result["curve"]
        for name, result in found.items()
        if "curve" in result and result["recipe"]["name"] == preset
    }


def times(notebooks: str | Path = NOTEBOOKS) -> dict[str, tuple[float, float]]:
    """Minutes to run on 2 CPU cores, and to read and do, by notebook: from the *Time* rows of their headers."""
    found = {}
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        prose = "\n".join(source for kind, source in _cells(path) if kind == "markdown")
        if match := re.search(r"^\| Time \| about ([\d.]+) minutes? to run .*?, ([\d.]+) to read", prose, re.M):
            found[path.stem] = (float(match[1]), float(match[2]))
    return found


def exercises(notebooks: str | Path = NOTEBOOKS) -> list[dict]:
    """The exercises as the notebooks announce them, in order: number, title, difficulty, minutes, name, notebook."""
    found = []
    heading = re.compile(r"^### Exercise (\S+) · (.+)\n+\*Difficulty ([●○]{3}), about (\d+) minutes", re.M)
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        announced = None
        for kind, source in _cells(path):
            if kind == "markdown":
                announced = heading.search(source) or announced
            elif announced and (name := re.search(r"^check\((\w+)\)$", source, re.M)):
                number, title, difficulty, minutes = announced.groups()
                exercise = {"number": number, "title": title, "difficulty": difficulty, "minutes": int(minutes)}
                found.append({**exercise, "name": name[1], "notebook": path.name})
                announced = None
    return found


def exercise_table(notebooks: str | Path = NOTEBOOKS) -> str:
    """All exercises, the easiest first, as a Markdown table that links to their notebooks."""
    lines = ["| difficulty | exercise | function | minutes |", "| --- | --- | --- | --- |"]
    for row in sorted(exercises(notebooks), key=lambda row: row["difficulty"].count("●")):
        link = f"[{row['number']} · {row['title']}]({row['notebook']})"
        lines.append(f"| {row['difficulty']} | {link} | `{row['name']}` | {row['minutes']} |")
    return "\n".join(lines)


def _cells(notebook: Path) -> list[tuple[str, str]]:
    """Type and source of a notebook's cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


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
