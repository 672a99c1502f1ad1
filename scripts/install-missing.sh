#!/bin/sh
# Installs the Debian packages behind programs that are missing here, and does nothing when all are present.
#
#   scripts/install-missing.sh redis-server:redis-server gcc:gcc …
#
# Each argument is PROGRAM:PACKAGE[,PACKAGE…]; the program import-MODULE stands for a Python that can import the module. Root
# installs directly, anybody else through sudo when it asks no password.
set -eu

# /usr/sbin is not on everybody's PATH.
PATH="$PATH:/usr/sbin:/sbin"

present() {
	case $1 in
	import-*)
		# Debian's modules are for Debian's Python, and another one may come before it on PATH.
		/usr/bin/python3 -c "import ${1#import-}" 2>/dev/null || python3 -c "import ${1#import-}" 2>/dev/null
		;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

packages=
missing=
for pair in "$@"; do
	program=${pair%%:*}
	if ! present "$program"; then
		missing="$missing $program"
		packages="$packages $(echo "${pair#*:}" | tr ',' ' ')"
	fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$missing - please install them (this script knows only apt-get)" >&2
	exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "missing:$missing - please run as root: apt-get install$packages" >&2
		exit 1
	fi
	as_root="sudo -n"
fi

# Debian starts a service as soon as its package is installed. A redis-server on port 6379 is nothing we may leave
# behind, so the start is forbidden for the time of the installation - unless the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$as_root rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi

echo "installing:$packages"
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}
# A fresh machine has no package lists, and an old list names versions that are gone.
# shellcheck disable=SC2086 # the names are to be split
apt update >/dev/null && apt install -y --no-install-recommends $packages >/dev/null

for program in $missing; do
	if ! present "$program"; then
		echo "$program is still missing after installing:$packages" >&2
		exit 1
	fi
done
