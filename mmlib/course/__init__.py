"""For learners and instructors: what the notebooks call, and what runs, grades and publishes them."""

from . import parameters, plots
from .cells import agree, verdict
from .exercises import check

__all__ = ["agree", "check", "parameters", "plots", "verdict"]
