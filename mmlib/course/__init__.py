"""For learners and instructors: what the notebooks call, and what runs, grades and publishes them.

Notebooks call `from mmlib.course import check, plots, verdict`. `plots` is a module that they import and this
file does not, because it needs matplotlib.
"""

from .cells import agree, verdict
from .exercises import check
from .mine import keep, mine, whose

__all__ = ["agree", "check", "keep", "mine", "verdict", "whose"]
