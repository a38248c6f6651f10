"""The folder of a run: the training state from which a stopped run goes on, its log, and its record."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from .. import checkpoints
from ..data.sets import Rooms
from ..hardware import processes
from ..hardware.files import cut_log
from ..hardware.versions import versions
from ..modalities import own_classes
from ..networks import Encoder, Translator
from ..objectives import Objective
from ..recipes import Recipe
from .pretrained import load_rgb_encoder
from .state import expected, load_state, parts, restore, save_state, saved_run

if TYPE_CHECKING:
    from ..training import Trainer


@dataclass(frozen=True)
class RunOptions:
    """How a run goes about its recipe."""

    device: str = "auto"
    """Where to compute: auto, cpu, cuda or mps."""
    workers: int = 0
    """Processes that prepare batches ahead."""
    resume: bool = False
    """Go on from the state in the folder; where there is none, start."""
    save_every: int = 500
    """Steps between two saved states."""
    log_every: int = 20
    """Steps between two lines of the log."""
    stop_after: int | None = None
    """Stop at this step, before the recipe's last; the run can be resumed."""
    progress: bool = True
    """Show a progress bar."""
    rgb_weights: str | Path | None = None
    """File that the RGB encoder starts from, as `pretrained.load_rgb_encoder` reads it."""
    start: str | Path | None = None
    """Checkpoint whose weights the networks start from."""
    half: bool = False
    """Store the checkpoint in half precision."""
    tuned_on: Sequence[Rooms] = ()
    """Rooms by which the recipe was chosen, for the record."""


class RunFolder:
    """The folder of one run; of several processes the first alone writes to it.

    `form`: the form of the arithmetic of the state that is to be resumed, because a resumed run keeps it; else None.
    `ValueError` where the folder holds a state that must not, or cannot, be resumed.
    """

    def __init__(self, folder: str | Path, recipe: Recipe, objective: Objective, options: RunOptions):
        self.folder, self.recipe, self.options = Path(folder), recipe, options
        self.path, self.log = self.folder / "state.safetensors", self.folder / "log.jsonl"
        for rooms in objective.sets:
            if len(rooms) < 2:
                raise ValueError(
                    f"split {rooms.split}: {len(rooms)} rooms are too few to train on; at least 2 are needed"
                )
        self.objective = type(objective).__name__
        self.classes = own_classes(objective.records.values())
        self.data = [*objective.inherited, *(rooms.describe() for rooms in objective.sets)]
        self.saved = self._saved() if self.path.exists() else None
        self.form = self.saved and self.saved["machine"]
        self.initial: dict[str, str] = {}

    def _saved(self) -> dict[str, Any]:
        """The record of the state from which the run goes on."""
        if not self.options.resume:
            raise ValueError(f"{self.folder} already holds a run: pass --resume to go on, or name another folder")
        trained, saved = saved_run(self.path)
        checkpoints.require_same(trained, self.recipe, self.path)
        before, now = ([e for e in data if e.get("role") == "training"] for data in (saved["data"], self.data))
        if before != now:
            raise ValueError(f"{self.path}: trained on other data; give the same splits, or name another folder")
        if (other := saved.get("objective", self.objective)) != self.objective:
            raise ValueError(f"{self.path}: trained by {other}, not by {self.objective}; name another folder")
        return saved

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other trainings out of the folder; `ValueError` where one is in it."""
        if processes.rank() > 0:
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cannot write {self.folder} ({error.strerror}): choose another folder") from error
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(f"{self.folder}: another training is using it; name another folder") from None
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def start(self, trainer: "Trainer") -> None:
        """Bring a trainer to the saved state; where there is none, to the initial weights, and save these."""
        self.begun, self.seconds = time.perf_counter(), self.saved["seconds"] if self.saved else 0.0
        if processes.rank() == 0:
            cut_log(self.log, self.saved["step"] if self.saved else 0)
        key, weights = "rgb_weights_sha256", self.options.rgb_weights
        if self.saved:
            self.initial = {k: self.saved[k] for k in (key, "start_sha256") if k in self.saved}
            loaded, _ = load_state(self.path, lambda held: expected(trainer, held))
            restore(trainer, loaded, self.saved["step"])
            return
        if self.options.start is not None:
            self.initial["start_sha256"] = checkpoints.start_from(trainer.model, self.options.start)
        if weights is not None:
            encoder = dict(trainer.model.named_modules()).get("encoders.rgb")
            if not isinstance(encoder, Encoder):
                raise ValueError(f"{weights} is for an encoder of RGB as the paper's: these networks have none")
            load_rgb_encoder(encoder, weights)
            self.initial |= {key: hashlib.sha256(Path(weights).read_bytes()).hexdigest()}
        if trainer.average is not None:  # the teacher begins with the weights that were read above
            trainer.average.load_state_dict(trainer.model.state_dict())
        self.save(trainer)  # from now on a killed run goes on with the same arithmetic and initial weights

    def save(self, trainer: "Trainer") -> None:
        """Save the state whole or not at all; `FloatingPointError` where a weight is not finite."""
        processes.average_statistics(trainer.model)
        processes.average_statistics(trainer.discriminators)
        if processes.rank() > 0:
            return
        state = parts(trainer)
        if not all(torch.isfinite(value).all() for group in state.values() for value in group.values()):
            raise FloatingPointError(
                f"step {trainer.next_step}: a weight is not finite; the last saved state is intact"
            )
        save_state(self.path, state, self.record(trainer))

    def finish(self, trainer: "Trainer") -> Translator:
        """Write the checkpoint; returns the networks in eval mode, with recipe and record."""
        model = trainer.model.eval()
        model.recipe, model.record = self.recipe, self.record(trainer)
        if processes.rank() == 0:
            checkpoints.save_checkpoint(self.folder / "checkpoint.safetensors", model, model.record, self.options.half)
        return model

    def record(self, trainer: "Trainer") -> dict[str, Any]:
        """How the networks were made up to now."""
        return {
            "recipe": self.recipe.to_dict(),
            "step": trainer.next_step,
            "objective": self.objective,
            **({"classes": self.classes} if self.classes else {}),
            **self.initial,
            "data": self.data + [rooms.describe("selection") for rooms in self.options.tuned_on],
            "selection": "checkpoint: the last step",
            "machine": trainer.machine.form(),
            "device": str(trainer.machine.device),
            **({"processes": processes.world_size()} if processes.world_size() > 1 else {}),
            "versions": versions(),
            "seconds": round(self.seconds + time.perf_counter() - self.begun, 1),
        }
