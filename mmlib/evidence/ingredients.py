"""What a run trains: its objective, from the sets, the oracles' own rooms and a trained teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data.domains import Domain, shipped_colours
from ..data.sets import OraclePairs, Rooms
from ..data.shipped import SHIPPED, open_split
from ..methods.cyclegan import CycleGAN
from ..methods.mixed_cycles import MixedCycles
from ..methods.pix2pix import Pix2Pix
from ..methods.plug_in import PlugIn
from ..methods.self_training import SelfTraining
from ..methods.student import Student
from ..methods.styles import PHOTO, style_domains
from ..methods.supervised import Supervised
from ..networks import MixAndMatch
from ..objectives import Objective, ZeroPair
from ..recipes import Recipe

FIVE = ("rgb", "depth", "segmentation", "normals", "albedo")
ANCHORED = {"segmentation": "d1", "depth": "d2", "normals": "normals", "albedo": "albedo"}
"""The split that pairs a modality with RGB."""
ORACLE_ROOMS = 5  # the seed of the rooms that are rendered for the oracles alone


@dataclass(frozen=True)
class Ingredients:
    """What objectives are made from: a recipe, a folder with the training sets, a trained teacher, or None, and a
    folder for the rooms that are rendered for the oracles alone."""

    recipe: Recipe
    data: Path = SHIPPED
    teacher: MixAndMatch | None = None
    oracle_rooms: Path = Path("oracle_rooms")

    def anchored(self) -> list[Rooms]:
        """The sets that pair RGB with the recipe's other modalities."""
        return [open_split(self.data, split) for name, split in ANCHORED.items() if name in self.recipe.modalities]

    def pairs(self, source: str, target: str) -> Rooms:
        """True pairs: a training set's where one is RGB, else of the oracles' rooms, `oracle.zip` or rendered here."""
        if "rgb" in (source, target):
            (other,) = {source, target} - {"rgb"}
            return open_split(self.data, ANCHORED[other])
        known = self.data / "oracle.zip"
        if known.exists() and {source, target} == {"depth", "segmentation"}:
            return OraclePairs(known, (source, target))
        from ..rooms.render import render

        render(1200, ORACLE_ROOMS, 96, self.oracle_rooms, FIVE[1:])
        rooms = OraclePairs(self.oracle_rooms, FIVE[1:])
        rooms.split = "oracle"
        return rooms.narrowed((source, target))

    def domains(self) -> list[Domain]:
        """The recipe's colours or styles."""
        sets = (style_domains if PHOTO in self.recipe.modalities else shipped_colours)(self.recipe.size)
        return [rooms for rooms in sets if rooms.modalities[0] in self.recipe.modalities]


Maker = Callable[[Ingredients], Objective]


def zero_pair(given: Ingredients) -> ZeroPair:
    return ZeroPair(*given.anchored())


def self_training(given: Ingredients) -> SelfTraining:
    return SelfTraining(*given.anchored(), base=given.teacher)


def supervised(source: str, target: str) -> Maker:
    return lambda given: Supervised(given.pairs(source, target), source, target)


def student(source: str, target: str) -> Maker:
    return lambda given: Student(given.pairs("rgb", source), given.teacher, source, target)


def cyclegan(given: Ingredients) -> CycleGAN:
    return CycleGAN(*given.anchored())


def pix2pix(given: Ingredients) -> Pix2Pix:
    return Pix2Pix(*given.anchored())


def plugged_in(modality: str) -> Maker:
    return lambda given: PlugIn(given.pairs("rgb", modality), given.teacher)


def mixed_cycles(given: Ingredients) -> MixedCycles:
    return MixedCycles(given.domains())


def combogan(given: Ingredients) -> MixedCycles:
    return MixedCycles(given.domains(), "all")
