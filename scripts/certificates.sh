#!/usr/bin/env bash
# Makes certificates for the links between regions: an authority, if there is none yet, and one certificate for each region.
#
#   scripts/certificates.sh DIRECTORY REGION…
#
# It writes ca.pem and ca.key, and REGION.pem and REGION.key for each. Keep ca.key away from the proxies: whoever has it can be
# any region. DAYS (365) is how long a certificate holds; made again, one replaces the last one of its region.
set -eu
directory=$1
shift
umask 077
mkdir -p "$directory"
cd "$directory"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc)
# Nothing of the machine's own configuration, which may add extensions.
plain=$(mktemp)
extensions=$(mktemp)
trap 'rm -f "$plain" "$extensions" ./*.csr' EXIT
printf '[req]\ndistinguished_name = name\n[name]\n' >"$plain"

# openssl talks much when all is well.
quietly() {
	said=$("$@" 2>&1) || {
		printf '%s\n' "$said" >&2
		exit 1
	}
}

if [ ! -e ca.key ]; then
	quietly openssl req -x509 "${key[@]}" -config "$plain" -days 3650 -subj '/CN=anabranch regions' \
		-addext 'basicConstraints = critical, CA:TRUE' -addext 'keyUsage = critical, keyCertSign' \
		-keyout ca.key -out ca.pem
	echo "ca.pem: a new authority"
fi
for region in "$@"; do
	# The URI says which region it is. It is shown to those that call and to those that are called.
	printf '%s\n' "subjectAltName = URI:anabranch://region/$region" 'extendedKeyUsage = serverAuth, clientAuth' \
		'keyUsage = critical, digitalSignature' 'basicConstraints = critical, CA:FALSE' >"$extensions"
	quietly openssl req "${key[@]}" -config "$plain" -subj "/CN=region $region" -keyout "$region.key" -out "$region.csr"
	quietly openssl x509 -req -in "$region.csr" -CA ca.pem -CAkey ca.key -set_serial "0x00$(openssl rand -hex 16)" -days "${DAYS:-365}" \
		-extfile "$extensions" -out "$region.pem"
	echo "$region.pem: region $region"
done
