#!/bin/sh
# Installs what TestInterop needs and Go does not bring: two Python libraries and a JDK, as Debian packages them, and
# the Node modules of node/package-lock.json. What is there already stays. Needs root where a package is missing.
set -eu
cd "$(dirname "$0")"

packages=
for module in slixmpp aioxmpp; do
	/usr/bin/python3 -c "import $module" 2>/dev/null || packages="$packages python3-$module"
done
for tool in javac keytool; do
	command -v "$tool" >/dev/null || { packages="$packages default-jdk-headless" && break; }
done
command -v curl >/dev/null || packages="$packages curl"
if [ -n "$packages" ]; then
	apt-get update
	# shellcheck disable=SC2086 # one word a package
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi

# Debian 12's own Node is too old for @xmpp/client, so that is for whoever sets the machine up.
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 10) ? 0 : 1)' || ! command -v npm >/dev/null; then
	echo "install.sh: Node 20.10 or later is needed, with npm" >&2
	exit 1
fi

# npm notes in node_modules what it has installed; it is up to date when that is not older than what was asked for.
if [ ! node/node_modules/.package-lock.json -nt node/package-lock.json ]; then
	(cd node && npm ci)
fi
