"""`python -m mmlib bench`: what a training step costs in time, and what else takes time beside it."""

from .loading import bench_loading, describe_loading
from .methods import bench_domains, bench_methods
from .optimizer import bench_optimizer
from .processes import bench_processes
from .step import bench, describe

__all__ = [
    "bench",
    "bench_domains",
    "bench_loading",
    "bench_methods",
    "bench_optimizer",
    "bench_processes",
    "describe",
    "describe_loading",
]
