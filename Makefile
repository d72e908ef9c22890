# A front for meson: each target sets up what it needs by itself.
BUILD ?= build
MESON_OPTIONS ?=
export PYTHONDONTWRITEBYTECODE = 1

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

help:
	@echo "make          builds the library, the command and the examples in $(BUILD)/"
	@echo "make demo     counts the words of real files with a tree of processes"
	@echo "make check    builds all and runs every test; ends with 'N passed, N failed'"
	@echo "make bench    measures, as ratios against raw system calls and peers"
	@echo "make format   lays out all C sources by .clang-format"
	@echo "make install  installs to PREFIX (default /usr/local), under DESTDIR if set"
	@echo "make clean    removes $(BUILD)*/"

setup:
	@tools/setup

$(BUILD)/build.ninja: | setup
	@test -f $@ || meson setup $(BUILD) $(MESON_OPTIONS)

demo: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@$(BUILD)/examples/wordcount $(DEMO_ARGS)

check: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@tools/check $(BUILD)

bench-setup:
	@tools/setup bench

bench: $(BUILD)/build.ninja
	@tools/bench

format: setup
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf build build-*

.PHONY: all help setup demo check bench bench-setup format install clean
