"""The glossary: in order, nothing twice, and each term used in the notebook that it links to."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
TEXT = (NOTEBOOKS / "glossary.md").read_text(encoding="utf-8")
NAME = r"\*\*(?P<term>.+?)\*\*(?: \([^)]+\))?"  # **CKA** (centred kernel alignment)
ENTRY = re.compile(rf"^- {NAME}: (?P<text>.+?) \[(?P<title>\d\d\w? [^\]]+)\]\((?P<link>[^)]+)\)$", re.M)
ENTRIES = [match.groupdict() for match in ENTRY.finditer(TEXT)]


def words(notebook: str) -> str:
    """What a notebook says in Markdown, in small letters, without emphasis and line breaks."""
    cells = json.loads((NOTEBOOKS / notebook).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return " ".join(text.replace("*", "").casefold().split())


def test_every_line_of_the_list_is_an_entry():
    assert len(ENTRIES) == len(re.findall(r"^- ", TEXT, re.M)) >= 40


def test_terms_are_in_alphabetical_order_and_none_is_there_twice():
    terms = [re.sub(r"[^\w ]", " ", entry["term"]).casefold().strip() for entry in ENTRIES]
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_an_entry_is_short_and_used_in_the_notebook_that_it_links_to(entry):
    assert (NOTEBOOKS / entry["link"]).is_file()
    assert entry["link"].startswith(entry["title"][:3].strip() + "_")
    term = entry["term"].casefold()
    assert re.search(rf"(?<!\w){re.escape(term)}", words(entry["link"])), "no notebook cell uses it: link to another"
    assert entry["text"].endswith(".") and 1 <= len(re.findall(r"[.?](?= |$)", entry["text"])) <= 2
