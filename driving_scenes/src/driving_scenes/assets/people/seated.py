"""Poses of riders and of people who sit: hands and feet at given points, with two-bone limbs of the MakeHuman rig."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from driving_scenes.assets.people.makehuman import METRES, MakeHuman
from driving_scenes.assets.people.poses import Turns, X, Y, relaxed_hand, turn
from driving_scenes.assets.vehicles.cycles import Ride

ANKLE, SEAT = 0.08, 0.09  # metres of the ankle above the peg or ground, of the hip joints above the seat
LOW = 0.3  # metres; on lower seats the knees are up and the back is bent


def file_axes(point: ArrayLike) -> np.ndarray:
    """A point in metres of the renderer's axes, in those of the file."""
    return np.asarray(point, float)[..., [1, 2, 0]] / METRES


def riding(people: MakeHuman, rest: np.ndarray, rng: np.random.Generator, ride: Ride) -> tuple[Turns, np.ndarray]:
    """Turns of a rider with hands at the grips and feet on the pegs, and the metres from rest to the saddle."""
    lean = float(np.degrees(np.arcsin(np.clip(ride.lean, 0, 0.75))))
    turns: Turns = {"root": turn(X, lean * 0.45), "spine03": turn(X, lean * 0.55)}
    turns |= {"neck01": turn(X, -lean * 0.35), "head": turn(X, -lean * 0.35 + rng.normal(0, 4))}
    heads = _heads(people, rest, turns)
    hips = (heads["upperleg01.L"] + heads["upperleg01.R"]) / 2
    shift = file_axes(ride.seat + (0, 0, SEAT)) - hips
    for k, side, sign in ((0, "L", 1), (1, "R", -1)):
        ankle = file_axes(ride.pegs[k] + (-0.05, 0, ANKLE)) - shift
        leg = f"upperleg01.{side}", f"lowerleg01.{side}", f"foot.{side}"
        _reach(people, rest, turns, leg, ankle, (sign * 0.2, 0.4, 1))
        wrist = file_axes(ride.grips[k] + (-0.07, 0, 0.03)) - shift
        arm = f"upperarm01.{side}", f"lowerarm01.{side}", f"wrist.{side}"
        _reach(people, rest, turns, arm, wrist, (sign * 0.7, -1, -0.3))
        turns |= relaxed_hand(rng, side, sign, 42.0)
    return turns, shift[[2, 0, 1]] * METRES


def sitting(people: MakeHuman, rest: np.ndarray, rng: np.random.Generator, height: float) -> tuple[Turns, np.ndarray]:
    """Turns of a person on a seat `height` metres above the ground, and the metres from rest to hips at x = y = 0."""
    low, phone = height < LOW, str(rng.choice(["", "L", "R"], p=[0.7, 0.1, 0.2]))
    turns = _bent_back(rng, rng.uniform(16, 38) if low else rng.uniform(-9, 14), 20.0 if phone else 4.0)
    heads = _heads(people, rest, turns)
    shift = file_axes((0, 0, height + SEAT)) - (heads["upperleg01.L"] + heads["upperleg01.R"]) / 2
    _feet_on_ground(people, rest, turns, rng, shift)
    for side, sign in (("L", 1), ("R", -1)):
        wrist = (_raised if side == phone else _resting)(people, rest, turns, rng, side)
        arm = f"upperarm01.{side}", f"lowerarm01.{side}", f"wrist.{side}"
        _reach(people, rest, turns, arm, wrist, (sign * (1.0 if low else 0.5), -0.6, -0.4))
        turns |= relaxed_hand(rng, side, sign, 34.0)
    return turns, shift[[2, 0, 1]] * METRES


def _feet_on_ground(
    people: MakeHuman, rest: np.ndarray, turns: Turns, rng: np.random.Generator, shift: np.ndarray
) -> None:
    """Turn the legs of a person who sits: ankles about a thigh's length ahead, soles level; shift: to the hips."""
    heads = _heads(people, rest, turns)
    thigh = float(np.linalg.norm(heads["lowerleg01.L"] - heads["upperleg01.L"])) * METRES
    ahead, apart = thigh * rng.uniform(0.82, 1.12), rng.uniform(0.07, 0.17)
    for side, sign in (("L", 1), ("R", -1)):
        ankle = file_axes((ahead + rng.normal(0, 0.04), sign * apart, ANKLE)) - shift
        leg = f"upperleg01.{side}", f"lowerleg01.{side}", f"foot.{side}"
        _reach(people, rest, turns, leg, ankle, (sign * 0.12, 1, 0.4))
        _level(people, rest, turns, f"foot.{side}")


