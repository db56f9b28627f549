#!/bin/sh
# Builds the Debian package into bin/ (or $1): the same bytes from the same commit.
# VERSION names another version, GOARCH another machine (amd64, arm64).
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

root=$(mktemp -d) && chmod 755 "$root"
trap 'rm -rf "$root"' EXIT
put() { # MODE FILE TO
	install -D -m "$1" "$2" "$root/$3"
}

echo "bolwerk $VERSION $arch"
mkdir -p "$root/usr/bin" "$out"
CGO_ENABLED=0 $go build -trimpath -ldflags "-s -w -X bolwerk/internal/cli.version=$VERSION" -o "$root/usr/bin/bolwerk" ./cmd/bolwerk

put 644 packaging/bolwerk.toml etc/bolwerk/bolwerk.toml
put 644 packaging/systemd/bolwerk@.service "usr/lib/systemd/system/bolwerk@.service"
put 644 packaging/systemd/desk.conf "usr/lib/systemd/system/bolwerk@desk.service.d/desk.conf"
put 644 packaging/systemd/probe.conf "usr/lib/systemd/system/bolwerk@probe.service.d/probe.conf"
put 644 packaging/systemd/agent.conf "usr/lib/systemd/system/bolwerk@agent.service.d/agent.conf"
put 644 packaging/systemd/all.conf "usr/lib/systemd/system/bolwerk@all.service.d/all.conf"
put 644 packaging/systemd/sysusers.conf usr/lib/sysusers.d/bolwerk.conf

# What this machine runs to make pages is built for this machine.
native() { env -u GOARCH -u GOOS CGO_ENABLED=0 "$@"; }
native $go run ./docs/lookup -man "$root/man" -version "$VERSION" -date "$date"
for page in "$root"/man/*; do
	gzip -9n "$page"
	put 644 "$page.gz" "usr/share/man/man${page##*.}/${page##*/}.gz"
done
rm -r "$root/man"
complete() { native $go run ./cmd/bolwerk completion "$1"; }
complete bash >"$root/completion" && put 644 "$root/completion" usr/share/bash-completion/completions/bolwerk
complete zsh >"$root/completion" && put 644 "$root/completion" usr/share/zsh/vendor-completions/_bolwerk
complete fish >"$root/completion" && put 644 "$root/completion" usr/share/fish/vendor_completions.d/bolwerk.fish
rm "$root/completion"

doc=usr/share/doc/bolwerk
for file in README.md NOTICE LICENSE SECURITY.md CHANGELOG.md shield/README.md $(git ls-files 'docs/*.md' 'docs/*.png'); do
	put 644 "$file" "$doc/$file"
done
put 644 packaging/debian/copyright $doc/copyright
gzip -9nc CHANGELOG.md >"$root/$doc/changelog.gz"

mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do put 755 packaging/debian/$script DEBIAN/$script; done
echo /etc/bolwerk/bolwerk.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
cat >"$root/DEBIAN/control" <<END
Package: bolwerk
Version: $VERSION
Architecture: $arch
Maintainer: the Bolwerk authors <authors@bolwerk.example>
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: systemd | systemd-standalone-sysusers, passwd
Suggests: postgresql, chromium, tesseract-ocr, tesseract-ocr-nld, tesseract-ocr-fra, tesseract-ocr-deu
Section: net
Priority: optional
Description: protects the customers of an internet or telecom operator
 People report what is suspicious, a person decides, the operator's network
 blocks it, everybody is told, and what was prevented is counted.
 .
 One program in roles: desk (console, API, policy zones), intake (mail, public
 site), edge (DNS, warning page), agent (beside other resolvers). No role is started by the installation.
END
find "$root" -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/bolwerk_${VERSION}_$arch.deb" >/dev/null
echo "$out/bolwerk_${VERSION}_$arch.deb"
