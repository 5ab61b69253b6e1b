"""Rasteriser: draws a snapshot as one camera sees it, as linear light with an id, label and depth per pixel."""

from __future__ import annotations

import cv2
import moderngl
import numpy as np

from driving_scenes.base.camera import Camera
from driving_scenes.base.projection import FAR, NEAR, orthographic, projection
from driving_scenes.base.semantic_ids import BARS, FENCE, IGNORE, VEHICLE
from driving_scenes.renderer.gpu import Gpu, set_uniform
from driving_scenes.renderer.light_glare import add_light_glare
from driving_scenes.renderer.rendered_image import IGNORE_CODE, LabelledPiece, RenderedImage, VisibleObject
from driving_scenes.scene.asset_pool import AssetKey, size
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.lighting import headlights, light_values, lights_on
from driving_scenes.scene.object import SceneObject

SHADOW_SIZE, SHADOW_EXTENT = 2048, 55.0  # texels; metres around the point 28 m ahead
EGO_CAR = AssetKey("ego_car")  # not in the pool: its mesh is made for each image
BARRED = {"fence", "railing"}
# Asset types with faces seen from behind.
TWO_SIDED = BARRED | {"tree", "bush", "truck", "parked_clutter", "ego_car"}
GROUNDED = {"car", "truck", "bus", "train", "motorcycle", "rider", "pedestrian", "bicycle", "bush", "bin"}
DETAIL_PIXELS = {"tree": 75.0, "building": 120.0, "bush": 45.0}  # size above which an asset type is drawn in detail
CLOSE_PIXELS = {"pedestrian": 110.0, "rider": 130.0}  # size above which a third level of detail is drawn
MAX_RADIANCE = 400.0


