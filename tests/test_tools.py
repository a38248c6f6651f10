"""What continuous integration runs elsewhere: the wheel, and the steps that the workflows name."""

import re
import subprocess
import sys
from pathlib import Path

import mmlib

ROOT = Path(mmlib.__file__).parents[1]


def test_the_wheel_is_built_and_works_away_from_the_repository():
    done = subprocess.run([sys.executable, ROOT / ".ci/wheel.py", "--here"], capture_output=True, text=True)
    assert done.returncode == 0 and "built, installed and imported" in done.stdout, done.stderr


def test_each_step_of_the_workflows_is_a_script_of_the_repository_and_actions_are_pinned():
    workflow = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    scripts = re.findall(r"\.ci/\S+", "\n".join(re.findall(r"run: (.*)", workflow)))
    assert len(scripts) == 4 and all((ROOT / script).exists() for script in scripts)
    assert all(
        re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used) for used in re.findall(r"uses: (.*)", workflow)
    )
    for script in scripts:
        if script.endswith(".py"):
            compile((ROOT / script).read_text(encoding="utf-8"), script, "exec")
