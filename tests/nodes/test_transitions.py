"""A transition that fails for a reason nobody foresaw still says which."""

from __future__ import annotations

import pytest
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from camera_perception_ros.runtime.lifecycle import told


class Broken(LifecycleNode):
    @told
    def on_configure(self, state):
        raise ZeroDivisionError("nobody thought of this")

    def on_error(self, state):
        return TransitionCallbackReturn.SUCCESS


def test_an_unforeseen_failure_is_logged_with_its_place(context, capfd):
    node = Broken("broken", context=context, use_global_arguments=False)
    with pytest.raises(ZeroDivisionError):
        node.on_configure(None)
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    lines = [
        line for line in capfd.readouterr().err.splitlines() if "ZeroDivisionError: nobody thought of this" in line
    ]
    assert len(lines) == 2
    assert all("test_transitions.py:" in line for line in lines)
    node.destroy_node()
