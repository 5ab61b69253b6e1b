# `make` lists what there is. Everything lives in .venv, ros2_ws/{build,install,log}, .setup and out: nothing needs root.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PIP := .venv/bin/pip install --quiet --disable-pip-version-check
ENV := source ros2_ws/env.sh
# The last argument is for ROS 2 from wheels; an installed ROS 2 ignores it.
COLCON := cd ros2_ws && colcon --log-level error build --event-handlers console_cohesion- \
	--cmake-args -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON \
	-DCMAKE_PROJECT_INCLUDE=$(CURDIR)/ros2_ws/cmake/ros_wheels_fix.cmake

# The files whose change calls for a new build. Python modules are linked, not copied, and need none.
MESSAGES := $(shell find ros2_ws/src/camera_perception_msgs -type f) ros2_ws/cmake/ros_wheels_fix.cmake
PACKAGES := $(wildcard ros2_ws/src/*/setup.* ros2_ws/src/*/package.xml) pyproject.toml driving_scenes/pyproject.toml
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
test: setup-models ## all tests; ARGS="-k name" for some, TESTS=tests/library for one folder
	@$(ENV) && OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadfile $(or $(TESTS),tests) $(ARGS)

.PHONY: test-packages
test-packages: setup ## the tests that each ROS package brings along, with colcon test
	@$(ENV) && cd ros2_ws && colcon --log-level error test --event-handlers console_cohesion- && colcon test-result --verbose

.PHONY: check-nvidia
check-nvidia: setup-models ## NVIDIA's real parts from PyPI, no GPU needed; ARGS=--quick for what CI runs
	@$(ENV) && python -m pytest -c tests/nvidia/pytest.ini tests/nvidia $(ARGS)

.PHONY: bench
bench: setup ## measure the pipeline and the nodes, print tables; QUICK=1 for a minute, LONG=1 watches memory
	@$(ENV) && python -m camera_perception_ros.bench $(if $(QUICK),--quick) $(if $(LONG),--long) $(ARGS)

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

.PHONY: clean
clean: ## remove everything that was built; recorded output in out/ stays
	rm -rf .venv .setup ros2_ws/build ros2_ws/install ros2_ws/log .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name '*.egg-info' -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@PYTHON=$(PYTHON) ros2_ws/check_system.sh
	$(PYTHON) -m venv .venv

.setup/run: requirements/ros.txt requirements/run.txt requirements/test.txt .venv/pyvenv.cfg
	@mkdir -p .setup
	$(PIP) $(foreach file,$(filter %.txt,$^),-r $(file))
	@.venv/bin/python ros2_ws/check_opencv.py
	@touch $@

.setup/models: requirements/models.txt .setup/run
	$(PIP) -r $<
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

.setup/bringup: $(BRINGUP) .setup/messages
	$(ENV) && $(COLCON) --packages-select camera_perception_bringup
	@touch $@
