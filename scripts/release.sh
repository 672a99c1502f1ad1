#!/usr/bin/env bash
# Builds what a release consists of, for each ARCHITECTURE (amd64 and arm64): a static binary with its licence, documentation and examples in an
# archive, and the checksums of all archives. The same commit gives the same bytes everywhere.
#
#   scripts/release.sh DIRECTORY [ARCHITECTURE…]
set -euo pipefail
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- amd64 arm64
cd "$(dirname "$0")/.."
version=$(sed -n 's/^const version = "\(.*\)"$/\1/p' cmd/anabranch/version.go)
# Everything in an archive is as old as the commit.
made=$(git log -1 --format=%ct 2>/dev/null || echo 0)

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
trap 'exit 1' HUP INT TERM
for architecture in "$@"; do
	name=anabranch-$version-linux-$architecture
	mkdir -p "$staging/$name"
	GOOS=linux GOARCH=$architecture scripts/build-static.sh "$staging/$name/anabranch"
	# A dynamic binary names the loader that it needs; a static one needs nothing of the machine it runs on.
	if LC_ALL=C grep -q -a '/ld-linux\|/ld-musl' "$staging/$name/anabranch"; then
		echo "$name is not static" >&2
		exit 1
	fi
	cp -R LICENSE README.md CHANGELOG.md docs examples "$staging/$name/"
	mkdir "$staging/$name/scripts"
	cp scripts/certificates.sh "$staging/$name/scripts/" # prepare.sh of examples/high-availability calls it
	tar -C "$staging" --sort=name --owner=0 --group=0 --numeric-owner --mode=u+w,go-w,a+rX --mtime="@$made" -cf - "$name" | gzip -n9 >"$directory/$name.tar.gz"
	echo "$name.tar.gz"
done
cd "$directory" && sha256sum "anabranch-$version-linux-"*.tar.gz >SHA256SUMS
