"""Draws a moment as one camera sees it: linear light, and for every pixel centre what is there and how far away."""

from __future__ import annotations

import cv2
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.projection import FAR, NEAR, column_major, orthographic, projection
from driving_scenes.renderer.glow import glow
from driving_scenes.renderer.gpu import Gpu, Piece
from driving_scenes.renderer.picture import Observations, Picture
from driving_scenes.scene.asset_pool import Key, size
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.lighting import light_values, lights_on
from driving_scenes.scene.object import SceneObject

SHADOW_SIZE, SHADOW_REACH = 2048, 55.0  # texels, metres around the point 28 m ahead
OPEN = {"tree", "bush", "fence", "truck", "parked_clutter", "bonnet"}  # kinds with faces that are seen from both sides
BONNET = Key("bonnet")  # not of the pool: made for each picture


class Raster:
    """The OpenGL engine. One per process."""

    def __init__(self) -> None:
        self.gpu = Gpu()
        ctx = self.gpu.ctx
        self.shadow_map = ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow_map.compare_func = "<="
        self.shadow_map.repeat_x = self.shadow_map.repeat_y = False
        self.shadow = ctx.framebuffer(depth_attachment=self.shadow_map)

    def draw(self, snapshot: Snapshot, camera: Camera, scale: float = 1.25) -> Picture:
        """Render one picture; the light `scale` times as wide and high as the labels, against jagged edges."""
        width, height, cx, cy = camera.canvas
        world_from_camera = snapshot.world_from_base @ camera.base_from_camera
        camera_from_world = np.linalg.inv(world_from_camera)
        clip = projection(width, height, *camera.intrinsics[:2], cx, cy) @ camera_from_world
        visible = self._visible(snapshot.things, camera_from_world, camera)
        if snapshot.bonnet is not None:
            visible.insert(0, (SceneObject(BONNET, world_from_camera), [self.gpu.passing(snapshot.bonnet)], 1.0))
        shadow_from_world = self._shadows(snapshot, camera_from_world)
        self._uniforms(snapshot, 1.2 / camera.intrinsics[0] / scale, world_from_camera, clip, shadow_from_world)
        target, ids = self.gpu.targets(width, height, scale)
        self._color(target, snapshot, visible)
        large = target.size
        seen = self._ids(ids, snapshot, visible)
        light = (
            np.frombuffer(target.read(components=3, dtype="f2"), np.float16)
            .reshape(large[1], large[0], 3)
            .astype(np.float32)
        )
        light = cv2.patchNaNs(
            np.clip(light, 0, 400)
        )  # one bad pixel would spoil exposure and balance of the whole picture
        code = np.frombuffer(ids.read(components=4), np.uint8).reshape(height, width, 4)
        depth = np.frombuffer(ids.read(components=1, attachment=-1, dtype="f4"), np.float32).reshape(height, width)
        ndc = 2 * depth - 1
        metres = 2 * FAR * NEAR / (FAR + NEAR - ndc * (FAR - NEAR))
        instance = code[..., 0].astype(np.uint16) | (code[..., 1].astype(np.uint16) << 8)
        picture = Picture(light, instance, code[..., 2].copy(), metres, seen)
        if snapshot.conditions.night or snapshot.conditions.lamps > 0.3:
            glow(picture, snapshot, camera, camera_from_world, visible)
        return picture

    def _visible(
        self, things: list[SceneObject], camera_from_world: np.ndarray, camera: Camera
    ) -> list[tuple[SceneObject, list[Piece], float]]:
        """Things in view that are larger than a pixel, nearest first, in the detail that their size deserves."""
        width, height, cx, cy = camera.canvas
        f = camera.intrinsics[0]
        at = np.array([t.world_from_object[:3, 3] for t in things]).reshape(-1, 3)
        sizes = np.array([size(t.key) for t in things]).reshape(-1, 3)
        radius = np.linalg.norm(sizes, axis=1)
        p = at @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        z = np.maximum(p[:, 2], 0.1)
        x_limit, y_limit = z * max(cx, width - cx) / f, z * max(cy, height - cy) / f
        inside = (
            (p[:, 2] > -radius)
            & (np.abs(p[:, 0]) < x_limit + radius * 1.5)
            & (np.abs(p[:, 1]) < y_limit + radius * 1.5)
        )
        pixels = f * sizes.max(1) / np.maximum(p[:, 2], 1.0)
        keep = np.flatnonzero(inside & (pixels > 1.5))
        keep = keep[np.argsort(p[keep, 2])]
        return [
            (things[i], self.gpu.pieces(things[i].key, int(pixels[i] > _fine(things[i].key.kind))), float(p[i, 2]))
            for i in keep
        ]

    def _shadows(self, snapshot: Snapshot, camera_from_world: np.ndarray) -> np.ndarray:
        """Fill the shadow map; returns its (4, 4) clip_from_world."""
        sun = snapshot.conditions.sun
        center = (snapshot.world_from_base @ [28.0, 0, 0, 1])[:3]
        look = orthographic(center, sun, SHADOW_REACH)
        if snapshot.conditions.sun_color.sum() < 0.02:
            return look
        self.shadow.use()
        self.shadow.clear(depth=1.0)
        ctx, program = self.gpu.ctx, self.gpu.programs["thing_depth"]
        ctx.enable_only(ctx.DEPTH_TEST)
        program["uClipFromWorld"].write(column_major(look))
        for thing in snapshot.things:
            at = thing.world_from_object[:3, 3] - center
            radius = max(size(thing.key))
            side = at - sun * (at @ sun)
            if np.abs(side).max() > SHADOW_REACH + radius:
                continue
            program["uWorldFromObject"].write(column_major(thing.world_from_object))
            for piece in self.gpu.pieces(thing.key, int(np.linalg.norm(at) < 35)):
                piece.depth.render()
        return look

    def _uniforms(self, snapshot: Snapshot, pixel: float, world_from_camera, clip, shadow_from_world) -> None:
        values = light_values(snapshot, world_from_camera[:3, 3])
        values |= snapshot.looks
        values |= {
            "uShadow": 1,
            "uNoise": 0,
            "uPixel": pixel,
            "uEyePosition": world_from_camera[:3, 3],
        }
        matrices = {
            "uClipFromWorld": clip,
            "uShadowFromWorld": shadow_from_world,
            "uWorldFromClip": np.linalg.inv(clip),
        }
        for program in self.gpu.programs.values():
            for name in program:
                if name in matrices:
                    if program is not self.gpu.programs["thing_depth"]:
                        program[name].write(column_major(matrices[name]))
                elif name in values:
                    _set(program[name], values[name])

    def _color(self, target, snapshot: Snapshot, visible) -> None:
        ctx, gpu = self.gpu.ctx, self.gpu
        ground, _, ribbons = gpu.world(snapshot.world, snapshot.world.ground, snapshot.world.ribbons)
        target.use()
        target.clear(0, 0, 0, 1, depth=1.0)
        gpu.noise.use(0)
        self.shadow_map.use(1)
        ctx.depth_func = "<="
        ctx.enable_only(ctx.DEPTH_TEST)
        program = gpu.programs["thing"]
        for thing, pieces, _ in visible:
            self._cull(thing.key.kind not in OPEN)
            self._place(program, thing, snapshot)
            for piece in pieces:
                piece.color.render()
        for part in ground:
            self._cull(part.program is not gpu.programs["ground BUILT"])
            part.render()
        ctx.enable_only(ctx.DEPTH_TEST | ctx.BLEND)
        ctx.blend_func = ctx.SRC_ALPHA, ctx.ONE_MINUS_SRC_ALPHA
        target.depth_mask = False
        ribbons.render()
        self._contacts(snapshot, visible)
        ctx.enable_only(ctx.DEPTH_TEST)
        gpu.sky.render(ctx.TRIANGLE_STRIP)
        target.depth_mask = True

    def _place(self, program, thing: SceneObject, snapshot: Snapshot) -> None:
        program["uWorldFromObject"].write(column_major(thing.world_from_object))
        on = lights_on(thing, snapshot)
        program["uTint"].value = (*thing.tint, 1.0) if thing.tint else (0.0, 0.0, 0.0, 0.0)
        program["uLights"].value = (on, thing.brake, thing.blink)
        program["uGroundZ"].value = float(thing.world_from_object[2, 3]) - (9.0 if thing.key is BONNET else 0.0)
        program["uSeed"].value = float(thing.track % 97)

    def _contacts(self, snapshot: Snapshot, visible) -> None:
        program, dark = self.gpu.programs["contact"], 0.75 if snapshot.conditions.sun_color.sum() < 0.5 else 0.6
        for thing, _, depth in visible:
            if (
                thing.key.kind
                in ("car", "truck", "bus", "train", "motorcycle", "rider", "pedestrian", "bicycle", "bush", "bin")
                and depth < 90
            ):
                length, width, _ = size(thing.key)
                program["uWorldFromObject"].write(column_major(thing.world_from_object))
                program["uSize"].value = (length, width)
                program["uStrength"].value = dark if width > 1.2 else 0.4
                self.gpu.contact.render(self.gpu.ctx.TRIANGLE_STRIP)

    def _ids(self, target, snapshot: Snapshot, visible) -> list[Observations]:
        ctx, seen = self.gpu.ctx, []
        _, ground, _ = self.gpu.world(snapshot.world, snapshot.world.ground, snapshot.world.ribbons)
        target.use()
        target.clear(0, 0, 0, 0, depth=1.0)
        ctx.enable_only(ctx.DEPTH_TEST)
        program = self.gpu.programs["thing_id"]
        for thing, pieces, _ in visible:
            self._cull(thing.key.kind not in OPEN)
            program["uWorldFromObject"].write(column_major(thing.world_from_object))
            for piece in pieces:
                number = 0
                if piece.category:
                    seen.append(Observations(thing, piece))
                    number = len(seen)
                program["uIds"].value = (number & 255, number >> 8, 15 if piece.semantic == 255 else piece.semantic)
                piece.ids.render()
        self._cull(False)
        ground.render()
        return seen

    def _cull(self, on: bool) -> None:
        """Leave out faces that look away; projection() mirrors, so fronts run clockwise."""
        ctx = self.gpu.ctx
        ctx.front_face = "cw"
        (ctx.enable if on else ctx.disable)(ctx.CULL_FACE)


def _fine(kind: str) -> float:
    """Pixels above which a thing is drawn in full detail."""
    return {"tree": 75.0, "building": 120.0, "bush": 45.0}.get(kind, 40.0)


def _set(uniform, value) -> None:
    if isinstance(value, (int, float, np.floating)):
        uniform.value = value if isinstance(value, int) else float(value)
    else:
        uniform.write(np.ascontiguousarray(value, dtype=np.float32).tobytes())
