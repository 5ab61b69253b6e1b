"""OpenGL without a window: the context, the shader programs and the buffers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driving_scenes.base.mesh import Mesh
from driving_scenes.base.noise import noise_texture
from driving_scenes.roads.terrain import Ground
from driving_scenes.scene.asset_pool import Key, pieces

SHADERS = Path(__file__).parent / "shaders"
PROGRAMS = {
    "ground ROAD": ("ground.vert", "ground.frag"),
    "ground SOIL": ("ground.vert", "ground.frag"),
    "ground BUILT": ("ground.vert", "ground.frag"),
    "ground_id": ("ground.vert", "groundid.frag"),
    "ribbon": ("ribbon.vert", "ribbon.frag"),
    "thing": ("thing.vert", "thing.frag"),
    "thing_id": ("thing.vert", "id.frag"),
    "thing_depth": ("thing.vert", "depth.frag"),
    "sky": ("sky.vert", "sky.frag"),
    "contact": ("contact.vert", "contact.frag"),
}
GROUND = {"position": 3, "normal": 3, "st": 2, "surface": 1, "label": 1}  # floats of a ground vertex


class NoOpenGL(RuntimeError):
    """No OpenGL 3.3 through EGL on this machine."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One mesh on the graphics side, ready for the three passes."""

    color: object
    ids: object
    depth: object
    category: str | None
    semantic: int
    radius: float
    hull: np.ndarray  # (K, 3) outermost vertices
    lamps: tuple[np.ndarray, np.ndarray]  # (L, 3) centres of head lamps, of tail lamps
    number: int  # of the piece in its thing
    buffers: tuple


class Gpu:
    """Owns one context; everything drawn lives here. Use it in the process that made it."""

    def __init__(self) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "0")
        import moderngl

        try:
            self.ctx = moderngl.create_context(
                standalone=True, backend="egl", libgl="libGL.so.1", libegl="libEGL.so.1", require=330
            )
        except Exception as error:
            raise NoOpenGL(
                f"no OpenGL through EGL ({error}): install the packages of requirements/apt-render.txt"
            ) from error
        common = (SHADERS / "common.glsl").read_text()
        self.programs = {name: self._program(name, common, *files) for name, files in PROGRAMS.items()}
        self.noise = self.ctx.texture(noise_texture().shape[1::-1], 4, noise_texture().tobytes())
        self.noise.build_mipmaps()
        self.noise.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self.noise.anisotropy = 1.0
        square = self.ctx.buffer(np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], "f4").tobytes())
        self.sky = self.ctx.vertex_array(self.programs["sky"], [(square, "2f", "corner")])
        self.contact = self.ctx.vertex_array(self.programs["contact"], [(square, "2f", "corner")])
        self._pieces: dict[tuple[Key, int], list[Piece]] = {}
        self._targets: dict = {}
        self._tiles = None
        self._passing: tuple = ()
        self.world_id, self.world_buffers = None, ()

    def _program(self, name: str, common: str, vertex: str, fragment: str):
        body = (SHADERS / fragment).read_text()
        define = f"#define {name.split()[1]}\n" if " " in name else ""
        body = body if body.startswith("#version") else common + define + body
        return self.ctx.program(vertex_shader=(SHADERS / vertex).read_text(), fragment_shader=body)

    def pieces(self, key: Key, detail: int) -> list[Piece]:
        """The uploaded meshes of an asset."""
        found = self._pieces.get((key, detail))
        if found is None:
            found = self._pieces[key, detail] = [self._upload(*piece, n) for n, piece in enumerate(pieces(key, detail))]
        return found

    def passing(self, mesh: Mesh) -> Piece:
        """A mesh for one picture only, labelled "ignore"; it takes the place of the last such mesh."""
        for item in self._passing:
            item.release()
        piece = self._upload(mesh, None, 255)
        self._passing = (piece.color, piece.ids, piece.depth, *piece.buffers)
        return piece

    def _upload(self, mesh: Mesh, category: str | None, semantic: int, number: int = 0) -> Piece:
        vertices, index = self.ctx.buffer(packed(mesh).tobytes()), self.ctx.buffer(mesh.faces.astype("i4").tobytes())
        p = self.programs
        color = self.ctx.vertex_array(p["thing"], [(vertices, "3f 4f1 4f1", "position", "normal", "tone")], index)
        plain = [(vertices, "3f 8x", "position")]
        ids, depth = (self.ctx.vertex_array(p[n], plain, index) for n in ("thing_id", "thing_depth"))
        radius = float(np.linalg.norm(mesh.vertices, axis=1).max()) if len(mesh.vertices) else 0.0
        return Piece(
            color,
            ids,
            depth,
            category,
            semantic,
            radius,
            outermost(mesh.vertices),
            lamps(mesh),
            number,
            (vertices, index),
        )

    def world(self, identity: object, ground: Ground, ribbons: tuple[np.ndarray, np.ndarray]) -> tuple:
        """([ground], ground ids, ribbons) vertex arrays of a world; the last world is kept."""
        if self.world_id is not identity:
            for item in self.world_buffers[1:]:
                item.release()
            p = self.programs
            v, i = self.ctx.buffer(ground.vertices.tobytes()), self.ctx.buffer(ground.faces.tobytes())
            surface = ground.vertices[ground.faces[:, 0], 8]
            kinds = {
                "ROAD": surface < 2,
                "SOIL": (surface == 3) | (surface == 4),
                "BUILT": (surface == 2) | (surface > 4),
            }
            parts = {kind: self.ctx.buffer(ground.faces[mask].tobytes()) for kind, mask in kinds.items() if mask.any()}
            programs = {kind: p[f"ground {kind}"] for kind in parts}
            color = [self.ctx.vertex_array(programs[k], [(v, *used(programs[k], GROUND))], parts[k]) for k in parts]
            ids = self.ctx.vertex_array(p["ground_id"], [(v, *used(p["ground_id"], GROUND))], i)
            rows, faces = ribbons if len(ribbons[1]) else (np.zeros((3, 17), "f4"), np.zeros((1, 3), "i4"))
            rv, ri = self.ctx.buffer(rows.tobytes()), self.ctx.buffer(faces.tobytes())
            names = ("middle", "left", "side", "along", "shape", "modes", "tone")
            ribbon = self.ctx.vertex_array(p["ribbon"], [(rv, "3f 3f 1f 1f 4f 2f 3f", *names)], ri)
            self.world_id, self.world_buffers = identity, (color, ids, ribbon, v, i, rv, ri, *parts.values(), *color)
        return self.world_buffers[:3]

    def targets(self, width: int, height: int, scale: float) -> tuple:
        """(HDR, ids with depth) framebuffers; the light is drawn `scale` times as wide and high, against jagged edges.

        Not multisampled: on a software rasteriser four samples cost five times the shading, measured on Mesa 22.3.
        """
        found = self._targets.pop((width, height, scale), None)
        if found is None:
            while len(self._targets) > 8:
                self._release(self._targets.pop(next(iter(self._targets))))
            large = round(width * scale), round(height * scale)
            colors = self.ctx.texture(large, 4, dtype="f2"), self.ctx.texture((width, height), 4)
            depths = self.ctx.depth_renderbuffer(large), self.ctx.depth_texture((width, height))
            frames = [self.ctx.framebuffer([c], d) for c, d in zip(colors, depths)]
            found = (*frames, *colors, *depths)
        self._targets[width, height, scale] = found  # the latest used is the last to go
        return found[:2]

    @staticmethod
    def _release(items: tuple) -> None:
        for item in items:
            item.release()

    def tiles(self, side: int):
        """A square byte framebuffer for counting pixels."""
        if self._tiles is None:
            self._tiles = self.ctx.framebuffer([self.ctx.texture((side, side), 1)])
        return self._tiles


