"""Barriers: nobody drives at their foot or beyond them, and their foot is no lane line."""

from __future__ import annotations

import numpy as np
import pytest

from driving_scenes.base.semantic_ids import FENCE
from driving_scenes.output.shot import random_shot
from driving_scenes.roads.centerline import AHEAD, BEHIND, STEP
from driving_scenes.roads.cross_section import BARRIERS, Layout
from driving_scenes.roads.road_types import cross_section

S = np.arange(-BEHIND, AHEAD + STEP, STEP)
NEAR = 40  # index of s = 0


def layouts(road_type: str) -> list[Layout]:
    return [cross_section(np.random.default_rng(seed), road_type, S) for seed in range(60)]


def drivable_at(layout: Layout, t: float, index: int = NEAR) -> int:
    """Drivable id of the bands at an offset; 0 where there is no band."""
    found = 0
    for band in layout.bands:
        low, high = sorted((band.t0[index], band.t1[index]))
        if band.valid[index] and low <= t <= high:
            found = max(found, band.drivable)
    return found


def barriers(layout: Layout) -> list[tuple[float, int]]:
    """Offset of the built ground's edge and its side, 1 left, where a barrier stands."""
    edges = ((layout.left, 1, layout.verge[0]), (layout.right, -1, layout.verge[1]))
    return [(float(layout.row(edge)[NEAR]), side) for edge, side, verge in edges if verge in BARRIERS]


@pytest.mark.parametrize("road_type", ["highway", "rural"])
def test_the_foot_of_a_barrier_is_not_drivable(road_type):
    feet = [drivable_at(x, edge - side * d) for x in layouts(road_type) for edge, side in barriers(x) for d in (0, 0.1)]
    assert len(feet) > 40
    assert set(feet) == {0}


@pytest.mark.parametrize("road_type", ["highway", "rural"])
def test_no_edge_of_the_road_is_labelled_at_the_foot_of_a_barrier(road_type):
    for layout in layouts(road_type):
        for edge, _ in barriers(layout):
            assert not [x for x in layout.lines if not x.painted and abs(x.t[NEAR] - edge) < 0.5]


def test_some_barriers_stand_beside_a_lane_without_an_edge_line():
    bare = 0
    for layout in layouts("highway"):
        for edge, _ in barriers(layout):
            lane = min(layout.travel_lanes(), key=lambda x: abs(x.t[NEAR] - edge))
            outer = lane.t[NEAR] + np.sign(edge - lane.t[NEAR]) * lane.width / 2
            bare += not [x for x in layout.lines if x.valid[NEAR] and abs(x.t[NEAR] - outer) < 0.1]
    assert bare > 5


def test_the_carriageway_beyond_a_barrier_is_not_drivable():
    checked = 0
    for layout in layouts("highway"):
        if layout.median and layout.median[0] in BARRIERS:
            oncoming = [lane for lane in layout.lanes if lane.direction < 0]
            assert {drivable_at(layout, float(lane.t[NEAR])) for lane in oncoming} <= {0}
            checked += bool(oncoming)
    assert checked > 10


def test_no_pixel_of_a_barrier_nor_the_one_below_it_is_drivable(engine):
    below = 0
    for index in (0, 8, 20):
        labels = random_shot(3, index, (256, 160), "highway").labels
        fence = labels.semantic == FENCE
        assert (labels.drivable[fence] == 0).all()
        lowest = fence.shape[0] - 1 - fence[::-1].argmax(0)
        for u in np.flatnonzero(fence.any(0) & (lowest > 115) & (lowest < 159)):
            assert labels.drivable[lowest[u] + 1, u] == 0, (index, u)
            below += 1
    assert below > 30  # of a foot 0.4 m deep, near enough to be a pixel high
