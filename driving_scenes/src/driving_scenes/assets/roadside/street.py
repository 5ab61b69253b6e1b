"""Street furniture: lamps, poles, cones, bins, benches and the like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Material, Mesh, join
from driving_scenes.base.semantic_ids import IGNORE, POLE, SIGN
from driving_scenes.base.shapes import box, boxes, disc, prism, rods, tube


def _post_color(rng: np.random.Generator) -> np.ndarray:
    steel, green = colors.GALVANISED, colors.linear("2a4a3a")[0]
    choices: list[np.ndarray] = [steel, steel * 0.6, colors.BLACK * 2, green, colors.CONCRETE]
    return choices[int(rng.integers(5))]


def street_lamp(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A street lamp; its arm, if any, reaches towards +y."""
    color, sides = _post_color(rng), 8 if detail else 4
    if rng.random() < 0.2:
        return asset_of(_park_lamp(rng, color, sides), None, POLE)
    height, arm_length = rng.uniform(6, 11), rng.uniform(0.8, 2.6)
    post = tube(
        [(0, 0, 0), (0, 0, 0.8), (0, 0, 0.81), (0, 0, height - 0.8)],
        [0.13, 0.12, 0.09, 0.06],
        color,
        Material.METAL,
        sides,
    )
    parts = [post]
    for side in (1, -1) if rng.random() < 0.15 else (1,):
        arm = [(0, 0, height - 0.85), (0, side * arm_length * 0.25, height - 0.2), (0, side * arm_length, height)]
        parts.append(tube(arm, [0.06, 0.05, 0.04], color, Material.METAL, sides - 2 if detail else 3))
        head = (0, side * (arm_length + 0.25), height)
        parts.append(box(head, (0.24, 0.7, 0.12), color * 0.9, Material.METAL, top=(0.6, 0.8)))
        parts.append(box((0, head[1], height - 0.07), (0.18, 0.45, 0.03), colors.LAMP_WHITE, Material.HEADLAMP))
    return asset_of(join(parts), None, POLE)


def _park_lamp(rng: np.random.Generator, color: np.ndarray, sides: int) -> Mesh:
    height = rng.uniform(3.2, 4.5)
    post = tube(
        [(0, 0, 0), (0, 0, 0.5), (0, 0, 0.51), (0, 0, height)], [0.1, 0.09, 0.055, 0.05], color, Material.METAL, sides
    )
    globe = tube(
        [(0, 0, height), (0, 0, height + 0.15), (0, 0, height + 0.35)],
        [0.1, 0.2, 0.14],
        colors.LAMP_WHITE,
        Material.HEADLAMP,
        sides,
    )
    return join(
        [post, globe, tube([(0, 0, height + 0.35), (0, 0, height + 0.45)], [0.24, 0.05], color, Material.METAL, sides)]
    )


