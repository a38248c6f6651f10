"""Times and exercises, read from the text of the notebooks."""

import json
import re
from pathlib import Path

from ..data.shipped import SHIPPED
from ..files import put

NOTEBOOKS = SHIPPED.parents[1] / "notebooks"
INSTRUCTORS = NOTEBOOKS / "instructors.md"
EXERCISES_BEGIN, EXERCISES_END = "<!-- exercises:begin -->", "<!-- exercises:end -->"


def update_instructors(page: str | Path = INSTRUCTORS, notebooks: str | Path = NOTEBOOKS) -> bool:
    """Put the table of exercises between the markers of the instructors' page; return whether anything changed."""
    return put(page, EXERCISES_BEGIN, EXERCISES_END, f"\n{exercise_table(notebooks)}\n")


def times(notebooks: str | Path = NOTEBOOKS) -> dict[str, tuple[float, float]]:
    """Minutes to run on 2 CPU cores, and to read and do, by notebook: from the *Time* rows of their headers."""
    found = {}
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        prose = "\n".join(source for kind, source in _cells(path) if kind == "markdown")
        if match := re.search(r"^\| Time \| about ([\d.]+) minutes? to run .*?, ([\d.]+) to read", prose, re.M):
            found[path.stem] = (float(match[1]), float(match[2]))
    return found


def exercises(notebooks: str | Path = NOTEBOOKS) -> list[dict]:
    """The exercises of the notebooks in order: number, title, difficulty, minutes, name, notebook."""
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
