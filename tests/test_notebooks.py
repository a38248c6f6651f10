"""The committed notebooks are executed, clean and checked; their parameters are typed and guarded."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmlib.course import parameters
from mmlib.course.headers import times

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_is_executed_in_order_and_has_outputs(path):
    code = cells(path)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), f"execute {path.name} again"
    assert any(cell["outputs"] for cell in code)
    assert any("PASS" in json.dumps(cell["outputs"]) for cell in code)


@each
def test_outputs_are_clean(path):
    for cell in cells(path):
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr", source(cell)
            said = [output.get("text", ""), {k: v for k, v in output.get("data", {}).items() if k != "image/png"}]
            assert not re.search(r"Traceback|Warning|FAIL", json.dumps(said)), source(cell)


@each
def test_says_nothing_of_the_machine_that_ran_it(path):
    notebook = json.loads(path.read_text())
    text = re.sub(r'"image/png": "[^"]*"', "", json.dumps(notebook))
    assert not re.search(r"/(home|work|root|tmp|Users)/|[A-Z]:\\\\", text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info", "mmlib"}, "use `make notebooks`"
    assert "version" not in notebook["metadata"]["language_info"]
    for cell in notebook["cells"]:
        assert cell["id"] and set(cell["metadata"]) <= {"tags"}, "execution times or editor state: use `make notebooks`"


@each
def test_takes_the_minutes_that_its_header_says(path):
    assert path.stem in times(), "write | Time | about N minutes to run on 2 CPU cores, M to read and do |"
    minutes, seconds = times()[path.stem][0], json.loads(path.read_text())["metadata"]["mmlib"]["seconds"]
    assert seconds <= 120 * minutes and (seconds >= 30 * minutes or minutes <= 1), f"it took {seconds} seconds"


@each
def test_every_picture_is_described_in_words(path):
    for cell in cells(path):
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                assert len(output["metadata"].get("image/png", {}).get("alt", "")) > 20, source(cell)
    pictures = re.findall(r"!\[(.*?)\]\(|<img (.*?)>", "".join(map(source, cells(path, "markdown"))))
    assert all(markdown or re.search(r'alt="[^"]', html) for markdown, html in pictures)


@each
def test_parameters_are_typed_explained_and_checked(path):
    code = cells(path)
    places = [number for number, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", [])]
    if not places and not re.search(r"parameters\.check", "".join(map(source, code))):
        pytest.skip("takes no parameters")
    assert places == [0]
    typed = {}
    for line in source(code[0]).splitlines():
        match = re.fullmatch(r"(\w+): (int|float|str|bool) = (.+?)  # \S.*", line)
        assert match, f"write NAME: TYPE = LITERAL  # help, not {line!r}"
        typed[match[1]] = match[2]
        assert type(ast.literal_eval(match[3])).__name__ == match[2]
    call = re.search(r"parameters\.check\(globals\(\), (.+?)\)", source(code[1]))
    assert call and dict(part.split("=") for part in call[1].split(", ")) == typed


@each
def test_has_questions_with_folded_answers(path):
    text = "".join(map(source, cells(path, "markdown")))
    assert text.count("<details>") == text.count("</details>") >= 3
    assert re.search(r"\*\*Next question", text)


@pytest.mark.parametrize(("path", "after"), list(zip(NOTEBOOKS, NOTEBOOKS[1:])), ids=lambda path: path.stem)
def test_ends_with_a_link_to_the_next(path, after):
    assert re.search(rf"\*\*Next question.*→ \[[^]]+\]\({after.name}\)", source(cells(path, "markdown")[-1]), re.S)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("nosuch", "1", "unknown parameter nosuch"), ("room", "many", "parameter room = 'many' must be int")],
)
def test_a_wrong_parameter_stops_papermill_with_a_sentence(name, value, sentence, tmp_path):
    options = ["-k", "python3", "--execution-timeout", "120", "--no-progress-bar", "-p", name, value]
    notebooks = [str(ROOT / "notebooks/00_welcome.ipynb"), str(tmp_path / "out.ipynb")]
    command = [sys.executable, "-m", "papermill", *options, *notebooks]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()
    assert said.endswith(f"ValueError: {sentence}: this notebook knows room (int), photo (str), device (str)")
    executed = [cell["execution_count"] for cell in cells(tmp_path / "out.ipynb")]
    assert executed[-3:] == [None] * 3, "it went on"


def test_check_accepts_right_parameters_and_later_cells():
    namespace = {"In": [""], "Out": {}, "_i": "", "steps": 3, "rate": 1, "fast": False, "check": print}
    parameters.check(namespace, steps=int, rate=float, fast=bool)
    namespace["result"] = 0.5  # the notebook went on; the learner runs the cell again
    parameters.check(namespace, steps=int, rate=float, fast=bool)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 1, "fast": "false"}, "fast = 'false' must be bool"),
        ({"steps": True, "fast": True}, "steps = True must be int"),
        ({"steps": 1.0, "fast": True}, "steps = 1.0 must be int"),
        ({"steps": 1}, "fast = None must be bool"),
        ({"steps": 1, "fast": True, "stpes": 2}, "unknown parameter stpes"),
    ],
)
def test_check_names_what_is_wrong(values, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence) + ".*: this notebook knows steps"):
        parameters.check(dict(values), steps=int, fast=bool)


def test_run_folder_is_fresh_or_the_one_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert parameters.run_folder("runs/mine") == tmp_path / "runs/mine"
    first, second = parameters.run_folder(""), parameters.run_folder("")
    assert first != second and first.parent == tmp_path / "runs" and first.is_dir()
