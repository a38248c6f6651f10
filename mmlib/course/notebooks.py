"""The course as a whole: its notebooks executed as they are committed, run into a folder, or made into web pages."""

import re
import time
from pathlib import Path
from urllib.parse import unquote

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from ..data.shipped import WITHOUT_REPOSITORY
from ..hardware.files import markdown, write
from .headers import NOTEBOOKS

TIMEOUT = 1800  # seconds that one cell may take
API = ("mmlib", r"!mmlib\.", "mmlib.course", r"!mmlib\.course\.")  # as pdoc names modules, and those that it leaves out
API_PAGES = {"mmlib": "api/mmlib.html", "mmlib.course": "api/mmlib/course.html"}
QUESTION = r"\*\*([^*]+\?)\*\*"
TIME = r"^\| Time \| (.+) \|$"
LINK = r'<a href="(?!https?:|mailto:|#|[\w/]+\.html")([^"#]+)(#[^"]*)?"[^>]*>(.*?)</a>'

# nbconvert's page for JupyterLab's style, with links between the pages and with the pictures' descriptions, which
# nbconvert 7.17 leaves out; of its scripts from the network only MathJax is needed.
PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 1000px; margin: auto; }
nav { display: flex; gap: 1em; padding: 1em; font-family: sans-serif; }
nav > * { flex: 1; text-align: center; color: var(--jp-content-link-color); }
nav > :first-child { text-align: left; }
nav > :last-child { text-align: right; }
</style>
{%- endblock -%}
{%- block body_header -%}{{ super() }}{{ resources.navigation }}{%- endblock -%}
{%- block body_footer -%}{{ resources.navigation }}{{ super() }}{%- endblock -%}
{%- block data_png -%}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img alt="{{ (output | get_metadata('alt', 'image/png') or '') | e }}"
src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}">
</div>
{%- endblock -%}
"""


def notebooks() -> list[Path]:
    """The course's notebooks in their order; `FileNotFoundError` where mmlib is installed without them."""
    if not NOTEBOOKS.exists():
        raise FileNotFoundError(WITHOUT_REPOSITORY)
    return sorted(NOTEBOOKS.glob("[0-9][0-9]*_*.ipynb"))


def execute(path: str | Path) -> int:
    """Execute a notebook in place, in its own folder; return the seconds it took, which its metadata keep, too.

    Nothing else that differs between machines is kept. `ValueError` names what stopped the notebook; then the file
    stays as it was.
    """
    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    start = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise ValueError(f"{path}: {getattr(error, 'ename', 'stopped')}: {getattr(error, 'evalue', error)}") from error
    seconds = round(time.perf_counter() - start)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        "mmlib": {"seconds": seconds},
    }
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
    write(path, nbformat.writes(notebook).encode() + b"\n")
    return seconds


def run(out: str | Path, **parameters) -> None:
    """Run all notebooks in order by papermill, each into the folder `out`, and print the seconds of each.

    Every notebook gets the parameters that it knows; those that train get `out/NAME` as `out` and find a finished
    training there. `ValueError` names a parameter that no notebook knows, or what stopped a notebook.
    """
    import papermill

    out, paths = Path(out).resolve(), notebooks()
    known = {path: set(papermill.inspect_notebook(path)) for path in paths}
    for name in parameters:
        if not any(name in names for names in known.values()):
            everything = ", ".join(sorted(set().union(*known.values())))
            raise ValueError(f"no notebook has a parameter {name}: there are {everything}")
    out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        given = {"out": str(out / path.stem)} | parameters
        start = time.perf_counter()
        print(f"{path.stem:<28}", end="", flush=True)
        try:
            papermill.execute_notebook(
                str(path),
                str(out / path.name),
                {name: value for name, value in given.items() if name in known[path]},
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=TIMEOUT,
            )
        except (papermill.PapermillExecutionError, DeadKernelError) as error:
            print("stopped")
            what = f"{getattr(error, 'ename', 'the kernel died')}: {getattr(error, 'evalue', error)}"
            raise ValueError(f"{out / path.name}: {what}") from error
        print(f"{time.perf_counter() - start:6.0f} s", flush=True)
    print(f"Everything is in {out}.")


def pages(out: str | Path) -> Path:
    """Write the executed notebooks, and the Markdown beside them, as HTML pages with a contents page; returns that.

    In the folder `api` lie pages of what `import mmlib` and `mmlib.course` offer, made of the docstrings.
    Links between them lead to the pages; a link to another file of the repository becomes plain text, and a link to
    nothing raises `ValueError`. Pictures lie inside the pages; only formulas need the network (MathJax).
    """
    import pdoc
    from nbconvert import HTMLExporter

    out, exporter = Path(out), HTMLExporter(raw_template=PAGE, embed_images=True)
    sources = [*notebooks(), *sorted(NOTEBOOKS.glob("*.md"))]
    read = {path: _read(path) for path in sources}
    titles = {path: re.search(r"^# (.+)$", _text(notebook), re.M)[1] for path, notebook in read.items()}

    def link(path: Path | None, text: str) -> str:
        return f'<a href="{path.stem}.html">{text}</a>' if path else "<span></span>"

    for before, path, after in zip([None, *sources], sources, [*sources[1:], None]):
        back, forth = (link(other, titles.get(other)) for other in (before, after))
        navigation = f'<nav>{back}<a href="index.html">Contents</a>{forth}</nav>'
        _write_page(exporter, out / f"{path.stem}.html", titles[path], read[path], navigation, sources)
    contents = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(_contents(read, titles))])
    pdoc.render.configure(search=False, show_source=False)
    pdoc.pdoc(*API, output_directory=out / "api")
    index = out / "index.html"
    _write_page(exporter, index, "Mix and match networks: the course", contents, "", sources)
    return index


def _read(path: Path) -> nbformat.NotebookNode:
    """A notebook, or Markdown as a notebook of one cell."""
    if path.suffix == ".ipynb":
        return nbformat.read(path, as_version=4)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))])


def _text(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def _contents(read: dict[Path, nbformat.NotebookNode], titles: dict[Path, str]) -> str:
    """The contents page in Markdown: one row per notebook (its question, its time), then the other pages."""
    rows = []
    for path, notebook in read.items():
        if path.suffix == ".ipynb":
            found = [re.search(pattern, _text(notebook), re.M) for pattern in (QUESTION, TIME)]
            said = (" ".join(match[1].split()) if match else "" for match in found)
            rows.append([f"[{titles[path]}]({path.name})", *said])
    others = [f"- [{titles[path]}]({path.name})" for path in read if path.suffix == ".md"]
    others += [f"- [The library: what `{name}` offers]({page})" for name, page in API_PAGES.items()]
    table = markdown(("notebook", "its question", "time"), rows)
    return "\n".join(["# Mix and match networks: the course", "", table, "", *others])


def _write_page(exporter, page: Path, title: str, notebook, navigation: str, sources: list[Path]) -> None:
    notebook.metadata["title"] = title
    resources = {"metadata": {"name": title, "path": str(NOTEBOOKS)}, "navigation": navigation}
    html, _ = exporter.from_notebook_node(notebook, resources)

    def relink(match: re.Match) -> str:
        target, fragment, text = match.groups("")
        path = (NOTEBOOKS / unquote(target)).resolve()
        if path in sources:
            return f'<a href="{path.stem}.html{fragment}">{text}</a>'
        if not path.exists():
            raise ValueError(f"{title}: the link to {target} leads nowhere")
        return text

    html = re.sub(LINK, relink, html, flags=re.S)
    write(page, html.encode())
