"""What the cells of notebooks call: a verdict on a claim."""


def agree(live: dict, stored: dict, tolerance: float = 0.005) -> bool:
    """Whether two results of `evaluate` on the same rooms agree in every share (mIoU, global, δ)."""
    if live["data_sha256"] != stored["data_sha256"] or live["translations"].keys() != stored["translations"].keys():
        return False
    shares = ("miou", "global", "delta1", "delta2", "delta3")
    return all(
        abs(row[share] - stored["translations"][name][share]) <= tolerance
        for name, row in live["translations"].items()
        for share in shares
        if share in row
    )


def verdict(claim: str, holds: bool) -> None:
    """Print `PASS claim`; where it does not hold, `AssertionError` with the claim stops the notebook."""
    if not holds:
        raise AssertionError(f"FAIL {claim}")
    print(f"PASS {claim}")
