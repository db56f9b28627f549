#!/bin/sh
# Keeps what a release leaves behind, for the tests of all later ones: its starting
# configuration, and the store of its demo after two minutes. Run once, at the release.
set -eu
cd "$(dirname "$0")/.."
dir=test/release/testdata/${1:?"which version?"}
if [ -e "$dir" ]; then
	echo "$dir is there: what a release has left is never changed" >&2
	exit 1
fi
work=$(mktemp -d)
trap 'kill "$demo" 2>/dev/null || true; rm -rf "$work"' EXIT
CGO_ENABLED=0 ${GO:-go} build -o "$work/bolwerk" ./cmd/bolwerk
"$work/bolwerk" demo --data "$work/demo" --port-offset 20000 --log-level error >"$work/out" &
demo=$!
sleep 120
mkdir -p "$dir"
"$work/bolwerk" backup "$work/store.db" --data "$work/demo"
gzip -9n <"$work/store.db" >"$dir/store.db.gz"
cp packaging/bolwerk.toml "$dir/bolwerk.toml"
ls -l "$dir"
