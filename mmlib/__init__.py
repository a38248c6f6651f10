"""Mix and match networks (Wang, van de Weijer, Herranz, CVPR 2018): zero-pair image translation.

The files beside this one are the paper, one file per section:

    modalities     what the networks read and write     objectives    what they minimise (section 4.3)
    losses         the terms of section 4.3             training      one step, and `fit`
    metrics        mIoU, δ, RMSE, PSNR, angles          evaluation    all translations as a table
    recipes        networks and schedules, presets      alignment     do the latents agree?
    blocks         the bricks of Tables 5 to 8          audit         was it really zero-pair?
    networks       encoders, decoders, `MixAndMatch`    checkpoints   weights and their records

The wings: `data` for whoever brings data, `hardware` for whoever runs a training, `resuming` for whoever stops a run
and goes on, `methods` for whoever compares, `evidence` for maintainers, `course` for learners and instructors, `rooms`
for whoever renders more, `commands` for whoever types. Imports point down only: `course → evidence → methods →
training → resuming → objectives, checkpoints → networks, data → modalities → losses, metrics → hardware`.
"""

from .alignment import alignment
from .audit import audit
from .checkpoints import load
from .data.sets import DepthPairs, SegmentationPairs, Triplets
from .data.shipped import open_split, shipped
from .evaluation import evaluate, table
from .hardware.versions import __version__
from .modalities import MODALITIES, Modality, modality
from .networks import Encoding, MixAndMatch, Translator
from .objectives import Objective, ZeroPair
from .recipes import Phase, Recipe, preset
from .training import fit

__all__ = [
    "MODALITIES",
    "DepthPairs",
    "Encoding",
    "MixAndMatch",
    "Modality",
    "Objective",
    "Phase",
    "Recipe",
    "SegmentationPairs",
    "Translator",
    "Triplets",
    "ZeroPair",
    "__version__",
    "alignment",
    "audit",
    "evaluate",
    "fit",
    "load",
    "modality",
    "open_split",
    "preset",
    "shipped",
    "table",
]