class Raster:
    """The OpenGL renderer. One per process."""

    def __init__(self) -> None:
        self.gpu = Gpu()
        ctx = self.gpu.ctx
        self.shadow_map = ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow_map.compare_func = "<="
        self.shadow_map.repeat_x = self.shadow_map.repeat_y = False
        self.shadow = ctx.framebuffer(depth_attachment=self.shadow_map)

    def draw(self, snapshot: Snapshot, camera: Camera, scale: float = 1.25) -> RenderedImage:
        """Render one image; the light is `scale` times as wide and high as the labels, for anti-aliasing."""
        width, height, cx, cy = camera.canvas
        world_from_camera = snapshot.world_from_base @ camera.base_from_camera
        camera_from_world = np.linalg.inv(world_from_camera)
        clip = projection(width, height, *camera.intrinsics[:2], cx, cy) @ camera_from_world
        visible = self._visible(snapshot.objects, camera_from_world, camera)
        if snapshot.ego_car is not None:
            own = [self.gpu.temporary(snapshot.ego_car)]
            visible.insert(0, VisibleObject(SceneObject(EGO_CAR, world_from_camera), own, 1.0))
        shadow_from_world = self._shadows(snapshot)
        self._uniforms(snapshot, 1.2 / camera.intrinsics[0] / scale, world_from_camera, clip, shadow_from_world)
        targets = self.gpu.targets(width, height, scale)
        self._color(targets.light, snapshot, visible)
        labelled = self._ids(targets.ids, snapshot, visible)
        rendered = RenderedImage(_read_light(targets.light), *_read_labels(targets.ids), labelled)
        if snapshot.conditions.night or snapshot.conditions.lamps > 0.3:
            add_light_glare(rendered, snapshot, camera, camera_from_world, visible)
        return rendered

    def _visible(
        self, objects: list[SceneObject], camera_from_world: np.ndarray, camera: Camera
    ) -> list[VisibleObject]:
        """Objects in view that are larger than a pixel, nearest first."""
        width, height, cx, cy = camera.canvas
        f = camera.intrinsics[0]
        positions = np.array([x.world_from_object[:3, 3] for x in objects]).reshape(-1, 3)
        sizes = np.array([size(x.key) for x in objects]).reshape(-1, 3)
        radius = np.linalg.norm(sizes, axis=1)
        p = positions @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        z = np.maximum(p[:, 2], 0.1)
        x_limit, y_limit = z * max(cx, width - cx) / f, z * max(cy, height - cy) / f
        inside = (
            (p[:, 2] > -radius)
            & (np.abs(p[:, 0]) < x_limit + radius * 1.5)
            & (np.abs(p[:, 1]) < y_limit + radius * 1.5)
        )
        pixels = f * sizes.max(1) / np.maximum(p[:, 2], 1.0)
        keep = np.flatnonzero(inside & (pixels > 1.5))
        out = []
        for i in keep[np.argsort(p[keep, 2])]:
            key = objects[i].key
            detail = int(pixels[i] > DETAIL_PIXELS.get(key.asset_type, 40.0))
            detail += pixels[i] > CLOSE_PIXELS.get(key.asset_type, np.inf)
            out.append(VisibleObject(objects[i], self.gpu.pieces(key, detail), float(p[i, 2])))
        return out

    def _shadows(self, snapshot: Snapshot) -> np.ndarray:
        """Fill the shadow map; returns its (4, 4) clip_from_world."""
        sun = snapshot.conditions.sun
        center = (snapshot.world_from_base @ [28.0, 0, 0, 1])[:3]
        shadow_from_world = orthographic(center, sun, SHADOW_EXTENT)
        if snapshot.conditions.sun_color.sum() < 0.02:
            return shadow_from_world
        self.shadow.use()
        self.shadow.clear(depth=1.0)
        ctx, program = self.gpu.ctx, self.gpu.programs["object_depth"]
        ctx.enable_only(ctx.DEPTH_TEST)
        set_uniform(program, "uClipFromWorld", shadow_from_world)
        for obj in snapshot.objects:
            offset = obj.world_from_object[:3, 3] - center
            across = offset - sun * (offset @ sun)
            if np.abs(across).max() > SHADOW_EXTENT + max(size(obj.key)):
                continue
            set_uniform(program, "uWorldFromObject", obj.world_from_object)
            near = np.linalg.norm(offset) < 35 and obj.key.asset_type not in CLOSE_PIXELS
            for piece in self.gpu.pieces(obj.key, int(near)):
                piece.depth.render()
        return shadow_from_world

    def _uniforms(
        self,
        snapshot: Snapshot,
        pixel: float,
        world_from_camera: np.ndarray,
        clip: np.ndarray,
        shadow_from_world: np.ndarray,
    ) -> None:
        values = light_values(snapshot, world_from_camera[:3, 3])
        values |= snapshot.surface
        values |= {"uShadow": 1, "uNoise": 0, "uSigns": 2, "uPixel": pixel}
        matrices = {
            "uClipFromWorld": clip,
            "uShadowFromWorld": shadow_from_world,
            "uWorldFromClip": np.linalg.inv(clip),
        }
        for program in self.gpu.programs.values():
            for name in program:
                if name in matrices:
                    if program is not self.gpu.programs["object_depth"]:
                        set_uniform(program, name, matrices[name])
                elif name in values:
                    set_uniform(program, name, values[name])

    def _color(self, target: moderngl.Framebuffer, snapshot: Snapshot, visible: list[VisibleObject]) -> None:
        ctx, gpu = self.gpu.ctx, self.gpu
        world = gpu.world(snapshot.world)
        target.use()
        target.clear(0, 0, 0, 1, depth=1.0)
        gpu.noise.use(0)
        self.shadow_map.use(1)
        gpu.signs.use(2)
        ctx.depth_func = "<="
        ctx.enable_only(ctx.DEPTH_TEST)
        for item in visible:
            self._cull(item.obj.key.asset_type not in TWO_SIDED)
            self._object_uniforms(item.obj, snapshot)
            for piece in item.pieces:
                piece.color.render()
        for part in world.ground:
            self._cull(part.program is not gpu.programs["ground BUILT"])
            part.render()
        ctx.enable_only(ctx.DEPTH_TEST | ctx.BLEND)
        ctx.blend_func = ctx.SRC_ALPHA, ctx.ONE_MINUS_SRC_ALPHA
        target.depth_mask = False
        world.ribbons.render()
        self._contact_shadows(snapshot, visible)
        ctx.enable_only(ctx.DEPTH_TEST)
        gpu.sky.render(ctx.TRIANGLE_STRIP)
        target.depth_mask = True

    def _object_uniforms(self, obj: SceneObject, snapshot: Snapshot) -> None:
        program = self.gpu.programs["object"]
        set_uniform(program, "uWorldFromObject", obj.world_from_object)
        set_uniform(program, "uTint", (*obj.tint, 1.0) if obj.tint else (0.0, 0.0, 0.0, 0.0))
        set_uniform(program, "uLights", (lights_on(obj, snapshot), obj.brake, obj.blink))
        own = obj.key is EGO_CAR
        set_uniform(program, "uGroundZ", float(obj.world_from_object[2, 3]) - (9.0 if own else 0.0))
        set_uniform(program, "uSnow", 0.0 if own else snapshot.conditions.snow)  # a warm engine melts it
        set_uniform(program, "uHead", 0.0 if own else headlights(snapshot.conditions))
        set_uniform(program, "uSeed", float(obj.track % 97))

    def _contact_shadows(self, snapshot: Snapshot, visible: list[VisibleObject]) -> None:
        program, dark = self.gpu.programs["contact"], 0.75 if snapshot.conditions.sun_color.sum() < 0.5 else 0.6
        for item in visible:
            if item.obj.key.asset_type in GROUNDED and item.depth < 90:
                length, width, _ = size(item.obj.key)
                set_uniform(program, "uWorldFromObject", item.obj.world_from_object)
                set_uniform(program, "uSize", (length, width))
                set_uniform(program, "uStrength", dark if width > 1.2 else 0.4)
                self.gpu.contact.render(self.gpu.ctx.TRIANGLE_STRIP)

    def _ids(
        self, target: moderngl.Framebuffer, snapshot: Snapshot, visible: list[VisibleObject]
    ) -> list[LabelledPiece]:
        labelled: list[LabelledPiece] = []
        target.use()
        target.clear(0, 0, 0, 0, depth=1.0)
        self.gpu.ctx.enable_only(self.gpu.ctx.DEPTH_TEST)
        program = self.gpu.programs["object_id"]
        for item in visible:
            self._cull(item.obj.key.asset_type not in TWO_SIDED)
            set_uniform(program, "uWorldFromObject", item.obj.world_from_object)
            for piece in item.pieces:
                number = 0
                if piece.category:
                    labelled.append(LabelledPiece(item.obj, piece))
                    number = len(labelled)
                code = float(_label_code(item.obj.key, piece.semantic))
                set_uniform(program, "uIds", (float(number & 255), float(number >> 8), code))
                piece.ids.render()
        self._cull(False)
        self.gpu.world(snapshot.world).ground_ids.render()
        return labelled

    def _cull(self, on: bool) -> None:
        """Skip faces that look away; projection() mirrors, so front faces run clockwise."""
        ctx = self.gpu.ctx
        ctx.front_face = "cw"
        (ctx.enable if on else ctx.disable)(ctx.CULL_FACE)


