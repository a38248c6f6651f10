"""Several processes that train one network together, started by torchrun: which one this is, and what all agree on.

With one process, and nothing started, each function here leaves its argument as it is.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; rank 0 alone writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def shard(joint: torch.Tensor) -> torch.Tensor:
    """This process's share of what all draw alike: the elements rank, rank + world_size, …"""
    return joint[rank() :: world_size()]


def require_shares(batch: int, split: str) -> None:
    """`ValueError` where a batch of this split does not give each process the same number of images, at least 2."""
    if batch % world_size() or batch // world_size() < 2:
        raise ValueError(
            f"a batch of {batch} of split {split} cannot be shared by {world_size()} processes: give each the same "
            "number of images, at least 2 (batch normalization)"
        )


@contextlib.contextmanager
def together(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, by NCCL on GPUs and gloo elsewhere; gives the device of this one.

    `ConnectionError` in one sentence where another process is lost on the way.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        yield device
        return
    on_gpus = torch.cuda.is_available() and device in ("auto", "cuda")
    if on_gpus:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    try:
        yield device if on_gpus else "cpu"
    except (dist.DistBackendError, RuntimeError) as error:
        if not _lost(error):
            raise
        raise ConnectionError(
            f"process {rank()} of {world_size()} lost the others ({str(error).strip().splitlines()[0][:120]}): one of "
            "them died, and its own message says why; start all again with --resume"
        ) from None
    finally:
        dist.destroy_process_group()


def _lost(error: Exception) -> bool:
    words = ("closed by peer", "connection reset", "connection refused", "timed out", "nccl", "broken pipe", "gloo")
    return any(word in str(error).lower() for word in words)


def joint_mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a value over all processes, without a gradient.

    A loss that is a sum over *its* images divided by the mean *count* of all processes is, averaged over them (as DDP
    averages gradients), the sum over all images divided by the count of all.
    """
    if world_size() > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
        value /= world_size()
    return value


def joint_max(value: torch.Tensor) -> torch.Tensor:
    """The largest of a value over all processes, without a gradient."""
    if world_size() > 1:
        value = value.detach().clone()
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return value


def from_first(value: T) -> T:
    """The value that process 0 has: a choice that must not differ between processes."""
    if world_size() > 1:
        held = [value]
        dist.broadcast_object_list(held)
        (value,) = held
    return value


@torch.no_grad()
def average_statistics(module: torch.nn.Module) -> None:
    """Give all processes the mean of their running statistics (batch normalization): each has seen other images."""
    if world_size() > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(joint_mean(buffer))


def shared(networks: torch.nn.Module, device: torch.device, partly: bool = False) -> Callable[..., Any]:
    """A function that calls another, whose losses of the networks then have gradients averaged over all processes.

    `partly`: some weights of the networks have no part in some steps.
    """
    together = _Shared(networks)
    if world_size() == 1 or not any(weight.requires_grad for weight in networks.parameters()):
        return together.forward
    return torch.nn.parallel.DistributedDataParallel(
        together,
        device_ids=[device] if device.type == "cuda" else None,
        forward_sync_buffers=False,  # it would write to running statistics between a forward and its backward
        find_unused_parameters=partly,
    )


class _Shared(torch.nn.Module):
    """Networks as one module with one forward, which DDP asks for, whatever is computed with them."""

    def __init__(self, networks: torch.nn.Module):
        super().__init__()
        self.networks = networks

    def forward(self, losses: Callable, *arguments):
        return losses(*arguments)
