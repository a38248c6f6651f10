"""A slim RGB encoder distilled from ImageNet's VGG-16: pretraining for networks that are narrower than the paper's."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .. import checkpoints
from ..blocks import pool
from ..data.sets import Rooms
from ..data.vgg16 import COUNTS, WIDTHS, Convolutions, read_vgg16
from ..networks import Encoder
from ..objectives import Objective
from ..recipes import Recipe
from ..training import fit


class VGG16(nn.Module):
    """The frozen teacher: RGB in [−1, 1] (N, 3, H, W) → what its first `stages` poolings hand over."""

    def __init__(self, convolutions: Convolutions, stages: int):
        super().__init__()
        self.stages, convolutions = nn.ModuleList(), list(convolutions)
        for count in COUNTS[:stages]:
            stage = []
            for weight, bias in (convolutions.pop(0) for _ in range(count)):
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.load_state_dict({"weight": weight, "bias": bias})
                stage += [layer, nn.ReLU(inplace=True)]
            self.stages.append(nn.Sequential(*stage))
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        pooled = []
        for stage in self.stages:
            image, _ = pool(stage(image))
            pooled.append(image)
        return pooled


class Student(nn.Module):
    """A slim encoder, and for each stage a 1×1 convolution by which it is compared with VGG-16's; those are dropped."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.encoder = Encoder(3, recipe.widths, recipe.convolutions, recipe.rgb_batch_norm)
        self.heads = nn.ModuleList(nn.Conv2d(own, teacher, 1) for own, teacher in zip(recipe.widths, WIDTHS))


class Distillation(Objective):
    """The RGB encoder regresses the pooled features of VGG-16 on the training sets' RGB, stage by stage.

    VGG-16's channels differ in scale by hundreds, so each is brought to mean 0 and deviation 1 over the batch: a mean
    squared error of 1 says that nothing is learnt.
    """

    teacher: VGG16

    def __init__(self, sets: tuple[Rooms, ...], vgg: Convolutions):
        self.sets, self.vgg = sets, vgg

    def networks(self, recipe: Recipe) -> nn.Module:
        self.teacher = VGG16(self.vgg, len(recipe.widths))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return Student(recipe)

    def terms(self, model: Student, batches, recipe, phase, random, average=None):
        x = torch.cat([batch.images["rgb"] for batch in batches])
        self.teacher.to(x.device)
        terms = {}
        for stage, (own, head, teacher) in enumerate(zip(model.encoder(x).pooled, model.heads, self.teacher(x)), 1):
            deviation, mean = torch.std_mean(teacher.float(), (0, 2, 3), keepdim=True)
            terms[f"distillation/{stage}"] = F.mse_loss(head(own).float(), (teacher - mean) / (deviation + 1e-3))
        return terms, {}

    def total(self, terms, phase):
        return sum(terms.values())


def distil(vgg: str | Path, recipe: Recipe, sets: tuple[Rooms, ...], folder: str | Path, out: str | Path, **options):
    """Distil VGG-16 into the RGB encoder of a recipe, on the RGB of `sets`; returns the record.

    `folder` keeps state and log; `out` (.safetensors) gets the encoder in half precision, with its record beside it.
    `options` go to `fit`. `ValueError` as in `read_vgg16`.
    """
    objective = Distillation(sets, read_vgg16(vgg))
    model = fit(recipe, objective, folder, **options)
    checkpoints.save_checkpoint(out, model.encoder, model.record, half=True)
    return checkpoints.read_record(out)
