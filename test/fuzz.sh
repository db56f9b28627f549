#!/usr/bin/env bash
# Every fuzz target for a time, each by itself, one a core:
#   test/fuzz.sh 20s [FOLDER]          looks for what nobody has found yet, from what earlier runs found interesting
#   SEED=1 test/fuzz.sh 5s [FOLDER]    from one seed and nothing kept: the same program gets the same inputs in the
#                                      same order, so a change is held up by what it broke and by nothing else
set -euo pipefail
cd "$(dirname "$0")/.."
export TIME=${1:-20s} SEED=${SEED:-}
within=${2:-.}
export TMP; TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

target() { # FOLDER NAME
	local out=$TMP/$2.out flags=(-test.fuzzcachedir "$(go env GOCACHE)/fuzz/bolwerk/$1")
	if [ -n "$SEED" ]; then
		export GODEBUG=fuzzseed=$SEED
		flags=(-test.fuzzcachedir "$TMP/cache.$2")
	fi
	# A race of Go before 1.27 ends with "context deadline exceeded" when the time is
	# over, without an input (go.dev/issue/75804); a finding always writes its input.
	if ! (cd "$1" && "$TMP/${1//\//-}" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$TIME" -test.fuzzminimizetime 10x -test.parallel 1 "${flags[@]}") </dev/null >"$out" 2>&1 &&
		! { grep -q '^    context deadline exceeded$' "$out" && ! grep -q 'Failing input written' "$out"; }; then
		echo "fuzz $1 $2"
		cat "$out"
		return 255 # xargs stops
	fi
	echo "fuzz $1 $2: $(grep -o 'execs: [0-9]*' "$out" | tail -1)"
}
export -f target

targets=$(grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' "$within" | sed -E 's|^(\./)?([^:]*)/[^/:]*:func (Fuzz[A-Za-z0-9_]*).*|\2 \3|' | sort)
for folder in $(cut -d' ' -f1 <<<"$targets" | uniq); do
	go test -c -fuzz . -o "$TMP/${folder//\//-}" "./$folder"
done
xargs -P "$(nproc)" -L 1 bash -c 'target "$@"' target <<<"$targets"
echo "$(wc -l <<<"$targets") targets, $TIME each"
