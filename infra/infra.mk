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

deploy: ## tagship itself, after asking; CODE_BUCKET= takes the archives
	@[ -n "$(CODE_BUCKET)" ] || { echo "say CODE_BUCKET=…, a bucket of yours for the archives"; exit 1; }
	@for each in $(FUNCTIONS); do [ -f target/lambda/$(ARCHITECTURE)/$$each/bootstrap.zip ] || \
		{ echo "no archive of $$each for $(ARCHITECTURE): make build"; exit 1; }; done
	@ln -sfn $(ARCHITECTURE) target/lambda/deploy
	@mkdir -p target/infra
	@aws cloudformation package --template-file infra/tagship.yaml --use-json --s3-bucket $(CODE_BUCKET) \
		--s3-prefix tagship --output-template-file target/infra/packaged.json > target/infra/package.log
	@python3 infra/settings.py --function $(PREFIX)provision carry target/infra/packaged.json
	@CODE_BUCKET=$(CODE_BUCKET) infra/deploy.sh $(STACK) target/infra/packaged.json \
		FunctionPrefix=$(PREFIX) Architecture=$(ARCHITECTURE) $(strip $(PARAMETERS))

deploy-service: ## a service, after asking; PIPELINE=, TEMPLATE=infra/pipeline.yaml or infra/service.yaml, SERVICE_STACK= its name
	@[ -n "$(PIPELINE)" ] || { echo "say PIPELINE=…, the pipeline's name"; exit 1; }
	@infra/deploy.sh $(SERVICE_STACK) $(TEMPLATE) PipelineName=$(PIPELINE) $(strip $(PARAMETERS))
