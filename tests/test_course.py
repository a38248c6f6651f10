"""The course as a whole: executed in place, run by papermill without ever hanging, and made into linked web pages."""

import html.parser
import json
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import mmlib.course
from mmlib.__main__ import main
from mmlib.course import notebooks

RUNS = int(os.environ.get("HEADLESS_RUNS", "1"))  # .ci/run asks for 20
EXPLORERS = """
import torch
from mmlib import MixAndMatch, preset, shipped
from mmlib.course.widgets import fusion_explorer, pooling_explorer, translation_explorer
model, rooms = MixAndMatch.from_recipe(preset("smoke")).eval(), shipped("test", 32)
---
translation_explorer(model, rooms)
---
pooling_explorer(torch.arange(16.0).view(4, 4) % 10)
---
fusion_explorer(model, rooms)
"""


def write(path: Path, *sources: str, **metadata) -> Path:
    """A notebook of these code cells; the first is tagged `parameters`."""
    cells = [new_code_cell(source.strip(), metadata={"trusted": True}) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel, **metadata}), path)
    return path


def test_explorers_never_hang_a_headless_run(tmp_path):
    notebook, out = write(tmp_path / "explorers.ipynb", *EXPLORERS.split("---")), tmp_path / "out.ipynb"
    options = ["-k", "python3", "--execution-timeout", "60", "--no-progress-bar"]
    command = [sys.executable, "-m", "papermill", *options, str(notebook), str(out)]
    environment = {**os.environ, "JPY_SESSION_NAME": "the notebook that started papermill"}
    for _ in range(RUNS):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        outputs = [cell["outputs"] for cell in json.loads(out.read_text())["cells"] if cell["outputs"]]
        assert [list(output["data"]) for (output,) in outputs] == [["image/png", "text/plain"]] * 3
        out.unlink()


def test_execute_keeps_outputs_seconds_and_tags_alone(tmp_path):
    path = write(
        tmp_path / "a.ipynb", "steps: int = 1  # help", "for word in 'ab': print(word, flush=True)", papermill={}
    )
    assert main(["execute", str(path)]) == 0
    notebook = json.loads(path.read_text())
    assert set(notebook["metadata"]) == {"kernelspec", "language_info", "mmlib"}
    assert 0 < notebook["metadata"]["mmlib"]["seconds"] < 60
    assert [cell["metadata"] for cell in notebook["cells"]] == [{"tags": ["parameters"]}, {}]
    assert [cell["execution_count"] for cell in notebook["cells"]] == [1, 2]
    assert notebook["cells"][1]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["a\n", "b\n"]}]


def test_execute_leaves_a_failing_notebook_as_it_was(tmp_path, capsys):
    path = write(tmp_path / "a.ipynb", "1 / 0")
    before = path.read_bytes()
    assert main(["execute", str(path)]) == 2
    assert capsys.readouterr().err == f"mmlib: {path}: ZeroDivisionError: division by zero\n"
    assert path.read_bytes() == before


def test_course_runs_all_in_order_with_the_parameters_they_know(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    write(tmp_path / "00_first.ipynb", "room: int = 0  # help", "print(room)")
    write(tmp_path / "01_second.ipynb", 'out: str = ""  # help\nroom: int = 0  # help', "print(room, out)", "1 / room")
    arguments = ["course", "--out", str(tmp_path / "out"), "-p"]
    assert main([*arguments, "nosuch", "1"]) == 2
    assert "no notebook has a parameter nosuch: there are out, room" in capsys.readouterr().err
    assert main([*arguments, "room", "7"]) == 0
    assert re.fullmatch(r"00_first +\d+ s\n01_second +\d+ s\nEverything is in .+\.\n", capsys.readouterr().out)
    outputs = [json.loads((tmp_path / f"out/{name}.ipynb").read_text())["cells"] for name in ("00_first", "01_second")]
    said = ["".join(cell["outputs"][0]["text"]) for cells in outputs for cell in cells if "print" in cell["source"][0]]
    assert said == ["7\n", f"7 {tmp_path / 'out/01_second'}\n"]
    assert main([*arguments, "room", "0"]) == 2
    assert f"{tmp_path / 'out/01_second.ipynb'}: ZeroDivisionError: division by zero" in capsys.readouterr().err


class Page(html.parser.HTMLParser):
    """What a page refers to, the places in it that one can refer to, and how it describes its pictures."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.places, self.pictures = [], set(), []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.places.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img":
            self.pictures.append((attributes.get("src", ""), attributes.get("alt", "")))


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> dict[str, Page]:
    """The course as web pages, by their names."""
    out = tmp_path_factory.mktemp("html")
    assert main(["html", "--out", str(out)]) == 0
    return {path.relative_to(out).as_posix(): Page(path) for path in out.rglob("*.html")}


def test_every_link_of_the_pages_leads_somewhere(copy):
    sources = [*notebooks.notebooks(), *notebooks.NOTEBOOKS.glob("*.md")]
    made = {f"{path.stem}.html" for path in sources} | {"api/mmlib.html", "api/mmlib/course.html"}
    assert copy.keys() == {"index.html", "api/index.html", *made} and made <= set(copy["index.html"].links)
    for name, page in copy.items():
        for link in page.links:
            if not re.match(r"https?:|mailto:", link):
                target, _, place = link.partition("#")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
                assert target in copy, f"{name}: {link}"
                assert not place or {place, unquote(place)} & copy[target].places, f"{name}: {link}"


@pytest.mark.parametrize("module, page", [(mmlib, "api/mmlib.html"), (mmlib.course, "api/mmlib/course.html")])
def test_the_pages_of_the_library_have_all_that_it_offers_and_nothing_of_this_machine(copy, module, page):
    assert {name for name in module.__all__ if name != "__version__"} <= copy[page].places
    assert not re.search(
        rf"{re.escape(str(Path.home()))}/|{re.escape(str(notebooks.NOTEBOOKS.parent))}|at 0x", copy[page].text
    )


def test_every_picture_of_the_pages_is_there_and_described(copy):
    assert sum(len(page.pictures) for page in copy.values()) >= len(notebooks.notebooks())
    for name, page in copy.items():
        for source, words in page.pictures:
            assert source.startswith("data:image/"), f"{name}: {source[:80]}"
            assert words == "pdoc logo" or len(words) > 20 and "No description" not in words, f"{name}: {words}"


def test_pages_refuse_a_link_that_leads_nowhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    (tmp_path / "other.txt").write_text("a file that is no page")
    (tmp_path / "glossary.md").write_text("# Glossary\n\n[other](other.txt) [first](00_first.ipynb#First)")
    notebook = new_notebook(cells=[new_markdown_cell("# First\n\n**Who?**\n\n[terms](glossary.md)")])
    nbformat.write(notebook, tmp_path / "00_first.ipynb")
    assert main(["html", "--out", str(tmp_path / "out")]) == 0
    glossary = (tmp_path / "out/glossary.html").read_text()
    assert '<p>other <a href="00_first.html#First">first</a></p>' in glossary
    assert "Who?" in (tmp_path / "out/index.html").read_text()
    (tmp_path / "glossary.md").write_text("# Glossary\n\n[gone](00_gone.ipynb)")
    assert main(["html", "--out", str(tmp_path / "out")]) == 2
    assert "Glossary: the link to 00_gone.ipynb leads nowhere" in capsys.readouterr().err


def test_what_a_notebook_imports_needs_no_evidence():
    code = """
import sys, mmlib.course
print("matplotlib" in sys.modules)
from mmlib.course import agree, check, parameters, plots, verdict
print(any(name.startswith("mmlib.evidence") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
