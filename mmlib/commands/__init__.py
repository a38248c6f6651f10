"""For whoever types `python -m mmlib COMMAND`: each command is a typed function, and its parameters are the options."""

from . import bench, course, data, evidence, own_images, training
from .app import app

__all__ = ["app", "bench", "course", "data", "evidence", "own_images", "training"]
