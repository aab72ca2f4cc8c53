# One-line helpers around meson; see README.md.
B ?= build

build:
	@tests/deps build && { test -d $(B) || meson setup $(B); } && ninja -C $(B)
demo: build
	@tests/demo $(B)
check:
	@tests/run
check-quick:
	@tests/run --quick
check-long:
	@tests/run --long
bench: build
	@tests/deps bench && tests/bench/run $(B)
bench-scale: build
	@tests/deps bench && tests/bench/scale $(B)
bench-readme: build
	@tests/deps bench
	-@tests/bench/run $(B) --readme README.md
	@tests/bench/scale $(B) --only sweep --json tests/bench/sweep.json
	@tests/bench/chart.py tests/bench/sweep.json tests/bench/sweep.svg
install: build
	@meson install -C $(B) --no-rebuild
format:
	@clang-format -i $$(git ls-files '*.c' '*.h')
.PHONY: build demo check check-quick check-long bench bench-scale bench-readme install format
