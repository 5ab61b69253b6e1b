"""Geometry of roads and cross-sections."""

from __future__ import annotations

import numpy as np
import pytest

from driving_scenes.base.semantic_ids import SIDEWALK
from driving_scenes.roads.centerline import Road
from driving_scenes.roads.cross_section import Layout, Surface
from driving_scenes.roads.streets import TARMAC, residential
from driving_scenes.scene.world import build_world


def test_a_road_without_curvature_runs_straight_ahead():
    s = np.arange(-10.0, 50.0, 2.0)
    road = Road.from_curvature(s, np.zeros_like(s), np.zeros_like(s))
    np.testing.assert_allclose(road.at(30.0, 2.0, 0.1), [30, 2, 0.1], atol=1e-9)


def test_a_road_of_constant_curvature_is_a_circle():
    s = np.arange(0.0, 200.0, 2.0)
    road = Road.from_curvature(s, np.full_like(s, 1 / 100), np.zeros_like(s))
    ends = road.at(0.0, 0.0), road.at(100.0, 0.0)
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(2 * 100 * np.sin(0.5), abs=0.1)


def test_mirrored_roads_swap_the_sides_of_mixed_lines():
    layout = Layout("highway", np.arange(3.0))
    layout.line(1.5, "solid_dashed", "yellow")
    mirrored = layout.mirrored().lines[0]
    assert mirrored.style == "dashed_solid"
    assert mirrored.t[0] == -1.5


def test_some_sidewalks_are_of_the_roads_own_tarmac_and_none_is_drivable():
    layouts = [residential(np.random.default_rng(seed), np.arange(0.0, 100.0, 2.0)) for seed in range(60)]
    walks = [b for x in layouts for b in x.bands if b.semantic == SIDEWALK and b.surface != Surface.CURB]
    assert {b.surface for b in walks} == {Surface.ASPHALT, Surface.PAVING}
    assert np.mean([b.surface == Surface.ASPHALT for b in walks]) == pytest.approx(TARMAC, abs=0.15)
    assert all(b.drivable == 0 for b in walks)


def test_an_unknown_road_type_is_refused():
    with pytest.raises(ValueError, match="choose one of highway, rural"):
        build_world((0,), "motorway")
