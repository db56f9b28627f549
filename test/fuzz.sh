#!/usr/bin/env bash
# Runs every fuzz target for a time, as many at once as there are processors, each with
# one worker: test/fuzz.sh 20s [PACKAGE-FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
export FUZZ_TIME=${1:-20s}
within=${2:-.}
FUZZ_DIR=$(mktemp -d)
export FUZZ_DIR FUZZ_CACHE="$(go env GOCACHE)/fuzz/bolwerk"
trap 'rm -rf "$FUZZ_DIR"' EXIT

package() { # FOLDER: its program is built once, then its targets run one after the other
	local bin out name
	bin=$(mktemp "$FUZZ_DIR/bin.XXXXXX") out=$(mktemp "$FUZZ_DIR/out.XXXXXX")
	go test -c -fuzz . -o "$bin" "./$1"
	while read -r name; do
		if (cd "$1" && "$bin" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$FUZZ_TIME" -test.fuzzminimizetime 10x -test.parallel 1 -test.fuzzcachedir "$FUZZ_CACHE/$1") </dev/null >"$out" 2>&1; then
			echo "fuzz $1 $name"
			grep -v '^fuzz: elapsed: \|^PASS$' "$out" || true
		# A race of Go before 1.27 ends so when the time is over, without an input
		# (go.dev/issue/75804); a finding always writes its input.
		elif grep -q '^    context deadline exceeded$' "$out" && ! grep -q 'Failing input written' "$out"; then
			echo "fuzz $1 $name: the time was over in the middle of an input: no finding"
		else
			echo "fuzz $1 $name"
			cat "$out"
			exit 255 # xargs begins no other
		fi
		echo "$name" >>"$FUZZ_DIR/done"
	done < <(cat "$1"/*_test.go | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p')
	rm -f "$bin" "$out"
}
export -f package

grep -rlE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' "$within" | xargs -n1 dirname | sort -u | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'package "$1"' fuzz {}
echo "$(wc -l <"$FUZZ_DIR/done") targets, $FUZZ_TIME each"
