"""The runs that the paper's tables and figures need, by preset: each is a recipe, an objective and its teacher."""

import dataclasses
import functools
import itertools
from dataclasses import dataclass

from ..data.domains import COLOURS
from ..methods.styles import PHOTO, STYLES
from ..recipes import SIDE_INFORMATION, Phase, Recipe, preset


@dataclass(frozen=True)
class Run:
    """One training of a grid, repeated over seeds.

    `objective` is a key of `experiments.OBJECTIVES`. `teacher` names the run whose network, of the same seed, labels
    for this one, or is the network that a modality is plugged into. `pair`: source and target of a supervised run; or
    RGB and the modality that is plugged in. `fuses`: Figure 7 is measured of it, too. `pretrained`: the RGB encoder
    starts from `RGB_ENCODER`. `selects`: a choice rests on it, so it is measured on `selection_pairs` alone, never on
    the test. `ship`: the name under which the network of seed 0 goes to `data/checkpoints`, in half precision.
    """

    recipe: Recipe
    objective: str = "zero_pair"
    teacher: str = ""
    pair: tuple[str, str] | None = None
    fuses: bool = False
    pretrained: bool = False
    selects: bool = False
    ship: str = ""


@functools.cache
def runs(name: str) -> dict[str, Run]:
    """The runs of all grids by name, at the size and length of a preset (`ablation`, or a smaller one to try)."""
    base = preset(name)
    first = base.replace(phases=(dataclasses.replace(base.phases[0], steps=base.steps, lambda_pseudo=0.0),))
    (phase,) = first.phases
    untied = _weighted(first, lambda_latent=0.0).replace(latent_noise=0.0)
    long = first.with_steps(2 * base.steps)
    taught = first.replace(phases=_pseudo_pairs_from(base.steps // 4, phase), teacher="average")
    no_indices = taught.replace(side_information="none")
    deep = first.replace(widths=(*base.widths, 2 * base.widths[-1]), convolutions=(*base.convolutions, 3))
    wide = base.widths[-1]  # of the baselines, so that each has at least the parameters of ours
    unet = (wide // 4, wide // 2, wide, 2 * wide)
    return {
        "pooling": Run(first, fuses=True),
        "none": Run(first.replace(side_information="none")),
        "skip": Run(first.replace(side_information="skip")),
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
        **{f"idea_{idea}": Run(recipe, selects=True) for idea, recipe in _ideas(first, phase).items()},
        "pseudo_pairs": Run(taught, fuses=True),
        "pseudo_pairs_none": Run(no_indices, fuses=True),
        # as many steps as the student and its teacher have together
        "pseudo_pairs_long": Run(no_indices.with_steps(long.steps), fuses=True),
        "rgb_to_segmentation": Run(first, "rgb_to_segmentation"),
        "rgb_to_depth": Run(first, "rgb_to_depth"),
        "depth_student": Run(first, "depth_student", teacher="rgb_to_segmentation"),
        "segmentation_student": Run(first, "segmentation_student", teacher="rgb_to_depth"),
        "rgb_to_segmentation_long": Run(long, "rgb_to_segmentation"),
        "rgb_to_depth_long": Run(long, "rgb_to_depth"),
        "depth_student_long": Run(long, "depth_student", teacher="rgb_to_segmentation_long"),
        "segmentation_student_long": Run(long, "segmentation_student", teacher="rgb_to_depth_long"),
        "depth_oracle": Run(first, "depth_oracle"),
        "segmentation_oracle": Run(first, "segmentation_oracle"),
        "depth_oracle_long": Run(long, "depth_oracle"),
        "segmentation_oracle_long": Run(long, "segmentation_oracle"),
        **_many_modalities(first, no_indices),
        **_domains(base),
        "cyclegan": Run(_rival(first, (wide // 4, wide // 2, wide), 2, 2e-4), "cyclegan"),
        "pix2pix": Run(_rival(first, unet, base.batch, 2e-3), "pix2pix"),
        **{
            f"pix2pix_rate_{rate:g}": Run(_rival(first, unet, base.batch, rate), "pix2pix", selects=True)
            for rate in (2e-4, 1e-3)
        },
    }


def _many_modalities(first: Recipe, no_indices: Recipe) -> dict[str, Run]:
    """Five modalities: trained jointly; the fourth and the fifth plugged in, one after the other; and each translation
    alone, on pairs of its own."""
    (phase,) = first.phases
    plugged = no_indices.replace(phases=(dataclasses.replace(phase, lambda_pseudo=1.0),), teacher="self")
    return {
        "five_jointly": Run(no_indices.replace(modalities=FIVE), "five_jointly"),
        "normals_plugged": Run(
            plugged.replace(modalities=FIVE[:4]), "plug_in", teacher="pseudo_pairs_none", pair=("rgb", "normals")
        ),
        "albedo_plugged": Run(
            plugged.replace(modalities=FIVE), "plug_in", teacher="normals_plugged", pair=("rgb", "albedo")
        ),
        **{
            f"alone_{source}_to_{target}": Run(
                no_indices.replace(modalities=FIVE, phases=first.phases, teacher="self"), "alone", pair=(source, target)
            )
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
        "colours_mixed": Run(base.replace(**colours), "mixed_cycles", ship="colours" if ships else ""),
        "colours_apart": Run(apart.replace(**colours), "mixed_cycles"),
        "colours_combogan": Run(base.replace(**colours), "combogan"),
        **{  # each with twice the steps that a pair with the anchor has
            f"colours_{a}_{b}": Run(base.replace(modalities=(a, b)).with_steps(base.steps // 5), "combogan")
            for a, b in COLOUR_PAIRS
        },
        "styles_mixed": Run(base.replace(**styles), "mixed_cycles", ship="styles" if ships else ""),
    }


FIVE = ("rgb", "depth", "segmentation", "normals", "albedo")
ANCHORS = (COLOURS[0], PHOTO)
COLOUR_PAIRS = (("red", "green"), ("white", "black"), ("orange", "purple"))
"""The unseen pairs that are trained by themselves, too, for comparison."""


def _ideas(first: Recipe, phase: Phase) -> dict[str, Recipe]:
    """What might serve the seen translations, and the alignment of their encoders, better than the paper's recipe."""
    late = first.replace(phases=_pseudo_pairs_from(phase.steps // 2, phase))
    strongly = first.replace(phases=_pseudo_pairs_from(phase.steps // 4, phase, 3.0))
    return {
        "strong": _weighted(first, lambda_latent=10 * phase.lambda_latent),
        "weak": _weighted(first, lambda_latent=0.1 * phase.lambda_latent),
        "wide": first.replace(widths=tuple(3 * width // 2 for width in first.widths)),
        "little_rgb": _weighted(first, lambda_rgb=0.1),
        "pseudo_self": late,
        "pseudo_average": late.replace(teacher="average"),
        "pseudo_early_strong": strongly.replace(teacher="average"),
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


def _rival(recipe: Recipe, widths: tuple[int, ...], batch: int, learning_rate: float) -> Recipe:
    """A baseline's recipe: its own widths and learning rate (the papers' is 2e-4; pix2pix's was chosen on validation,
    grid `rivals`), and the schedule and loss weights of its paper."""
    return recipe.replace(
        widths=widths,
        convolutions=(1,) * len(widths),
        discriminator_widths=widths[:3],
        batch=batch,
        learning_rate=learning_rate,
        schedule="linear_decay",
        phases=(Phase(steps=recipe.steps),),
    )
