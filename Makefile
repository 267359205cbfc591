# What a person types. Every target honours CARGO_TARGET_DIR.

CARGO  ?= cargo
NODES  ?= 3
FRESH  ?=
PREFIX ?= $(HOME)/.local

export NODES FRESH

# Tests are of a build in which mistakes can be switched on, one by one, to see that they are found.
TESTED := --locked --features seeded-bugs

.PHONY: build programs run demo test lint deny check sim crash seeded kills large fuzz attack coverage budget load \
        texts bench clean install

build:            ## dfsd, dfs and dfs-load, optimised
	$(CARGO) build --release --locked --bins

programs:         ## dfsd and dfs alone
	$(CARGO) build --release --locked --bin dfsd --bin dfs

run: programs     ## a network of NODES nodes on this machine, until Ctrl-C; the next goes on with it, but for FRESH=1
	@tests/local-network.sh run

demo: programs    ## the same without waiting: exits 0 only if all bytes came back equal
	@tests/local-network.sh demo

test:             ## everything that tests can show
	$(CARGO) test $(TESTED) --workspace --tests
	$(CARGO) test $(TESTED) --workspace --doc

lint:             ## format, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(TESTED) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(TESTED) --workspace --no-deps --document-private-items

TOOLS := $(or $(CARGO_TARGET_DIR),target)/tools

deny:             ## what may be linked: licences, sources and packages that were refused (builds cargo-deny once)
	@test -x "$(TOOLS)/bin/cargo-deny" || \
	  CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --quiet --locked --debug --no-default-features --root "$(TOOLS)" cargo-deny@0.20.2
	@"$(TOOLS)/bin/cargo-deny" --locked --config .deny.toml check bans licenses sources

check: lint test  ## what must be clean before a merge

SEED   ?= 0
SEEDS  ?= 2000

sim:              ## SEEDS simulated networks from SEED on, under every fault; KEEP_GOING=1 past failures
	DFSD_SEED=$(SEED) DFSD_SEEDS=$(SEEDS) DFSD_KEEP_GOING=$(KEEP_GOING) $(CARGO) test $(TESTED) \
	  --test integration --quiet -- sim::swarm::runner::seeds --exact --nocapture

ROUNDS ?= 20
REPORT ?=

kills:            ## ROUNDS rounds of kill -9 on three daemons under load; REPORT=file sums and goes on
	DFSD_SEED=$(SEED) DFSD_ROUNDS=$(ROUNDS) DFSD_REPORT=$(REPORT) $(CARGO) test $(TESTED) \
	  --test integration --quiet -- daemon::rounds::nothing_acknowledged --nocapture

large: build      ## daemons with up to a million names that differ in few or in all, and a minute of rest; ten minutes
	DFSD_LARGE=full DFSD_PROGRAM="$${CARGO_TARGET_DIR:-target}/release/dfsd" \
		$(CARGO) test $(TESTED) --test integration daemon::large:: -- --nocapture --test-threads=1

STATES ?= 100000

crash:            ## STATES disks that power cuts may leave, by SEED; every call failing; RESUME=file for a long run
	DFSD_STATES=$(STATES) DFSD_SEED=$(SEED) DFSD_RESUME=$(RESUME) $(CARGO) test $(TESTED) --test integration \
	  -- crash:: --skip daemon:: --nocapture

fuzz:             ## every decoder under libFuzzer: SECONDS=30 each; or RUNS=100000000 of each, summed over runs
	@SECONDS_EACH=$(or $(SECONDS),30) RUNS=$(RUNS) tests/fuzz/run $(TARGETS)

attack: build     ## every limit attacked at full size, while a real client works; about six minutes
	DFSD_ATTACK=full DFSD_PROGRAM="$${CARGO_TARGET_DIR:-target}/release/dfsd" \
		$(CARGO) test $(TESTED) --test integration attack:: -- --nocapture --test-threads=1

budget: programs  ## the size of the daemon and the number of its crates stay bounded
	@tests/budget.sh

seeded:          ## each seeded bug is found, and by what: DFSD_BUG=name for one, DFSD_FINDER=seeds by seeds alone
	DFSD_ALONE=1 $(CARGO) test $(TESTED) --test integration seeded:: -- --nocapture

coverage:         ## which lines of the core the tests run, by room, and which none runs (needs LLVM's tools)
	@tests/coverage.sh

texts:            ## every help text and sentence in one file, to be read
	$(CARGO) test $(TESTED) --test integration --quiet -- daemon::texts --nocapture

load:             ## the standard load suite, each beside its goal and a reference: less than a minute
	@$(CARGO) bench --locked --bench suite -- --reference benches/reference.json

bench:            ## what it costs
	$(CARGO) bench --locked --features testing --bench core
	$(CARGO) bench --locked --bench throughput

clean:            ## what was built, and the folders of `make run` and `make demo`
	$(CARGO) clean
	rm -rf run

install:          ## all programs, into PREFIX/bin
	$(CARGO) install --locked --path . --root "$(PREFIX)" --bins --no-track --force
