"""JupyterLab in a real browser, Debian's chromium: every notebook opens, three run to their end, explorers answer, and
every exercise is done by typing, once wrong and once right.

`make test-browser` runs this, on copies of the notebooks; the screenshots are in `runs/browser/`. `RUN="01 02"` in the
environment names other notebooks to run to their end.
"""

import json
import math
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from slips import SLIPS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))]
RUN = [name for name in NOTEBOOKS if name[:2] in os.environ.get("RUN", "00 03 06 07").split()]
EXERCISES = [name for name in NOTEBOOKS if "01" <= name[:2] <= "08"]
PICTURES = ROOT / "runs" / "browser"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TALL = 6000  # pixels of a screenshot; chromium draws no more than about 16,000 at once
PATIENCE = 600  # seconds for all cells of a notebook

# What JupyterLab itself writes to the console as errors, whatever the notebook: (pattern, reason).
HARMLESS: tuple[tuple[str, str], ...] = ()


class Lab:
    """A JupyterLab server of our own: `committed/` holds the notebooks as they are, `fresh/` and `exercises/` without
    outputs."""

    def __init__(self, folder: Path):
        for place in ("committed", "fresh", "exercises"):
            shutil.copytree(ROOT / "notebooks", folder / "notebooks" / place)
        for path in [p for place in ("fresh", "exercises") for p in (folder / "notebooks" / place).glob("*.ipynb")]:
            notebook = json.loads(path.read_text())
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell.update(outputs=[], execution_count=None)
            path.write_text(json.dumps(notebook))
        settings = {  # all cells in the page, seen or not, so that tests and screenshots find them; no news
            "notebook-extension/tracker": {"windowingMode": "none"},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        }
        for name, values in settings.items():
            path = folder / f"settings/@jupyterlab/{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(values))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.token, self.log = f"http://127.0.0.1:{port}", secrets.token_hex(16), folder / "server.log"
        places = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        environment = {name: str(folder / place) for name, place in places.items()} | {"JUPYTER_TOKEN": self.token}
        options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder / 'notebooks'}"],
            env=os.environ | environment,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )
        for _ in range(120):
            try:
                self.ask("status")
                return
            except URLError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.5)
        raise AssertionError(f"JupyterLab does not answer: {self.log.read_text()}")

    def ask(self, what: str, method: str = "GET") -> object:
        """The server's answer to a request of its REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{what}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def stop_kernels(self) -> None:
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    started = Lab(tmp_path_factory.mktemp("lab"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: install it, as in sudo apt-get install chromium"
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A page of a fresh profile; what it said on the console as an error fails the test in the end."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(f"{said.text} {said.location}") if said.type == "error" else None)
    yield page
    context.close()
    lab.stop_kernels()
    assert [error for error in errors if not any(re.search(pattern, error) for pattern, _ in HARMLESS)] == []


def cells(name: str, kind: str) -> list[str]:
    notebook = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def open_notebook(page: Page, lab: Lab, path: str) -> None:
    """Open it and wait for all its cells, and for a kernel that waits for work."""
    page.goto(f"{lab.url}/lab/tree/{path}.ipynb?reset&token={lab.token}")
    name, notebook = Path(path).name, page.locator(".jp-Notebook")
    notebook.wait_for(timeout=60_000)
    for kind, css in (("code", ".jp-CodeCell"), ("markdown", ".jp-MarkdownCell .jp-RenderedMarkdown")):
        notebook.locator(css).nth(len(cells(name, kind)) - 1).wait_for(state="attached", timeout=60_000)
        assert notebook.locator(css).count() == len(cells(name, kind))
    page.locator(".jp-NotebookPanel-toolbar [data-status=idle]").wait_for(timeout=60_000)


def assert_healthy(page: Page) -> None:
    """No dialog, no error or warning among the outputs, no broken picture or formula."""
    for css in (".jp-Dialog", "[data-mime-type$=error]", "[data-mime-type$=stderr]", "mjx-merror", ".jp-mod-error"):
        assert page.locator(css).count() == 0, page.locator(css).first.inner_text()
    pictures = page.locator(".jp-Notebook img")
    assert pictures.evaluate_all("all => all.filter(one => !one.complete || !one.naturalWidth).length") == 0


def photograph(page: Page, name: str) -> None:
    """Screenshots of the notebook from its top to its end: `NAME-1.png`, `NAME-2.png`, …"""
    size, panel = page.viewport_size, page.locator(".jp-WindowedPanel-outer").first
    page.set_viewport_size({"width": size["width"], "height": TALL})
    page.wait_for_timeout(1000)
    whole, part = panel.evaluate("""panel => {
        const end = [...panel.querySelectorAll(".jp-Cell")].at(-1).getBoundingClientRect().bottom;
        return [end - panel.getBoundingClientRect().top + panel.scrollTop, panel.clientHeight];
    }""")
    for number in range(math.ceil(whole / part)):
        panel.evaluate("(panel, top) => panel.scrollTop = top", number * part)
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURES / f"{name}-{number + 1}.png")
    page.set_viewport_size(size)


def seen(explorer: Locator) -> str:
    """A hash of the picture that an explorer shows."""
    return explorer.locator("img").evaluate("""async picture => {
        const bytes = await (await fetch(picture.src)).arrayBuffer();
        return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))).join();
    }""")


def move(explorer: Locator) -> None:
    """Move its first slider by the keyboard; where it has none, count up its first number, or choose another option."""
    controls = explorer.locator("[role=slider], input[type=number]")
    if controls.count() == 0:
        choice = explorer.locator("select").first
        choice.select_option(index=(choice.evaluate("element => element.selectedIndex") + 1) % 2)
        return
    control = controls.first
    control.scroll_into_view_if_needed()
    control.focus()
    control.press("ArrowUp")
    if control.get_attribute("role") != "slider":
        control.press("Enter")


def test_ipywidgets_came_with_its_extension_of_jupyterlab(lab):
    page = urllib.request.urlopen(f"{lab.url}/lab?token={lab.token}").read().decode()
    assert "@jupyter-widgets/jupyterlab-manager" in page


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_opens(page, lab, name):
    open_notebook(page, lab, f"committed/{name}")
    formulas = any("$$" in text for text in cells(name, "markdown"))
    if formulas:
        page.locator("mjx-container").first.wait_for(state="attached")
    photograph(page, name)
    assert_healthy(page)


@pytest.mark.parametrize("name", RUN)
def test_runs_to_its_end_and_its_explorers_answer(page, lab, name):
    open_notebook(page, lab, f"fresh/{name}")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator("[data-command='runmenu:run-all']").click()
    count, prompts = len(cells(name, "code")), page.locator(".jp-CodeCell .jp-InputPrompt")
    end = time.monotonic() + PATIENCE
    while prompts.last.inner_text() != f"[{count}]:":
        assert_healthy(page)
        assert time.monotonic() < end, f"not done after {PATIENCE} s: {prompts.all_inner_texts()}"
        page.wait_for_timeout(500)
    assert prompts.all_inner_texts() == [f"[{number}]:" for number in range(1, count + 1)]

    explorers = page.locator(".jp-OutputArea-output").filter(has=page.locator(".jupyter-widgets img"))
    assert explorers.count() == len(re.findall(r"^\w+_explorer\(", "\n".join(cells(name, "code")), re.M))
    for explorer in explorers.all():
        if not explorer.locator("[role=slider], input[type=number], select").count():  # it waits for a file
            assert explorer.get_by_role("button").count(), "there is nothing to upload with"
            continue
        before, start = seen(explorer), time.monotonic()
        move(explorer)
        while seen(explorer) == before:
            assert time.monotonic() < start + 20, "the explorer's picture stays as it was"
            page.wait_for_timeout(20)
        assert explorer.locator("img").get_attribute("title"), "the picture is not described in words"
        print(f"{name}: an explorer's picture changed after {time.monotonic() - start:.2f} s")
    photograph(page, f"{name}-run")
    assert_healthy(page)


def test_the_unseen_translation_appears_while_the_network_trains(page, lab):
    """Notebook 04: the picture changes again and again while its cell runs, always in the same place."""
    name = "04_zero_pair_training"
    open_notebook(page, lab, f"fresh/{name}")
    place = next(k for k, source in enumerate(cells(name, "code")) if "plots.Watch(test" in source)
    cell = page.locator(".jp-CodeCell").nth(place)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator("[data-command='runmenu:run-all']").click()
    picture, shown, end = cell.locator("img"), {}, time.monotonic() + PATIENCE
    while len(shown) < 4:
        assert_healthy(page)
        assert time.monotonic() < end, f"the picture changed {len(shown)} times in {PATIENCE} s"
        if picture.count():
            running = cell.locator(".jp-InputPrompt").inner_text() == "[*]:"
            shown.setdefault(seen(cell), (running, picture.get_attribute("alt")))
            assert picture.count() == 1, "a new picture takes the place of the last"
            cell.screenshot(path=PICTURES / f"{name}-live-{len(shown)}.png")
        page.wait_for_timeout(200)
    assert all(running for running, _ in shown.values()), "it should change while the cell runs"


def solutions(name: str) -> dict[str, str]:
    """Exercise → the code that is folded away in the notebook."""
    found = re.findall(r"<summary>Solution</summary>\s*```python\n(.*?)```", "\n".join(cells(name, "markdown")), re.S)
    return {re.search(r"def (your_\w+)", code)[1]: code for code in found}


def hand_in(page: Page, cell: Locator, source: str) -> str:
    """Type `source` in place of what the cell holds, run it, and read the answer below."""
    editor, prompt = cell.locator(".cm-content"), cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    editor.focus()  # not by a click, which goes astray when an output above still grows
    page.locator(".jp-Notebook.jp-mod-editMode").wait_for(state="attached")
    editor.press("ControlOrMeta+a")
    page.keyboard.insert_text(source)
    editor.press("ControlOrMeta+Enter")
    end, again = time.monotonic() + 120, time.monotonic() + 5
    while (said := prompt.inner_text()) in (before, "[*]:"):
        assert_healthy(page)
        assert time.monotonic() < end, f"prompt {said}: no answer after 120 s to {source}"
        if said == before and time.monotonic() > again:  # a page still busy with opening may swallow the key
            editor.press("ControlOrMeta+Enter")
            again = time.monotonic() + 5
        page.wait_for_timeout(50)
    return cell.locator(".jp-OutputArea-output").last.inner_text()


@pytest.mark.parametrize("name", EXERCISES)
def test_exercises_are_done_wrong_and_right(page, lab, name):
    open_notebook(page, lab, f"exercises/{name}")
    for exercise, solution in solutions(name).items():
        before, slip, hint = SLIPS[exercise]
        assert solution.count(before) >= 1, exercise
        stub = next(code for code in cells(name, "code") if f"\ncheck({exercise})" in code)
        head, tail = stub[: stub.index(f"def {exercise}")], f"\n\ncheck({exercise})"
        cell = page.locator(".jp-CodeCell").nth(cells(name, "code").index(stub))
        assert hand_in(page, cell, stub).startswith(f"{exercise}: not done yet.")
        wrong = hand_in(page, cell, head + solution.replace(before, slip) + tail)
        assert wrong.startswith(f"{exercise}: not right yet.") and hint in wrong, wrong
        right = hand_in(page, cell, head + solution + tail)
        assert right.startswith(f"{exercise}: passed."), right
    assert_healthy(page)
