"""What `make lint` finds in the course's English, and what it lets pass."""

import pytest

from language import findings, main


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Each domain has one encoder a modality.", "per"),
        ("a row a source, and more", "per"),
        ("It takes 60 s a notebook.", "per"),
        ("two small images a\nstep", "per"),
        ("It fails, for it is frozen.", "because"),
        ("It fails, for the decoder of RGB has never met it.", "because"),
        ("(all of them), for nobody wants it", "because"),
    ],
)
def test_a_habit_is_found(text, instead):
    assert [found for found, _ in findings(text)] == [instead]


@pytest.mark.parametrize(
    "text",
    [
        "One encoder per modality takes 60 s per notebook, because it is frozen.",
        "This is not a modality. It gives each node a name.",
        "One is a row, and a row is a room.",
        "It is the same for the decoder, for a room, and for it alone.",
        "`one encoder a modality` is code, and so is\n\n```python\nfor it in a, for it is: ...\n```",
        "Then a decoder understands an encoder. At the edge of a table a network is unsure.",
        "A network for all, for rooms that were never seen.",
    ],
)
def test_other_sentences_pass(text):
    assert list(findings(text)) == []


def test_it_names_file_and_place(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("language.ROOT", tmp_path)
    (tmp_path / "a.py").write_text('def f():\n    """One row a room."""\n')
    (tmp_path / "b.md").write_text("One row per room.")
    assert main([tmp_path / "a.py", tmp_path / "b.md"]) == 1
    assert capsys.readouterr().out == "a.py, line 2: 'per' is meant: … One row a room. …\n"
