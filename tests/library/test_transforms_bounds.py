"""Transforms come from anybody: their number, their names and their chains are bounded."""

from __future__ import annotations

import numpy as np

from camera_perception.geometry.transforms import MAX_CHAIN, MAX_FRAMES, MAX_NAME, TfTree

NONE, LEVEL = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)


def chain(length: int) -> TfTree:
    tree = TfTree()
    for number in range(length):
        tree.add(f"f{number}", f"f{number + 1}", (1.0, 0.0, 0.0), LEVEL)
    return tree


def test_a_chain_of_usual_length_is_followed_and_an_endless_one_is_not():
    pose = chain(50).base_from("f0", "f50")
    assert pose is not None
    np.testing.assert_allclose(pose[:3, 3], (50.0, 0.0, 0.0))
    assert chain(MAX_CHAIN + 50).base_from("f0", f"f{MAX_CHAIN + 50}") is None


def test_new_frames_beyond_the_limit_are_ignored_and_known_ones_still_move():
    tree = chain(MAX_FRAMES)
    tree.add("f0", "one too many", NONE, LEVEL)
    assert tree.base_from("f0", "one too many") is None
    tree.add("f0", "f1", (2.0, 0.0, 0.0), LEVEL)
    moved = tree.base_from("f0", "f1")
    assert moved is not None
    assert moved[0, 3] == 2.0


def test_names_of_any_length_are_not_kept():
    tree = TfTree()
    tree.add("base", "x" * (MAX_NAME + 1), NONE, LEVEL)
    assert tree.base_from("base", "x" * (MAX_NAME + 1)) is None
