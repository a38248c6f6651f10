"""Two habits of English that students stumble over, found in the Markdown and docstrings of the course; `make lint`.

*a* that distributes ("one encoder a modality": write *per*), and *for* that tells a reason ("for it is": write
*because*). Prints each finding as file, cell or line, and phrase; exits with 1 if there is any. Arguments: files.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NUMBER = r"(?:\d+(?:[.,]\d+)*|two|three|four|five|six|eight|ten|eleven|half|hundred|thousand|many|few)"
NO_NOUN = (
    r"a|about|across|after|again|ago|all|along|also|always|an|and|another|are|around|as|at|be|became|because|"
    r"become|becomes|before|beside|both|but|by|call|called|calls|can|comes|does|during|each|even|ever|every|"
    r"finds|for|from|get|gets|give|given|gives|got|had|has|have|if|in|instead|into|is|its|just|like|made|make|"
    r"makes|may|means|meant|more|needs|not|of|on|once|only|or|over|quite|rather|reach|reads|says|see|share|"
    r"shows|since|so|such|take|takes|tell|tells|than|that|the|then|this|through|to|under|undo|until|uses|was|we|"
    r"were|what|when|where|which|while|who|with|without|would|writes|you"
)
"""Words before *a* that are no noun, so that *a* does not distribute."""
SUBJECT = r"(?:it|they|he|she|we|you|there|nobody|everybody|somebody|nothing|everything)"
DETERMINER = r"(?:the|an?|its|their|our|his|your|this|that|these|those|all|every|each|no|both|one|here|what)"
FINITE = r"(?:is|are|was|were|has|have|had|can|cannot|could|may|might|must|will|would|do|does|did)"
RULES = {
    "per": (
        rf"(?<!\bof )(?<!\bat )(?<!\bin )(?<!\bfor )(?<!× )\b(?:(?:an?|one) |{NUMBER} (?:[\w-]+ )?)"
        rf"(?!(?:{NO_NOUN})\b)[\w%-]+ an? (?!few\b|little\b|lot\b)\w+"
    ),
    "because": (
        rf"[,;:)] for (?:{SUBJECT} (?!to\b|and\b|or\b|alone\b|too\b)\w+"
        rf"|{DETERMINER} (?:(?!that |which |who )[\w-]+ ){{1,4}}?{FINITE}\b)"
    ),
}
"""What to write instead → a pattern of what is there."""
ALLOWED = ("for this course", "window a maximum")
"""Phrases that a pattern finds and that are right all the same."""


def findings(text: str) -> Iterator[tuple[str, str]]:
    """What to write, and the phrase that was found, in plain text or Markdown; code is left out."""
    prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|<!--.*?-->", "x", text, flags=re.S)
    prose = re.sub(r"\s+", " ", re.sub(r"\n\s*\n|\|", " . ", prose))
    for instead, pattern in RULES.items():
        for match in re.finditer(pattern, prose, re.IGNORECASE):
            if not any(phrase in match[0] for phrase in ALLOWED):
                yield instead, prose[max(0, match.start() - 20) : match.end() + 20].strip()


def passages(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of what a file says to people: Markdown cells, docstrings, or the whole page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(text)["cells"]):
            if cell["cell_type"] == "markdown":
                yield f"cell {number}", "".join(cell["source"])
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield f"line {node.lineno}", node.value.value
    else:
        yield "page", text


def main(paths: list[Path]) -> int:
    """Print all findings in these files, and return how many there are."""
    count = 0
    for path in paths:
        for place, text in passages(path):
            for instead, phrase in findings(text):
                print(f"{path.resolve().relative_to(ROOT)}, {place}: {instead!r} is meant: … {phrase} …")
                count += 1
    return count


if __name__ == "__main__":
    GIVEN = [Path(name) for name in sys.argv[1:]]
    COURSE = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.*")), *sorted((ROOT / "mmlib").rglob("*.py"))]
    sys.exit(1 if main(GIVEN or [path for path in COURSE if path.suffix in (".md", ".ipynb", ".py")]) else 0)
