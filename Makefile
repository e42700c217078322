# The front door. `make help` lists every target; CHAIN=<daemon> narrows any of them to one project.

SHELL := /bin/bash
CHAIN ?=
FOR ?=
VECTORS_DIR ?=
export CHAIN FOR
ifneq ($(VECTORS_DIR),)
export VECTORS_DIR := $(abspath $(VECTORS_DIR))
endif
.DEFAULT_GOAL := help
.PHONY: help bootstrap run build test vectors lint check fmt bench fuzz sim interop acceptance install uninstall docker \
        deps-check deps-align loc docs release clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  CHAIN=rustock|neo-node|pos-node|fluxd|avalanche-node|shared-vendor narrows a target; FOR=60 ends 'make run' after 60 s"

bootstrap: ## Install what a build needs (compiler, libclang) and build RocksDB once
	@scripts/bootstrap

run: bootstrap ## Start every local network on loopback with live progress; Ctrl-C or FOR=seconds ends it
	@scripts/run

build: bootstrap ## Release binaries under target/release
	@BUILD_COMMIT="$$(git rev-parse --short HEAD 2>/dev/null)" BUILD_RUSTC="$$(rustc --version | cut -d' ' -f2)" scripts/each build --release

test: bootstrap ## Every test of every project: unit, property, golden, vector, daemon
	@scripts/test

vectors: bootstrap ## Run every file under VECTORS_DIR/<chain> (default ../shared/vectors)
	@scripts/vectors

lint: bootstrap ## clippy and rustdoc, warnings denied
	@scripts/lint

check: ## The whole gate, as CI runs it
	@.ci/run

fmt: ## Format all projects
	@scripts/each fmt --all

bench: bootstrap ## Criterion benches
	@scripts/each bench --benches

fuzz: bootstrap ## Run every fuzz target for FOR seconds (default 60)
	@scripts/fuzz

sim: bootstrap ## Simulations with SEEDS seeds (default 200)
	@SIM_SEEDS=$${SEEDS:-200} scripts/each test --test it sim

interop: bootstrap ## Our daemons beside the reference nodes (RSKJ, NEO_GO, AVALANCHEGO, FLUXD_CPP name their binaries)
	@scripts/interop/all

acceptance: bootstrap ## Operator conventions checked from outside on the built daemons
	@scripts/acceptance/run

install: build ## Binaries, units, man pages, completions, examples under PREFIX (default /usr/local), DESTDIR honoured
	@scripts/install

uninstall: ## Reverse of install; data and configuration stay
	@scripts/install --remove

docker: ## Image of CHAIN
	@test -n "$(CHAIN)" || { echo "docker: say CHAIN=<daemon>"; exit 2; }
	docker build --build-arg COMMIT="$$(git rev-parse --short HEAD)" --file $(CHAIN)/Dockerfile --tag $(CHAIN) .

deps-check: ## Manifests and lock files agree with scripts/deps.toml
	@scripts/deps check

deps-align: ## Bring the lock files together
	@scripts/deps align

loc: ## Lines of code, tests and documents
	@scripts/loc

docs: bootstrap ## API documentation
	@scripts/each doc --no-deps

release: build ## Archives with checksums under target/release-archives
	@scripts/release

clean: ## Remove build output
	rm -rf target
