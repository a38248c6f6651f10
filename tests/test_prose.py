"""Figures in prose are those of their files: `71.2 %<!-- course/none_0: depth_to_segmentation miou -->`.

The comment does not show. It names a file of `data/results` (without its seed: the mean of all seeds of the recipe as
declared now), and the keys that lead to the value, from the file's top or from `translations`; a whole number takes an
element of a list. With `%` the value is taken times 100. Both are compared at the precision that is printed.
"""

import json
import re
from pathlib import Path
from statistics import mean

import pytest

from mmlib.evidence import experiments, tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.md")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
COMMENT = r"<!-- (?P<file>\w+/[\w.+-]+): (?P<keys>[^>]+?) -->"
FIGURE = re.compile(rf"(?P<number>[-−+]?\d+(?:\.\d+)?)(?P<unit> ?%| ?\w+)?[*]*{COMMENT}")


def prose(page: Path) -> str:
    """A page's Markdown; of a notebook, that of its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def looked_up(file: str, keys: str) -> float:
    """The value that a comment names; `FileNotFoundError`, `KeyError` or `IndexError` where there is none."""
    path = experiments.RESULTS / f"{file}.json"
    found = [json.loads(path.read_text(encoding="utf-8"))] if path.exists() else tables.load(*file.split("/"), seeds=10)
    if not found:
        raise FileNotFoundError(f"data/results has neither {file}.json nor a seed of it")
    return mean(_followed(result, keys.split()) for result in found)


def _followed(found: dict, keys: list[str]) -> float:
    if keys[0] not in found:
        found = found["translations"]
    for key in keys:
        found = found[int(key) if isinstance(found, list) else key]
    return found


def wrong(text: str) -> list[str]:
    """What a text says otherwise than its files, and comments that no number stands before."""
    figures = list(FIGURE.finditer(text))
    ends = {figure.end() for figure in figures}
    said = [f"no number before {match[0]}" for match in re.finditer(COMMENT, text) if match.end() not in ends]
    for figure in figures:
        number = figure["number"].replace("−", "-").removeprefix("+")
        try:
            value = looked_up(figure["file"], figure["keys"]) * (100 if "%" in (figure["unit"] or "") else 1)
        except (FileNotFoundError, KeyError, IndexError) as error:
            said.append(f"{figure[0]}: {error!r}")
            continue
        if f"{value:.{len(number.partition('.')[2])}f}" != number:
            said.append(f"{figure[0]}: the file has {value:.4f}")
    return said


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_figures_are_those_of_their_files(page):
    assert wrong(prose(page)) == []


@pytest.fixture
def results(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for seed, share in enumerate((0.70, 0.72)):
        content = {"translations": {"x_to_y": {"miou": share, "psnr": -1.25}}, "fused": [{"miou": 0.5}]}
        (tmp_path / f"a/run_{seed}.json").write_text(json.dumps(content))
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "**71.0 %**<!-- a/run: x_to_y miou --> on average",
        "0.70<!-- a/run_0: x_to_y miou --> and 72 %<!-- a/run_1: x_to_y miou -->",
        "−1.25 dB<!-- a/run: x_to_y psnr -->, 0.5<!-- a/run: fused 0 miou -->",
        "<!-- headline:begin -->",
    ],
)
def test_a_figure_is_compared_at_its_precision(text, results):
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("71.1 %<!-- a/run: x_to_y miou -->", "the file has 71.0000"),
        ("71<!-- a/run: x_to_y miou -->", "the file has 0.7100"),
        ("it is<!-- a/run: x_to_y miou -->", "no number before"),
        ("1<!-- a/gone: x_to_y miou -->", "neither a/gone.json"),
        ("1<!-- a/run: x_to_z miou -->", "x_to_z"),
    ],
)
def test_a_wrong_figure_is_named(text, message, results):
    (said,) = wrong(text)
    assert message in said
