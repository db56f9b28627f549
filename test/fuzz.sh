#!/usr/bin/env bash
# Runs every fuzz target for a time: test/fuzz.sh 20s [PACKAGE-FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
within=${2:-.}
n=0
while IFS=: read -r file line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
	n=$((n + 1))
	echo "fuzz $(dirname "$file") $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")" </dev/null | sed '/^fuzz: elapsed: /d'
done < <(grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' "$within" | sort)
echo "$n targets, $time each"
