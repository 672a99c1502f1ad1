#!/bin/sh
# Writes in one region and reads in the other, with redis-cli. EU and US are the HOST:PORT of a proxy of each.
set -eu

eu() { say eu "$EU" "$@"; }
us() { say us "$US" "$@"; }

# say REGION HOST:PORT COMMAND… shows a command and its answer, and keeps the answer.
say() {
	region=$1
	port=${2##*:}
	host=${2%:*}
	shift 2
	answer=$(redis-cli -h "$host" -p "$port" -e "$@")
	printf '%s> %-32s %s\n' "$region" "$*" "$answer"
}

expect() {
	[ "$answer" = "$1" ] || {
		echo "expected $1" >&2
		exit 1
	}
}

# both COMMAND… waits until both regions answer alike, for 10 s at most, and shows what.
both() {
	tries=100
	until a=$(redis-cli -h "${EU%:*}" -p "${EU##*:}" -e "$@") && b=$(redis-cli -h "${US%:*}" -p "${US##*:}" -e "$@") && [ "$a" = "$b" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || {
			echo "the regions differ: $a, $b" >&2
			exit 1
		}
		sleep 0.1
	done
	eu "$@"
	us "$@"
}

eu DEL greeting visits

echo "1. What is written in one region is there in the other"
eu SET greeting "hello from eu"
both GET greeting
expect "hello from eu"

echo "2. Both regions count at the same time, with the link between them paused: nothing is lost"
eu SET visits 10
both GET visits
eu CRDT PAUSE us
us CRDT PAUSE eu
eu INCRBY visits 5
us INCRBY visits 3
eu CRDT RESUME us
us CRDT RESUME eu
both GET visits
expect 18
echo "10 + 5 + 3, in both regions"
