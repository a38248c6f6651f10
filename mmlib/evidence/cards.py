"""Model cards (Mitchell et al. 2019), from a checkpoint's record and its result: what a network is, and what not."""

from pathlib import Path

from ..audit import describe_audit
from ..checkpoints import read_record
from ..data.shipped import CHECKPOINTS, read
from ..hardware.files import write
from .grids import GRIDS
from .results import BEGAN, NETWORK, translations_table
from .tables import grid_table

WHAT = {
    "course": (
        "The network of the notebooks",
        "Three encoders and three decoders that share one latent space: RGB, depth and segmentation of rooms, all nine "
        "translations between them. Depth → segmentation and segmentation → depth are *zero-pair*: no training pair "
        "had both. It began as the paper's method alone, in a slim form: latent consistency of the last stage, "
        "autoencoders and noise, without pooling indices and GAN. Then it went on by self-training: what it said of "
        "the mean of two latents taught the unseen translations. It is made for learning and for comparison.",
        "`mmlib.checkpoints.load('FILE').translate(x, 'depth', 'segmentation')`",
        "It knows rooms of one generator, seen by one kind of camera at 96 × 96 pixels, and has met no photograph. "
        "What is small, thin or rare (chairs, objects, books) it finds badly; its RGB is blurred. Nothing that matters "
        "should be decided by it.",
    ),
    **{
        f"ablation_{kind}": (
            f"A small network {words}",
            "Three encoders and three decoders by the paper's recipe, slim and short, at 48 × 48 pixels: one of the "
            "three kinds of side information that Table 1 compares. Notebooks 03 and 06 probe it.",
            "`mmlib.checkpoints.load('FILE').translate(x, 'depth', 'segmentation')`",
            "It was trained for two minutes, to show an effect. The network of the notebooks is `course.safetensors`.",
        )
        for kind, words in (
            ("none", "without side information"),
            ("skip", "with skip connections"),
            ("pooling", "with pooling indices"),
        )
    },
    "rgb_encoder": (
        "An RGB encoder that learnt from VGG-16",
        "The RGB encoder of preset `course`, trained to predict the pooled features of ImageNet's VGG-16 on the RGB "
        "images of D1 and D2: pretraining for slim networks, in place of the VGG-16 that the paper starts from. "
        "Its first three stages fit preset `ablation`.",
        "`python -m mmlib train --rgb-weights FILE`",
        "Features to start from, not to be used as they are. What VGG-16 learnt from ImageNet's photographs, their "
        "biases included, is in it as far as rendered rooms bring it out.",
    ),
    "colours": (
        "Furniture in eleven colours",
        "Eleven encoders and eleven decoders, one a colour, of CycleGANs between blue and each other colour, mixed and "
        "matched (section 5.5 of the paper): 110 translations, of which 90 were never trained.",
        "`mmlib.checkpoints.load('FILE').translate(x, 'red', 'green')`",
        "It knows one object of one colour in a rendered room, at 64 × 64 pixels. Only blue's images, which were "
        "trained ten times as often, are sharp; it changes the background, too, and between black and white it often "
        "fails.",
    ),
    "styles": (
        "Rooms in four procedural styles",
        "Five encoders and five decoders, of CycleGANs between photos of rooms and each of four styles that a program "
        "paints, mixed and matched (Figure 6b of the paper): 20 translations, of which 12 were never trained.",
        "`mmlib.checkpoints.load('FILE').translate(x, 'dots', 'woodcut')`",
        "It knows rendered rooms at 64 × 64 pixels and our four styles, which no painter painted. What a style has "
        "left out, the way back has to invent.",
    ),
}
"""By checkpoint: a title, what it is and for what, how to use it, and its limits."""


HEAD = """---
license: mit
library_name: mmlib
pipeline_tag: image-to-image
tags: [zero-pair-translation, image-to-image, depth-estimation, image-segmentation, pytorch]
---"""
"""What makes a card that of a model on the Hugging Face Hub."""


def model_card(name: str) -> str:
    """The card of a shipped checkpoint as Markdown; `KeyError` for one that `WHAT` does not describe."""
    title, what, use, limits = WHAT[name]
    record = read_record(CHECKPOINTS / f"{name}.safetensors")
    recipe, versions = record["recipe"], record["versions"]
    made = (
        f"Preset `{recipe['name']}`, {record['step']:,} steps, seed {recipe['seed']}, objective "
        f"`{record['objective']}`; {record['seconds'] / 60:.0f} minutes on {record['device']}, mmlib "
        f"{versions['mmlib']}, torch {versions['torch']}. {record['selection'].capitalize()}. The whole recipe is in "
        f"`{name}.json`, and `python -m mmlib audit` reads it."
    )
    if record["objective"] == "SelfTraining":
        began = read(BEGAN)
        made += (
            f" It goes on from {began['step']:,} steps of `{began['objective']}`, which took "
            f"{began['seconds'] / 60:.0f} minutes (`data/results/{BEGAN}.json`)."
        )
    parts = [
        HEAD,
        f"# {title}: `{name}.safetensors`",
        "*Made by `python -m mmlib readme` from the checkpoint's record and `data/results/`; not written by hand.*",
        f"## What it is\n\n{what}\n\n{use.replace('FILE', f'data/checkpoints/{name}.safetensors')}",
        f"## How it was made\n\n{made}",
        f"## What it was trained and chosen on\n\n```\n{describe_audit(record)}\n```",
    ]
    if name == "course" or name.startswith("ablation_"):
        result = read(NETWORK if name == "course" else f"ablation/{name.removeprefix('ablation_')}_0")
        parts.append(f"## What it does, on {result['rooms']} test rooms\n\n{translations_table(result)}")
    elif name in GRIDS:
        table = grid_table(name, GRIDS[name].preset, GRIDS[name].seeds)
        parts.append(f"## What it does, on test scenes with exact truth\n\n{table}")
    parts.append(f"## Limits\n\n{limits}")
    parts.append("## Licence\n\nMIT, as the code; credits of images and of VGG-16 are in the README.")
    return "\n\n".join(parts) + "\n"


def write_cards(folder: str | Path = CHECKPOINTS) -> None:
    """Write `NAME.md` beside each checkpoint."""
    for name in WHAT:
        write(Path(folder) / f"{name}.md", model_card(name).encode())
