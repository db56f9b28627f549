#!/bin/sh
# Fetches axe-core, which the walk through the pages asks about accessibility,
# into .peers: a tool of the tests, no part of the program. May run again.
set -eu
cd "$(dirname "$0")/../.."
version=4.14.1
sum=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
to=.peers/axe-$version.min.js
[ ! -s "$to" ] || exit 0
command -v npm >/dev/null || { echo "axe: npm is not installed" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm pack --silent "axe-core@$version" >/dev/null)
echo "$sum  $dir/axe-core-$version.tgz" | sha256sum -c --quiet
tar xzf "$dir/axe-core-$version.tgz" -C "$dir" package/axe.min.js
mkdir -p .peers
mv "$dir/package/axe.min.js" "$to"
