# Two commands for newcomers: `make demo` and `make test`. The rest is what they are made of.
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := /bin/bash

# As .ci/common.sh has it.
CACHE := $(shell . .ci/common.sh && echo "$$cache")
export PATH := $(shell . .ci/common.sh && echo "$$PATH")
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export HOSTKIT_TEST_PYTHON := $(CACHE)/python/bin/python
export HOSTKIT_TEST_MINISTACK := $(CACHE)/ministack/bin/ministack
export HOSTKIT_CACHE := $(CACHE)

# Chroots, mounts and the NFS server need root; cargo itself does not.
ifneq ($(shell id -u),0)
AS_ROOT := --config 'target."cfg(unix)".runner=["sudo","--preserve-env"]'
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## bake a Jenkins controller image, boot it in a virtual machine, look inside
	@examples/demo.sh

.PHONY: test
test: setup-for-tests lint deny unit ## everything: formatting, lints, licences, all tests

.PHONY: build
build: setup ## the release binary
	cargo build --locked --release

.PHONY: lint
lint: ## formatting, clippy, shell scripts
	cargo fmt --check
	cargo clippy --locked --release --all-targets -- --deny warnings
	shellcheck --external-sources .ci/setup .ci/run .ci/common.sh examples/*.sh \
		benches/boot/guest.sh tests/fixtures/*-package/build.sh tests/fixtures/*-package/debian/p*

.PHONY: deny
deny: ## licences, duplicates and sources of the crates; known vulnerabilities if reachable
	$(CACHE)/tools/bin/cargo-deny --locked check bans licenses sources
	@if curl --silent --fail --max-time 5 --output /dev/null https://github.com/rustsec/advisory-db; \
	then $(CACHE)/tools/bin/cargo-deny --locked check advisories; \
	else echo 'NOT CHECKED: known vulnerabilities (the advisory database cannot be reached from here)'; fi

.PHONY: unit
unit: ## unit, integration and virtual machine tests
	cargo test --locked --release $(AS_ROOT)

.PHONY: nights
nights: setup-for-tests ## two bad nights of an upgrade for which the tests have no time (as root)
	cargo test --locked --release $(AS_ROOT) --test it -- --ignored machine::upgrade

.PHONY: bench
bench: setup-for-bench ## how long bakes and uploads take, beside mkosi, mmdebstrap and coldsnap (as root)
	cargo bench --locked --bench bake
	cargo bench --locked --bench upload

.PHONY: bench-lease
bench-lease: setup-for-tests ## what the lease costs a controller, in a virtual machine (as root)
	cargo bench --locked --bench lease

.PHONY: bench-agents
bench-agents: ## how long Jenkins takes to know a thousand build agents
	cargo bench --locked --bench agents

.PHONY: bench-boot
bench-boot: setup-for-tests ## how long a boot takes, beside cloud-init, in a virtual machine (as root)
	cargo bench --locked --bench boot

.PHONY: bench-scan
bench-scan: ## how long a look at a home of a million files takes, beside find
	cargo bench --locked --bench scan

.PHONY: bench-upload
bench-upload: setup-for-bench ## how long an upload takes, beside coldsnap
	cargo bench --locked --bench upload

.PHONY: fuzz
fuzz: ## a minute of broken recipes, NFS messages, lease records, policies and mount statistics at random (FUZZ_SECONDS=60)
	cd fuzz && CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/fuzz \
		cargo run --locked --release -- $(or $(FUZZ_SECONDS),60)

.PHONY: clean
clean: ## what was built here and what the demo left
	cargo clean --quiet
	@. .ci/common.sh; [ ! -d out ] || rm -rf out 2>/dev/null || as_root rm -rf out

.PHONY: setup setup-for-tests setup-for-bench
setup:
	@.ci/setup
setup-for-tests:
	@.ci/setup --test
setup-for-bench:
	@.ci/setup --bench
