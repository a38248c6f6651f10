"""The pictures of alignment: principal axes by hand, and what the pictures say."""

import pytest
import torch

from mmlib.course import plots
from mmlib.course.plots.alignment import principal_components

ALIGNED = {
    "retrieval_at_1": 0.5,
    "distance": [0.9, 0.5],
    "cka": [0.1, 0.8],
    "index_agreement": [0.3, 0.6],
}


def test_principal_components_by_hand():
    # a cross, twice as wide as high, away from the origin: its arms are the axes
    points = torch.tensor([[12.0, 5.0], [8.0, 5.0], [10.0, 6.0], [10.0, 4.0]])
    coordinates, shares = principal_components(points)
    assert shares.tolist() == pytest.approx([0.8, 0.2])
    assert coordinates.abs().flatten().tolist() == pytest.approx([2, 0, 2, 0, 0, 1, 0, 1], abs=1e-9)
    again, _ = principal_components(-points + 3)
    assert coordinates.amax(0).tolist() == again.amax(0).tolist() == pytest.approx([2, 1])
    for flat in principal_components(torch.ones(3, 2, 2, 2)):
        assert flat.isfinite().all()


def test_the_map_joins_the_same_room():
    random = torch.Generator().manual_seed(0)
    latents = {name: torch.randn(5, 4, 2, 2, generator=random) for name in ("rgb", "depth", "segmentation")}
    figure = plots.latent_map({"before": latents, "after": latents})
    assert [axis.get_title() for axis in figure.axes] == ["before", "after"]
    assert len(figure.axes[0].lines) == 5 and len(figure.axes[0].collections) == 3
    assert "% of the variance" in figure.axes[0].get_xlabel() and "before" in figure.alt


def test_alignment_is_drawn_over_steps_and_by_stage():
    curve = [{"step": 0, **ALIGNED}, {"step": 10, **ALIGNED}]
    figure = plots.alignment_over_time({"depth – segmentation": curve, "RGB – depth": curve}, rooms=100)
    assert [axis.get_xlabel() for axis in figure.axes] == ["training step"] * 3
    assert figure.axes[0].lines[0].get_ydata().tolist() == [50, 50]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.5, 0.5]  # the latent's, the last stage
    figure = plots.alignment_by_stage({"latent": {"RGB – depth": ALIGNED}, "all": {"RGB – depth": ALIGNED}})
    assert figure.axes[2].lines[1].get_ydata().tolist() == pytest.approx([30, 60])
    assert figure.png().startswith(b"\x89PNG")
