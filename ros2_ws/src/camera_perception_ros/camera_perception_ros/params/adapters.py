"""The parameter `adapters`: messages of other stacks that a node publishes as well."""

from __future__ import annotations

from camera_perception_ros.params.params import ParameterError

# adapter: package of its messages
ADAPTERS = {
    "vision_msgs": "vision_msgs",
    "autoware": "autoware_perception_msgs",
    "tier4": "tier4_perception_msgs",
}
DESCRIPTION = (
    "Messages of other stacks to publish as well: vision_msgs, autoware, tier4; their packages must be installed. An "
    "empty name: none."
)


def chosen(names: list[str]) -> list[str]:
    """The adapters that are named; ParameterError for an unknown one."""
    for name in filter(None, names):
        if name not in ADAPTERS:
            raise ParameterError(f"parameter 'adapters' has '{name}': expected {', '.join(ADAPTERS)}")
    return [name for name in ADAPTERS if name in names]
