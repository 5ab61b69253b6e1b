"""Off-screen OpenGL: context, shader programs, buffers and framebuffers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moderngl
import numpy as np

from driving_scenes.assets.roadside.sign_pictures import sign_pictures
from driving_scenes.base.errors import no_opengl
from driving_scenes.base.mesh import TILES, Material, Mesh
from driving_scenes.base.noise import noise_texture
from driving_scenes.base.semantic_ids import IGNORE
from driving_scenes.roads.terrain import Ground
from driving_scenes.scene.asset_pool import AssetKey, pieces
from driving_scenes.scene.world import World

SHADERS = Path(__file__).parent / "shaders"
PROGRAMS = {
    "ground ROAD": ("ground.vert", "ground.frag"),
    "ground SOIL": ("ground.vert", "ground.frag"),
    "ground BUILT": ("ground.vert", "ground.frag"),
    "ground_id": ("ground.vert", "ground_id.frag"),
    "ribbon": ("ribbon.vert", "ribbon.frag"),
    "object": ("object.vert", "object.frag"),
    "object_id": ("object.vert", "id.frag"),
    "object_depth": ("object.vert", "depth.frag"),
    "sky": ("sky.vert", "sky.frag"),
    "contact": ("contact.vert", "contact.frag"),
}
GROUND = {"position": 3, "normal": 3, "st": 2, "surface": 1, "label": 1}  # floats of a ground vertex
CONTEXT: dict[str, Any] = {
    "standalone": True,
    "backend": "egl",
    "libgl": "libGL.so.1",
    "libegl": "libEGL.so.1",
    "require": 330,
}
CACHED_TARGETS = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """An uploaded mesh, with one vertex array for each of the three passes."""

    color: moderngl.VertexArray
    ids: moderngl.VertexArray
    depth: moderngl.VertexArray
    category: str | None
    semantic: int
    radius: float
    hull: np.ndarray  # (K, 3) outermost vertices
    lamps: tuple[np.ndarray, np.ndarray]  # (L, 3) centres of headlamps, of tail lamps
    number: int  # of the piece within its object
    buffers: tuple[moderngl.Buffer, moderngl.Buffer]

    def release(self) -> None:
        for array in (self.color, self.ids, self.depth):
            array.release()
        for buffer in self.buffers:
            buffer.release()


@dataclass(frozen=True, slots=True)
class WorldBuffers:
    """Vertex arrays of a world: its ground split by shader variant, the ground's ids, and the painted lines."""

    ground: list[moderngl.VertexArray]
    ground_ids: moderngl.VertexArray
    ribbons: moderngl.VertexArray
    buffers: list[moderngl.Buffer]

    def release(self) -> None:
        for array in (*self.ground, self.ground_ids, self.ribbons):
            array.release()
        for buffer in self.buffers:
            buffer.release()


@dataclass(frozen=True, slots=True)
class Targets:
    """Framebuffers of one image size: linear light, and ids with depth."""

    light: moderngl.Framebuffer
    ids: moderngl.Framebuffer
    attachments: tuple[moderngl.Texture | moderngl.Renderbuffer, ...]

    def release(self) -> None:
        for item in self.attachments:
            item.release()
        self.light.release()
        self.ids.release()


