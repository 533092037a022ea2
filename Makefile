# What people call: demo, build, test, test-host, lint, bench, install, clean. Details are in scripts/.

CONFIG ?= release
PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# Programs that are installed carry the Swift runtime inside; a debug build is for tests on a machine with Swift.
SWIFT_FLAGS = -c $(CONFIG) $(if $(filter release,$(CONFIG)),--static-swift-stdlib)
OUT = out/$(CONFIG)
PROGRAMS = isle isled isle-wasm

.PHONY: all build setup demo test test-host lint bench install uninstall clean programs
all: build

include build/shim.mk build/init.mk

## setup: install the packages that building and running need, and fetch libwasmtime
setup:
	scripts/setup

## build: everything into out/
build: setup programs

programs: out/isle-shim out/isle-init
	set -e; for p in $(PROGRAMS); do $(SWIFT) build $(SWIFT_FLAGS) --product $$p; done
	mkdir -p $(OUT)
	bin=$$($(SWIFT) build $(SWIFT_FLAGS) --show-bin-path) && \
	for p in $(PROGRAMS); do install -m 755 $(if $(filter release,$(CONFIG)),-s) $$bin/$$p $(OUT)/$$p; done
	install -m 755 out/isle-shim out/isle-init $(OUT)/
	ln -sf ../libwasmtime.so $(OUT)/libwasmtime.so

## demo: build, start a daemon, run one instance of each kind, show what runs
demo: build
	scripts/demo $(OUT)

## test: unit tests and integration tests with the real parts; needs root
test: setup
	$(SWIFT) build --build-tests
	$(MAKE) CONFIG=debug programs
	scripts/unit-tests
	Tests/Integration/run --bin out/debug

## test-host: Isle installed in a machine with systemd and control groups v2 alone; minutes under QEMU's translator
test-host: setup
	$(MAKE) CONFIG=debug programs
	Tests/Host/run --bin out/debug

## lint: formatting, who may import whom, and whether the reference of keys is up to date
lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	scripts/check-imports
	scripts/option-docs --check

## bench: times of Isle and of the peers that are installed, side by side
bench: build
	Benchmarks/run --bin $(OUT)

## install: programs, units and completions below PREFIX
install: build
	scripts/install "$(DESTDIR)" "$(PREFIX)" $(OUT)

uninstall:
	scripts/install --remove "$(DESTDIR)" "$(PREFIX)"

clean:
	rm -rf .build out
