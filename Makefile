# tagship: what a person or CI runs. `make help` lists it.

VENV := .venv

.DEFAULT_GOAL := help
.PHONY: help venv binaries demo --dashboard local quick test chromium screenshots simulate bench deny

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/installed ## the Python side of the local cloud, in .venv

$(VENV)/installed: crates/testbed/cloud/python/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# The workspace as a whole, always: which features the SDKs are built with depends on what is asked for.
binaries:
	cargo build --workspace

# All that the demo runs: neither the tests nor the simulator. With these, the SDKs have the features that they have in
# the whole workspace, so that neither builds them again for the other.
DEMO := $(addprefix --package tagship-,local provision deploy route cleanup cli)

demo: venv ## releases under load on this machine; `make demo -- --dashboard` opens the page meanwhile
	cargo build $(DEMO)
	$(or $(CARGO_TARGET_DIR),target)/debug/tagship-local demo $(filter --dashboard,$(MAKECMDGOALS))

# What follows `--` are goals for make: this one is a flag for demo.
--dashboard:
	@:

local: venv binaries ## a rehearsal: the same cloud for your own builds, its story told, with the page; Ctrl-C ends it
	cargo run --quiet --bin tagship-local -- up

# The crates without an SDK, so that neither is built.
CORE := --package tagship --package tagship-emulator --package tagship-sim

quick: ## for the inner loop, a minute: formatting, the core's lints and tests, a thousand simulated days
	cargo fmt --all --check
	cargo clippy $(CORE) --all-targets -- -D warnings
	cargo test --quiet $(CORE) --lib --test docs --test events --test infra --test stories
	cargo run --quiet --package tagship-sim -- --seeds 1000

test: venv binaries ## formatting, lints, documentation, and every test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace && cargo test --workspace --doc; \
		else RUST_TEST_THREADS=6 cargo test --workspace; fi

chromium: ## the browser for the page's test, from Debian's packages; needs root and apt
	tests/chromium.sh

screenshots: venv binaries ## pictures of the page, by night, by day and narrow, in target/screenshots; needs `make chromium`
	@mkdir -p target/screenshots
	SCREENSHOTS=$(CURDIR)/target/screenshots cargo test --workspace --test page -- --nocapture

deny: ## known weaknesses, licences, versions and sources of what we depend on (deny.toml); needs cargo-deny
	@mkdir -p target; if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check bans licenses sources && \
		if cargo deny fetch db 2>target/deny.log; then cargo deny --locked check advisories; \
		else echo "not checked: advisories, since their database couldn't be fetched (target/deny.log says why)"; fi; \
	else echo "not checked: dependencies, since cargo-deny isn't installed (cargo install --locked cargo-deny)"; fi

simulate: ## ten thousand virtual days that try to break every rule of safety
	cargo run --release --package tagship-sim --

bench: venv binaries ## start, memory, size and AWS calls of the functions' archives for this machine, each beside its limit
	$(MAKE) --no-print-directory build ARCHITECTURES=$(subst aarch64,arm64,$(shell uname -m))
	cargo run --quiet --bin tagship-local -- bench

include infra/infra.mk
