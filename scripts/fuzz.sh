#!/usr/bin/env bash
# Runs every fuzz test of the tree for some seconds each; Go's fuzzer takes one at a time.
#
#   scripts/fuzz.sh SECONDS
set -eu
seconds=${1:-30}
found=0
while IFS=: read -r file line; do
	name=${line#func }
	name=${name%%(*}
	found=$((found + 1))
	echo "== $name in $(dirname "$file")"
	go test -run '^$' -fuzz "^${name}\$" -fuzztime "${seconds}s" "$(dirname "$file")"
done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*(' . | sort)
echo "fuzzed $found targets for ${seconds}s each"
