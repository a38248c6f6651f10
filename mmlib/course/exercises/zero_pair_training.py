"""Exercises of notebook 04: what has a target, the sum of all terms, a pseudo-pair, and the audit."""

import torch
import torch.nn.functional as F

from ...modalities import SEGMENTATION
from ...objectives import pseudo_pair, total
from ...recipes import Phase
from . import checker, close, number, require


@checker
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
        "A pair serves both ways: if RGB is a target for depth, depth is one for RGB. Some are listed one way alone.",
    )
    expected = {(s, t) for held in course for s in held for t in held}
    require(found == expected, f"There should be {len(expected)} translations, it lists {len(found)}.")
    other = [("depth", "normals"), ("rgb", "thermal", "depth")]
    expected = {(s, t) for held in other for s in held for t in held}
    require(
        _pairs(answer(other)) == expected,
        "Right for the course's sets, wrong for others, such as ('depth', 'normals') and ('rgb', 'thermal', 'depth'): "
        "read the modalities from `sets`.",
    )
    return "Seven translations have a true target, two have none; no loss can be written for those two."


def _pairs(value) -> set[tuple[str, str]]:
    """The value as a set of pairs of names; else a hint that says what it is."""
    require(isinstance(value, set | frozenset | list | tuple), f"Return a set of pairs, not a {type(value).__name__}.")
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in value]
    right = all(len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs)
    require(right, "Each element should be a pair of two names, such as ('rgb', 'depth'): source first, then target.")
    return set(pairs)


PHASE = Phase(
    steps=1, lambda_rgb=2.0, lambda_segmentation=3.0, lambda_depth=5.0, lambda_latent=7.0, lambda_l2=11.0,
    lambda_gan=13.0,
)  # fmt: skip
TERMS = (
    "rgb/SR", "rgb/DR", "rgb/RR", "gan/*R", "segmentation/RS", "segmentation/SS", "depth/RD", "depth/DD", "latent/RS",
    "latent/RD",
)  # fmt: skip


@checker
def your_total(answer) -> str:
    weights = {}  # what each term counts, found by setting the others to zero
    for name in TERMS:
        weights[name] = number(answer({term: torch.tensor(float(term == name)) for term in TERMS}, PHASE))
    right = {name: float(total({name: 1.0}, PHASE)) for name in TERMS}
    require(
        not all(close(weight, 1.0) for weight in weights.values()),
        "Every term counts 1: multiply each by the λ of its kind, which the phase holds.",
    )
    first = Phase(steps=1)
    require(
        not all(close(weights[name], total({name: 1.0}, first)) for name in TERMS),
        "These are the numbers of the paper's first phase: read each λ from `phase`, it changes during training.",
    )
    lost = [name for name in TERMS if close(weights[name], 0.0)]
    require(
        not lost,
        f"The term {lost[0] if lost else ''} counts nothing: a kind has several terms, and all of them are added.",
    )
    kinds = {name: sum(other.split("/")[0] == name.split("/")[0] for other in TERMS) for name in TERMS}
    averaged = [name for name in TERMS if kinds[name] > 1 and close(weights[name] * kinds[name], right[name])]
    require(not averaged, "The terms of a kind are averaged: section 4.3 adds their expectations.")
    require(
        not close(weights["gan/*R"], PHASE.lambda_gan),
        "The GAN's term is a part of L_RGB: λ_R weighs it as well as λ_GAN.",
    )
    require(
        not close(weights["rgb/SR"], PHASE.lambda_rgb) and not close(weights["rgb/SR"], PHASE.lambda_l2),
        "The L2 terms have two weights: λ_L2 inside L_RGB, and λ_R before the whole of it.",
    )
    wrong = [name for name in TERMS if not close(weights[name], right[name])]
    said = f"{wrong[0]} counts {weights[wrong[0]]:g} times, it should be {right[wrong[0]]:g}" if wrong else ""
    require(not wrong, f"With λ_R 2, λ_S 3, λ_D 5, λ_A 7, λ_L2 11, λ_GAN 13 the term {said}.")
    few = {name: torch.tensor(float(k + 1), requires_grad=True) for k, name in enumerate(TERMS[:5])}
    result = answer(few, PHASE)
    require(
        isinstance(result, torch.Tensor) and result.requires_grad,
        "The number is right, but cut from the graph: nothing could be learnt from it. Leave out .item(), float() and "
        "detach().",
    )
    require(close(number(result), total(few, PHASE)), "Where a kind of term is absent, the sum of the others is wrong.")
    return "This is `mmlib.objectives.total`, but for pseudo-pairs, which weigh λ_pseudo times the λ of their target."


@checker
def your_pseudo_pair(answer) -> str:
    random = torch.Generator().manual_seed(4)
    student, teacher = (3 * torch.randn(2, 14, 4, 6, generator=random) for _ in range(2))
    student.requires_grad_()
    teacher.requires_grad_()
    result = answer(student, teacher)
    value, right = number(result), pseudo_pair(student, teacher, SEGMENTATION).item()
    if not close(value, right):
        with torch.no_grad():
            _diagnose(value, student, teacher, right)
    require(
        isinstance(result, torch.Tensor) and result.requires_grad,
        "The number is right, but cut from the graph: the translation cannot learn from it. Detach the teacher alone.",
    )
    to_student, to_teacher = torch.autograd.grad(result, (student, teacher), allow_unused=True)
    require(
        to_student is not None and bool(to_student.any()),
        "No gradient reaches the translation: it is the one that learns. Detach the teacher instead.",
    )
    require(
        to_teacher is None or not to_teacher.any(),
        "The number is right, but a gradient reaches the teacher: it would learn to agree with its pupil. "
        "Cut it from the graph first.",
    )
    return "The same as `mmlib.objectives.pseudo_pair` for segmentation: soft, and the teacher feels nothing."