def pole(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A utility pole, a flag-like mast, a bollard or a road-side marker post."""
    pole_type = str(rng.choice(["utility", "mast", "bollard", "marker"], p=[0.35, 0.25, 0.2, 0.2]))
    sides = 7 if detail else 4
    if pole_type == "bollard":
        body = tube(
            [(0, 0, 0), (0, 0, 0.85), (0, 0, 0.92)], [0.08, 0.08, 0.05], _post_color(rng), Material.METAL, sides
        )
        return asset_of(
            join([body, tube([(0, 0, 0.7), (0, 0, 0.78)], [0.084, 0.084], colors.WHITE, Material.SIGN, sides)]),
            None,
            POLE,
        )
    if pole_type == "marker":
        mark = box((-0.065, 0, 0.85), (0.012, 0.06, 0.18), colors.SIGN_ORANGE, Material.SIGN)
        return asset_of(
            join(
                [
                    box((0, 0, 0.5), (0.12, 0.1, 1.0), colors.WHITE),
                    box((0, 0, 0.85), (0.124, 0.104, 0.24), colors.BLACK),
                    mark,
                ]
            ),
            None,
            POLE,
        )
    height = rng.uniform(7, 10) if pole_type == "utility" else rng.uniform(4, 9)
    color = colors.WOOD * rng.uniform(0.7, 1.3) if pole_type == "utility" else _post_color(rng)
    thick = 0.14 if pole_type == "utility" else 0.07
    parts = [
        tube(
            [(0, 0, 0), (0, 0, height)],
            [thick, thick * 0.75],
            color,
            Material.MATTE if pole_type == "utility" else Material.METAL,
            sides,
        )
    ]
    if pole_type == "utility":
        for z in (height - 0.4, height - 1.2)[: int(rng.integers(1, 3))]:
            parts.append(box((0, 0, z), (0.12, 2.2, 0.12), color * 0.9))
            spots = np.array([(0, y, z + 0.15) for y in (-1.0, -0.5, 0.5, 1.0)])
            parts.append(boxes(spots, (0.07, 0.07, 0.18), colors.linear("5a4a42")[0]))
        if rng.random() < 0.4:
            parts.append(
                tube(
                    [(-0.35, 0, height - 2.4), (-0.35, 0, height - 1.5)],
                    [0.25, 0.25],
                    colors.GALVANISED,
                    Material.METAL,
                    sides,
                )
            )
    return asset_of(join(parts), None, POLE)


def cone(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A traffic cone, barrel or delineator of a road work."""
    sides = 12 if detail else 5
    orange = colors.linear("e8501a", "d8400f", "e06020")[rng.integers(3)]
    if rng.random() < 0.3:
        z = np.array([0.05, 0.25, 0.45, 0.65, 0.85, 1.0]) * rng.uniform(0.92, 1.08)
        paint = np.stack([orange, colors.WHITE, orange, colors.WHITE, orange])
        body = tube(np.outer(z, [0, 0, 1.0]), [0.29, 0.28, 0.27, 0.26, 0.25, 0.22], paint, Material.SIGN, sides)
        return asset_of(join([prism(disc(0.34, sides), 0, 0.06, colors.RUBBER), body]), None, SIGN)
    height = rng.uniform(0.45, 0.95)
    z, radius = (
        np.array([0.03, 0.35, 0.55, 0.7, 0.85, 1.0]) * height,
        np.array([0.19, 0.135, 0.105, 0.08, 0.055, 0.03]) * height / 0.75,
    )
    paint = np.stack([orange, colors.WHITE, orange, colors.WHITE, orange])
    body = tube(np.outer(z, [0, 0, 1.0]), radius, paint, Material.SIGN, sides)
    return asset_of(join([box((0, 0, 0.02), (0.5 * height, 0.5 * height, 0.04), orange * 0.5), body]), None, SIGN)


def bin(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A wheeled bin, a litter bin or a dumpster."""
    bin_type = str(rng.choice(["wheeled", "litter", "dumpster"], p=[0.5, 0.3, 0.2]))
    color = colors.one_of(rng, colors.linear("2a4a2f", "1a1c1e", "1f3f7a", "5a3a22", "6a6e70", "c8a81f"))
    if bin_type == "litter":
        body = tube([(0, 0, 0), (0, 0, 0.75)], [0.2, 0.22], color, sides=10 if detail else 5)
        return asset_of(
            join([body, tube([(0, 0, 0.75), (0, 0, 0.95)], [0.24, 0.12], color * 0.6, sides=10 if detail else 5)]),
            None,
            IGNORE,
        )
    length, width, height = (0.72, 0.58, 1.05) if bin_type == "wheeled" else (1.1, 1.8, 1.3)
    body = box((0, 0, 0.06 + height * 0.44), (length * 0.8, width * 0.85, height * 0.88), color, top=1.18)
    lid = box(
        (0, 0, height * 0.97),
        (length, width, 0.1),
        colors.one_of(rng, colors.linear("c8a81f", "1f3f7a", "2a4a2f", "1a1c1e")),
        top=(0.9, 0.95),
    )
    feet = [
        (x, s * width * 0.36, 0.1) for x in ((length * 0.3,) if bin_type == "wheeled" else (-0.3, 0.3)) for s in (1, -1)
    ]
    parts = [body, lid, boxes(np.array(feet), (0.2, 0.06, 0.2), colors.RUBBER)]
    return asset_of(join(parts), None, IGNORE)


def parked_clutter(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bench, hydrant, post box, cabinet, advertising stand, planter, bus stop or heap of boxes."""
    variants = (bench, _hydrant, _cabinet, _advert, _planter, bus_stop, _heap)
    made = variants[rng.choice(7, p=[0.16, 0.12, 0.2, 0.14, 0.14, 0.1, 0.14])](rng)
    return made if isinstance(made, Asset) else asset_of(join(made), None, IGNORE)


def bench(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A bench of three slats with a back; it faces -y."""
    return replace(asset_of(join(_bench(rng)), None, IGNORE), seats=np.array([(x, 0.06) for x in (-0.52, 0.0, 0.52)]))


def bus_stop(rng: np.random.Generator, detail: int = 1) -> Asset:
    """A shelter with a bench; its open side faces -y."""
    places = np.array([(x, 0.42) for x in (-0.85, -0.28, 0.28, 0.85)])
    return replace(asset_of(join(_shelter(rng)), None, IGNORE), seats=places)


def _bench(rng: np.random.Generator) -> list[Mesh]:
    wood = colors.WOOD * rng.uniform(0.7, 1.6)
    slats = np.array([(0, y, 0.45) for y in (-0.18, -0.04, 0.1)] + [(0, 0.24, z) for z in (0.6, 0.75)])
    sizes = np.array([(1.7, 0.11, 0.04)] * 3 + [(1.7, 0.04, 0.11)] * 2)
    legs = np.array([(s * 0.7, 0.0, 0.22) for s in (1, -1)])
    return [boxes(slats, sizes, wood), boxes(legs, (0.06, 0.45, 0.44), colors.DARK, Material.METAL)]


def _hydrant(rng: np.random.Generator) -> list[Mesh]:
    color = colors.one_of(rng, colors.linear("b01c14", "d8a81a", "8a8e90"))
    body = tube(
        [(0, 0, 0), (0, 0, 0.06), (0, 0, 0.07), (0, 0, 0.55), (0, 0, 0.56), (0, 0, 0.7)],
        [0.17, 0.17, 0.11, 0.11, 0.14, 0.04],
        color,
        Material.PAINT,
    )
    return [body, rods([(0, -0.19, 0.42)], [(0, 0.19, 0.42)], 0.06, color, Material.PAINT, 6)]


def _cabinet(rng: np.random.Generator) -> list[Mesh]:
    color = colors.one_of(rng, colors.linear("8a8e8a", "5a6a5e", "c8c4b4", "c01c1c", "1f3f8a", "e0b81a"))
    length, width, height = rng.uniform([0.5, 0.3, 0.9], [1.4, 0.5, 1.5])
    body, lid = (
        box((0, 0, height / 2), (length, width, height), color),
        box((0, 0, height), (length + 0.06, width + 0.06, 0.06), color * 0.7),
    )
    return [body, lid, box((0, -width / 2 - 0.003, height / 2), (0.012, 0.006, height * 0.85), colors.DARK)]


def _advert(rng: np.random.Generator) -> list[Mesh]:
    height = rng.uniform(1.0, 2.4)
    frame = box((0, 0, height * 0.55), (0.14, height * 0.6, height * 0.9), colors.DARK, Material.METAL)
    shades = colors.linear("c83a2a", "2a6ac8", "e8c83a", "e8e4dc", "3a8a5a", "8a3a8a")
    posters = [
        box((0, 0, height * (0.55 + dz)), (0.16, height * 0.52, height * h), shades[rng.integers(6)])
        for dz, h in ((0.15, 0.45), (-0.2, 0.25))
    ]
    return [frame, *posters, box((0, 0, 0.1), (0.4, height * 0.5, 0.2), colors.DARK)]


def _planter(rng: np.random.Generator) -> list[Mesh]:
    from driving_scenes.assets.roadside.plants import bush

    tub = box((0, 0, 0.28), (0.9, 0.9, 0.56), colors.one_of(rng, colors.linear("9a968c", "7a4a32", "4a4644")), top=1.1)
    plant = bush(rng, 0).mesh
    pose = np.eye(4)
    pose[:3, :3] *= 0.9 / max(np.ptp(plant.vertices, axis=0)[:2])
    pose[2, 3] = 0.45
    return [
        tub,
        Mesh(
            (plant.vertices @ pose[:3, :3] + pose[:3, 3]).astype(np.float32),
            plant.faces,
            plant.normals,
            plant.colors,
            plant.materials,
        ),
    ]


def _shelter(rng: np.random.Generator) -> list[Mesh]:
    steel = colors.GALVANISED if rng.random() < 0.5 else colors.DARK
    posts = np.array([(x, y, 0) for x in (-1.8, 1.8) for y in (-0.6, 0.7)])
    end = rng.choice([-1.8, 1.8])
    poster = colors.one_of(rng, colors.linear("c83a2a", "2a6ac8", "e8c83a", "e8e4dc", "3a8a5a", "8a3a8a"))
    legs = np.array([(x, 0.5, 0.22) for x in (-1.0, 1.0)])
    return [
        rods(posts, posts + (0, 0, 2.4), 0.04, steel, Material.METAL, 5),
        box((0, 0, 2.45), (4.0, 1.7, 0.1), steel, Material.METAL),
        box((0, 0.7, 1.25), (3.5, 0.02, 1.9), colors.GLASS_TINT * 5, Material.GLASS),
        box((end, 0.1, 1.25), (0.1, 1.15, 1.9), steel, Material.METAL),
        box((end, 0.1, 1.28), (0.12, 0.95, 1.6), poster),
        box((0, 0.45, 0.45), (2.4, 0.35, 0.05), colors.WOOD * rng.uniform(0.6, 1.3)),
        boxes(legs, (0.05, 0.3, 0.43), steel, Material.METAL),
    ]


def _heap(rng: np.random.Generator) -> list[Mesh]:
    count = int(rng.integers(2, 6))
    sizes = rng.uniform(0.25, 0.6, (count, 3))
    positions = np.c_[rng.uniform(-0.6, 0.6, count), rng.uniform(-0.3, 0.3, count), sizes[:, 2] / 2]
    return [
        boxes(
            positions,
            sizes,
            colors.linear("a8845a", "8a6a42", "1a1c1e", "e0e0dc", "3a5a8a")[rng.integers(5, size=count)],
        )
    ]
