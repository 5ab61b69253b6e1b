"""The player plays no faster than the cameras answer."""

from __future__ import annotations

import threading
import time

import pytest

from camera_perception_ros.bag.answers import PATIENCE, Answers, parse_answers
from camera_perception_ros.params.params import ParameterError
from camera_perception_ros.params.player import PlayerParams

PAIRS = {
    "/front/image_raw": "/front/camera_perception/perception",
    "/left/image_raw": "/left/camera_perception/perception",
}
FRONT, LEFT = PAIRS


def test_nothing_is_pending_before_the_first_image_and_for_other_topics():
    answers = Answers(PAIRS)
    answers.sent("/odom")
    assert not answers.pending(FRONT)
    assert not answers.pending("/odom")


def test_an_answer_releases_its_camera_only():
    answers = Answers(PAIRS)
    answers.sent(FRONT)
    answers.sent(LEFT)
    answers.answered(LEFT)
    assert (answers.pending(FRONT), answers.pending(LEFT)) == (True, False)


def test_waiting_ends_with_the_answer_and_is_summed_up():
    answers = Answers(PAIRS)
    answers.sent(FRONT)
    threading.Timer(0.05, answers.answered, [FRONT]).start()
    answers.wait(FRONT, lambda: False)
    assert not answers.pending(FRONT)
    assert answers.held > 0


def test_a_dead_camera_is_waited_for_once():
    clock = iter(range(0, 1000 * int(PATIENCE), int(PATIENCE) + 1))
    answers = Answers(PAIRS, lambda: float(next(clock)))
    answers.sent(FRONT)
    answers.wait(FRONT, lambda: False)
    answers.sent(FRONT)
    assert not answers.pending(FRONT)


def test_a_stop_ends_the_waiting():
    answers = Answers(PAIRS)
    answers.sent(FRONT)
    started = time.monotonic()
    answers.wait(FRONT, lambda: True)
    assert time.monotonic() - started < PATIENCE


def test_pairs_are_written_with_an_equals_sign():
    assert parse_answers(["", "/a=/b"]) == {"/a": "/b"}
    with pytest.raises(ParameterError, match="write IMAGE_TOPIC=PERCEPTION_TOPIC"):
        PlayerParams(bag="x", answers=["/a"]).check()
