#!/bin/sh
# Builds the Debian packages, bolwerk and bolwerk-agent, into bin/ (or $1): the same
# bytes from the same commit. VERSION names another version, GOARCH another machine
# (amd64, arm64).
set -eu
umask 022
cd "$(dirname "$0")/.."
out=${1:-bin}
go=${GO:-go}
export LC_ALL=C TZ=UTC

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)
arch=$($go env GOARCH)
if [ -z "${VERSION:-}" ]; then
	# 1.2.3 of a tag v1.2.3; before and between them the commit's time and name.
	VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//') || true
	[ -n "$VERSION" ] || VERSION=0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(git rev-parse --short=12 HEAD)
fi

all=$(mktemp -d) && chmod 755 "$all"
trap 'rm -rf "$all"' EXIT
begin() { # NAME: what follows is put into the package of that name
	package=$1
	root=$all/$1
	doc=usr/share/doc/$1
	mkdir -p "$root/usr/bin" "$root/DEBIAN"
}
put() { # MODE FILE TO
	install -D -m "$1" "$2" "$root/$3"
}
# pack SCRIPTS CONFFILE: ends a package; the rest of its control comes on standard input.
pack() {
	put 644 packaging/debian/copyright "$doc/copyright"
	gzip -9nc CHANGELOG.md >"$root/$doc/changelog.gz"
	for script in postinst prerm postrm; do put 755 "$1/$script" DEBIAN/$script; done
	echo "/$2" >"$root/DEBIAN/conffiles"
	(cd "$root" && find usr -type f | sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
	rest=$(cat)
	cat >"$root/DEBIAN/control" <<END
Package: $package
Version: $VERSION
Architecture: $arch
Maintainer: the Bolwerk authors <authors@bolwerk.example>
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Section: net
Priority: optional
$rest
END
	find "$root" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz --build "$root" "$out/${package}_${VERSION}_$arch.deb" >/dev/null
	echo "$out/${package}_${VERSION}_$arch.deb"
}

mkdir -p "$out"
echo "bolwerk $VERSION $arch"
begin bolwerk
CGO_ENABLED=0 $go build -trimpath -ldflags "-s -w -X bolwerk/internal/cli.version=$VERSION" -o "$root/usr/bin/bolwerk" ./cmd/bolwerk
program=$root/usr/bin/bolwerk

put 644 packaging/bolwerk.toml etc/bolwerk/bolwerk.toml
put 644 packaging/systemd/bolwerk@.service "usr/lib/systemd/system/bolwerk@.service"
put 644 packaging/systemd/desk.conf "usr/lib/systemd/system/bolwerk@desk.service.d/desk.conf"
put 644 packaging/systemd/probe.conf "usr/lib/systemd/system/bolwerk@probe.service.d/probe.conf"
put 644 packaging/systemd/relay.conf "usr/lib/systemd/system/bolwerk@relay.service.d/relay.conf"
put 644 packaging/systemd/agent.conf "usr/lib/systemd/system/bolwerk@agent.service.d/agent.conf"
put 644 packaging/systemd/all.conf "usr/lib/systemd/system/bolwerk@all.service.d/all.conf"
put 644 packaging/systemd/sysusers.conf usr/lib/sysusers.d/bolwerk.conf

# What this machine runs to make pages is built for this machine.
native() { env -u GOARCH -u GOOS CGO_ENABLED=0 "$@"; }
native $go run ./docs/lookup -man "$all/man" -version "$VERSION" -date "$date"
for page in "$all"/man/*; do
	gzip -9n "$page"
	put 644 "$page.gz" "usr/share/man/man${page##*.}/${page##*/}.gz"
done
complete() { native $go run ./cmd/bolwerk completion "$1"; }
complete bash >"$all/completion" && put 644 "$all/completion" usr/share/bash-completion/completions/bolwerk
complete zsh >"$all/completion" && put 644 "$all/completion" usr/share/zsh/vendor-completions/_bolwerk
complete fish >"$all/completion" && put 644 "$all/completion" usr/share/fish/vendor_completions.d/bolwerk.fish

for file in README.md NOTICE LICENSE SECURITY.md CHANGELOG.md shield/README.md $(git ls-files 'docs/*.md' 'docs/*.png'); do
	put 644 "$file" "$doc/$file"
done
pack packaging/debian etc/bolwerk/bolwerk.toml <<END
Depends: systemd | systemd-standalone-sysusers, passwd
Suggests: postgresql, chromium, tesseract-ocr, tesseract-ocr-nld, tesseract-ocr-fra, tesseract-ocr-deu
Description: protects the customers of an internet or telecom operator
 People report what is suspicious, a person decides, the operator's network
 blocks it, everybody is told, and what was prevented is counted.
 .
 One program in roles: desk (console, API, policy zones), intake (mail, public
 site), edge (DNS, warning page), agent (beside other resolvers). No role is started by the installation.
END

# The agent alone, for machines of resolvers: the same program and the same unit under
# a name, a user and folders of its own, so that it stands in nobody's way.
begin bolwerk-agent
put 755 "$program" usr/bin/bolwerk-agent
put 644 packaging/agent/agent.toml etc/bolwerk-agent/agent.toml
put 644 packaging/agent/sysusers.conf usr/lib/sysusers.d/bolwerk-agent.conf
named() {
	sed -e '1,2c\# Changes of your own: systemctl edit bolwerk-agent' \
		-e 's/, role %i/ agent beside a resolver/' -e 's/ postgresql\.service//' -e '/^DefaultInstance/d' \
		-e 's|^Documentation=.*|Documentation=man:bolwerk-agent(8) file:/usr/share/doc/bolwerk-agent/agent.md|' \
		-e 's|/usr/bin/bolwerk %i|/usr/bin/bolwerk-agent agent|' -e 's|/etc/bolwerk/bolwerk\.toml|/etc/bolwerk-agent/agent.toml|' \
		-e 's/=bolwerk$/=bolwerk-agent/' "$1"
}
named packaging/systemd/bolwerk@.service >"$all/unit" && put 644 "$all/unit" usr/lib/systemd/system/bolwerk-agent.service
sed 's/=bolwerk$/=bolwerk-agent/' packaging/systemd/agent.conf >"$all/unit" && put 644 "$all/unit" usr/lib/systemd/system/bolwerk-agent.service.d/agent.conf
{ echo ".TH BOLWERK\\-AGENT 8 \"$date\" \"bolwerk $VERSION\" Bolwerk"; cat packaging/agent/bolwerk-agent.8; } | gzip -9nc >"$all/page"
put 644 "$all/page" usr/share/man/man8/bolwerk-agent.8.gz
for file in docs/do/agent.md docs/do/resolvers.md NOTICE; do put 644 "$file" "$doc/${file##*/}"; done
pack packaging/agent etc/bolwerk-agent/agent.toml <<END
Depends: systemd | systemd-standalone-sysusers, passwd
Enhances: bind9, unbound, pdns-recursor, dnsdist
Description: gives the blocks of a Bolwerk desk to the resolver beside it
 Runs beside BIND, Unbound, PowerDNS Recursor or dnsdist: what the desk decides
 is in force there within a second, proved by questions to the resolver, and
 counted without anybody's address.
 .
 It listens on loopback alone, and is not started by the installation.
END
