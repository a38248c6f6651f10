"""Ask the web for each link of the pages and notebooks, and name those that are gone."""

import concurrent.futures
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"https?://[^\s)<>\"'\]`]+")


def links() -> dict[str, list[str]]:
    """Each link, with the files that have it."""
    found: dict[str, list[str]] = {}
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("notebooks/*"), *ROOT.glob("data/**/*.md")]):
        if path.suffix not in (".md", ".ipynb"):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        for link in LINK.findall(text):
            found.setdefault(link.rstrip(".,;:"), []).append(str(path.relative_to(ROOT)))
    return found


def problem(link: str) -> str:
    """Why a link cannot be followed; nothing where it can, or where a server merely refuses robots."""
    request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code}" if error.code in (404, 410) else ""
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    found = links()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        problems = [
            f"{link} ({said}) in {', '.join(found[link])}"
            for link, said in zip(found, pool.map(problem, found))
            if said
        ]
    print("\n".join(problems) or f"{len(found)} links lead somewhere")
    sys.exit(bool(problems))
