"""Several processes that train one network together, started by torchrun: who this one is, and what all agree on.

With one process, and nothing started, each function here does nothing: no other code asks how many there are.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """Which of them this one is; number 0 alone writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextlib.contextmanager
def together(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, NCCL on GPUs and gloo elsewhere; the device that is this one's.

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
            f"process {number()} of {count()} lost the others ({str(error).strip().splitlines()[0][:120]}): one of "
            "them died, and its own message says why; start all again with --resume"
        ) from None
    finally:
        dist.destroy_process_group()


def _lost(error: Exception) -> bool:
    words = ("closed by peer", "connection reset", "connection refused", "timed out", "nccl", "broken pipe", "gloo")
    return any(word in str(error).lower() for word in words)


def joint_mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a number over all processes, without a gradient.

    A loss that is a sum over *its* images divided by the mean *count* of all processes is, averaged over them (as DDP
    averages gradients), the sum over all images divided by the count of all.
    """
    if count() > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
        value /= count()
    return value


def joint_max(value: torch.Tensor) -> torch.Tensor:
    """The largest of a number over all processes, without a gradient."""
    if count() > 1:
        value = value.detach().clone()
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return value


def from_first(value):
    """What process 0 has, on all: a choice that must not differ between them."""
    if count() > 1:
        held = [value]
        dist.broadcast_object_list(held)
        (value,) = held
    return value


@torch.no_grad()
def average_statistics(module: torch.nn.Module) -> None:
    """Give all processes the mean of their running statistics (batch normalization): each has seen other images."""
    if count() > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(joint_mean(buffer))


def mine(joint: torch.Tensor) -> torch.Tensor:
    """This process's share of what all draw alike: every `count`-th, from its own number on."""
    return joint[number() :: count()]


def wrapped(module: torch.nn.Module, device: torch.device, partly: bool = False) -> torch.nn.Module:
    """The module, so that its gradients are averaged over all processes; as it is where there is but one.

    `partly`: some of its weights have no part in some steps.
    """
    if count() == 1 or not any(weight.requires_grad for weight in module.parameters()):
        return module
    return torch.nn.parallel.DistributedDataParallel(
        module,
        device_ids=[device] if device.type == "cuda" else None,
        forward_sync_buffers=False,  # it would write to running statistics between a forward and its backward
        find_unused_parameters=partly,
    )