def _diagnose(value: float, student: torch.Tensor, teacher: torch.Tensor, right: float) -> None:
    """The hint for a wrong number, by what mistake would give it."""
    soft, pixels = teacher.softmax(1), student[:, :1].numel()
    require(
        not close(value, F.cross_entropy(student, teacher.argmax(1))),
        "That is the cross-entropy with the teacher's best class alone: a pseudo-pair keeps its doubts. "
        "Take all its probabilities as the target.",
    )
    require(
        not close(value, F.cross_entropy(teacher, student.softmax(1))),
        "The two have changed places: the teacher's probabilities are the target, the logarithm is the translation's.",
    )
    require(
        not close(value, F.cross_entropy(student, teacher)),
        "The teacher hands over logits: a target needs probabilities, which sum to 1 over the classes.",
    )
    require(
        not close(value, right * pixels) and not close(value, right * pixels / len(student)),
        "That is the sum over the pixels: take the mean.",
    )
    require(
        not close(value, right / student.shape[1]),
        "The mean should go over the pixels: sum over the 14 classes before it.",
    )
    require(not close(value, -right), "The sign is wrong: a cross-entropy is never negative.")
    others = [
        -(teacher.softmax(a) * student.log_softmax(b)).sum(1).mean()
        for a in range(4)
        for b in range(4)
        if (a, b) != (1, 1)
    ]
    require(
        not any(close(value, other) for other in others),
        "A softmax goes along the wrong axis: classes are axis 1 of (N, 14, H, W).",
    )
    require(
        not close(value, F.kl_div(student.log_softmax(1), soft, reduction="none").sum(1).mean()),
        "That is the Kullback–Leibler divergence: its gradient is the same, but the loss here is the cross-entropy.",
    )
    require(
        not close(value, F.mse_loss(student, teacher)) and not close(value, F.mse_loss(student.softmax(1), soft)),
        "That is a squared distance: segmentation is learnt with cross-entropy.",
    )
    require(
        False,
        f"On logits of 2 × 4 × 6 pixels it gives {value:.4f} instead of {right:.4f}: at each pixel, sum the teacher's "
        "probability of a class times minus the logarithm of the translation's, then take the mean over the pixels.",
    )


def _entry(split: str, role: str, modalities: str, *rooms: list[int]) -> dict:
    return {"split": split, "role": role, "modalities": modalities.split(), "rooms": list(rooms)}


@checker
def your_audit(answer) -> str:
    across = [
        _entry("d1", "training", "rgb segmentation", [0, 9], [40, 42]),
        _entry("d2", "training", "rgb depth", [20, 29], [41, 45]),
        _entry("d3", "training", "rgb", [5, 25]),
    ]
    found = _rooms(answer(across))
    require(
        found != {41, 42, *range(5, 10), *range(20, 26)},
        "Sharing RGB is no leak: a room leaks only when it gave both depth and segmentation.",
    )
    require(bool(found & {41, 42}), "D1 holds rooms 40 to 42, D2 rooms 41 to 45: a leak may run across two sets.")
    require(42 in found, "A run [first, last] includes its last room: 42 gave segmentation in D1 and depth in D2.")
    require(found == {41, 42}, f"D1 (0–9, 40–42) and D2 (20–29, 41–45) leak 41 and 42; it lists {sorted(found)}.")
    whole = [
        _entry("d1", "training", "rgb segmentation", [0, 2]),
        _entry("extra", "training", "segmentation depth", [7, 8]),
    ]
    require(
        _rooms(answer(whole)) == {7, 8},
        "A single set can leak, too: rooms 7 and 8 give depth and segmentation in the one entry `extra`.",
    )
    chosen = [
        _entry("d2", "training", "rgb depth", [0, 5]),
        _entry("validation", "selection", "rgb segmentation", [4, 9]),
    ]
    require(
        _rooms(answer(chosen)) == {4, 5},
        "Rooms 4 and 5 gave depth in training and segmentation when a recipe was chosen: selection counts as well.",
    )
    several = [
        _entry("a", "training", "segmentation", [1, 3]),
        _entry("b", "training", "segmentation", [11, 13]),
        _entry("c", "training", "depth", [3, 5], [13, 13]),
        _entry("d", "training", "depth", [1, 1]),
    ]
    require(
        _rooms(answer(several)) == {1, 3, 13}, "It misses leaks where more than two sets hold depth or segmentation."
    )
    clean = [_entry("d1", "training", "rgb segmentation", [0, 9]), _entry("d2", "training", "rgb depth", [10, 19])]
    require(not _rooms(answer(clean)), "It finds a leak in a clean record: D1 has rooms 0 to 9, D2 rooms 10 to 19.")
    return "`mmlib.audit` looks for the same rooms, and for the test split beside them."


def _rooms(value) -> set[int]:
    """The value as a set of room numbers; else a hint that says what it is."""
    require(isinstance(value, set | list | tuple), f"Return a list of room numbers, not a {type(value).__name__}.")
    require(
        all(isinstance(room, int) and not isinstance(room, bool) for room in value),
        "Return the rooms' numbers, one by one: [42], not runs such as [42, 42], names or entries.",
    )
    return set(value)
