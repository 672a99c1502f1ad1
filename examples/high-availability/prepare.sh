#!/usr/bin/env bash
# Writes what each machine of a site needs: DIRECTORY/eu-1/etc/…, DIRECTORY/eu-2/etc/… and so on, with addresses, passwords and certificates
# filled in. Copy each folder over its machine's /etc. Run again, it keeps the passwords and the authority, and writes the rest anew; then
# leave /etc/redis on the machines as it is, since Redis and the Sentinels have noted in it who is the primary.
#
#   prepare.sh DIRECTORY [SITE]       SITE is site.conf, beside this script
#
# It needs openssl, and the anabranch program on the PATH or in ANABRANCH, which writes HAProxy's configuration.
# shellcheck disable=SC2034,SC2154 # templates use variables by name (fill), and some come from the site
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
site=${2:-$here/site.conf}
anabranch=${ANABRANCH:-anabranch}
umask 077
mkdir -p "$1"
out=$(cd "$1" && pwd)
# shellcheck disable=SC1090,SC1091 # whatever is given
source "$site"

# secret NAME COMMAND… is what the command printed the first time.
secret() {
	local file=$out/secrets/$1
	shift
	mkdir -p "$out/secrets"
	[ -s "$file" ] || "$@" >"$file"
	cat "$file"
}

machines() {
	local -n list=$1_machines
	printf '%s\n' "${list[@]}"
}

# quoted WORD… is "A", "B" for Consul.
quoted() { printf '"%s", ' "$@" | sed 's/, $//'; }

# fill TEMPLATE FILE replaces each @NAME@ by the variable of that name, and fails when there is none.
fill() {
	local text name value
	text=$(<"$here/templates/$1")
	while [[ $text =~ @([a-z_]+)@ ]]; do
		name=${BASH_REMATCH[1]}
		value=${!name?templates/$1 names what prepare.sh does not know}
		text=${text//"@$name@"/"$value"}
	done
	mkdir -p "$(dirname "$2")"
	printf '%s\n' "$text" >"$2"
}

for name in anabranch app replica sentinel_user sentinels; do
	printf -v "${name}_password" '%s' "$(secret "$name" openssl rand -hex 24)"
done
gossip_key=$(secret gossip openssl rand -base64 32)
"$here/../../scripts/certificates.sh" "$out/certificates" "${regions[@]}"

for region in "${regions[@]}"; do
	mapfile -t here_machines < <(machines "$region")
	id=${region}_id virtual=${region}_virtual interface=${region}_interface
	id=${!id} virtual=${!virtual} interface=${!interface}
	first=${here_machines[0]}
	sentinels=$(IFS=,; echo "${here_machines[*]}")
	servers=${#here_machines[@]}
	joined=$(quoted "${here_machines[@]}")
	datacenters=$(IFS=,; echo "${regions[*]}")
	datacenters=${datacenters//,/, }

	# HAProxy: this region's proxies, and the others' behind them.
	proxies=() wan=()
	for other in "${regions[@]}"; do
		mapfile -t there < <(machines "$other")
		[ "$other" = "$region" ] && role=--local || role=--remote
		[ "$other" = "$region" ] || wan+=("${there[@]}")
		for address in "${there[@]:0:2}"; do
			proxies+=("$role" "$other=$address:6380,agent=6780")
		done
	done
	joined_wan=$(quoted "${wan[@]}")

	for index in "${!here_machines[@]}"; do
		number=$((index + 1))
		address=${here_machines[index]}
		machine=$region-$number
		etc=$out/$machine/etc
		replicaof=
		[ "$index" -eq 0 ] || replicaof="replicaof $first 6379"
		fill redis.conf "$etc/redis/redis.conf"
		fill sentinel.conf "$etc/redis/sentinel.conf"
		fill consul.hcl "$etc/consul.d/anabranch.hcl"
		[ "$number" -le 2 ] || continue

		fill anabranch.yaml "$etc/anabranch/anabranch.yaml"
		cp "$out/certificates/ca.pem" "$etc/anabranch/ca.pem"
		cp "$out/certificates/$region.pem" "$etc/anabranch/peer.pem"
		cp "$out/certificates/$region.key" "$etc/anabranch/peer.key"
		printf 'ANABRANCH_CONSUL=http://127.0.0.1:8500\nANABRANCH_CONSUL_DATACENTER=%s\n' "${datacenters//, /,}" >"$etc/anabranch/haproxy-sync.env"
		mkdir -p "$etc/haproxy"
		"$anabranch" haproxy-config "${proxies[@]}" --slots 8 --listen :7000 >"$etc/haproxy/haproxy.cfg"
		priority=$((110 - number * 10))
		neighbour=${here_machines[2 - number]}
		fill keepalived.conf "$etc/keepalived/keepalived.conf"
		cp "$here/check-haproxy.sh" "$etc/keepalived/check-haproxy.sh"
		chmod 755 "$etc/keepalived" "$etc/keepalived/check-haproxy.sh"
	done
	echo "region $region: clients connect to $virtual:7000 as user app, password in $out/secrets/app"
done
