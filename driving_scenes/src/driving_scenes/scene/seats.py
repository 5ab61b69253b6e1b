"""Where people sit along a street: benches, bus stops, low walls and curbs."""

from __future__ import annotations

import numpy as np

from driving_scenes.assets.people.person_pool import SEATS
from driving_scenes.base.conditions import Conditions
from driving_scenes.roads.centerline import Road, pose
from driving_scenes.roads.cross_section import Lane, Layout
from driving_scenes.scene.asset_pool import AssetKey, asset
from driving_scenes.scene.furniture import upright_object
from driving_scenes.scene.object import SceneObject, clear

Street = tuple[Road, Layout]
PER_WALK = {"city street": 1.3, "residential": 1.0, "parking lot": 0.6}  # new seats of a sidewalk, mean
DEPTH = {"bus_stop": 1.7, "bench": 0.6, "low_wall": 0.4}  # metres across the sidewalk
FREQUENCIES = 0.35, 0.3, 0.35
TAKEN = 0.5  # share of the seats with people, before rain and passers-by
GROUPS_PER_CURB = 0.25  # mean
HIPS = 0.17  # metres behind the face of a curb
SITTING_TRACKS = 200_000  # first track id of people who sit


def street_seats(rng: np.random.Generator, street: Street, objects: list[SceneObject]) -> list[SceneObject]:
    """Benches, bus stops and low walls that face the road from the sidewalks, clear of other objects."""
    out: list[SceneObject] = []
    for lane in _sidewalks(street[1]):
        for _ in range(int(rng.poisson(PER_WALK[street[1].scene]))):
            asset_type = str(rng.choice(list(DEPTH), p=FREQUENCIES))
            seat = _facing_road(rng, street, lane, _ahead(rng), asset_type)
            if lane.width > DEPTH[asset_type] + 0.7 and _on_sidewalk(street, lane, seat) and clear(seat, objects + out):
                out.append(seat)
    return out


def seated_people(
    rng: np.random.Generator, street: Street, furniture: list[SceneObject], moving: list[SceneObject], light: Conditions
) -> list[SceneObject]:
    """People on some of the furniture and on curbs, none where something moving is; in the rain only under a roof."""
    wet = light.weather in ("rainy", "snowy")
    seats = [x for x in furniture if len(asset(x.key).seats) and not (wet and x.key.asset_type != "bus_stop")]
    found = [person for seat in seats if rng.random() < TAKEN for person in _on(rng, seat)]
    found += [] if wet else [x for x in _on_curbs(rng, street) if clear(x, furniture)]
    people = [x for x in found if clear(x, moving)]
    for i, person in enumerate(people):
        person.track = SITTING_TRACKS + i
    return people


def _sidewalks(layout: Layout) -> list[Lane]:
    return [x for x in layout.lanes if x.lane_type == "walk" and layout.scene in PER_WALK]


def _ahead(rng: np.random.Generator) -> float:
    """An s in front of most cameras, more often near than far."""
    return float(rng.uniform(2, 26) if rng.random() < 0.6 else rng.uniform(0, 60))


def _side(lane: Lane) -> int:
    """1 left of the road, -1 right of it."""
    return 1 if lane.t[0] > 0 else -1


def _on_sidewalk(street: Street, lane: Lane, obj: SceneObject) -> bool:
    """Whether the sidewalk exists 3 m before and behind an object."""
    road, _ = street
    nearest = road.s[road.nearest(obj.world_from_object[None, :2, 3])[0][0]]
    return all(lane.exists_at(s, road.s) for s in (nearest - 3, nearest, nearest + 3))


def _facing_road(rng: np.random.Generator, street: Street, lane: Lane, s: float, asset_type: str) -> SceneObject:
    """A seat with its back to the outer edge of a sidewalk."""
    (road, layout), side = street, _side(lane)
    t = float(np.interp(s, road.s, lane.t)) + side * (lane.width / 2 - DEPTH[asset_type] / 2 - 0.05)
    return upright_object(rng, road, asset_type, s, t, 0.0 if side > 0 else np.pi, layout.curb_height(side))


def _sitter(rng: np.random.Generator, seat: str, world_from_person: np.ndarray) -> SceneObject:
    return SceneObject(AssetKey.random(rng, "pedestrian", seat=seat), world_from_person)


def _on(rng: np.random.Generator, furniture: SceneObject) -> list[SceneObject]:
    """One or two people who sit side by side on a piece of furniture."""
    places = asset(furniture.key).seats
    count = int(rng.choice([1, 2], p=[0.6, 0.4]))
    first = int(rng.integers(len(places) - count + 1))
    facing = [pose(np.array([x, y, 0.0]), -np.pi / 2 + rng.normal(0, 0.12)) for x, y in places[first : first + count]]
    return [_sitter(rng, "bench", furniture.world_from_object @ one) for one in facing]


def _on_curbs(rng: np.random.Generator, street: Street) -> list[SceneObject]:
    """Groups of one to three on the curbs, with their feet on the road."""
    out: list[SceneObject] = []
    for lane in _sidewalks(street[1]):
        for _ in range(int(rng.poisson(GROUPS_PER_CURB))):
            count, s = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])), _ahead(rng)
            group = [_on_curb(rng, street, _side(lane), s + k * rng.uniform(0.62, 0.8)) for k in range(count)]
            out += [person for person in group if _on_sidewalk(street, lane, person)]
    return out


def _on_curb(rng: np.random.Generator, street: Street, side: int, s: float) -> SceneObject:
    """A person on the curb at s who faces the road."""
    road, layout = street
    edge, height = layout.curb(side), layout.curb_height(side)
    seat = min((x for x in SEATS if x != "bench"), key=lambda x: abs(SEATS[x] - height))
    world = road.pose(s, edge + side * HIPS, -side * np.pi / 2 + rng.normal(0, 0.2))
    return _sitter(rng, seat, pose(world[:3, 3], np.arctan2(world[1, 0], world[0, 0])))
