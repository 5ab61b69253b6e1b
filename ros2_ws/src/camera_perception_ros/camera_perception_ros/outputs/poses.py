"""Poses, velocities and sizes of objects as other stacks want them: of the centre, in the frame of the car."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion, TwistWithCovariance, Vector3
from std_msgs.msg import Header

from camera_perception.draw.scene import Surroundings
from camera_perception.objects.footprint import CAR, MOVING, SIZES, center_from_contact, heading_of

HEIGHT_VARIANCE = 0.1  # m^2, of the centre above a road that may slope
TILT_VARIANCE = 0.01  # rad^2, roll and pitch
UNKNOWN_YAW_VARIANCE = math.pi**2 / 3  # rad^2, of a heading about which nothing is known


def metric_header(surroundings: Surroundings, header: Header) -> Header:
    """The stamp of the image and the frame of the metres."""
    return Header(stamp=header.stamp, frame_id=surroundings.base_frame)


def size_of(name: str) -> Vector3:
    """Typical length, width and height in metres of a class; one camera does not measure them."""
    length, width, height = SIZES.get(name, CAR)
    return Vector3(x=length, y=width, z=height)


def moves(surroundings: Surroundings, row: int) -> bool:
    """Whether the direction of motion gives the heading."""
    return bool(np.hypot(*surroundings.velocities[row]) > MOVING)


def pose_of(surroundings: Surroundings, row: int) -> PoseWithCovariance:
    """Centre of an object's body; covariance of x and y as estimated, zero where that is unknown."""
    size, heading = SIZES.get(surroundings.names[row], CAR), heading_of(surroundings.velocities[row])
    x, y = center_from_contact(surroundings.positions[row], size, heading).tolist()
    pose = PoseWithCovariance()
    pose.pose.position = Point(x=x, y=y, z=size[2] / 2)
    pose.pose.orientation = Quaternion(z=math.sin(heading / 2), w=math.cos(heading / 2))
    if np.isfinite(surroundings.position_covs[row]).all():
        yaw = _yaw_variance(surroundings, row)
        pose.covariance = _covariance(surroundings.position_covs[row], HEIGHT_VARIANCE, TILT_VARIANCE, yaw)
    return pose


def twist_of(surroundings: Surroundings, row: int) -> TwistWithCovariance | None:
    """Velocity over the road along the axes of the object; None when it is unknown or relative to the car."""
    velocity, over_ground = surroundings.velocities[row], surroundings.over_ground
    if over_ground is None or not over_ground[row] or not np.isfinite(velocity).all():
        return None
    heading = heading_of(velocity)
    object_from_base = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    twist = TwistWithCovariance()
    twist.twist.linear.x, twist.twist.linear.y = (object_from_base @ velocity).tolist()
    covs = surroundings.velocity_covs
    if covs is not None and np.isfinite(covs[row]).all():
        twist.covariance = _covariance(object_from_base @ covs[row] @ object_from_base.T, 0.0, 0.0, 0.0)
    return twist


def _yaw_variance(surroundings: Surroundings, row: int) -> float:
    """rad^2: of the direction of the velocity where that gives the heading."""
    velocity, covs = surroundings.velocities[row], surroundings.velocity_covs
    if not moves(surroundings, row) or covs is None or not np.isfinite(covs[row]).all():
        return UNKNOWN_YAW_VARIANCE
    across = np.array([-velocity[1], velocity[0]]) / np.square(velocity).sum()
    return min(float(across @ covs[row] @ across), UNKNOWN_YAW_VARIANCE)


def _covariance(xy: np.ndarray, height: float, tilt: float, yaw: float) -> np.ndarray:
    """(36,) row-major covariance of x y z roll pitch yaw from that of x and y (2, 2)."""
    full = np.diag([0.0, 0.0, height, tilt, tilt, yaw])
    full[:2, :2] = xy
    return full.ravel()
