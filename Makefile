# make demo    simulate a drive, run the real node on it over ROS 2, score it: see out/demo/
# make test    every test
# make faults  the tests of faults, which write docs/faults.md
# Both set up .venv/ first; PYTHON names the interpreter to make it with (3.10 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# PyTorch's wheels for CUDA, which work without a GPU. Smaller ones, for processors alone:
# make setup TORCH='torch==2.15.0 torchvision==0.29.2 --index-url https://download.pytorch.org/whl/cpu'
TORCH := torch==2.15.0 torchvision==0.29.2
SAM2 := sam2==1.1.0
SAM2_MODULES ?= build/sam2

.PHONY: demo test faults lint format bench gpu-bench setup clean system-libraries browser

demo: $(VENV)/.node
	$(BIN)/mle-sam demo --out out/demo

# Training's tests run beside all others, have their say at the end, and give way meanwhile: tests
# over DDS keep time.
test: $(VENV)/.training | browser
	nice -n 10 $(BIN)/python -m pytest -q training/tests > $(VENV)/training_tests.log 2>&1 & \
	training=$$!; $(BIN)/python -m pytest -q test; others=$$?; \
	wait $$training; training=$$?; cat $(VENV)/training_tests.log; \
	exit $$((others | training))

faults: $(VENV)/.node
	MLE_SAM_FAULT_TABLE=docs/faults.md $(BIN)/python -m pytest -q test/faults

lint: $(VENV)/.training
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.node
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.training
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/engines.py engines/nano

# With the PYTHON whose torch sees the GPU; of sam2 it takes the modules alone, from SAM2_MODULES.
# Nothing is downloaded where they are there already.
gpu-bench: $(SAM2_MODULES)/sam2
	PYTHONPATH=.:training:$(SAM2_MODULES) $(PYTHON) benchmarks/gpu.py --out benchmarks/results $(GPU_BENCH)

$(SAM2_MODULES)/sam2:
	SAM2_BUILD_CUDA=0 $(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --target $(SAM2_MODULES) $(SAM2)

setup: $(VENV)/.training

clean:
	rm -rf $(VENV) out build install log

# What the node, the replay and the simulation need: no torch.
$(VENV)/.node: setup.py | system-libraries
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip setuptools
	$(BIN)/pip install --quiet -e '.[jazzy,simulation,test]'
	touch $@

# sam2 is built from source: with the torch that is here, as an environment of its own would fetch
# another; without its CUDA code, which nothing here uses. What it needs is in training's own list.
$(VENV)/.training: $(VENV)/.node training/pyproject.toml
	$(BIN)/pip install --quiet $(TORCH)
	SAM2_BUILD_CUDA=0 $(BIN)/pip install --quiet --no-deps --no-build-isolation $(SAM2)
	$(BIN)/pip install --quiet -e training
	touch $@

# Libraries that the Open3D wheel loads.
LIBRARIES := libusb-1.0-0 libgl1 libegl1 libgomp1
system-libraries:
	@for so in libusb-1.0.so.0 libGL.so.1 libEGL.so.1 libgomp.so.1; do \
	  PATH=$$PATH:/sbin:/usr/sbin ldconfig -p | grep -q $$so || missing=1; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $(LIBRARIES); \
	  else echo 'Please install the libraries that Open3D needs: sudo apt-get install $(LIBRARIES)'; exit 1; fi; \
	fi

# The tests look at reports in a browser; without one they skip that.
browser:
	@for name in chromium chromium-browser google-chrome; do \
	  command -v $$name >/dev/null && exit 0; \
	done; \
	if [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; then exit 0; fi; \
	echo 'No browser to test reports in: sudo apt-get install chromium'
