"""Settings of object localisation, and how a setting is described.

Set them in model.json (`localization`), as ROS parameters (`localization.*`) or with `Pipeline(localization=...)`.
Tables by class, such as usual heights, are in localize.py and footprint.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from camera_perception.core.errors import PerceptionError


def setting(default: float, description: str, *, low: float = 0.0, high: float | None = None) -> Any:
    """A dataclass field that users may set; low and high are the ends of its closed range."""
    return field(default=default, metadata={"description": description, "low": low, "high": high})


def check_settings(config: Any, section: str) -> None:
    """PerceptionError for the first value of a dataclass of settings that is outside its range."""
    for entry in fields(config):
        value, low, high = getattr(config, entry.name), entry.metadata["low"], entry.metadata["high"]
        if not isfinite(value) or value < low or (high is not None and value > high):
            allowed = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
            raise PerceptionError(f"{section}.{entry.name} is {value}: give a number {allowed}")


@dataclass(frozen=True, slots=True)
class LocalizationConfig:
    """From boxes to positions in base_link. Every sigma is one standard deviation."""

    max_range: float = setting(150.0, "Metres from the camera beyond which an object gets no position.", low=1.0)
    max_range_std_ratio: float = setting(
        0.35, "An object gets no position when its position sigma exceeds this fraction of its range."
    )
    consistency_gate: float = setting(
        8.0, "Squared Mahalanobis distance above which ground plane and object size are treated as inconsistent."
    )
    unknown_height: float = setting(3.0, "Height in metres of classes without a height prior.", low=0.01)
    unknown_height_std: float = setting(2.0, "Sigma in metres of the height of classes without a height prior.")

    edge_margin: float = setting(2.0, "A box this many pixels from an image border counts as truncated.")
    min_clipped_width: float = setting(
        0.025,
        "A box truncated at the left or right border and narrower than this fraction of the image gets no position.",
        high=1.0,
    )
    truncated_position_std: float = setting(
        1.0, "Sigma in metres added when a box is truncated at the left or right: its centre is not the object's."
    )
    occluded_range_std_ratio: float = setting(
        0.2, "Sigma, as a fraction of range, added when a nearer object hides the wheels."
    )
    max_sector_distance: float = setting(
        1.0, "Metres by which a predicted position may lie outside the view angle of its truncated box."
    )
    overhang_min_pixels: float = setting(1.0, "Overhang in image pixels up to which it is ignored: nobody can see it.")
    overhang_full_pixels: float = setting(4.0, "Overhang in image pixels above which it is corrected in full.")

    min_points: int = setting(3, "Depth or lidar measurements that an object needs for a range.", low=1)
    depth_grid: int = setting(24, "Depth image samples per box, across and down.", low=1)
    depth_std_ratio: float = setting(0.02, "Range sigma of a depth image, as a fraction of the depth.")
    lidar_std: float = setting(0.15, "Range sigma of lidar points in metres.")
    closing_speed_std: float = setting(
        5.0, "Sigma in m/s of how fast ranges change between the stamps of the range sensor and of the image."
    )
    road_clearance: float = setting(0.25, "Metres above the road below which a lidar point belongs to the road.")
    occluder_margin: float = setting(
        0.1, "A box that reaches lower by this fraction of a box's height stands in front of it."
    )

    light_size: float = setting(0.95, "Metres, long side of a traffic light's housing.", low=0.01)
    min_light_height: float = setting(1.8, "Metres above the road, lowest mounting of traffic lights for vehicles.")
    max_light_height: float = setting(9.0, "Metres above the road, highest mounting of traffic lights for vehicles.")
    ego_light_margin: float = setting(3.0, "Metres beside the ego lane within which a light governs the ego lane.")
    other_light_margin: float = setting(6.5, "Metres beside the ego lane beyond which a light governs another lane.")
    lane_range: float = setting(45.0, "Metres ahead up to which lane lines are trusted; beyond, the lane is straight.")

    def __post_init__(self) -> None:
        check_settings(self, "localization")
        if self.overhang_full_pixels <= self.overhang_min_pixels:
            raise PerceptionError("localization.overhang_full_pixels must be larger than overhang_min_pixels")


DEFAULT_LOCALIZATION = LocalizationConfig()