def _bent_back(rng: np.random.Generator, lean: float, nod: float) -> Turns:
    """A back that leans forward and a head that looks around; degrees, `nod` is downwards."""
    head = turn(Y, rng.normal(0, 24)) @ turn(X, nod - lean * 0.3 + rng.normal(0, 6))
    back = {"root": turn(X, lean * 0.35), "spine03": turn(X, lean * 0.65), "neck01": turn(X, -lean * 0.3)}
    return back | {"head": head}


def _raised(people: MakeHuman, rest: np.ndarray, turns: Turns, rng: np.random.Generator, side: str) -> np.ndarray:
    """Where the wrist of a hand before the chest is, file axes."""
    hip = _heads(people, rest, turns)[f"upperleg01.{side}"]
    return np.asarray(hip + file_axes((rng.uniform(0.26, 0.34), 0, rng.uniform(0.22, 0.32))))


def _resting(people: MakeHuman, rest: np.ndarray, turns: Turns, rng: np.random.Generator, side: str) -> np.ndarray:
    """Where the wrist of a hand on the thigh, or before a knee that is up, is; file axes."""
    heads, inward = _heads(people, rest, turns), -1 if side == "L" else 1
    hip, knee = heads[f"upperleg01.{side}"], heads[f"lowerleg01.{side}"]
    if knee[1] > hip[1] + 1.0:
        return np.asarray(knee + file_axes((rng.uniform(0.06, 0.18), inward * 0.03, rng.uniform(-0.14, 0.02))))
    on_thigh = hip + (knee - hip) * rng.uniform(0.45, 0.85)
    return np.asarray(on_thigh + file_axes((0, inward * rng.uniform(0, 0.06), 0.09)))


def _level(people: MakeHuman, rest: np.ndarray, turns: Turns, bone: str) -> None:
    """Turn a foot back to its direction at rest."""
    parent = people.bone_motions(rest, turns)[people.arrays["bone_parents"][people.bones.index(bone)], :, :3]
    turns[bone] = np.asarray(parent.T)


def _heads(people: MakeHuman, rest: np.ndarray, turns: Turns) -> dict[str, np.ndarray]:
    """Posed heads of all bones."""
    motions = people.bone_motions(rest, turns)
    heads = people.joints(rest)
    moved = np.einsum("bij,bj->bi", motions[..., :3], heads) + motions[..., 3]
    return dict(zip(people.bones, moved))


def _reach(
    people: MakeHuman,
    rest: np.ndarray,
    turns: Turns,
    limb: tuple[str, str, str],
    target: np.ndarray,
    towards: tuple[float, float, float],
) -> None:
    """Turn the upper and lower bone of a limb so that its end comes to the target and its joint points `towards`."""
    start, joint, end = (_heads(people, rest, turns)[name] for name in limb)
    bones = float(np.linalg.norm(joint - start)), float(np.linalg.norm(end - joint))
    elbow, target = _bent(start, target, bones, np.array(towards, float))
    _align(people, rest, turns, limb[0], limb[1], elbow)
    _align(people, rest, turns, limb[1], limb[2], target)


def _bent(
    start: np.ndarray, target: np.ndarray, bones: tuple[float, float], towards: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the joint and of the end, which stops short of a target out of reach."""
    gap = target - start
    far = float(np.linalg.norm(gap))
    direction, length = gap / far, min(far, sum(bones) * 0.995)
    along = (bones[0] ** 2 - bones[1] ** 2 + length**2) / (2 * length)
    out = towards - direction * (direction @ towards)
    rise = np.sqrt(max(bones[0] ** 2 - along**2, 0.0))
    return start + direction * along + out / np.linalg.norm(out) * rise, start + direction * length


def _align(people: MakeHuman, rest: np.ndarray, turns: Turns, bone: str, tip: str, target: np.ndarray) -> None:
    """Turn a bone so that the head of `tip` points to the target."""
    heads, motions = _heads(people, rest, turns), people.bone_motions(rest, turns)
    parent = motions[people.arrays["bone_parents"][people.bones.index(bone)], :, :3]
    old, new = heads[tip] - heads[bone], target - heads[bone]
    old, new = old / np.linalg.norm(old), new / np.linalg.norm(new)
    axis = np.cross(old, new)
    size = np.linalg.norm(axis)
    spin = cv2.Rodrigues(axis / max(size, 1e-9) * np.arctan2(size, old @ new))[0]
    turns[bone] = np.asarray(parent.T @ spin @ parent @ turns.get(bone, np.eye(3)))
