#!/usr/bin/env bash
# The way of docs/migration.md on this machine: a primary (region A) and its replica (region B) become two active regions, with clients that
# write all the time, and go back to what they were. Needs redis-server, redis-cli and anabranch.
#
#   examples/migration/walkthrough.sh [--forth]        # --forth: end when both regions are active, and leave them running until Enter
#
# ANABRANCH names the program, PORTS nine free ports in a row.
set -euo pipefail

anabranch=${ANABRANCH:-anabranch}
first=${PORTS:-17000}
redis_a=$first redis_b=$((first + 1))
proxy_a=$((first + 2)) peer_a=$((first + 3)) admin_a=127.0.0.1:$((first + 4))
proxy_b=$((first + 5)) peer_b=$((first + 6)) admin_b=127.0.0.1:$((first + 7))
dir=$(mktemp -d)
declare -A pids=()

finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$dir"
}
trap finish EXIT

say() { printf '\n── %s\n' "$*"; }
run() { printf '$ %s\n' "$*" && "$@"; }
a() { redis-cli -p "$proxy_a" "$@"; }
b() { redis-cli -p "$proxy_b" "$@"; }

until_ok() { # until_ok what command…: for up to 30 s
	local what=$1
	shift
	for ((i = 0; i < 300; i++)); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	echo "gave up: $what" >&2
	cat "$dir"/*.log >&2
	return 1
}

redis() { # redis NAME PORT options…
	redis-server --port "$2" --bind 127.0.0.1 --save '' --dir "$dir" --dbfilename "$1.rdb" "${@:3}" >"$dir/$1.log" 2>&1 &
	pids[$1]=$!
	until_ok "$1" redis-cli -p "$2" PING
}

serve() { # serve NAME ADMIN flags…: start it, or start it anew
	local name=$1 admin=$2
	if [ -n "${pids[$name]:-}" ]; then
		kill "${pids[$name]}" && wait "${pids[$name]}"
	fi
	printf '$ anabranch serve %s\n' "${*:3}"
	"$anabranch" serve --admin-listen "$admin" "${@:3}" >>"$dir/$name.log" 2>&1 &
	pids[$name]=$!
	until_ok "$name is ready" ready "$admin"
}

ready() {
	exec 3<>"/dev/tcp/${1%:*}/${1#*:}" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3
}

# A proxy of A is always `serve_a MODE`: nothing else changes. One of B stands in front of A's Redis until B has its own.
serve_a() {
	serve a "$admin_a" --mode "$1" --region A --region-id 1 --redis "redis://127.0.0.1:$redis_a" --listen "127.0.0.1:$proxy_a" \
		--peer-listen "127.0.0.1:$peer_a" --peer "B=127.0.0.1:$peer_b" --dashboard-conflicts keys
}
serve_b() {
	serve b "$admin_b" --mode "$1" --region B --region-id 2 --redis "redis://127.0.0.1:$2" --listen "127.0.0.1:$proxy_b" \
		--peer-listen "127.0.0.1:$peer_b" --peer "A=127.0.0.1:$peer_a" --dashboard-conflicts keys "${@:3}"
}

# Clients count in their region's own counter what was acknowledged, and try again when it was not.
client() { # client NAME PORT: until the file is gone
	local n=0
	touch "$dir/$1.run"
	while [ -e "$dir/$1.run" ]; do
		if [[ $(redis-cli -p "$(<"$dir/$1.port")" INCR "acknowledged:$1" 2>/dev/null) =~ ^[0-9]+$ ]]; then n=$((n + 1)); fi
		sleep 0.02
	done
	echo "$n" >"$dir/$1.count"
}
clients() {
	echo "$proxy_a" >"$dir/a.port"
	echo "$proxy_b" >"$dir/b.port"
	client a & pids[client_a]=$!
	client b & pids[client_b]=$!
}
clients_end() { # every acknowledged increment must be there
	rm -f "$dir/a.run" "$dir/b.run"
	wait "${pids[client_a]}" "${pids[client_b]}"
	for name in a b; do
		local got counted
		got=$(redis-cli -p "$1" GET "acknowledged:$name") counted=$(<"$dir/$name.count")
		echo "clients of $name: $counted increments acknowledged, the counter is $got"
		((got >= counted))
	done
}

say "an active-passive pair: a primary in region A, its replica in region B"
redis redis_a "$redis_a"
redis redis_b "$redis_b" --replicaof "127.0.0.1 $redis_a"
redis-cli -p "$redis_a" HSET user:1 name Ada >/dev/null
redis-cli -p "$redis_a" RPUSH queue one two three >/dev/null

say "0. look at it"
run "$anabranch" migrate check --redis "redis://127.0.0.1:$redis_a"

say "1. passive: clients go through proxies, and nothing else changes"
serve_a passive
serve_b passive "$redis_a"
clients
sleep 2
run "$anabranch" migrate report --admin "$admin_a,$admin_b" --min-time 1s

say "2. shadow: metadata is recorded, and nobody acts on it"
serve_a shadow
serve_b shadow "$redis_a" --shadow-of A=1
recording() { [ "$(redis-cli -p "$redis_a" EXISTS crdt:plain)" = 0 ]; }
until_ok "recording" recording
for value in 1 2 3; do a SET both "a$value" >/dev/null && b SET both "b$value" >/dev/null; done
sleep 2
echo "(both regions have written one key, so this says NO GO:)"
! run "$anabranch" migrate report --admin "$admin_a,$admin_b" --min-time 1s
echo "(with what was found accepted:)"
run "$anabranch" migrate report --admin "$admin_a,$admin_b" --min-time 1s --max-lossy 25

say "3. active: first region A, which keeps its log for B; then B, on its own Redis"
serve_a active
run "$anabranch" migrate promote --redis "redis://127.0.0.1:$redis_b" --region B --admin "$admin_a"
serve_b active "$redis_b" --copy-of A
in_step() { "$anabranch" status --admin "$admin_a" && "$anabranch" status --admin "$admin_b"; }
until_ok "the link" in_step
run "$anabranch" status --admin "$admin_b"
sleep 1
run "$anabranch" verify --region "A=127.0.0.1:$proxy_a" --region "B=127.0.0.1:$proxy_b"
if [ "${1:-}" = --forth ]; then
	echo "clients: ports $proxy_a and $proxy_b; dashboards: http://$admin_a/ and http://$admin_b/. Enter ends it"
	read -r _
	exit
fi

say "4. back: clients of B go to A, then B leaves"
echo "$proxy_a" >"$dir/b.port"
proxy_b=$((first + 8)) # where no client comes
serve_b active "$redis_b"
printf 'SET last:b 1\nCRDT WAIT 1 10000\n' | run redis-cli -p "$proxy_b" # 1: A has everything of B
run "$anabranch" members remove B --redis "127.0.0.1:$proxy_a"
kill "${pids[b]}" && wait "${pids[b]}"
unset "pids[b]"
run redis-cli -p "$redis_b" REPLICAOF 127.0.0.1 "$redis_a"
serve_b passive "$redis_b" # a replica: it can be read through it
serve_a shadow
serve_a passive
clients_end "$redis_a"

say "5. plain Redis"
not_led() { "$anabranch" uninstall --redis "redis://127.0.0.1:$redis_a" --dry-run; }
until_ok "the lease is over" not_led
run "$anabranch" uninstall --redis "redis://127.0.0.1:$redis_a"
[ "$(redis-cli -p "$redis_a" --scan --pattern 'crdt:*')" = '' ]
[ "$(redis-cli -p "$redis_a" HGET user:1 name)" = Ada ]
echo "what is left:" && redis-cli -p "$redis_a" --scan | sort
