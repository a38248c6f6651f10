"""Commands for learners and instructors."""

import ast
from typing import Annotated

from cyclopts import Parameter

from .app import Folder, about, app


@app.command
def grade(
    notebooks: Annotated[list[str], about("Their code is run: look at what strangers send.")],
    /,
    *,
    json: Annotated[str | None, about("File for the outcomes with their hints.")] = None,
) -> None:
    """Run the answers to the exercises in learners' notebooks, and say which pass."""
    from ..course.exercises import grades

    print(grades(notebooks, json))


@app.command
def execute(notebooks: Annotated[list[str], about("Which ones.")], /) -> None:
    """Execute notebooks in place, as they are committed."""
    from ..course.notebooks import execute

    for path in notebooks:
        print(f"{path}: {execute(path)} s", flush=True)


@app.command(name="course")
def run_course(
    *,
    out: Annotated[Folder, about("Folder for the executed notebooks.")],
    parameters: Annotated[
        list[tuple[str, str]],
        Parameter(name="-p", allow_leading_hyphen=True, help="NAME VALUE for each notebook that knows it; repeatable."),
    ] = (),
) -> None:
    """Run all notebooks in order, headless, into a folder."""
    from ..course.notebooks import run

    run(out, **{name: _literal(value) for name, value in parameters})


def _literal(text: str):
    """A parameter as Python would read it (3, 0.5, True), and as a string where it would not."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@app.command(name="html")
def pages(*, out: Annotated[Folder, about("Folder for the pages.")]) -> None:
    """Make web pages of the executed notebooks, with a contents page."""
    from ..course.notebooks import pages

    print(f"the contents page: {pages(out)}")
