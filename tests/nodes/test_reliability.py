"""The commands behind `make faults` and `make soak`: their figures, and a short run of each."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from driving import process_environment

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.bench.endpoints.process_stats import memory_mb, own_memory_mb
from camera_perception_ros.bench.reliability.figures import Held, Outcome, left_behind, segments
from camera_perception_ros.bench.reliability.kills import holds_an_image
from camera_perception_ros.bench.reliability.outside import Flow, picture
from camera_perception_ros.bench.reliability.rounds import Results, Rounds
from camera_perception_ros.bench.reliability.soak import Series, steady
from camera_perception_ros.demo.processes import free_domain


def test_an_image_that_was_replaced_by_a_newer_one_is_not_lost():
    flow = Flow(sent=[1, 2, 3, 4, 5], answered={1: 0.0, 4: 0.5}, replaced={4: 1})
    assert flow.lost(1, 4) == 1  # of 2 and 3 one was replaced
    assert flow.lost(1, 5) == 2
    assert Flow().lost(0, 9) == 0


def test_an_answer_counts_by_the_time_its_image_was_sent_not_by_its_arrival():
    flow = Flow()
    flow.send(1)
    began = time.monotonic()
    flow.answer(1, 0)  # of a process that has ended, read only now
    assert not flow.served_since(began)
    flow.send(2)
    assert not flow.served_since(began)
    flow.answer(2, 0)
    assert flow.served_since(began)


def test_what_a_dead_process_left_is_counted_by_its_names(tmp_path):
    with (tmp_path / "fastrtps_0123456789abcdef_el").open("w"):
        created = segments(os.getpid(), tmp_path)
    assert created == {"fastrtps_0123456789abcdef"}
    assert left_behind(created, tmp_path) == 0
    (tmp_path / "fastrtps_0123456789abcdef").touch()
    assert left_behind(created, tmp_path) == 1


def test_a_recording_is_killed_only_when_it_holds_an_image(tmp_path):
    assert not holds_an_image(tmp_path / "not_yet")
    (tmp_path / "a.mcap").write_bytes(b"only a header")
    assert not holds_an_image(tmp_path)
    (tmp_path / "a.mcap").write_bytes(picture(0).data.tobytes())
    assert holds_an_image(tmp_path)


@pytest.mark.parametrize(("recovered", "left", "bad"), [(3, 0, False), (2, 0, True), (3, 1, True)])
def test_a_fault_is_bad_when_a_round_is_not_survived_or_something_is_left(recovered, left, bad):
    assert Outcome("fault", 3, recovered, 1.0, 0, left, Held(0.0, 0, 0)).bad is bad


def test_two_measurements_at_once_do_not_share_a_domain():
    first = free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("127.0.0.1", 7410 + 250 * first))
        assert free_domain() != first
    assert free_domain() == first


def test_shared_memory_is_not_of_a_process_own():
    with mmap.mmap(-1, 64_000_000) as shared:  # anonymous maps of Python are shared ones
        before = memory_mb(os.getpid()), own_memory_mb(os.getpid())
        for page in range(0, 64_000_000, mmap.PAGESIZE):
            shared[page] = 1
        rss, own = memory_mb(os.getpid()) - before[0], own_memory_mb(os.getpid()) - before[1]
    assert own < 16 < 60 < rss


def test_the_slope_is_that_after_the_warm_up_in_mb_per_hour():
    series = Series(os.getpid())
    for second in range(90):
        series.seconds.append(second)
        series.held.append(Held(100.0 + (10.0 * second if second < 30 else 300.0 + second / 1800), 5, 3))
    assert series.slope == pytest.approx(2.0)
    assert not steady({"camera": series.slope})
    assert steady({"camera": 0.9})


@pytest.mark.parametrize(
    ("seconds", "asked_in", "done"), [(60.0, 9, 3), (60.0, 1, 2), (0.0, 9, 0)], ids=["all", "Ctrl-C", "time is over"]
)
def test_rounds_that_have_ended_count_also_when_the_run_is_cut_short(seconds, asked_in, done):
    stop = SimpleNamespace(asked=False)
    rounds = Rounds(3, seconds, stop)
    for number in rounds:
        stop.asked = number == asked_in
        time.sleep(0.001)
    assert rounds.done == done


def test_the_first_ctrl_c_leaves_the_node_that_measures_alive():
    program = """
import os, signal
from camera_perception_ros.bench.endpoints.observer import Observer
from camera_perception_ros.bench.reliability.rounds import Stop
stop, node = Stop(), Observer("a")
os.kill(os.getpid(), signal.SIGTERM)
node.spin(0.2)
print("asked:", stop.asked)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=process_environment(), check=False)
    assert "asked: True" in done.stdout, done.stderr[-500:]


def test_slices_of_a_fault_add_up(tmp_path):
    results = Results(tmp_path / "out/faults.jsonl")
    assert results.of("rig_node") is None
    results.add("rig_node", Outcome("kill -9 rig_node", 20, 20, 3.0, 1, 0, Held(1.5, 0, 0), "slow"))
    results.add("live_node", Outcome("kill -9 live_node", 1, 0, 9.0, 0, 0, Held(0.0, 0, 0)))
    both = results.add("rig_node", Outcome("kill -9 rig_node", 30, 29, 5.0, 2, 0, Held(0.5, 1, 0), "slow"))
    assert both == Outcome("kill -9 rig_node", 50, 49, 5.0, 3, 0, Held(1.5, 1, 0), "slow")


def test_a_file_that_holds_no_results_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("[1]\n")
    with pytest.raises(PerceptionError, match=r"notes\.txt does not hold results"):
        Results(tmp_path / "notes.txt").of("rig_node")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("faults", "--rounds", "1", "--part", "parameters"), ("random parameters", "10 of 10 requests answered")),
        (("soak", "--minutes", "0.1"), ("MB per hour", "fusion")),
    ],
    ids=["faults", "soak"],
)
def test_a_short_run_prints_its_table(repository, arguments, words):
    command = [sys.executable, "-m", "camera_perception_ros.bench.reliability", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, cwd=repository, env=process_environment(), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert all(word in done.stdout for word in words)
