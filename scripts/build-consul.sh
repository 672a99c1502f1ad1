#!/bin/sh
# Builds a Consul agent for the tests, .tools/consul, unless it is there already. It comes from Go's module proxy, in a module of its own
# that keeps its dependencies out of ours, and is never shipped. The first time takes minutes; callers that come meanwhile wait.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .tools
exec 9>.tools/consul.lock
flock 9
# shellcheck disable=SC3013 # every sh that is in use knows -nt
if [ .tools/consul -nt scripts/consul/go.mod ] && [ .tools/consul -nt scripts/consul/go.sum ]; then
	exit 0
fi
echo "building consul for the tests; the first time this takes minutes" >&2
go build -C scripts/consul -mod=readonly -trimpath -ldflags '-s -w' -o "$PWD/.tools/consul.new" github.com/hashicorp/consul
touch .tools/consul.new
mv .tools/consul.new .tools/consul
