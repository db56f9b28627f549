# make demo     builds, and starts everything on this machine in an invented world
# make test     all that CI runs
# make help     the rest

export CGO_ENABLED ?= 0
GO ?= go

.PHONY: help build deb deb-test keep-release demo test check unit stories kill crash days corpus pg peers sim race fuzz browser pictures docs bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

build: ## bin/bolwerk
	$(GO) build -o bin/bolwerk ./cmd/bolwerk

deb: ## the Debian packages, bolwerk and bolwerk-agent, in bin/; VERSION=1.2.3, GOARCH=arm64
	@packaging/build-deb.sh

demo: build ## everything on loopback; ARGS="--keep --port-offset 100" and others go to it
	./bin/bolwerk demo $(ARGS)

test: ## all that CI runs, phase by phase; asks before it installs peers
	@test/run.sh

check: ## gofmt, vet and staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "run gofmt -w on:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags "peers fault browser" ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

unit: ## every package's own tests, on SQLite
	$(GO) test -short -timeout 20m $$($(GO) list ./... | grep -v /test/corpus)

stories: ## whole stories with the real program
	$(GO) test -count=1 -timeout 20m ./test

kill: ## kill -9 of the program: KILLS=50 a role at random, and at every fault point
	BOLWERK_KILLS=$(or $(KILLS),50) BOLWERK_EVERY_POINT=$(if $(KILLS),,1) $(GO) test -count=1 -timeout 90m ./test/kill

crash: ## a kill, an error and a torn write at every fault point of spools, copies and files
	$(GO) test -count=1 -tags fault -timeout 20m ./test/crash

days: ## bad days: restore, full disk, forbidden doors, planted addresses, hostile input
	$(GO) test -count=1 -timeout 20m ./test/badday ./test/doors

# What keeps rows, on a PostgreSQL of its own.
pg: ## the tests of what keeps rows, on PostgreSQL
	$(GO) run ./test/pg $(GO) test -count=1 -timeout 30m $$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep ' .*internal/store/storetest' | cut -d' ' -f1)

peers: ## BIND, Unbound, PowerDNS, Knot and nginx beside us
	$(GO) test -count=1 -timeout 30m -tags peers ./test/peers

deb-test: ## builds the package and walks through the documents on a machine of its own; as root
	BOLWERK_DEB=1 $(GO) test -count=1 -v -timeout 30m ./test/deb

corpus: ## real mails from the SMTP door to a proposal; BOLWERK_DATA names their folder
	$(GO) test -count=1 -v -timeout 20m ./test/corpus

sim: ## the simulation, longer: ROUNDS=20000; histories of the guards: HISTORIES=1000
	$(GO) test -count=1 ./test/sim -rapid.checks=$(or $(ROUNDS),2000)
	$(GO) test -count=1 -timeout 0 ./abuse/quarantine -run ChangeHands
	$(GO) test -count=1 -timeout 0 ./shield -run any_history -rapid.checks=$(or $(HISTORIES),300)

# SQLite is translated C and 33 times slower under the detector, so of what runs
# on it only the ground with goroutines of its own is here. The worst mails need
# the memory that the detector takes of a reader; real mails and lists are read one
# after the other, and take minutes under it.
race: ## the race detector, heavy SQL left out; needs a C compiler
	BOLWERK_DATA= CGO_ENABLED=1 $(GO) test -short -race -timeout 20m -skip TestWorst $$($(GO) list -test -f '{{if not .ForTest}}{{else}}{{.ForTest}}{{range .Deps}}{{if eq . "modernc.org/sqlite"}} sqlite{{end}}{{end}}{{end}}' ./... | sort -u | grep -v sqlite) ./internal/store ./internal/factlog ./internal/job ./internal/publish

fuzz: ## each fuzz target for TIME=20s
	@test/fuzz.sh $(or $(TIME),20s)

browser: ## a walk through console, public site and warning page with Chromium
	test/browser/axe.sh
	$(GO) test -count=1 -tags browser -timeout 40m ./test/browser

pictures: ## the pictures in docs/pictures, from the demo
	dir=$$(mktemp -d) && BOLWERK_PICTURES=$$dir $(MAKE) browser && cp $$dir/case-1440.png docs/pictures/case.png && cp $$dir/warning-500.png docs/pictures/warning.png && for p in garden garden-ticked garden-free; do cp $$dir/$$p-390.png docs/pictures/$$p.png; done; rm -rf "$$dir"

keep-release: ## at a release: what it leaves behind, for the tests of later ones; VERSION=1.2.3
	@packaging/keep-release.sh $(VERSION)

docs: ## the lists in docs/lookup that are made from the code
	$(GO) run ./docs/lookup

bench: ## the programs that measure
	@ls bench; echo "run one: go run ./bench/NAME --help"
