"""Plausible mistakes in the exercises of notebook 04, and the hint that each should meet."""

import itertools

import torch.nn.functional as F


def pairs(function):
    """The function under the name of the exercise."""
    function.__name__ = "your_pairs_in_the_loss"
    return function


def totals(function):
    function.__name__ = "your_total"
    return function


def pseudo(function):
    function.__name__ = "your_pseudo_pair"
    return function


def audits(function):
    function.__name__ = "your_audit"
    return function


# ── your_pairs_in_the_loss ─────────────────────────────────────────────────────────────────────────────────────────


@pairs
def everything_to_everything(sets):
    names = {name for held in sets for name in held}
    return set(itertools.product(names, names))


@pairs
def no_autoencoders(sets):
    return {pair for held in sets for pair in itertools.permutations(held, 2)}


@pairs
def one_autoencoder(sets):
    return no_autoencoders(sets) | {("rgb", "rgb")}


@pairs
def one_way(sets):
    return {pair for held in sets for pair in itertools.combinations_with_replacement(held, 2)}


@pairs
def the_course_by_heart(sets):
    names = ("rgb", "depth", "segmentation")
    return {(s, t) for s in names for t in names if {s, t} != {"depth", "segmentation"}}


@pairs
def as_strings(sets):
    return {f"{s} → {t}" for held in sets for s in held for t in held}


# ── your_total ─────────────────────────────────────────────────────────────────────────────────────────────────────


def weights(phase, **changes):
    right = {
        "rgb": phase.lambda_rgb * phase.lambda_l2,
        "gan": phase.lambda_rgb * phase.lambda_gan,
        "segmentation": phase.lambda_segmentation,
        "depth": phase.lambda_depth,
        "latent": phase.lambda_latent,
    }
    return right | changes


def weighted(terms, by_kind):
    return sum(by_kind[name.split("/")[0]] * value for name, value in terms.items())


@totals
def unweighted(terms, phase):
    return sum(terms.values())


@totals
def the_papers_numbers(terms, phase):
    return weighted(terms, {"rgb": 1, "gan": 1, "segmentation": 100, "depth": 10, "latent": 1})


@totals
def gan_outside_of_rgb(terms, phase):
    return weighted(terms, weights(phase, gan=phase.lambda_gan))


@totals
def without_lambda_l2(terms, phase):
    return weighted(terms, weights(phase, rgb=phase.lambda_rgb))


@totals
def one_term_a_kind(terms, phase):
    return weighted({name.split("/")[0]: value for name, value in terms.items()}, weights(phase))


@totals
def averaged(terms, phase):
    kinds = [name.split("/")[0] for name in terms]
    return sum(weights(phase)[k] * value / kinds.count(k) for k, value in zip(kinds, terms.values()))


@totals
def without_its_graph(terms, phase):
    return weighted(terms, weights(phase)).item()


# ── your_pseudo_pair ───────────────────────────────────────────────────────────────────────────────────────────────


@pseudo
def teacher_not_detached(translated, teacher):
    return -(teacher.softmax(1) * translated.log_softmax(1)).sum(1).mean()


@pseudo
def hard_labels(translated, teacher):
    return F.cross_entropy(translated, teacher.detach().argmax(1))


@pseudo
def wrong_direction(translated, teacher):
    return F.cross_entropy(teacher.detach(), translated.softmax(1))


@pseudo
def translation_detached(translated, teacher):
    return F.cross_entropy(translated.detach(), teacher.softmax(1))


@pseudo
def logits_as_target(translated, teacher):
    return F.cross_entropy(translated, teacher.detach())


@pseudo
def summed(translated, teacher):
    return F.cross_entropy(translated, teacher.detach().softmax(1), reduction="sum") / len(teacher)


@pseudo
def mean_over_classes(translated, teacher):
    return -(teacher.detach().softmax(1) * translated.log_softmax(1)).mean()


@pseudo
def softmax_over_columns(translated, teacher):
    return -(teacher.detach().softmax(-1) * translated.log_softmax(1)).sum(1).mean()


# ── your_audit ─────────────────────────────────────────────────────────────────────────────────────────────────────


def rooms(entry, past=1):
    return {room for first, last in entry["rooms"] for room in range(first, last + past)}


def both(data, past=1):
    gave = {"depth": set(), "segmentation": set()}
    for entry in data:
        for name in gave.keys() & set(entry["modalities"]):
            gave[name] |= rooms(entry, past)
    return sorted(gave["depth"] & gave["segmentation"])


@audits
def within_a_set_only(data):
    return sorted(r for entry in data if {"depth", "segmentation"} <= set(entry["modalities"]) for r in rooms(entry))


@audits
def across_sets_only(data):
    found = set()
    for a, b in itertools.permutations(data, 2):
        if "depth" in a["modalities"] and "segmentation" in b["modalities"]:
            found |= rooms(a) & rooms(b)
    return sorted(found)


@audits
def last_room_forgotten(data):
    return both(data, past=0)


@audits
def any_room_twice(data):
    return sorted({r for a, b in itertools.combinations(data, 2) for r in rooms(a) & rooms(b)})


@audits
def training_only(data):
    return both([entry for entry in data if entry["role"] == "training"])


@audits
def last_set_of_each(data):
    holder = {name: entry for entry in data for name in entry["modalities"]}
    return sorted(rooms(holder["depth"]) & rooms(holder["segmentation"]))


@audits
def as_runs(data):
    return [[room, room] for room in both(data)]


WRONG_ANSWERS = [
    (everything_to_everything, "combine the modalities within a set only"),
    (no_autoencoders, "count the autoencoders"),
    (one_autoencoder, "One of the autoencoders is missing"),
    (one_way, "A pair serves both ways"),
    (the_course_by_heart, "Right for the course's sets, wrong for others"),
    (as_strings, "Each element should be a pair of two names"),
    (unweighted, "Every term counts 1"),
    (the_papers_numbers, "read each λ from `phase`"),
    (gan_outside_of_rgb, "The GAN's term is a part of L_RGB"),
    (without_lambda_l2, "The L2 terms have two weights"),
    (one_term_a_kind, "a kind has several terms"),
    (averaged, "The terms of a kind are averaged"),
    (without_its_graph, "cut from the graph: nothing could be learnt from it"),
    (teacher_not_detached, "it would learn to agree with its pupil"),
    (hard_labels, "a pseudo-pair keeps its doubts"),
    (wrong_direction, "The two have changed places"),
    (translation_detached, "No gradient reaches the translation"),
    (logits_as_target, "a target needs probabilities"),
    (summed, "That is the sum over the pixels"),
    (mean_over_classes, "sum over the 14 classes before it"),
    (softmax_over_columns, "A softmax goes along the wrong axis"),
    (within_a_set_only, "a leak may run across two sets"),
    (across_sets_only, "A single set can leak, too"),
    (last_room_forgotten, "A run [first, last] includes its last room"),
    (any_room_twice, "Sharing RGB is no leak"),
    (training_only, "selection counts as well"),
    (last_set_of_each, "where more than two sets hold depth or segmentation"),
    (as_runs, "one by one"),
]
