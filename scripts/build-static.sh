#!/bin/sh
# Builds the one binary as it is released and put into images: static, the same bytes wherever it is built, and with its commit in
# `anabranch version`.
#
#   scripts/build-static.sh FILE
#
# GOOS and GOARCH choose another kind of machine. REVISION is the commit where there is no repository, as in an image.
set -eu
case $1 in
/*) file=$1 ;;
*) file=$PWD/$1 ;;
esac
cd "$(dirname "$0")/.."
if [ -z "${REVISION:-}" ] && REVISION=$(git rev-parse --short=12 HEAD 2>/dev/null); then
	# A build of what nobody has committed must not look like one of the commit.
	[ -z "$(git status --porcelain --untracked-files=no)" ] || REVISION=$REVISION-changed
fi
# -buildvcs=false: with it the bytes would tell where they were built, and a repository that git does not trust would end the build.
CGO_ENABLED=0 exec go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w -X main.revision=${REVISION:-}" -o "$file" ./cmd/anabranch