def _label_code(key: AssetKey, semantic: int) -> int:
    """Entry of RenderedImage.labels: no object is drivable; where the class is unknown that is unknown, too.

    The ego car is a vehicle that nobody drives on: with "ignore", a network learns to call it road.
    """
    if key is EGO_CAR:
        return VEHICLE
    if semantic == FENCE and key.asset_type in BARRED:
        return BARS
    return IGNORE_CODE * 17 if semantic == IGNORE else semantic


def _read_light(target: moderngl.Framebuffer) -> np.ndarray:
    width, height = target.size
    light = np.frombuffer(target.read(components=3, dtype="f2"), np.float16).reshape(height, width, 3)
    # One NaN would spoil the exposure and white balance of the whole image.
    return np.asarray(cv2.patchNaNs(np.clip(light.astype(np.float32), 0, MAX_RADIANCE)))


def _read_labels(target: moderngl.Framebuffer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, labels and depth of RenderedImage."""
    width, height = target.size
    code = np.frombuffer(target.read(components=4), np.uint8).reshape(height, width, 4)
    depth = np.frombuffer(target.read(components=1, attachment=-1, dtype="f4"), np.float32).reshape(height, width)
    ndc = 2 * depth - 1
    metres = 2 * FAR * NEAR / (FAR + NEAR - ndc * (FAR - NEAR))
    ids = code[..., 0].astype(np.uint16) | (code[..., 1].astype(np.uint16) << 8)
    return ids, code[..., 2].copy(), metres
