"""Junctions: the crossing road, stop lines, crosswalks, arrows and traffic lights."""

from __future__ import annotations

import numpy as np

from driving_scenes.base.semantic_ids import SIDEWALK
from driving_scenes.roads import markings
from driving_scenes.roads.centerline import STEP, Road
from driving_scenes.roads.cross_section import ALTERNATIVE, Layout, Surface
from driving_scenes.roads.terrain import Ground
from driving_scenes.scene.furniture import upright_object
from driving_scenes.scene.object import SceneObject


def crossing_road(rng: np.random.Generator, road: Road, layout: Layout, s: float, half: float) -> tuple[Road, Layout]:
    """The flat, straight road that crosses at s, as wide as the gap in the layout."""
    along = np.arange(-90.0, 90.0 + STEP, STEP)
    pose = road.pose(s, 0.0)
    heading = np.arctan2(pose[1, 0], pose[0, 0]) + np.pi / 2
    other = Road.from_curvature(along, np.zeros_like(along), np.zeros_like(along))
    turn = np.array([[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    other = Road(along, other.xyz @ turn.T + pose[:3, 3], other.heading + heading)
    cross = Layout(layout.scene, along)
    left, right = layout.paved
    outside = (along > left + 0.3) | (along < right - 0.3)
    beyond = (along > left + 6) | (along < right - 6)
    cross.band(layout.asphalt, half, -half, -0.004, drivable=ALTERNATIVE, valid=outside)
    for sign in (1, -1):
        cross.band(Surface.CURB, sign * half, sign * (half + 0.2), 0.0, 0.14, semantic=SIDEWALK, valid=beyond)
        cross.band(Surface.PAVING, sign * (half + 0.2), sign * (half + 3.0), 0.14, semantic=SIDEWALK, valid=beyond)
        cross.lane(sign * half / 2, half, sign, valid=beyond)
    cross.line(
        0.0,
        str(rng.choice(["solid", "dashed", "double_solid"])),
        str(rng.choice(["white", "yellow"])),
        valid=beyond,
        scope="other",
    )
    return other, cross


def junction_marks(rng: np.random.Generator, road: Road, layout: Layout) -> list[Ground]:
    """Stop lines, crosswalks, and lane arrows before the junctions."""
    out: list[Ground] = []
    left, right = layout.paved
    own = layout.travel_lanes(own_direction=True)
    for s, half in layout.junctions:
        stripe, wide = rng.uniform(0.4, 0.6), rng.uniform(2.5, 4.0)
        bars = rng.random()
        for start in (s - half - 1.0 - wide, s + half + 1.0):
            if bars < 0.5:
                out += markings.zebra(road, start, right + 0.3, left - 0.3, wide, stripe)
            elif bars < 0.75:
                out += markings.ladder(road, start, right + 0.2, left - 0.2, wide)
        stop = s - half - wide - 2.0
        if own and rng.random() < 0.8:
            ends = [lane.t[0] + k * lane.width / 2 for lane in own for k in (-1, 1)]
            out.append(markings.rectangle(road, stop, stop + rng.uniform(0.3, 0.6), min(ends), max(ends)))
        if rng.random() < 0.5:
            for lane in own:
                turn = str(rng.choice(["straight", "left", "right"]))
                for back in (6, 30):
                    out += markings.arrow(road, stop - back - 4, lane.t[0], turn)
    if layout.scene in ("city street", "residential") and not layout.junctions and rng.random() < 0.35:
        out += markings.zebra(road, rng.uniform(12, 60), right + 0.3, left - 0.3, rng.uniform(2.5, 4.0), 0.5)
    return out


def traffic_lights(rng: np.random.Generator, road: Road, layout: Layout) -> list[SceneObject]:
    """The lights of every junction: facing the ego car, facing oncoming traffic and facing the crossing road."""
    out: list[SceneObject] = []
    left, right = layout.paved
    near, far = (left, right) if layout.left_hand else (right, left)
    outward = np.sign(near) or -1.0
    for s, half in layout.junctions:
        state = str(rng.choice(["red", "green", "yellow", "none"], p=[0.36, 0.34, 0.2, 0.1]))
        cross = {"red": "green", "green": "red", "yellow": "red"}.get(state, "none")
        positions = [(s - half - 3.0, near + outward * 0.7, 0.0, state)]
        if rng.random() < 0.6:
            positions.append((s + half + 2.0, near + outward * 0.7, 0.0, state))
        if rng.random() < 0.6:
            positions.append((s + half + 2.0, far - outward * 0.7, 0.0, state))
        if rng.random() < 0.35:
            positions.append((s + half + 3.0, far - outward * 0.9, np.pi, state))
        if rng.random() < 0.4:
            positions.append((s + half + 2.5, near + outward * 1.5, np.pi / 2, cross))
        out += [_light(rng, road, *position) for position in positions]
    return out


def _light(rng: np.random.Generator, road: Road, s: float, t: float, yaw: float, state: str) -> SceneObject:
    obj = upright_object(rng, road, "traffic_light", s, t, yaw + rng.normal(0, 0.05), 0.1, state=state)
    obj.color = state
    return obj
