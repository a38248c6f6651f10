"""Exercises of notebook 04: what has a target, the sum of all terms, and the audit."""

import itertools

import torch

from . import checker, close, number, require


def _with_target(sets):
    return {(source, target) for held in sets for source in held for target in held}


@checker(_with_target)
def your_pairs_in_the_loss(answer) -> str:
    course = [("rgb", "segmentation"), ("rgb", "depth")]
    found = _pairs(answer(course))
    names = {name for held in course for name in held}
    known = "names such as ('rgb', 'depth'), source first"
    require(all({*pair} <= names for pair in found), f"The set holds something that is no translation: {known}.")
    require(len(found) > 0, "It lists no translation, but D1 alone has RGB and segmentation of each room.")
    unseen = {("depth", "segmentation"), ("segmentation", "depth")}
    require(
        not unseen & found,
        "It lists depth ↔ segmentation, but no set holds both of one room: combine the modalities within a set only.",
    )
    selves = {(name, name) for name in names}
    require(
        bool(selves & found),
        "An image can be compared with itself, too: count the autoencoders, from each modality to the same.",
    )
    require(selves <= found, "One of the autoencoders is missing: every modality of every set has its own target.")
    ways = {(target, source) for source, target in found}
    require(
        found == ways,
        "A pair serves both ways: if RGB is a target for depth, depth is one for RGB. Some have one direction only.",
    )
    expected = _with_target(course)
    require(found == expected, f"There should be {len(expected)} translations, it lists {len(found)}.")
    other = [("depth", "normals"), ("rgb", "thermal", "depth")]
    require(
        _pairs(answer(other)) == _with_target(other),
        "Right for the course's sets, wrong for others, such as ('depth', 'normals') and ('rgb', 'thermal', 'depth'): "
        "read the modalities from `sets`.",
    )
    return "Seven translations have a true target and two have none: no loss can be written for these two."


def _pairs(value) -> set[tuple[str, str]]:
    """The value as a set of pairs of names; else a hint that says what it is."""
    require(isinstance(value, set | frozenset | list | tuple), f"Return a set of pairs, not a {type(value).__name__}.")
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in value]
    right = all(len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs)
    require(right, "Each element should be a pair of two names, such as ('rgb', 'depth'): source first, then target.")
    return set(pairs)


LAMBDAS = {"rgb": 2.0, "segmentation": 3.0, "depth": 5.0, "latent": 7.0}
TERMS = (
    "rgb/SR", "rgb/DR", "rgb/RR", "segmentation/RS", "segmentation/SS", "depth/RD", "depth/DD",
    "latent/RS", "latent/RD",
)  # fmt: skip
"""The names of the terms of section 4.3, without the GAN's."""
PAPERS = {"rgb": 1.0, "segmentation": 100.0, "depth": 10.0, "latent": 1.0}


def _kind(name: str) -> str:
    return name.split("/")[0]


def _total(terms, lambdas):
    return sum(lambdas[_kind(name)] * value for name, value in terms.items())


def _averaged(terms, lambdas):
    kinds = [_kind(name) for name in terms]
    return sum(lambdas[_kind(name)] * value / kinds.count(_kind(name)) for name, value in terms.items())


TOTAL = [
    ("Every term counts 1: multiply each by the λ of its kind.",
     lambda terms, lambdas: sum(terms.values())),
    ("These are the numbers of the paper's first phase: read each λ from `lambdas`, because recipes differ.",
     lambda terms, lambdas: _total(terms, PAPERS)),
    ("The terms of a kind are averaged: section 4.3 adds their expectations.", _averaged),
    ("The whole sum is divided: section 4.3 adds the terms, and only the λ weigh them.",
     lambda terms, lambdas: _total(terms, lambdas) / len(terms),
     lambda terms, lambdas: _total(terms, lambdas) / sum(lambdas.values())),
    ("Each λ counts twice: multiply by it once.",
     lambda terms, lambdas: sum(lambdas[_kind(name)] ** 2 * value for name, value in terms.items())),
    ("It divides by λ: a larger λ should make a term more important.",
     lambda terms, lambdas: sum(value / lambdas[_kind(name)] for name, value in terms.items())),
]  # fmt: skip


@checker(_total, TOTAL)
def your_total(answer) -> str:
    def weights(f) -> dict[str, float]:
        """What each term counts, found by setting the others to zero."""
        terms = [{term: torch.tensor(float(term == name)) for term in TERMS} for name in TERMS]
        return {name: number(f(term, LAMBDAS)) for name, term in zip(TERMS, terms)}

    lost = [name for name, weight in weights(answer).items() if close(weight, 0.0)]
    require(not lost, f"The term {', '.join(lost[:1])} counts nothing: a kind has several terms, and all are added.")
    answer.expect(
        weights,
        "With λ of RGB 2, segmentation 3, depth 5 and latent 7 the terms should count {right}, yours count {found}.",
        same=lambda found, right: close([*found.values()], [*right.values()]),
    )
    few = {name: torch.tensor(float(k + 1), requires_grad=True) for k, name in enumerate(TERMS[:4])}
    result = answer(few, LAMBDAS)
    require(
        isinstance(result, torch.Tensor) and result.requires_grad,
        "The number is right, but cut from the graph: nothing could be learnt from it. Leave out .item(), float() and "
        "detach().",
    )
    require(close(number(result), _total(few, LAMBDAS).item()), "Where a kind of term is absent, the sum is wrong.")
    return "The loop below minimises this number."


