"""Network configuration and the predefined sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

EFFICIENTNET_WIDTHS = [24, 40, 112, 192]


@dataclass
class NetworkConfig:
    """Sizes of the network; channels are multiples of 16 because convolution kernels of CPUs and INT8 tensor cores are.

    size             name of a predefined size; `of_size` fills in the rest
    stem             channels at stride 2
    widths           channels at strides 4, 8, 16, 32
    depths           residual blocks at strides 4, 8, 16, 32
    neck             channels of every pyramid level
    fine             channels of the stride-4 branch for masks
    lane_features    channels pooled along a line to classify its type and colour
    small_objects    detect objects at stride 4 too (small traffic lights); more anchor points, a little slower
    branches         of the object head: many (ten anchors per object; the vehicle removes duplicates by NMS), one (one
                     anchor per object: no NMS, but it needs long training), or both, in this order
    side_towers      box regression gets a convolution of its own, separate from the one for classes
    backbone         residual (stem, widths and depths apply) or efficientnet_lite0 (network/efficientnet.py)
    deepest_blocks   of efficientnet_lite0: inverted residuals at stride 32, 1 to 4
    expanded         of efficientnet_lite0: channels inside each block, in turn; empty: as published
    exposure         mean grey level, 0..1, to which darker images are lifted (network/exposure.py); 0: they stay dark
    attention        self-attention over the stride-32 map; off: no gain at this size (docs/training.md)
    tasks            heads to build: any of objects, drivable, semantic, lanes, scene
    """

    size: str = "n"
    stem: int = 16
    widths: list[int] = field(default_factory=lambda: [32, 64, 96, 128])
    depths: list[int] = field(default_factory=lambda: [1, 2, 2, 1])
    neck: int = 64
    fine: int = 32
    lane_features: int = 32
    small_objects: bool = False
    branches: list[str] = field(default_factory=lambda: ["many", "one"])
    side_towers: bool = False
    backbone: str = "residual"
    deepest_blocks: int = 4
    expanded: list[int] = field(default_factory=list)
    exposure: float = 0.0
    attention: bool = False
    tasks: list[str] = field(default_factory=lambda: ["objects", "drivable", "semantic", "lanes", "scene"])

    @property
    def exported_branch(self) -> str:
        """The branch of the object head that is exported: the one without NMS if there is one."""
        return self.branches[-1]

    @property
    def channels(self) -> list[int]:
        """Channels of the backbone's maps at strides 4, 8, 16, 32."""
        return EFFICIENTNET_WIDTHS if self.backbone == "efficientnet_lite0" else self.widths

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level of the object head, fine to coarse."""
        return (4, 8, 16, 32) if self.small_objects else (8, 16, 32)


SIZES: dict[str, dict[str, Any]] = {
    "t": dict(stem=16, widths=[16, 16, 32, 32], depths=[1, 1, 1, 1], neck=16, fine=16, lane_features=16),  # tests
    "n": dict(),
    "s": dict(stem=32, widths=[64, 128, 192, 256], depths=[2, 3, 3, 2], neck=96, fine=48, lane_features=48),
    "m": dict(stem=32, widths=[64, 128, 256, 384], depths=[2, 4, 6, 3], neck=128, fine=64, lane_features=64),
}


def of_size(size: str, **changes: Any) -> NetworkConfig:
    """The predefined configuration t (tests only), n, s or m; `changes` override single fields."""
    if size not in SIZES:
        raise ValueError(f"unknown network size '{size}': expected one of {', '.join(SIZES)}")
    return replace(NetworkConfig(size=size, **SIZES[size]), **changes)
