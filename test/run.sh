#!/usr/bin/env bash
# All that CI runs, phase by phase. Ends at the first phase that fails.
set -uo pipefail
cd "$(dirname "$0")/.."

ci=${CI:-}
skipped=()
table=()
began=$SECONDS

phase() { # NAME WHAT
	local start=$SECONDS
	echo
	echo "=== $1: $2"
	if ! make --no-print-directory "$1" "${@:3}"; then
		echo "=== $1: FAILED after $((SECONDS - start)) s"
		echo "make $1 runs it again"
		exit 1
	fi
	echo "=== $1: $((SECONDS - start)) s"
	table+=("$(printf '%-8s %5d s' "$1" $((SECONDS - start)))")
}

skip() { # NAME WHY
	if [ -n "$ci" ]; then
		echo "=== $1: FAILED: $2; in CI nothing is skipped"
		exit 1
	fi
	skipped+=("$1: $2")
}

# What runs beside us: installed from the distribution in CI, or when a person says so.
missing=$(test/peers/install.sh --missing) || exit 1
if [ -n "$missing" ]; then
	yes=
	if [ -z "$ci" ] && [ -t 0 ]; then
		read -r -p "Install $missing from the distribution? [y/N] " yes
	fi
	if [ -n "$ci" ] || [ "$yes" = y ] || [ "$yes" = Y ]; then
		if [ "$(id -u)" = 0 ]; then test/peers/install.sh; else sudo test/peers/install.sh; fi || exit 1
		missing=$(test/peers/install.sh --missing)
	fi
fi
lacks() { case " $missing " in *" $1 "*) return 0 ;; esac; return 1; }

phase check "form and common mistakes"
phase build "the program"
phase unit "every package's own tests, on SQLite"
phase stories "whole stories with the real program"
if lacks postgresql-15; then skip pg "postgresql-15 is not installed"; else phase pg "what keeps rows, on PostgreSQL"; fi
if lacks bind9 || lacks unbound || lacks pdns-recursor || lacks knot || lacks nginx-light; then skip peers "bind9, unbound, pdns-recursor, knot or nginx-light is not installed"; else phase peers "beside BIND, Unbound, PowerDNS, Knot and nginx"; fi
if [ "$(id -u)" != 0 ]; then skip deb-test "a machine of its own needs root"; else phase deb-test "the Debian package: installed, used and removed on a machine of its own"; fi
phase kill "kill -9 at random, 5 a role" KILLS=5
phase crash "a kill, an error and a torn write at every fault point of hosts"
phase days "restore, full disk, forbidden doors, planted addresses, hostile input"
phase sim "drop, reorder, crash, restore: the promises after every step" ROUNDS=500 HISTORIES=20
if [ -n "${BOLWERK_DATA:-}" ]; then phase corpus "real mails from the door to a proposal"; else skipped+=("corpus: BOLWERK_DATA is not set: no real mails and lists"); fi
if lacks chromium; then skip browser "chromium is not installed"; else phase browser "a walk through the pages"; fi
if lacks gcc; then skip race "gcc is not installed"; else phase race "the race detector"; fi
phase fuzz "strangers' bytes, 6 s a target" TIME=6s

echo
printf '%s\n' "${table[@]}"
for s in "${skipped[@]}"; do echo "skipped  $s"; done
echo "all passed in $((SECONDS - began)) s"
