"""Metadata lives here, not in pyproject.toml: the setuptools of ROS 2 Humble and colcon read only this."""

from glob import glob

from setuptools import Extension, find_packages, setup

NAME = "camera_perception"

setup(
    name=NAME,
    version="0.1.0",
    description="Camera perception for driving: one image in, one small description of the road out.",
    maintainer="camera_perception maintainers",
    maintainer_email="maintainers@camera-perception.invalid",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Benchmarks stay in the repository.
    packages=find_packages(include=[NAME, f"{NAME}.*"], exclude=["*.bench", "*.bench.*"]),
    package_data={
        NAME: [
            *("core/*.json", "core/*.pyi", "geometry/*.json", "engines/*.json", "engines/tensorrt/*.json"),
            *("tools/drift/*.json", "tools/live/page/*", "tools/replay/*.html", "io/msg/*.msg", "py.typed"),
        ]
    },  # io/msg is a link to camera_perception_msgs/msg
    # Compiled twins of slow functions. Optional: without a C compiler or Python's headers the NumPy twins are used. A
    # product and a sum are rounded one after the other, as NumPy does, also on processors that could do both at once.
    ext_modules=[
        Extension(
            f"{NAME}.core._kernels",
            sorted(glob(f"{NAME}/core/kernels/*.c")),
            depends=sorted(glob(f"{NAME}/core/kernels/*.h")),
            extra_compile_args=["-O2", "-ffp-contract=off", "-fvisibility=hidden"],
            optional=True,
        )
    ],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["click", "jsonschema", "numpy", "opencv-python<5", "pyyaml", "tqdm", "typer"],
    extras_require={
        "onnxruntime": ["onnxruntime"],
        "openvino": ["openvino"],
        "replay": ["av", "jinja2", "matplotlib", "mcap", "mcap-ros2-support", "protobuf", "rosbags"],
        "inspect": ["onnx"],
        "live": ["aiohttp", "mcap", "mcap-ros2-support", "rosbags"],
        "fleet": ["duckdb", "fsspec", "pyarrow", "ray[default]", "s3fs"],
        "sign": ["cryptography"],
        "foxglove": ["foxglove-sdk==0.30.3"],
        "test": ["pytest"],
    },
    entry_points={"console_scripts": ["camera-perception = camera_perception.tools.cli.app:app"]},
    zip_safe=False,
)
