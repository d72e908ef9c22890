# A front for meson: each target sets up what it needs by itself.
BUILD ?= build
MESON_OPTIONS ?=
REPEAT ?= 1
export PYTHONDONTWRITEBYTECODE = 1

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

help:
	@echo "make          builds the library, the command and the examples in $(BUILD)/"
	@echo "make demo     counts the words of real files with a tree of processes"
	@echo "make check    builds all and runs every test; ends with 'N passed, N failed'"
	@echo "make check-debug  runs the debugger's sessions alone, REPEAT times (default 1); ends with the same line"
	@echo "make bench    measures, as ratios against raw system calls and peers"
	@echo "make format   lays out all C sources by .clang-format"
	@echo "make install  installs to PREFIX (default /usr/local), under DESTDIR if set"
	@echo "make clean    removes $(BUILD)*/"

setup:
	@tools/setup

$(BUILD)/build.ninja: | setup
	@test -f $@ || { echo "Configuring $(BUILD)/"; meson setup $(BUILD) $(MESON_OPTIONS) >$(BUILD).log 2>&1 && rm $(BUILD).log; } || \
	    { cat $(BUILD).log; exit 1; }

# Says that it builds only when there is something to build.
build-all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -n | grep -q 'no work to do' || echo "Building (up to a minute)"
	@ninja -C $(BUILD) --quiet

demo: build-all
	@$(BUILD)/examples/wordcount $(DEMO_ARGS)

check: build-all
	@tools/check $(BUILD)

# The tests that have a person at a terminal. They mostly wait.
SESSIONS = $(basename $(notdir $(shell grep -lE '^(from prompt|import pexpect)' tests/devx/test_*.py)))

check-debug: export MESON_TESTTHREADS = $(shell echo $$(($$(nproc) * 2)))
check-debug: build-all
	@tools/check $(BUILD) --repeat $(REPEAT) $(SESSIONS)

bench-setup:
	@tools/setup bench

bench: $(BUILD)/build.ninja
	@tools/bench

format: setup
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: $(BUILD)/build.ninja
	@$(if $(PREFIX),meson configure $(BUILD) --prefix=$(PREFIX))
	@ninja -C $(BUILD)
	@meson install -C $(BUILD) --no-rebuild
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

clean:
	@rm -rf build build-*

.PHONY: all build-all help setup demo check check-debug bench bench-setup format install clean
