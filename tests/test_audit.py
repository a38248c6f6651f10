"""The zero-pair audit: a clean record passes, and each leak is named."""

import json
import re

import pytest

from mmlib import DepthPairs, SegmentationPairs, Triplets, audit
from mmlib.audit import describe_audit
from mmlib.data.sets import ranges


def entry(split="d1", modalities=("rgb", "segmentation"), rooms=((0, 99),), role="training"):
    rows = [list(run) for run in rooms]
    return {"role": role, "split": split, "sha256": "ab" * 32, "modalities": list(modalities), "rooms": rows}


D1, D2 = entry(), entry("d2", ("rgb", "depth"), [(100, 199)])


def test_ranges():
    assert ranges([9, 3, 5, 4, 3]) == [[3, 5], [9, 9]] and ranges([]) == []


def test_clean_record_passes(rooms_dir):
    assert audit({"data": [D1, D2, entry("validation", rooms=[(500, 510)], role="selection")]}) == []
    pairs = [SegmentationPairs(rooms_dir).subset(0, 3), DepthPairs(rooms_dir).subset(3)]
    record = json.loads(json.dumps({"data": [rooms.describe() for rooms in pairs]}))
    assert record["data"][0]["rooms"] == [[100, 102]] and audit(record) == []
    assert "clean" in describe_audit(record) and "3 (100–102)" in describe_audit(record)


def test_ones_own_test_rooms_are_guarded_in_place_of_the_shipped(rooms_dir):
    rooms = Triplets(rooms_dir)  # 100 to 105
    record = {"data": [entry(rooms=[(105, 110)]), entry("d2", ("rgb", "depth"), [(4_000_399, 4_000_900)])]}
    assert audit(record, rooms) == ["the test split was used for training"]
    assert "the test split was used" in describe_audit(record, rooms)
    assert audit(record, rooms.subset(0, 5)) == []


LEAKS = {  # what is wrong: the record, what the audit must say
    "one set with both": ({"data": [entry("d1", ("depth", "segmentation"))]}, "100 rooms from 0 .* in d1"),
    "across sets": ({"data": [D1, entry("d2", ("rgb", "depth"), [(98, 150)])]}, "2 rooms from 98 .*d2.*d1"),
    "selection too": ({"data": [D1, D2, entry("validation", ("depth",), [(7, 7)], "selection")]}, "1 room from 7"),
    "test split": ({"data": [D1, D2, entry("test", ("rgb", "depth"), [(900, 901)], "selection")]}, "test split"),
    "empty": ({"data": []}, "lists no data"),
    "no data": ({}, "lists no data"),
    "no record": (None, "lists no data"),
    "no training": ({"data": [entry(role="selection")]}, "no training data"),
    "no rooms": ({"data": [D1, entry("d2", ("rgb", "depth"), [])]}, "entry 1 .* malformed"),
    "run backwards": ({"data": [D1, entry("d2", ("rgb", "depth"), [(99, 0)])]}, "entry 1 .* malformed"),
    "no hash": ({"data": [{**D1, "sha256": None}]}, "entry 0 .* malformed"),
    "not an entry": ({"data": ["d1"]}, "entry 0 .* malformed"),
    "no modality": ({"data": [{**D1, "modalities": [1]}]}, "entry 0 .* malformed"),
    "misspelt modality": ({"data": [{**D1, "modalities": ["Depth", "segmentation"]}]}, "entry 0 .* malformed"),
    "test rooms, renamed": ({"data": [D1, entry("d2", ("rgb", "depth"), [(4_000_399, 4_000_900)])]}, "test split"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leak_is_found(name):
    record, says = LEAKS[name]
    problems = audit(record)
    assert len(problems) == 1 and re.search(says, problems[0])
    assert problems[0] in describe_audit(record) and "clean" not in describe_audit(record)
