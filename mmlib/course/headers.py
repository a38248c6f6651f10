"""Questions, times and exercises, read from the text of the notebooks."""

import json
import math
import re
from pathlib import Path

from ..data.shipped import SHIPPED
from ..hardware.files import markdown, put

NOTEBOOKS = SHIPPED.parents[1] / "notebooks"
INSTRUCTORS = NOTEBOOKS / "instructors.md"
README = NOTEBOOKS.parent / "README.md"
EXERCISES_BEGIN, EXERCISES_END = "<!-- exercises:begin -->", "<!-- exercises:end -->"
OUTLINE_BEGIN, OUTLINE_END = "<!-- outline:begin -->", "<!-- outline:end -->"
QUESTIONS = {
    "00": "Can a network translate between two kinds of image that it never saw together?",
    "01": "If three networks describe the same rooms, each for itself, can one read another's description?",
    "02": "What must training ask for, so that three encoders write the same thing about the same room?",
    "03": "What may an encoder tell a decoder that has never met it, and be understood?",
    "04": "What can we minimise so that an encoder and a decoder that never meet understand each other?",
    "05": "What does a number reward, what does it hide, and how sure is it?",
    "05b": "Which of the paper's claims hold here, and which do not?",
    "06": "Can a network use two images at once, without another step of training, and is the answer better?",
    "07": "Does everything have to be trained anew for each newcomer, or can it be plugged into what is there?",
    "08": "What would it take to train at the paper's scale: how much arithmetic, memory and time?",
    "09": "Which translation between images of your own can a network learn that never sees the two of one scene?",
    "09_example": "What does a finished project look like?",
}
"""By the number of a notebook, or how its name begins: its question, as one understands it before one has read it."""
SPEED = 120  # words of the text that a reader takes in per minute, figures included


def update_instructors(page: str | Path = INSTRUCTORS, notebooks: str | Path = NOTEBOOKS) -> bool:
    """Put the table of exercises between the markers of the instructors' page; return whether anything changed."""
    return put(page, EXERCISES_BEGIN, EXERCISES_END, f"\n{exercise_table(notebooks)}\n")


def update_outline(page: str | Path = README, notebooks: str | Path = NOTEBOOKS) -> bool:
    """Put the outline between the README's markers; return whether anything changed."""
    return put(page, OUTLINE_BEGIN, OUTLINE_END, f"\n{outline('notebooks/', notebooks)}\n")


def times(notebooks: str | Path = NOTEBOOKS) -> dict[str, tuple[float, float]]:
    """Minutes to run on 2 CPU cores, and to read and do, by notebook: from the *Time* rows of their headers."""
    found = {}
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        prose = "\n".join(source for kind, source in _cells(path) if kind == "markdown")
        if match := re.search(r"^\| Time \| about ([\d.]+) minutes? to run .*?, ([\d.]+) to read", prose, re.M):
            found[path.stem] = (float(match[1]), float(match[2]))
    return found


def outline(folder: str = "", notebooks: str | Path = NOTEBOOKS) -> str:
    """All notebooks with their questions and minutes as a Markdown table; `folder` stands before each link.

    Minutes to read are the words of the text over `SPEED`, rounded up to whole fives; those to run are the header's.
    """
    lines = ["| notebook | its question | read | run | exercises |", "| --- | --- | ---: | ---: | ---: |"]
    running, done, sums = times(notebooks), exercises(notebooks), [0.0, 0.0, 0.0]
    for path in sorted(Path(notebooks).glob("[0-9][0-9]*_*.ipynb")):
        prose = "\n\n".join(source for kind, source in _cells(path) if kind == "markdown")
        number, name, rest = re.search(r"^# (\w+) · ([^:\n]+)(.*)$", prose, re.M).groups()
        name = name.strip() + (rest if "example" in path.stem else "")
        minutes = (
            5 * math.ceil(len(prose.split()) / SPEED / 5),
            running.get(path.stem, (0.0,))[0],
            sum(row["minutes"] for row in done if row["notebook"] == path.name),
        )
        sums = [total + one for total, one in zip(sums, minutes)]
        cells = [f"{minute:g}" if minute else "" for minute in minutes]
        lines.append(f"| [{number} {name}]({folder}{path.name}) | {question(path.stem)} | {' | '.join(cells)} |")
    whole = " | ".join(f"{total:g}" for total in sums)
    lines.append(f"| all | in minutes; together {sum(sums) / 60:.1f} hours | {whole} |")
    return "\n".join(lines)


def question(notebook: str) -> str:
    """The question of a notebook, by its name without the ending; `KeyError` where `QUESTIONS` has none."""
    example = re.match(r"\w+?_example", notebook)
    return QUESTIONS[example[0] if example else notebook.split("_")[0]]


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
    rows = (
        (row["difficulty"], f"[{row['number']} · {row['title']}]({row['notebook']})", f"`{row['name']}`",
         str(row["minutes"]))
        for row in sorted(exercises(notebooks), key=lambda row: row["difficulty"].count("●"))
    )  # fmt: skip
    return markdown(("difficulty", "exercise", "function", "minutes"), rows)


def _cells(notebook: Path) -> list[tuple[str, str]]:
    """Type and source of a notebook's cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