class Gpu:
    """Owns one OpenGL context and everything uploaded to it. Use it only in the process that created it."""

    def __init__(self) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "0")  # read by Mesa's software rasteriser
        try:
            self.ctx = moderngl.create_context(**CONTEXT)
        except Exception as error:  # moderngl raises bare Exception
            raise no_opengl(error) from error
        common = (SHADERS / "common.glsl").read_text()
        self.programs = {name: self._program(name, common, *files) for name, files in PROGRAMS.items()}
        self.noise = self.ctx.texture(noise_texture().shape[1::-1], 4, noise_texture().tobytes())
        self.noise.build_mipmaps()
        self.noise.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self.noise.anisotropy = 1.0
        self.signs = self._sign_atlas()
        square = self.ctx.buffer(np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], "f4").tobytes())
        self.sky = self.ctx.vertex_array(self.programs["sky"], [(square, "2f", "corner")])
        self.contact = self.ctx.vertex_array(self.programs["contact"], [(square, "2f", "corner")])
        self._pieces: dict[tuple[AssetKey, int], list[Piece]] = {}
        self._targets: dict[tuple[int, int, float], Targets] = {}
        self._tiles: moderngl.Framebuffer | None = None
        self._temporary: Piece | None = None
        self._world: tuple[World, WorldBuffers] | None = None

    def _sign_atlas(self) -> moderngl.Texture:
        """The pictures of the signs; one grey pixel without them."""
        pictures = sign_pictures()
        pixels = np.full((1, 1, 3), 128, np.uint8) if pictures is None else pictures.atlas
        atlas = self.ctx.texture(pixels.shape[1::-1], 3, pixels.tobytes(), alignment=1)
        atlas.build_mipmaps(max_level=4)  # at 6 pixels a tile; coarser levels would mix neighbours
        atlas.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        return atlas

    def _program(self, name: str, common: str, vertex: str, fragment: str) -> moderngl.Program:
        body = (SHADERS / fragment).read_text()
        define = f"#define {name.split()[1]}\n" if " " in name else ""
        body = body if body.startswith("#version") else common + define + body
        return self.ctx.program(vertex_shader=(SHADERS / vertex).read_text(), fragment_shader=body)

    def pieces(self, key: AssetKey, detail: int) -> list[Piece]:
        """The uploaded meshes of an asset."""
        found = self._pieces.get((key, detail))
        if found is None:
            found = self._pieces[key, detail] = [self._upload(*piece, n) for n, piece in enumerate(pieces(key, detail))]
        return found

    def temporary(self, mesh: Mesh) -> Piece:
        """Upload a mesh for one image, labelled "ignore"; releases the previous one."""
        if self._temporary is not None:
            self._temporary.release()
        self._temporary = self._upload(mesh, None, IGNORE)
        return self._temporary

    def _upload(self, mesh: Mesh, category: str | None, semantic: int, number: int = 0) -> Piece:
        vertices, index = self.ctx.buffer(packed(mesh).tobytes()), self.ctx.buffer(mesh.faces.astype("i4").tobytes())
        p = self.programs
        color = self.ctx.vertex_array(p["object"], [(vertices, "3f 4f1 4f1", "position", "normal", "tone")], index)
        plain = [(vertices, "3f 8x", "position")]
        ids, depth = (self.ctx.vertex_array(p[n], plain, index) for n in ("object_id", "object_depth"))
        radius = float(np.linalg.norm(mesh.vertices, axis=1).max()) if len(mesh.vertices) else 0.0
        hull = outermost(mesh.vertices)
        return Piece(color, ids, depth, category, semantic, radius, hull, lamps(mesh), number, (vertices, index))

    def world(self, world: World) -> WorldBuffers:
        """The uploaded ground and lines of a world; the latest world is kept."""
        if self._world is None or self._world[0] is not world:
            if self._world is not None:
                self._world[1].release()
            self._world = world, self._upload_world(world.ground, *world.ribbons)
        return self._world[1]

    def _upload_world(self, ground: Ground, rows: np.ndarray, faces: np.ndarray) -> WorldBuffers:
        p = self.programs
        vertices, index = self.ctx.buffer(ground.vertices.tobytes()), self.ctx.buffer(ground.faces.tobytes())
        surface = ground.vertices[ground.faces[:, 0], 8]
        variants = {
            "ROAD": surface < 2,
            "SOIL": (surface == 3) | (surface == 4),
            "BUILT": (surface == 2) | (surface > 4),
        }
        parts = {name: self.ctx.buffer(ground.faces[mask].tobytes()) for name, mask in variants.items() if mask.any()}
        color = []
        for name, part in parts.items():
            program = p[f"ground {name}"]
            color.append(self.ctx.vertex_array(program, [(vertices, *used(program, GROUND))], part))
        ids = self.ctx.vertex_array(p["ground_id"], [(vertices, *used(p["ground_id"], GROUND))], index)
        if not len(faces):
            rows, faces = np.zeros((3, 17), "f4"), np.zeros((1, 3), "i4")
        ribbon_rows, ribbon_faces = self.ctx.buffer(rows.tobytes()), self.ctx.buffer(faces.tobytes())
        names = ("middle", "left", "side", "along", "shape", "modes", "tone")
        ribbons = self.ctx.vertex_array(p["ribbon"], [(ribbon_rows, "3f 3f 1f 1f 4f 2f 3f", *names)], ribbon_faces)
        return WorldBuffers(color, ids, ribbons, [vertices, index, ribbon_rows, ribbon_faces, *parts.values()])

    def targets(self, width: int, height: int, scale: float) -> Targets:
        """Framebuffers for one image size; the light is `scale` times as wide and high, for anti-aliasing.

        Not multisampled: on a software rasteriser four samples cost five times the shading, measured on Mesa 22.3.
        """
        found = self._targets.pop((width, height, scale), None)
        if found is None:
            while len(self._targets) > CACHED_TARGETS:
                self._targets.pop(next(iter(self._targets))).release()
            large = round(width * scale), round(height * scale)
            light, light_depth = self.ctx.texture(large, 4, dtype="f2"), self.ctx.depth_renderbuffer(large)
            ids, depth = self.ctx.texture((width, height), 4), self.ctx.depth_texture((width, height))
            found = Targets(
                self.ctx.framebuffer([light], light_depth),
                self.ctx.framebuffer([ids], depth),
                (light, light_depth, ids, depth),
            )
        self._targets[width, height, scale] = found  # the most recently used is the last to be dropped
        return found

    def tiles(self, side: int) -> moderngl.Framebuffer:
        """A square byte framebuffer for counting pixels."""
        if self._tiles is None:
            self._tiles = self.ctx.framebuffer([self.ctx.texture((side, side), 1)])
        return self._tiles