def used(program, columns: dict[str, int]) -> tuple[str, ...]:
    """Buffer format and names of the float columns that a program reads; the others are padding."""
    formats = [f"{n}f" if name in program else f"{4 * n}x" for name, n in columns.items()]
    return " ".join(formats), *(name for name in columns if name in program)


def packed(mesh: Mesh) -> np.ndarray:
    """Vertices for the shader: position, normal as bytes about 127.5, square root of colour and material as bytes."""
    out = np.zeros(len(mesh.vertices), [("p", "f4", 3), ("n", "u1", 4), ("c", "u1", 4)])
    out["p"] = mesh.vertices
    out["n"][:, :3] = np.round(mesh.normals * 127.5 + 127.5)
    out["c"][:, :3] = np.round(np.sqrt(np.clip(mesh.colors, 0, 1)) * 255)
    out["c"][:, 3] = mesh.materials
    return out


def outermost(vertices: np.ndarray) -> np.ndarray:
    """The vertices that are furthest in one of 98 directions: enough for a bounding box in any view."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 5)] * 3), -1).reshape(-1, 3)
    directions = grid[np.abs(grid).max(1) == 1]
    return vertices[np.unique((vertices @ directions.T).argmax(0))] if len(vertices) else vertices


def lamps(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the lamps, left and right apart."""
    found = []
    for material in (5, 6):
        points = mesh.vertices[mesh.materials == material]
        sides = [points[points[:, 1] * sign > 0] for sign in (1, -1)]
        found.append(np.array([(side.min(0) + side.max(0)) / 2 for side in sides if len(side)]).reshape(-1, 3))
    return found[0], found[1]
