#!/usr/bin/env bash
# Takes Anabranch out of a Redis: removes its keys from every database, and its library. The data stays as it is.
#
#   scripts/uninstall.sh [--prefix crdt:] [options of redis-cli, such as -h HOST -p PORT]
#
# Stop every `anabranch serve` of the region first: a running one would put things back. Works page by page, so that
# Redis keeps serving meanwhile.
set -eu

prefix=crdt:
if [ "${1:-}" = --prefix ]; then
	prefix=$2
	shift 2
fi
# Redis itself compares names, byte by byte: a name may hold line breaks, and the prefix what SCAN takes for a pattern.
page='
local page = redis.call("SCAN", ARGV[1], "COUNT", 1000)
local removed = 0
for _, name in ipairs(page[2]) do
  if string.sub(name, 1, #ARGV[2]) == ARGV[2] then removed = removed + redis.call("UNLINK", name) end
end
return page[1] .. " " .. removed'

# The lease says until when its holder has it, by Redis's clock in ms, and how long it can be.
lease=$(redis-cli "$@" EVAL '
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends, length = string.match(redis.call("GET", KEYS[1]) or "", "^%S+ (%d+) (%d+)$")
return ends and tonumber(ends) > now and tonumber(ends) <= now + length and 1 or 0' 1 "${prefix}lease")
if [ "$lease" = 1 ]; then
	echo "an anabranch serve still runs in front of this Redis (or ended less than some seconds ago); stop it first" >&2
	exit 1
fi
databases=$(redis-cli "$@" CONFIG GET databases | tail -n 1)
total=0
for ((db = 0; db < databases; db++)); do
	cursor=0
	while :; do
		reply=$(redis-cli "$@" -n "$db" EVAL "$page" 0 "$cursor" "$prefix")
		case $reply in
		*[!0-9\ ]* | '') echo "database $db: $reply" >&2 && exit 1 ;;
		esac
		read -r cursor removed <<<"$reply"
		total=$((total + removed))
		[ "$cursor" != 0 ] || break
	done
done
echo "removed $total keys"
redis-cli "$@" FUNCTION DELETE anabranch_1 | grep -v '^$'
