"""People made once and kept on disk: each file holds one person at three levels of detail."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from driving_scenes.assets.people.decimation import clustered
from driving_scenes.assets.people.makehuman import MakeHuman, makehuman
from driving_scenes.assets.people.poses import walking
from driving_scenes.assets.people.real_person import centred, dressed_body, random_build
from driving_scenes.assets.people.seated import riding, sitting
from driving_scenes.assets.vehicles.cycles import Ride, bicycle_ride, motorcycle_ride
from driving_scenes.base.mesh import Mesh, join

log = logging.getLogger(__name__)
SOURCE, CACHE = "DRIVING_SCENES_PEOPLE", "DRIVING_SCENES_CACHE"  # environment variables
SHARED = Path("shared/data/assets/people_makehuman_cc0/people.npz")
VERSION = 2  # counts changes of the people; part of the folder's name
VARIANTS = {"pedestrian": 400, "bicycle": 64, "motorcycle": 64, "bench": 128, "low curb": 64, "high curb": 64}
SEATS = {"bench": 0.47, "low curb": 0.1, "high curb": 0.155}  # metres above the ground; a low wall is a bench, too
CELLS = (0.1, 0.045, 0.018)  # metres between vertices by level of detail
NECK = 0.86  # of the height


@lru_cache(maxsize=1)
def source() -> Path | None:
    """people.npz: from the environment, or in ../shared beside the repository; None: not there."""
    given = os.environ.get(SOURCE)
    roots = [Path.cwd().parent, *Path(__file__).resolve().parents[5:7]]
    files = [root / SHARED for root in roots] if given is None else [Path(given)]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        log.warning("people.npz is not there, so simple figures serve as people; set %s to its path.", SOURCE)
    return found


def folder() -> Path:
    """Where the people are kept."""
    cache = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driving_scenes"
    return Path(cache) / f"people_{VERSION}"


def path_of(kind: str, variant: int) -> Path:
    """File of one person."""
    return folder() / kind / f"{variant:04d}.npz"


def keep(kind: str, variant: int) -> None:
    """Make one person and keep it on disk."""
    _write(path_of(kind, variant), at_levels(MAKERS[kind](variant), kind == "pedestrian"))


def pooled(kind: str, variant: int, detail: int) -> Mesh:
    """Person number `variant` of a kind at a level of detail, made on first use."""
    path = path_of(kind, variant)
    if not path.is_file():
        keep(kind, variant)
    with np.load(path) as file:
        arrays = [file[f"{name}{detail}"] for name in ("vertices", "faces", "normals", "colors")]
    vertices, faces, normals, colors = arrays
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        (normals / 127.0).astype(np.float32),
        ((colors / 255.0) ** 2).astype(np.float32),
        np.zeros(len(vertices), np.uint8),
    )


def _people() -> MakeHuman:
    path = source()
    assert path is not None
    return makehuman(path)


def on_foot(variant: int) -> list[Mesh]:
    """The parts of one person who stands, walks or runs, always the same for its number."""
    rng = np.random.default_rng([7, variant])
    stride = float(rng.choice([0.0, rng.uniform(0.5, 1.2), rng.uniform(1.5, 2.0)], p=[0.25, 0.68, 0.07]))
    build = random_build(_people(), rng)
    return dressed_body(_people(), rng, build, walking(rng, stride))


def ride_of(vehicle: str, variant: int, detail: int = 1) -> Ride:
    """The two-wheeler of a rider."""
    return RIDES[vehicle](np.random.default_rng([8, variant]), detail)


def on_ride(vehicle: str, variant: int) -> list[Mesh]:
    """The parts of one rider, in the frame of the two-wheeler."""
    rng = np.random.default_rng([9, len(vehicle), variant])
    build = random_build(_people(), rng, children=0.0)
    turns, shift = riding(_people(), build.rest, rng, ride_of(vehicle, variant))
    heads = {"bicycle": ["hair", "helmet"], "motorcycle": ["full helmet", "helmet"]}[vehicle]
    parts = dressed_body(_people(), rng, build, turns, str(rng.choice(heads, p=[0.55, 0.45])))
    return _moved(parts, shift)


def on_seat(seat: str, variant: int) -> list[Mesh]:
    """The parts of one person who sits, hips above the origin and soles on the ground."""
    rng = np.random.default_rng([10, len(seat), variant])
    build = random_build(_people(), rng, children=0.0)
    turns, shift = sitting(_people(), build.rest, rng, SEATS[seat])
    parts = dressed_body(_people(), rng, build, turns)
    lowest = min(float(part.vertices[:, 2].min()) for part in parts)
    return _moved(parts, np.array([*shift[:2], -lowest]))


def _moved(parts: list[Mesh], shift: np.ndarray) -> list[Mesh]:
    return [replace(part, vertices=part.vertices + shift.astype(np.float32)) for part in parts]


RIDES = {"bicycle": bicycle_ride, "motorcycle": motorcycle_ride}
MAKERS: dict[str, Callable[[int], list[Mesh]]] = {
    "pedestrian": on_foot,
    **{vehicle: partial(on_ride, vehicle) for vehicle in RIDES},
    **{seat: partial(on_seat, seat) for seat in SEATS},
}


def at_levels(parts: list[Mesh], grounded: bool) -> list[Mesh]:
    """The parts of a person as one mesh at every level of detail."""
    whole = join(parts).vertices[:, 2]
    neck = float(whole.min() + NECK * np.ptp(whole))
    levels = [join([clustered(part, cell, neck) for part in parts]) for cell in CELLS]
    return [centred(mesh) for mesh in levels] if grounded else levels


def _write(path: Path, levels: list[Mesh]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for k, mesh in enumerate(levels):
        arrays[f"vertices{k}"] = mesh.vertices.astype(np.float32)
        arrays[f"faces{k}"] = mesh.faces.astype(np.uint16)
        arrays[f"normals{k}"] = np.round(mesh.normals * 127).astype(np.int8)
        arrays[f"colors{k}"] = np.round(np.sqrt(mesh.colors) * 255).astype(np.uint8)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(file.name, path)
