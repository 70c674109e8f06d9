# What goes to an AWS account: its templates checked, its archives built, its stacks deployed.

VALIDATE := .venv-validate
BUILD := .venv-build
FUNCTIONS := provision deploy route cleanup
# What build builds for, where Rust's target is installed.
ARCHITECTURES ?= arm64 x86_64
# What deploy and deploy-service take, beside CODE_BUCKET, PIPELINE and PARAMETERS='Key=Value …' for the template.
ARCHITECTURE ?= arm64
STACK ?= tagship
PREFIX ?= tagship-
TEMPLATE ?= infra/pipeline.yaml
SERVICE_STACK ?= $(PIPELINE)-$(basename $(notdir $(TEMPLATE)))

.PHONY: validate build deploy deploy-service lock

validate: $(VALIDATE)/installed ## hold infra/ against cfn-lint, SAM, AWS's own word on IAM and a policy scanner
	$(VALIDATE)/bin/python infra/validate.py

$(VALIDATE)/installed: infra/requirements.txt
$(BUILD)/installed: infra/build-requirements.txt
$(VALIDATE)/installed $(BUILD)/installed:
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# Each architecture takes over ten minutes: fat LTO over the SDKs. By package, so that the local cloud's features stay
# out of the archives.
build: $(BUILD)/installed ## the functions' archives, target/lambda/ARCHITECTURE/FUNCTION/bootstrap.zip
	@built=; for architecture in $(ARCHITECTURES); do \
		target=$$(echo $$architecture | sed s/arm64/aarch64/)-unknown-linux-gnu; \
		if [ ! -d "$$(rustc --print target-libdir --target $$target)" ]; then \
			echo "not built for $$architecture: Rust's target isn't installed; rustup target add $$target"; continue; \
		fi; \
		PATH="$(CURDIR)/$(BUILD)/bin:$$PATH" cargo lambda build --locked --profile lambda --target $$target \
			--output-format zip --lambda-dir target/lambda/$$architecture $(FUNCTIONS:%=--package tagship-%) || exit 1; \
		$(BUILD)/bin/python infra/pack.py target/lambda/$$architecture/*/bootstrap.zip || exit 1; \
		built="$$built $$architecture"; \
	done; \
	[ -n "$$built" ] || exit 1; ls -l $$(for each in $$built; do echo target/lambda/$$each/*/bootstrap.zip; done)

# What an archive is made of: one that is older than any of it isn't what this checkout says.
SOURCES := Cargo.toml Cargo.lock $(addprefix crates/,tagship aws patches $(FUNCTIONS))

# Every package of what we ask for, for each Python and machine that we support, pinned by hash: pip takes no other file.
LOCKED := infra/requirements infra/build-requirements crates/testbed/cloud/python/requirements

lock: ## the Python requirements anew from their .in files; needs uv (pip install uv)
	@for each in $(LOCKED); do uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --no-annotate \
		--custom-compile-command 'make lock' $$each.in --output-file $$each.txt || exit 1; done

deploy: ## tagship itself, after asking; CODE_BUCKET= takes the archives
	@[ -n "$(CODE_BUCKET)" ] || { echo "say CODE_BUCKET=…, a bucket of yours for the archives, in the Region of the stack"; exit 1; }
	@for each in $(FUNCTIONS); do archive=target/lambda/$(ARCHITECTURE)/$$each/bootstrap.zip; \
		[ -f $$archive ] || { echo "no archive of $$each for $(ARCHITECTURE): make build"; exit 1; }; \
		newer=$$(find $(SOURCES) -type f -newer $$archive | head -n 1); \
		[ -z "$$newer" ] || { echo "$$archive is older than $$newer: make build"; exit 1; }; done
	@ln -sfn $(ARCHITECTURE) target/lambda/deploy
	@CODE_BUCKET=$(CODE_BUCKET) FUNCTION=$(PREFIX)provision infra/deploy.sh $(STACK) infra/tagship.yaml \
		FunctionPrefix=$(PREFIX) Architecture=$(ARCHITECTURE) $(strip $(PARAMETERS))

deploy-service: ## a service, after asking; PIPELINE=, TEMPLATE=infra/pipeline.yaml or infra/service.yaml, SERVICE_STACK= its name
	@[ -n "$(PIPELINE)" ] || { echo "say PIPELINE=…, the pipeline's name"; exit 1; }
	@infra/deploy.sh $(SERVICE_STACK) $(TEMPLATE) PipelineName=$(PIPELINE) $(strip $(PARAMETERS))
