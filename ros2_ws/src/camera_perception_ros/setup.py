from setuptools import find_packages, setup

NAME = "camera_perception_ros"
NODES = ["camera_node", "rig_node", "fusion_node", "bag_player_node", "bag_recorder_node", "live_node"]

setup(
    name=NAME,
    version="0.1.0",
    description="Thin ROS 2 nodes around the camera_perception library.",
    maintainer="camera_perception maintainers",
    maintainer_email="maintainers@camera-perception.invalid",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Benchmarks stay in the repository.
    packages=find_packages(include=[NAME, f"{NAME}.*"], exclude=["*.bench", "*.bench.*"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [f"{node} = {NAME}.nodes.main:{node}" for node in NODES],
        # `camera-perception live topics`
        "camera_perception.live": [f"topics = {NAME}.nodes.live_node:command"],
    },
    zip_safe=False,
)
