#!/bin/sh
# Installs the peers that the tests run beside us, from the distribution, the
# missing ones only. As root; may run again. No service of theirs is started:
# the tests start copies of their own. With --missing it only says what it would
# install.
set -eu

missing=
for p in bind9 bind9-dnsutils unbound pdns-recursor dnsdist knot knot-dnsutils bird2 nginx-light swaks freeradius freeradius-rest freeradius-utils rsyslog rsyslog-openssl dnsmasq-base kea-dhcp4-server kea-admin ntpsec snmpd memcached nftables iproute2 libnet-ssleay-perl curl dnsperf postgresql-15 chromium tesseract-ocr tesseract-ocr-nld tesseract-ocr-fra tesseract-ocr-deu tesseract-ocr-eng strace groff zsh fish gcc libc6-dev; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
if [ "${1:-}" = --missing ]; then
	echo $missing
	exit 0
fi
if [ -z "$missing" ]; then
	echo "peers: all installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "peers: missing:$missing; run this as root" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d
kept=
if [ -e "$policy" ] || [ -L "$policy" ]; then
	kept=$(mktemp "$policy.XXXXXX")
	mv -f "$policy" "$kept"
fi
restore() {
	rm -f "$policy"
	[ -z "$kept" ] || mv -f "$kept" "$policy"
}
trap restore EXIT
trap 'exit 130' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing
echo "peers: installed:$missing"
