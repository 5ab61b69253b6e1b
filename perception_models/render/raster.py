"""Draws a moment as one camera sees it: linear light, and for every pixel centre what is there and how far away."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from perception_models.render.camera import Camera
from perception_models.render.gpu import Gpu, Piece
from perception_models.render.moment import Moment
from perception_models.render.pool import Key, size
from perception_models.render.thing import Thing

NEAR, FAR = 0.25, 4000.0
SHADOW_SIZE, SHADOW_REACH = 2048, 55.0  # texels, metres around the point 28 m ahead
OPEN = {"tree", "bush", "fence", "truck", "parked_clutter", "bonnet"}  # kinds with faces that are seen from both sides
BONNET = Key("bonnet")  # not of the pool: made for each picture


@dataclass(slots=True)
class Seen:
    """A labelled piece of a thing that was drawn with an id."""

    thing: Thing
    piece: Piece


@dataclass(slots=True)
class Picture:
    """What came out, on the camera's canvas (see Camera.canvas).

    light  (H * scale, W * scale, 3) float32 linear radiance
    ids    (H, W)    uint16  index into seen + 1, 0 for everything else
    labels (H, W)    uint8   semantic + 16 * drivable; semantic 15 is "ignore"
    depth  (H, W)    float32 metres along the optical axis
    """

    light: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    seen: list[Seen] = field(default_factory=list)


class Raster:
    """The OpenGL engine. One per process."""

    def __init__(self) -> None:
        self.gpu = Gpu()
        ctx = self.gpu.ctx
        self.shadow_map = ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow_map.compare_func = "<="
        self.shadow_map.repeat_x = self.shadow_map.repeat_y = False
        self.shadow = ctx.framebuffer(depth_attachment=self.shadow_map)

    def draw(self, moment: Moment, camera: Camera, scale: float = 1.25) -> Picture:
        """Render one picture; the light `scale` times as wide and high as the labels, against jagged edges."""
        width, height, cx, cy = camera.canvas
        world_from_camera = moment.world_from_base @ camera.base_from_camera
        camera_from_world = np.linalg.inv(world_from_camera)
        clip = projection(width, height, *camera.intrinsics[:2], cx, cy) @ camera_from_world
        visible = self._visible(moment.things, camera_from_world, camera)
        if moment.bonnet is not None:
            visible.insert(0, (Thing(BONNET, world_from_camera), [self.gpu.passing(moment.bonnet)], 1.0))
        shadow_from_world = self._shadows(moment, camera_from_world)
        self._uniforms(moment, 1.2 / camera.intrinsics[0] / scale, world_from_camera, clip, shadow_from_world)
        target, ids = self.gpu.targets(width, height, scale)
        self._color(target, moment, visible)
        large = target.size
        seen = self._ids(ids, moment, visible)
        light = (
            np.frombuffer(target.read(components=3, dtype="f2"), np.float16)
            .reshape(large[1], large[0], 3)
            .astype(np.float32)
        )
        code = np.frombuffer(ids.read(components=4), np.uint8).reshape(height, width, 4)
        depth = np.frombuffer(ids.read(components=1, attachment=-1, dtype="f4"), np.float32).reshape(height, width)
        ndc = 2 * depth - 1
        metres = 2 * FAR * NEAR / (FAR + NEAR - ndc * (FAR - NEAR))
        instance = code[..., 0].astype(np.uint16) | (code[..., 1].astype(np.uint16) << 8)
        picture = Picture(light, instance, code[..., 2].copy(), metres, seen)
        if moment.conditions.night or moment.conditions.lamps > 0.3:
            _glow(picture, moment, camera, camera_from_world, visible)
        return picture

    def _visible(
        self, things: list[Thing], camera_from_world: np.ndarray, camera: Camera
    ) -> list[tuple[Thing, list[Piece], float]]:
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

    def _shadows(self, moment: Moment, camera_from_world: np.ndarray) -> np.ndarray:
        """Fill the shadow map; returns its (4, 4) clip_from_world."""
        sun = moment.conditions.sun
        center = (moment.world_from_base @ [28.0, 0, 0, 1])[:3]
        look = orthographic(center, sun, SHADOW_REACH)
        if moment.conditions.sun_color.sum() < 0.02:
            return look
        self.shadow.use()
        self.shadow.clear(depth=1.0)
        ctx, program = self.gpu.ctx, self.gpu.programs["thing_depth"]
        ctx.enable_only(ctx.DEPTH_TEST)
        program["uClipFromWorld"].write(column_major(look))
        for thing in moment.things:
            at = thing.world_from_object[:3, 3] - center
            radius = max(size(thing.key))
            side = at - sun * (at @ sun)
            if np.abs(side).max() > SHADOW_REACH + radius:
                continue
            program["uWorldFromObject"].write(column_major(thing.world_from_object))
            for piece in self.gpu.pieces(thing.key, int(np.linalg.norm(at) < 35)):
                piece.depth.render()
        return look

    def _uniforms(self, moment: Moment, pixel: float, world_from_camera, clip, shadow_from_world) -> None:
        values = light_values(moment, world_from_camera[:3, 3])
        values |= moment.looks
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

    def _color(self, target, moment: Moment, visible) -> None:
        ctx, gpu = self.gpu.ctx, self.gpu
        ground, _, ribbons = gpu.world(moment.world, moment.world.ground, moment.world.ribbons)
        target.use()
        target.clear(0, 0, 0, 1, depth=1.0)
        gpu.noise.use(0)
        self.shadow_map.use(1)
        ctx.depth_func = "<="
        ctx.enable_only(ctx.DEPTH_TEST)
        program = gpu.programs["thing"]
        for thing, pieces, _ in visible:
            self._cull(thing.key.kind not in OPEN)
            self._place(program, thing, moment)
            for piece in pieces:
                piece.color.render()
        for part in ground:
            self._cull(part.program is not gpu.programs["ground BUILT"])
            part.render()
        ctx.enable_only(ctx.DEPTH_TEST | ctx.BLEND)
        ctx.blend_func = ctx.SRC_ALPHA, ctx.ONE_MINUS_SRC_ALPHA
        target.depth_mask = False
        ribbons.render()
        self._contacts(moment, visible)
        ctx.enable_only(ctx.DEPTH_TEST)
        gpu.sky.render(ctx.TRIANGLE_STRIP)
        target.depth_mask = True

    def _place(self, program, thing: Thing, moment: Moment) -> None:
        program["uWorldFromObject"].write(column_major(thing.world_from_object))
        on = lights_on(thing, moment)
        program["uTint"].value = (*thing.tint, 1.0) if thing.tint else (0.0, 0.0, 0.0, 0.0)
        program["uLights"].value = (on, thing.brake, thing.blink)
        program["uGroundZ"].value = float(thing.world_from_object[2, 3]) - (9.0 if thing.key is BONNET else 0.0)
        program["uSeed"].value = float(thing.track % 97)

    def _contacts(self, moment: Moment, visible) -> None:
        program, dark = self.gpu.programs["contact"], 0.75 if moment.conditions.sun_color.sum() < 0.5 else 0.6
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

    def _ids(self, target, moment: Moment, visible) -> list[Seen]:
        ctx, seen = self.gpu.ctx, []
        _, ground, _ = self.gpu.world(moment.world, moment.world.ground, moment.world.ribbons)
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
                    seen.append(Seen(thing, piece))
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


def lights_on(thing: Thing, moment: Moment) -> float:
    """Whether a vehicle drives with its lamps on: parked cars do not."""
    if thing.key.kind == "street_lamp":
        return float(moment.conditions.timeofday == "night" and moment.conditions.lamps > 0.5)
    moving = thing.velocity != (0.0, 0.0) or thing.brake > 0
    return float(moving and (thing.track * 0.618) % 1.0 < moment.conditions.lamps)


def light_values(moment: Moment, eye: np.ndarray) -> dict:
    """Uniforms of common.glsl."""
    c, base = moment.conditions, moment.world_from_base
    lamps = np.zeros((12, 4))
    on = [t for t in moment.things if t.key.kind == "street_lamp"] if c.timeofday == "night" else []
    at = [(t.world_from_object @ [0, 1.6, size(t.key)[2] - 0.3, 1])[:3] for t in on]
    at = sorted(at, key=lambda p: float(np.linalg.norm(p - eye)))[:12]
    if moment.world.kind == "tunnel":
        road, s = moment.world.road, np.floor(moment.ego_s / 12) * 12 + np.arange(12) * 12 - 12
        at = list(road.at(s, (moment.world.layout.paved[0] + moment.world.layout.paved[1]) / 2, 5.8))
    for i, p in enumerate(at):
        lamps[i] = (*p, 26.0 if moment.world.kind != "tunnel" else 11.0)
    warm = np.array([1.0, 0.78, 0.5]) if moment.seed % 1 < 0.6 else np.array([0.9, 0.95, 1.0])
    tunnel = float(moment.world.kind == "tunnel")
    return {
        "uEye": eye,
        "uSun": c.sun,
        "uSunColor": c.sun_color * (1 - tunnel),
        "uZenith": c.zenith * (1 - 0.85 * tunnel),
        "uHorizon": c.horizon * (1 - 0.8 * tunnel),
        "uGround": c.ground * (1 - 0.5 * tunnel),
        "uCloud": c.cloud,
        "uCloudColor": c.cloud_color,
        "uFogColor": c.fog_color,
        "uFog": c.fog,
        "uNight": c.night,
        "uWet": c.wetness,
        "uPuddles": c.puddles,
        "uSnow": c.snow,
        "uShadowOn": float(c.sun_color.sum() > 0.02),
        "uTunnel": tunnel,
        "uCloudOffset": (moment.seed * 0.37 % 1, moment.seed * 0.11 % 1),
        "uTunnelMiddle": (moment.world.layout.paved[0] + moment.world.layout.paved[1]) / 2,
        "uLamps": lamps,
        "uLampCount": len(at),
        "uLampColor": warm * (0.6 if moment.seed % 0.1 < 0.05 else 1.0),
        "uHeadPosition": (base @ [2.0, 0, 0.7, 1])[:3],
        "uHeadForward": base[:3, :3] @ [1.0, 0, 0],
        "uHead": (1.0 if c.timeofday == "night" else 0.25) * float(c.lamps > 0.5),
    }


def _glow(picture: Picture, moment: Moment, camera: Camera, camera_from_world: np.ndarray, visible) -> None:
    """Add the light of lamps that point at the camera, and their streaks on a wet road."""
    height, width = picture.depth.shape
    scale = picture.light.shape[0] / height
    _, _, cx, cy = camera.canvas
    wet, streaks = moment.conditions.wetness, np.zeros((height // 2, width // 2, 3), np.float32)
    for at, color, gain, lift in _lamps_seen(moment, camera_from_world, visible):
        u, v = camera.intrinsics[0] * at[0] / at[2] + cx, camera.intrinsics[1] * at[1] / at[2] + cy
        i, j = int(v), int(u)
        if 1 <= i < height - 1 and 1 <= j < width - 1 and picture.depth[i, j] > at[2] - 0.4:
            i, j = int(v * scale), int(u * scale)
            picture.light[i - 1 : i + 2, j - 1 : j + 2] += np.array(color, np.float32) * gain * 0.11
            foot = int((v + camera.intrinsics[1] * lift / at[2]) / 2)
            long = max(int(camera.intrinsics[1] * lift / at[2]), 3)
            if wet and foot + 2 < height // 2:
                streaks[foot : foot + long, max(int(u / 2) - 1, 0) : int(u / 2) + 1] += (
                    np.array(color, np.float32) * gain * 0.012 * wet
                )
    if wet and streaks.any():
        streaks = (
            cv2.GaussianBlur(streaks, (0, 0), sigmaX=0.8, sigmaY=5)
            * ((picture.labels[::2, ::2] & 15) == 3)[: height // 2, : width // 2, None]
        )
        picture.light += cv2.resize(streaks, picture.light.shape[1::-1])


def _lamps_seen(moment: Moment, camera_from_world: np.ndarray, visible):
    """(position in the camera, colour, gain, height over the road) of every lamp that shines towards the camera."""
    power = 260.0 if moment.conditions.timeofday == "night" else 25.0
    for thing, pieces, _ in visible:
        if not lights_on(thing, moment):
            continue
        camera_from_object, street = camera_from_world @ thing.world_from_object, thing.key.kind == "street_lamp"
        for group, color, direction in ((0, (1.0, 0.93, 0.8), 1.0), (1, (1.0, 0.05, 0.03), -1.0)):
            forward = camera_from_object[:3, 0] * direction
            for lamp in (p for piece in pieces for p in piece.lamps[group]):
                at = (camera_from_object @ [*lamp, 1])[:3]
                cosine = 0.9 if street else -(forward @ at) / (np.linalg.norm(at) + 1e-6)
                if at[2] > 2 and cosine > 0.2:
                    gain = (
                        power
                        * cosine**4
                        * (1.0 if group == 0 else 0.16)
                        / (at[2] + 6)
                        * np.exp(-moment.conditions.fog * at[2])
                    )
                    yield at, color, gain * (0.35 if street else 1.0), float(lamp[2])


def projection(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """(4, 4) clip_from_camera; row 0 of the framebuffer is the top row of the picture."""
    a, b = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    return np.array(
        [
            [2 * fx / width, 0, 2 * cx / width - 1, 0],
            [0, 2 * fy / height, 2 * cy / height - 1, 0],
            [0, 0, a, b],
            [0, 0, 1, 0],
        ]
    )


def orthographic(center: np.ndarray, sun: np.ndarray, reach: float) -> np.ndarray:
    """(4, 4) clip_from_world of parallel light from the sun."""
    side = np.cross([0, 0, 1.0], sun) if abs(sun[2]) < 0.999 else np.array([1.0, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(sun, side)
    out = np.eye(4)
    out[:3, :3] = np.stack([side / reach, up / reach, -sun / (reach * 4)])
    out[:3, 3] = -out[:3, :3] @ center
    return out


def column_major(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix.T, dtype=np.float32).tobytes()


def _set(uniform, value) -> None:
    if isinstance(value, (int, float, np.floating)):
        uniform.value = value if isinstance(value, int) else float(value)
    else:
        uniform.write(np.ascontiguousarray(value, dtype=np.float32).tobytes())
