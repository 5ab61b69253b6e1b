"""Settings of the object tracker.

Set them in model.json (`tracker`), as ROS parameters (`tracker.*`) or with `Pipeline(tracker=...)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from camera_perception.objects.config import check_settings, setting

# They are slower than vehicles, and their velocities change less. Motorcycles move like vehicles.
VULNERABLE_ROAD_USERS = frozenset({"pedestrian", "person", "rider", "bicycle"})


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Which detections are one object, how objects move, and what is published. A sigma is one standard deviation.

    The minimum object score is not a setting: it is the threshold of the object head (see ObjectTracker.high_score).
    """

    # Association. Scores hover around the threshold: a margin above it saved a third of the identity switches.
    init_score_factor: float = setting(1.2, "Score that starts a track, as a multiple of the minimum object score.")
    low_score_ratio: float = setting(
        0.6,
        "Detections down to this fraction of the minimum object score continue tracks, but start none.",
        high=1.0,
    )
    min_iou: float = setting(0.2, "IoU that a match needs, unless both are close on the road.", high=1.0)
    low_score_min_iou: float = setting(0.4, "IoU that a match with a low-score detection needs.", high=1.0)
    gate: float = setting(
        9.2, "Squared Mahalanobis distance on the road below which a match needs no overlap; 9.2 keeps 99 %."
    )
    max_gate: float = setting(16.0, "Squared Mahalanobis distance above which a match needs an IoU of 0.5.")
    unknown_distance: float = setting(4.0, "Squared Mahalanobis distance assumed when a position is unknown.")
    class_change_cost: float = setting(0.5, "Cost of matching different classes, in units of IoU.")
    border_overlap: float = setting(
        0.6, "Overlap credited to boxes of equal height cut by the same image border; half of it if predicted outside."
    )
    class_vote_decay: float = setting(0.95, "Factor on the previous class votes at each detection.", high=1.0)

    # Lifetime
    min_hits: int = setting(3, "Detections that confirm a track; until then it is tentative.", low=1)
    tentative_lifetime: float = setting(0.25, "Seconds without a detection after which a tentative track ends.")
    max_age: float = setting(1.5, "Seconds without a detection after which a confirmed track ends.")
    max_age_3d: float = setting(4.0, "Replaces max_age for tracks with a position, where ego motion is known.")
    max_position_std: float = setting(4.0, "Position sigma in metres above which max_age_3d does not apply.")
    max_position_std_stationary: float = setting(
        10.0, "Replaces max_position_std for objects slower than full_accel_speed."
    )
    max_coast: float = setting(
        0.5, "Seconds without a detection for which a confirmed track is still published, as coasted.", low=0.001
    )
    max_gap: float = setting(5.0, "Seconds without a frame after which all tracks end.")

    # Duplicates: two boxes of one object. Of overlapping low-score boxes of one class nine in ten are duplicates on
    # rendered drives; two high-score ones are cars in a queue.
    duplicate_iou: float = setting(0.75, "IoU above which two boxes show one object, whatever their scores.", high=1.0)
    weak_duplicate_iou: float = setting(
        0.3, "IoU above which two boxes show one object when one of them is weak.", high=1.0
    )
    weak_score_ratio: float = setting(
        0.8, "A box that scores less than this fraction of the other one is weak.", high=1.0
    )
    distinct_score_factor: float = setting(
        1.5, "A box is also weak when it scores less than this multiple of the score that starts a track."
    )
    part_overlap: float = setting(0.85, "Fraction of a box inside a larger one above which it is a part of it.")
    part_alignment: float = setting(0.1, "Lower edges of a part and its box differ by less than this fraction.")
    merge_hits: int = setting(10, "Detections up to which a track may turn out to be a duplicate of another one.")

    # Motion on the road
    accel_std: float = setting(1.0, "Process noise of vehicles: sigma of velocity change in m/s after one second.")
    pedestrian_accel_std: float = setting(0.5, "As accel_std, of pedestrians, riders and bicycles.")
    relative_accel_std: float = setting(1.0, "As accel_std, of the ego vehicle; added where its motion is unknown.")
    full_accel_speed: float = setting(
        3.0, "Speed in m/s from which the process noise applies in full; it shrinks for slower objects.", low=0.01
    )
    min_accel_factor: float = setting(0.3, "Fraction of the process noise that stationary objects keep.", high=1.0)
    speed_prior_std: float = setting(8.0, "Sigma in m/s of a new vehicle's speed, besides the ego speed.", low=0.01)
    pedestrian_speed_prior_std: float = setting(
        2.0, "Sigma in m/s of the speed of a new pedestrian, rider or bicycle.", low=0.01
    )
    relative_speed_prior_std: float = setting(
        15.0, "Sigma in m/s of a new object's relative speed, where ego motion is unknown.", low=0.01
    )
    reference_change_std: float = setting(
        0.5, "Sigma in m/s added to velocities when ego motion becomes known or unknown."
    )
    reacquire_gap: float = setting(0.5, "Seconds without a position after which a track counts as reacquired.")
    reacquire_velocity_std: float = setting(3.0, "Sigma in m/s added to the velocity of a reacquired track.")
    outlier_nis: float = setting(
        4.0, "Position NIS, as a multiple of the usual one, above which a measurement is an outlier.", low=0.01
    )
    outlier_velocity_std: float = setting(1.0, "Sigma in m/s added to the velocity at an outlier.")
    truncated_variance_factor: float = setting(
        9.0, "Factor on the position variance of truncated boxes: what is left of them changes with the view.", low=0.01
    )
    height_variance_factor: float = setting(
        2.0, "Factor on the variance of box heights: errors of consecutive images are correlated.", low=0.01
    )
    height_gate: float = setting(8.0, "NIS above which the apparent height is ignored as a range measurement.")
    bias_fraction: float = setting(
        0.5, "Fraction of the position variance that is a slow bias: mounting, slope, contact point.", high=1.0
    )
    bias_time_constant: float = setting(2.0, "Seconds over which the bias of positions changes.", low=0.01)
    noise_learning_rate: float = setting(0.1, "Weight of the newest NIS in a track's noise factor.", high=1.0)
    position_noise_min: float = setting(1.0, "Lower bound of the learned factor on position variance.", low=0.01)
    position_noise_max: float = setting(9.0, "Upper bound of the learned factor on position variance.", low=0.01)

    # Motion in the image
    image_motion_hits: int = setting(2, "Detections up to which a box moves with the position on the road only.")
    min_depth: float = setting(1.0, "Metres in front of the camera below which boxes do not follow positions.")
    box_std_pixels: float = setting(1.0, "Sigma of a box's centre and size in pixels, besides box_std_ratio.", low=0.01)
    box_std_ratio: float = setting(0.05, "Sigma of a box's centre and size, as a fraction of the size.")
    box_accel_std: float = setting(1.5, "Process noise of boxes: sigma of velocity change, box sizes/s in one second.")
    box_center_speed_std: float = setting(3.0, "Sigma of the speed of a new box's centre, box sizes per second.")
    box_size_speed_std: float = setting(1.0, "Sigma of how fast a new box grows, box sizes per second.")
    box_noise_min: float = setting(0.3, "Lower bound of the learned factor on box variance.", low=0.01)
    box_noise_max: float = setting(30.0, "Upper bound of the learned factor on box variance.", low=0.01)

    # Output
    stationary_prior: float = setting(0.5, "Prior probability that an object is stationary.", high=1.0)
    min_velocity_hits: int = setting(4, "Detections that a track needs before its velocity is published.", low=1)
    max_velocity_std: float = setting(1.2, "Velocity sigma in m/s above which no velocity is published.")
    light_time_constant: float = setting(0.25, "Seconds over which traffic light states are smoothed.", low=0.001)
    light_switch_margin: float = setting(
        0.15, "Lead in smoothed score by which another state replaces the stable one.", high=1.0
    )

    def __post_init__(self) -> None:
        check_settings(self, "tracker")


DEFAULT_TRACKER = TrackerConfig()