def set_uniform(program: moderngl.Program, name: str, value: Any) -> None:
    """Set a scalar, vector or (4, 4) matrix uniform, or an array of vectors."""
    uniform = program[name]
    assert isinstance(uniform, moderngl.Uniform)
    if isinstance(value, (int, float, np.floating)):
        uniform.value = value if isinstance(value, int) else float(value)
    else:
        array = np.asarray(value, np.float32)
        uniform.write((array.T if array.shape == (4, 4) else array).tobytes())  # matrices: column by column


def used(program: moderngl.Program, columns: dict[str, int]) -> tuple[str, ...]:
    """Buffer format and names of the float columns that a program reads; the others are padding."""
    formats = [f"{n}f" if name in program else f"{4 * n}x" for name, n in columns.items()]
    return " ".join(formats), *(name for name in columns if name in program)


def packed(mesh: Mesh) -> np.ndarray:
    """Vertices for the shader: position; normal as bytes centred on 127.5; square root of colour; material.

    On pictures u, v and the lower byte of the tile replace the colour; the fourth byte of the normal is the upper one.
    """
    out = np.zeros(len(mesh.vertices), [("p", "f4", 3), ("n", "u1", 4), ("c", "u1", 4)])
    out["p"] = mesh.vertices
    out["n"][:, :3] = np.round(mesh.normals * 127.5 + 127.5)
    out["c"][:, :3] = np.round(np.sqrt(np.clip(mesh.colors, 0, 1)) * 255)
    out["c"][:, 3] = mesh.materials
    picture = mesh.materials == Material.PICTURE
    tile = np.round(mesh.colors[picture, 2] * TILES).astype(int)
    out["c"][picture, :2] = np.round(mesh.colors[picture, :2] * 255)
    out["c"][picture, 2], out["n"][picture, 3] = tile % 256, tile // 256
    return out


def outermost(vertices: np.ndarray) -> np.ndarray:
    """The vertices that are furthest out in one of 98 directions: enough for a bounding box in any view."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 5)] * 3), -1).reshape(-1, 3)
    directions = grid[np.abs(grid).max(1) == 1]
    return vertices[np.unique((vertices @ directions.T).argmax(0))] if len(vertices) else vertices


def lamps(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the left and right headlamps and of the left and right tail lamps."""
    found = []
    for material in (Material.HEADLAMP, Material.TAILLAMP):
        points = mesh.vertices[mesh.materials == material]
        sides = [points[points[:, 1] * sign > 0] for sign in (1, -1)]
        found.append(np.array([(side.min(0) + side.max(0)) / 2 for side in sides if len(side)]).reshape(-1, 3))
    return found[0], found[1]
