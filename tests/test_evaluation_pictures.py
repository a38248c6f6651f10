"""The pictures of notebook 05: confusion, gallery, cascade, histogram."""

import torch

from mmlib.course import plots
from mmlib.methods.cascade import Cascade
from mmlib.modalities import CLASSES


def titles(figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_confusion_is_normalised_by_row():
    matrix = torch.zeros(14, 14, dtype=torch.int64)
    matrix[0, 5] = 1000  # Unknown: left out
    matrix[1, 1], matrix[1, 9], matrix[12, 12] = 30, 10, 60
    axis = plots.confusion(matrix).axes[0]
    written = {text.get_position(): text.get_text() for text in axis.texts}
    assert written == {(0, 0): "75", (8, 0): "25", (11, 11): "100"}  # (column, row)
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names[0] == "Bed (40.0 %)" and names[11] == "Wall (60.0 %)" and names[1] == "Books (0.0 %)"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == list(CLASSES[1:])
    assert axis.get_xlabel() == "predicted class"


def test_gallery_names_rooms_and_their_share(model, rooms):
    figure = plots.gallery(model, rooms, [4, 1])
    found = titles(figure)
    assert len(found) == 6  # five columns, and the second room's first
    assert found[0].startswith("test room 4:\n") and found[0].endswith("% right")
    assert "depth → segmentation\nunseen (zero-pair)" in found and found[-1].startswith("test room 1:\n")
    assert figure.png().startswith(b"\x89PNG")


def test_cascaded_shows_the_image_between(model, rooms):
    figure = plots.cascaded(Cascade(model), rooms.batch([0]), "segmentation", "depth")
    assert titles(figure) == [
        "input:\nsegmentation",
        "between:\nRGB",
        "depth\nthrough RGB",
        "depth\ndirect (zero-pair)",
        "truth:\ndepth",
    ]


def test_histogram_has_its_marks():
    figure = plots.histogram(torch.arange(100.0), {"median": 50.0, "end": 90.0}, "metres (m)", "rooms")
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("metres (m)", "rooms")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["median", "end"]
    assert "median, end" in figure.alt