# ── your_audit ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _numbers(entry: dict, past: int = 1) -> set[int]:
    return {room for first, last in entry["rooms"] for room in range(first, last + past)}


def _leaked(data: list[dict], past: int = 1) -> list[int]:
    """The rooms that gave both depth and segmentation."""
    depth, segmentation = (
        {room for entry in data if name in entry["modalities"] for room in _numbers(entry, past)}
        for name in ("depth", "segmentation")
    )
    return sorted(depth & segmentation)


def _of_the_last_sets(data: list[dict]) -> list[int]:
    return _leaked([*{entry["modalities"][-1]: entry for entry in data}.values()])


AUDIT = [
    ("Sharing RGB is no leak: a room leaks only when it gave both depth and segmentation.",
     lambda data: sorted({r for a, b in itertools.combinations(data, 2) for r in _numbers(a) & _numbers(b)})),
    ("D1 holds rooms 40 to 42, D2 rooms 41 to 45: a leak may run across two sets.",
     lambda data: [room for entry in data for room in _leaked([entry])]),
    ("A run [first, last] includes its last room: 42 gave segmentation in D1 and depth in D2.",
     lambda data: _leaked(data, past=0)),
    ("A single set can leak, too: rooms 7 and 8 give depth and segmentation in the one entry `extra`.",
     lambda data: sorted(
         {room for pair in itertools.combinations(data, 2) for room in _leaked([*pair])}
         - {room for entry in data for room in _leaked([entry])}
     )),
    ("Rooms 4 and 5 gave depth in training and segmentation when a recipe was chosen: selection counts as well.",
     lambda data: _leaked([entry for entry in data if entry["role"] == "training"])),
    ("It misses leaks where more than two sets hold depth or segmentation.", _of_the_last_sets),
]  # fmt: skip


def _entry(split: str, role: str, modalities: str, *rooms: list[int]) -> dict:
    return {"split": split, "role": role, "modalities": modalities.split(), "rooms": list(rooms)}


@checker(_leaked, AUDIT)
def your_audit(answer) -> str:
    d1, d2 = (
        _entry(name, "training", "rgb " + other, *rooms)
        for name, other, rooms in (("d1", "segmentation", ([0, 9], [40, 42])), ("d2", "depth", ([20, 29], [41, 45])))
    )
    for data, otherwise in (
        (
            [d1, d2, _entry("d3", "training", "rgb", [5, 25])],
            "D1 (0–9, 40–42) and D2 (20–29, 41–45) leak {right}; it lists {found}.",
        ),
        (
            [
                _entry("d1", "training", "rgb segmentation", [0, 2]),
                _entry("extra", "training", "segmentation depth", [7, 8]),
            ],
            "Rooms 7 and 8 give depth and segmentation in the one entry `extra`; it lists {found}.",
        ),
        (
            [
                _entry("d2", "training", "rgb depth", [0, 5]),
                _entry("validation", "selection", "rgb segmentation", [4, 9]),
            ],
            "Rooms 4 and 5 gave depth in training and segmentation in selection; it lists {found}.",
        ),
        (
            [
                _entry("a", "training", "segmentation", [1, 3]),
                _entry("b", "training", "segmentation", [11, 13]),
                _entry("c", "training", "depth", [3, 5], [13, 13]),
                _entry("d", "training", "depth", [1, 1]),
            ],
            "Where more than two sets hold depth or segmentation, {right} leak; it lists {found}.",
        ),
        (
            [_entry("d1", "training", "rgb segmentation", [0, 9]), _entry("d2", "training", "rgb depth", [10, 19])],
            "It finds a leak in a clean record: D1 has rooms 0 to 9, D2 rooms 10 to 19.",
        ),
    ):
        answer.expect(lambda f, data=data: _rooms(f(data)), otherwise)
    return "`mmlib.audit` looks for the same rooms, and for the test split beside them."


def _rooms(value) -> set[int]:
    """The value as a set of room numbers; else a hint that says what it is."""
    require(isinstance(value, set | list | tuple), f"Return a list of room numbers, not a {type(value).__name__}.")
    require(
        all(isinstance(room, int) and not isinstance(room, bool) for room in value),
        "Return the rooms' numbers, one by one: [42], not runs such as [42, 42], names or entries.",
    )
    return set(value)
