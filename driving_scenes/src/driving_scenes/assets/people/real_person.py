"""One random person: body, skin, hair, clothes and pose drawn from the MakeHuman data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from driving_scenes.assets.people.makehuman import Body, MakeHuman, Surface, forward_left_up, mesh_of
from driving_scenes.assets.people.poses import Turns
from driving_scenes.base import colors
from driving_scenes.base.mesh import Mesh, join

SUITS = {
    "male": [f"male_casualsuit0{i}" for i in range(1, 7)] + ["male_elegantsuit01", "male_worksuit01"],
    "female": ["female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01"],
}
HAIRS = {
    "male": ["short01", "short02", "short03", "short04", "afro01"],
    "female": ["bob01", "bob02", "braid01", "long01", "ponytail01", "short04"],
}
CLOTH = colors.linear(
    *("08080a", "101216", "16181d", "1b2130", "23262b", "2c3038", "1d2b22", "2b1f1a", "3a3d42", "25304a"),
    *("4a4d52", "6e7175", "8d8a84", "b9b6ae", "d9d7d0", "ecebe6", "7d1a1c", "a8242a", "2f4f8f", "4f79a8"),
    *("2f5a3a", "6b6a3a", "6a4a2e", "a88d64", "c9b08a", "c98a1f", "7a3f6a", "b35a3a", "c46a82", "3f7a7d"),
)
HELMETS = colors.linear("f0f0ee", "101012", "16171a", "b01818", "1e4fa0", "e0c020", "70767c", "2a2c30")
TROUSERS = colors.linear(
    "0b0c0f", "14151a", "1d2230", "25304a", "33456b", "4f678f", "3a352e", "6d6250", "8f8468", "5a5c60"
)
HAIR = colors.linear(
    *("0a0808", "14100e", "20160f", "3a2416", "5a3a20", "8a6a3c", "b8985a", "8d8b88", "c9c7c2", "5a2a15")
)


@dataclass(frozen=True, slots=True)
class Build:
    """A naked body before it is posed: its rest positions (V, 3), and what its skin, hair and clothes depend on."""

    gender: str
    age: str
    race: str
    rest: np.ndarray


def random_build(people: MakeHuman, rng: np.random.Generator, children: float = 0.14) -> Build:
    """Any gender, age, origin, weight and height; `children` is their share."""
    gender = str(rng.choice(["male", "female"]))
    age = str(rng.choice(["young", "old", "child"], p=[0.8 - children, 0.2, children]))
    race = str(rng.choice(["caucasian", "african", "asian"], p=[0.5, 0.25, 0.25]))
    weight = str(rng.choice(["min", "average", "max"], p=[0.25, 0.45, 0.3]))
    return Build(gender, age, race, people.shape(gender, age, race, weight, rng.uniform(-0.5, 0.5)))


def dressed_body(
    people: MakeHuman, rng: np.random.Generator, build: Build, turns: Turns, head: str = "hair"
) -> list[Mesh]:
    """Clothes, shoes, skin and hair of a posed person: x forward, y left, z up, metres.

    head  "hair", or "helmet" or "full helmet" over it
    """
    gender, age, race = build.gender, build.age, build.race
    body = people.posed(build.rest, turns)
    suit, hides = people.worn(f"clothes/{rng.choice(SUITS[gender])}", body)
    shoes, hides_too = people.worn(f"clothes/shoes0{rng.integers(1, 7)}", body)
    hair, _ = people.worn(f"hair/{rng.choice(HAIRS[gender])}", body)
    covered = np.concatenate([hides, hides_too])
    kind = f"skin/{_skin_age(rng, age)}_{race}_{gender}/"
    skins = [name for name in people.arrays if name.startswith(kind)]
    skin = people.skin(str(rng.choice(skins)), body, covered)
    waist = float(people.joints(body.rest)[people.bones.index("spine05"), 1])
    parts = [_recolored_suit(rng, suit, waist), _tinted(shoes, rng.uniform(0.25, 1.0)), skin]
    meshes = [mesh_of(part) for part in parts]
    if head != "hair":
        return [*meshes, helmet(people, rng, body, head == "full helmet")]
    meshes.append(_two_sided(mesh_of(_recolored(hair, _hair_color(rng, age, race)))))
    if gender == "male" and rng.random() < 0.08:
        meshes.append(mesh_of(_recolored(people.worn("clothes/fedora01", body)[0], colors.one_of(rng, CLOTH))))
    return meshes


def helmet(people: MakeHuman, rng: np.random.Generator, body: Body, full: bool) -> Mesh:
    """A helmet on a posed head: an open shell, or one over the whole head with a dark visor."""
    skull = people.bones.index("head")
    on_head = (people.arrays["weight_bones"] == skull) & (people.weights > 0.5)
    index = np.flatnonzero(on_head.any(1)[: people.arrays["body_vertex"].max() + 1])
    low, high = body.rest[index].min(0), body.rest[index].max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    middle, half = middle + (0, half[1] * 0.15, 0), half * (1.1, 0.98, 1.1) + 0.15
    level = np.linspace(-0.8 if full else 0.05, 1.0, 9)
    angle = np.linspace(0, 2 * np.pi, 17)
    ring = np.sqrt(np.clip(1 - np.abs(level) ** 2.4, 0, 1))[:, None]
    rise = level[:, None] + (0 if full else -0.18 * np.cos(angle)) * (1 - level[:, None])
    rise = np.broadcast_to(rise, (len(level), len(angle)))
    points = np.stack([ring * np.sin(angle), rise, ring * np.cos(angle)], -1) * half + middle
    color = np.tile(colors.one_of(rng, HELMETS), (*points.shape[:2], 1))
    if full:
        visor = (np.abs(level)[:, None] < 0.4) & (np.cos(angle) > 0.25)
        color[visor] = colors.BLACK
    moved = points.reshape(-1, 3) @ body.motion[index[0], :, :3].T + body.motion[index[0], :, 3]
    cell = np.arange(8 * 17).reshape(8, 17)[:, :16].ravel()
    faces = np.concatenate([[[i, i + 1, i + 18], [i, i + 18, i + 17]] for i in cell])
    surface = Surface(forward_left_up(moved), faces, color.reshape(-1, 3), points.reshape(-1, 3))
    return mesh_of(surface)


def _skin_age(rng: np.random.Generator, age: str) -> str:
    if age == "old":
        return "old"
    return "middleage" if age == "young" and rng.random() < 0.4 else "young"


def _hair_color(rng: np.random.Generator, age: str, race: str) -> np.ndarray:
    palette = HAIR[[7, 8, 7, 3]] if age == "old" else HAIR if race == "caucasian" else HAIR[:3]
    return colors.one_of(rng, palette)


def _luminance(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(rgb @ np.array([0.2126, 0.7152, 0.0722]))


def _recolored(surface: Surface, color: np.ndarray, where: np.ndarray | None = None) -> Surface:
    """The surface in another colour, with its own folds and seams."""
    chosen = np.ones(len(surface.colors), bool) if where is None else where
    if not chosen.any():
        return surface
    light = _luminance(surface.colors)
    relief = np.clip(light / max(float(np.median(light[chosen])), 0.01), 0.35, 2.2) ** 0.7
    return replace(surface, colors=np.where(chosen[:, None], relief[:, None] * color, surface.colors))


def _recolored_suit(rng: np.random.Generator, suit: Surface, waist: float) -> Surface:
    """Top and trousers get colours of their own; some suits keep their texture."""
    if rng.random() < 0.2:
        return _tinted(suit, rng.uniform(0.3, 1.1) * rng.uniform(0.75, 1.2, 3))
    low = suit.rest[:, 1] < waist
    suit = _recolored(suit, colors.one_of(rng, TROUSERS, 0.25), low)
    return _recolored(suit, colors.one_of(rng, CLOTH[:16] if rng.random() < 0.7 else CLOTH[16:], 0.25), ~low)


def _tinted(surface: Surface, tint: float | np.ndarray) -> Surface:
    return replace(surface, colors=surface.colors * tint)


def _two_sided(mesh: Mesh) -> Mesh:
    """Cards of hair are seen from both sides."""
    back = Mesh(mesh.vertices, mesh.faces[:, ::-1], -mesh.normals, mesh.colors, mesh.materials)
    return join([mesh, back])


def centred(mesh: Mesh) -> Mesh:
    """The mesh with its lowest point at z = 0 and its middle above the origin."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    return replace(mesh, vertices=mesh.vertices - shift)
