# tagship: what a person or CI runs. `make help` lists it.

VENV := .venv

.DEFAULT_GOAL := help
.PHONY: help venv simulate

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/installed ## the Python side of the local cloud, in .venv

$(VENV)/installed: crates/local/python/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

simulate: ## ten thousand virtual days that try to break every rule of safety
	cargo run --release --package tagship-sim --

include infra/infra.mk
