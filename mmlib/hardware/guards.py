"""What may stop a training: a signal, memory that does not suffice, and a loss that is not finite."""

import contextlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterator

import torch

from . import processes


def out_of_memory(error: Exception) -> bool:
    """Whether an error of PyTorch says that memory could not be had."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM interrupt nothing; the function says whether one came, and says the same to all processes.

    So no step is left half done, and all of several processes stop after the same one.
    """
    caught, before = [], {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other change signals
        for kind in (signal.SIGINT, signal.SIGTERM):
            before[kind] = signal.signal(kind, lambda *_: caught.append(True))
    try:
        yield lambda: bool(processes.joint_max(torch.tensor(float(bool(caught)))).item())
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextlib.contextmanager
def batch_that_fits(trainer) -> Iterator[None]:
    """Where memory does not suffice for a step, `MemoryError` names the largest half, quarter, … of a batch that does.

    The trainer has then tried smaller batches, and must not be used any more.
    """
    try:
        yield
        return
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold on to the step's memory
    recipe, step, batch = trainer.recipe, trainer.next_step, trainer.recipe.batch // 2
    if processes.world_size() > 1:
        advice = "take a smaller one, or more processes"
    else:
        while batch >= 2 and not _fits(trainer, batch):
            batch //= 2
        less = "nor does a batch of 2: take a smaller size or smaller widths"
        advice = f"--batch {batch} does" if batch >= 2 else less
    raise MemoryError(
        f"step {step}: a batch of {recipe.batch} at {recipe.size} × {recipe.size} pixels does not fit into the memory "
        f"of {trainer.machine.device}; {advice}. Nothing was changed, and the last saved state is whole"
    ) from None


def _fits(trainer, batch: int) -> bool:
    """Whether a trainer's step fits into memory with a smaller batch."""
    trainer.recipe, trainer.workers = trainer.recipe.replace(batch=batch), 0  # workers prepare the old batch
    if trainer.machine.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        trainer.step()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return False
    return True


class FiniteLosses:
    """Stops a training at a loss that is not finite: at once; or, on CUDA, at the next `check`, because there asking at
    each step would make the CPU wait."""

    def __init__(self, device: torch.device):
        self.deferred = device.type == "cuda"
        self._first = torch.tensor(-1, device=device)  # the first step whose loss was not finite

    def watch(self, step: int, loss: torch.Tensor, terms: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """`FloatingPointError` names the terms of a loss that is not finite. Where checks are deferred: 1 or 0, which
        an optimiser takes as `found_inf` and leaves out the update by itself."""
        infinite = ~torch.isfinite(loss.detach())
        if self.deferred:
            self._first = torch.where((self._first < 0) & infinite, step, self._first)
            return infinite.float()
        if infinite:
            wrong = [f"{name} = {value.item()}" for name, value in terms.items() if not torch.isfinite(value)]
            raise self._error(step, ", ".join(wrong) or "their sum")
        return None

    def check(self) -> None:
        """`FloatingPointError` where a watched loss was not finite, and its update was left out."""
        if self.deferred and (step := int(self._first)) >= 0:
            raise self._error(step, "its update was left out")

    @staticmethod
    def _error(step: int, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"step {step}: the loss is not finite ({what}); the last saved state is intact: lower the learning rate, "
            "or look at this step's images"
        )
