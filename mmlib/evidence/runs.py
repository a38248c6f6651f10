"""The runs that the paper's tables and figures need, by preset: each is a recipe, an objective and its teacher."""

import dataclasses
import functools
import itertools
from dataclasses import dataclass

from ..data.domains import COLOURS
from ..methods.self_training import self_taught
from ..methods.styles import PHOTO, STYLES
from ..recipes import SIDE_INFORMATION, Phase, Recipe, preset
from .ingredients import (
    FIVE,
    Maker,
    combogan,
    cyclegan,
    mixed_cycles,
    pix2pix,
    plugged_in,
    self_training,
    student,
    supervised,
    zero_pair,
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training of a grid, repeated over seeds.

    `objective` makes what is trained. `teacher` names the run whose network, of the same seed, labels for this one,
    goes on in it, or has a modality plugged in. `fuses`: Figure 7 is measured of it, too. `pretrained`: the RGB
    encoder starts from `RGB_ENCODER`. `selects`: a choice rests on it, so it is measured on `selection_pairs` alone,
    never on the test. `ship`: the name under which the network of seed 0 goes to `data/checkpoints`, in half precision.
    """

    recipe: Recipe
    objective: Maker = zero_pair
    teacher: str = ""
    fuses: bool = False
    pretrained: bool = False
    selects: bool = False
    ship: str = ""


SHIPPED = preset("course", widths=(32, 64, 128), steps=4_000, anchor_gradient=True)
"""The recipe that the network that ships began with: preset `course`, twice as wide, for longer, and with the paper's
consistency, which moves the encoder of RGB, too. After it comes `self_taught`."""
SHIPS = {"course": {"self_taught": "course"}, "ablation": {kind: f"ablation_{kind}" for kind in SIDE_INFORMATION}}
"""The names under which networks ship: the course's, and those of Table 1."""


@functools.cache
def runs(name: str) -> dict[str, Run]:
    """The runs of all grids by name, at the size and length of a preset (`ablation`, or a smaller one to try); `course`
    stands for the network that ships."""
    base = SHIPPED if name == "course" else preset(name)
    first = base.replace(phases=(dataclasses.replace(base.phases[0], steps=base.steps, lambda_pseudo=0.0),))
    (phase,) = first.phases
    untied = _weighted(first, lambda_latent=0.0).replace(latent_noise=0.0)
    none = first.replace(side_information="none")
    taught = none.replace(phases=_pseudo_pairs_from(base.steps // 4, phase), teacher="average")
    taught_again = self_taught(none)
    long = 2 * base.steps
    shipped = SHIPS.get(name, {})
    deep = first.replace(widths=(*base.widths, 2 * base.widths[-1]), convolutions=(*base.convolutions, 3))
    return {
        "pooling": Run(first, fuses=True, ship=shipped.get("pooling", "")),
        "none": Run(none, fuses=True, ship=shipped.get("none", "")),
        "skip": Run(first.replace(side_information="skip"), ship=shipped.get("skip", "")),
        **{
            f"{kind}_pretrained": Run(first.replace(side_information=kind), pretrained=True, fuses=kind == "pooling")
            for kind in SIDE_INFORMATION
        },
        **{
            f"{kind}_deep": Run(deep.replace(side_information=kind), fuses=kind == "pooling")
            for kind in SIDE_INFORMATION
        },
        "translations": Run(untied.replace(autoencoders=False)),
        "autoencoders": Run(untied),
        "consistency": Run(first.replace(latent_noise=0.0)),
        "all_stages": Run(first.replace(consistency="all_stages")),
        **{f"idea_{idea}": Run(recipe, selects=True) for idea, recipe in _ideas(none, phase).items()},
        "pseudo_pairs": Run(taught, fuses=True),
        # what goes on from `none` for a quarter of its steps, with and without labels of its own
        "gone_on": Run(_weighted(taught_again, lambda_pseudo=0.0), self_training, "none"),
        "self_taught": Run(taught_again, self_training, "none", fuses=True, ship=shipped.get("self_taught", "")),
        # as many steps as the student and its teacher have together
        "none_long": Run(none.with_steps(long), fuses=True),
        "pseudo_pairs_long": Run(taught.with_steps(long), fuses=True),
        "rgb_to_segmentation": Run(first, supervised("rgb", "segmentation")),
        "rgb_to_depth": Run(first, supervised("rgb", "depth")),
        "depth_student": Run(first, student("depth", "segmentation"), teacher="rgb_to_segmentation"),
        "segmentation_student": Run(first, student("segmentation", "depth"), teacher="rgb_to_depth"),
        "rgb_to_segmentation_long": Run(first.with_steps(long), supervised("rgb", "segmentation")),
        "rgb_to_depth_long": Run(first.with_steps(long), supervised("rgb", "depth")),
        "depth_student_long": Run(
            first.with_steps(long), student("depth", "segmentation"), teacher="rgb_to_segmentation_long"
        ),
        "segmentation_student_long": Run(
            first.with_steps(long), student("segmentation", "depth"), teacher="rgb_to_depth_long"
        ),
        "depth_oracle": Run(first, supervised("depth", "segmentation")),
        "segmentation_oracle": Run(first, supervised("segmentation", "depth")),
        "depth_oracle_long": Run(first.with_steps(long), supervised("depth", "segmentation")),
        "segmentation_oracle_long": Run(first.with_steps(long), supervised("segmentation", "depth")),
        **_many_modalities(none),
        **_domains(base),
        **_rivals(first),
    }


def _many_modalities(none: Recipe) -> dict[str, Run]:
    """Five modalities: trained jointly; the fourth and the fifth plugged in, one after the other; and each translation
    alone, on pairs of its own."""
    plugged = _weighted(none, lambda_pseudo=1.0)
    return {
        "five_jointly": Run(none.replace(modalities=FIVE)),
        "normals_plugged": Run(plugged.replace(modalities=FIVE[:4]), plugged_in("normals"), teacher="none"),
        "albedo_plugged": Run(plugged.replace(modalities=FIVE), plugged_in("albedo"), teacher="normals_plugged"),
        **{
            f"alone_{source}_to_{target}": Run(none.replace(modalities=FIVE), supervised(source, target))
            for source, target in itertools.permutations(FIVE, 2)
        },
    }


def _domains(base: Recipe) -> dict[str, Run]:
    """Section 5.5: colours and styles, from pairs with an anchor; with nothing that aligns; on all pairs; and pair by
    pair."""
    base = base.replace(architecture="resnet")
    mixed = [phase for phase in base.phases if not phase.one_autoencoder]
    apart = base.replace(
        phases=tuple(dataclasses.replace(phase, lambda_latent=0.0) for phase in mixed), latent_noise=0.0
    ).with_steps(base.steps)
    ships = base.name == "domains"  # other presets are for trying
    colours, styles = {"modalities": COLOURS}, {"modalities": (PHOTO, *STYLES)}
    return {
        "colours_mixed": Run(base.replace(**colours), mixed_cycles, ship="colours" if ships else ""),
        "colours_apart": Run(apart.replace(**colours), mixed_cycles),
        "colours_combogan": Run(base.replace(**colours), combogan),
        **{  # each with twice the steps that a pair with the anchor has
            f"colours_{a}_{b}": Run(base.replace(modalities=(a, b)).with_steps(base.steps // 5), combogan)
            for a, b in COLOUR_PAIRS
        },
        "styles_mixed": Run(base.replace(**styles), mixed_cycles, ship="styles" if ships else ""),
    }


ANCHORS = (COLOURS[0], PHOTO)
COLOUR_PAIRS = (("red", "green"), ("white", "black"), ("orange", "purple"))
"""The unseen pairs that are trained by themselves, too, for comparison."""


def _ideas(none: Recipe, phase: Phase) -> dict[str, Recipe]:
    """What might serve the seen translations, and the alignment of their encoders, better or worse than the paper's
    recipe without indices."""
    strong = _weighted(none, lambda_latent=4 * phase.lambda_latent)
    return {
        "anchor_still": none.replace(anchor_gradient=False),
        "strong": strong,
        "anchor_still_strong": strong.replace(anchor_gradient=False),
        "all_stages": none.replace(consistency="all_stages"),
        "no_noise": none.replace(latent_noise=0.0),
        "unbalanced": none.replace(class_balance=0.0),
        "enlarged": none.replace(windows=(0.6, 1.0), full_frames=0.0),
        "zoomed": none.replace(windows=(0.75, 1.33), full_frames=0.15),
        "adam": none.replace(optimizer="adam"),
    }


def _weighted(recipe: Recipe, **weights: float) -> Recipe:
    """A recipe of one phase with other loss weights."""
    (phase,) = recipe.phases
    return recipe.replace(phases=(dataclasses.replace(phase, **weights),))


def _pseudo_pairs_from(start: int, phase: Phase, weight: float = 1.0) -> tuple[Phase, Phase]:
    """A phase in two, the second of which has pseudo-pairs."""
    return (
        dataclasses.replace(phase, steps=start, lambda_pseudo=0.0),
        dataclasses.replace(phase, steps=phase.steps - start, lambda_pseudo=weight),
    )


def _rivals(first: Recipe) -> dict[str, Run]:
    """CycleGAN and pix2pix with the schedule and the loss weights of their papers, at least our parameters, and as many
    images as ours in batches of a quarter. CycleGAN has its paper's optimiser and rate, because no seen translation
    could choose others; pix2pix those that translate RGB → segmentation best on validation (grid `rivals`)."""
    wide = first.widths[-1]
    base = first.replace(
        batch=max(2, first.batch // 4), schedule="linear_decay", phases=(Phase(steps=4 * first.steps),),
        optimizer="adam", learning_rate=2e-4, discriminator_widths=(wide // 4, wide // 2, wide),
    )  # fmt: skip
    resnet = base.replace(widths=(wide // 4, wide // 2, wide), convolutions=(1,) * 3)
    unet = base.replace(widths=(*resnet.widths, 2 * wide), convolutions=(1,) * 4)
    muon = {"optimizer": "muon", "learning_rate": 2e-3}
    return {
        "cyclegan": Run(resnet, cyclegan),
        "pix2pix": Run(unet.replace(**muon, muon_rate=0.06), pix2pix),
        "pix2pix_adam_0.0002": Run(unet, pix2pix, selects=True),
        "pix2pix_adam_0.002": Run(unet.replace(learning_rate=2e-3), pix2pix, selects=True),
        "pix2pix_muon_0.02": Run(unet.replace(**muon, muon_rate=0.02), pix2pix, selects=True),
    }
