"""Exercises of notebook 08: what a convolution costs, and how long a plan takes."""

from collections.abc import Sequence

from . import checker, number, require

# ── your_convolution ───────────────────────────────────────────────────────────────────────────────────────────────


def _convolution(inputs: int, outputs: int, side: int, images: int) -> tuple[int, int, int]:
    weights = 9 * inputs * outputs
    return weights, 2 * weights * side**2 * images, outputs * side**2 * images


def _changed(weights=lambda w, *case: w, flops=lambda f, *case: f, values=lambda v, *case: v):
    """A wrong answer whose three numbers are changed: `change(number, inputs, outputs, side, images)`."""

    def answer(*case):
        right = _convolution(*case)
        return tuple(change(one, *case) for change, one in zip((weights, flops, values), right))

    return answer


CONVOLUTION = [
    ("The weights: each of the output channels has a window of 3 × 3 over *each* input channel.",
     _changed(weights=lambda w, i, o, s, n: 9 * o),
     _changed(weights=lambda w, i, o, s, n: 9 * i),
     _changed(weights=lambda w, i, o, s, n: i * o),
     _changed(weights=lambda w, i, o, s, n: 3 * i * o)),
    ("The weights do not depend on the image: they are the same at every pixel.",
     _changed(weights=lambda w, i, o, s, n: w * s**2),
     _changed(weights=lambda w, i, o, s, n: w * s**2 * n)),
    ("Those are multiply-adds: a multiplication and an addition are two FLOPs.",
     _changed(flops=lambda f, *case: f // 2)),
    ("The FLOPs are those of one image: the batch has several.",
     _changed(flops=lambda f, i, o, s, n: f // n),
     _changed(flops=lambda f, i, o, s, n: f // n // 2)),
    ("Each weight is used at each output pixel: the image has side × side of them, not side.",
     _changed(flops=lambda f, i, o, s, n: f // s),
     _changed(values=lambda v, i, o, s, n: v // s)),
    ("Count a step's forward pass alone here: the factor 3 of the rule of thumb comes later.",
     _changed(flops=lambda f, *case: 3 * f)),
    ("The values: a convolution puts out its *output* channels at each pixel.",
     _changed(values=lambda v, i, o, s, n: i * s**2 * n),
     _changed(values=lambda v, i, o, s, n: s**2 * n)),
    ("The values are those of one image: the batch has several.",
     _changed(values=lambda v, i, o, s, n: v // n)),
]  # fmt: skip


@checker(_convolution, CONVOLUTION)
def your_convolution(answer) -> str:
    def counted(f) -> tuple[float, ...]:
        result = f(3, 5, 7, 4)
        require(
            isinstance(result, Sequence) and not isinstance(result, str) and len(result) == 3,
            "Return three numbers: weights, FLOPs, values.",
        )
        return tuple(number(one) for one in result)

    answer.expect(counted, "For 3 → 5 channels on 4 images of 7 × 7 it gives {found}, it should be {right}.")
    answer.expect(
        lambda f: tuple(number(one) for one in f(64, 32, 16, 6)),
        "The first case is right; for 64 → 32 channels on 6 images of 16 × 16 it gives {found}, it should be {right}.",
    )
    return "Weights, work and memory of a layer, from four whole numbers. A network is a sum of those."


# ── your_hours ─────────────────────────────────────────────────────────────────────────────────────────────────────

PHASES = ((200_000, 7.2e12), (100_000, 6.0e12))


def _hours(phases: Sequence[tuple[int, float]], peak: float, share: float) -> float:
    return sum(steps * flops for steps, flops in phases) / (3600 * peak * 1e12 * share)


HOURS = [
    ("That is in seconds: an hour has 3,600 of them.", lambda *case: 3600 * _hours(*case)),
    ("That is in minutes: an hour has 60 of them.", lambda *case: 60 * _hours(*case)),
    ("That is in days: return hours.", lambda *case: _hours(*case) / 24),
    ("The peak rate is given in TFLOP/s: 1 TFLOP is 10¹² FLOPs.", lambda *case: 1e12 * _hours(*case)),
    ("That is the time at the peak rate: only a share of it is reached, so it takes longer.",
     lambda phases, peak, share: _hours(phases, peak, 1.0)),
    ("The share makes the rate smaller, and so the time longer: divide by it.",
     lambda phases, peak, share: _hours(phases, peak, 1 / share)),
    ("Only one phase is counted: add up the FLOPs of all.",
     lambda phases, *rest: _hours(phases[:1], *rest),
     lambda phases, *rest: _hours(phases[-1:], *rest)),
    ("The phases have different FLOPs per step: multiply each by its own number of steps.",
     lambda phases, *rest: _hours([(sum(s for s, _ in phases), phases[0][1])], *rest),
     lambda phases, *rest: _hours([(sum(s for s, _ in phases), sum(f for _, f in phases))], *rest)),
]  # fmt: skip


@checker(_hours, HOURS)
def your_hours(answer) -> str:
    case = "Two phases at 100 TFLOP/s, of which 40 % are reached"
    answer.expect(
        lambda f: number(f(PHASES, 100.0, 0.4)), case + ", should take {right:.2f} hours; it gives {found:.2f}."
    )
    answer.expect(
        lambda f: number(f(PHASES[:1], 990.0, 0.2)), "One phase alone should take {right:.2f} hours; it gives {found}."
    )
    return "A plan is a product of four numbers. Only one of them, the share, has to be measured."
