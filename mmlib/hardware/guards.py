"""What may stop a training from outside: a signal, and memory that does not suffice."""

import signal

import torch

from . import processes


def out_of_memory(error: Exception) -> bool:
    """Whether an error of PyTorch says that memory could not be had."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def catch_signals():
    """Turn the first Ctrl-C or SIGTERM into a flag that the loop reads between two steps, so that no step is left half
    done, and all of several processes stop after the same one."""
    caught, before = [], {}
    try:
        for kind in (signal.SIGINT, signal.SIGTERM):
            before[kind] = signal.signal(kind, lambda *_: caught.append(True))
    except ValueError:  # not the main thread: leave the signals alone
        return lambda restore=False: False

    def interrupted(restore: bool = False) -> bool:
        if restore:
            for kind, handler in before.items():
                signal.signal(kind, handler)
            return False
        return bool(processes.joint_max(torch.tensor(float(bool(caught)))).item())

    return interrupted
