#!/bin/sh
# Installs what TestEndToEnd needs and Go does not bring: Debian's Chromium, the tool that has it trust a CA, and the
# Node modules of node/package-lock.json. What is there already stays. Needs root where a package is missing.
set -eu
cd "$(dirname "$0")"

packages=
command -v chromium >/dev/null || packages="$packages chromium"
command -v certutil >/dev/null || packages="$packages libnss3-tools"
if [ -n "$packages" ]; then
	apt-get update
	# shellcheck disable=SC2086 # one word a package
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo "install.sh: Node is needed, with npm" >&2
	exit 1
fi

# npm notes in node_modules what it has installed; it is up to date when that is not older than what was asked for.
if [ ! node/node_modules/.package-lock.json -nt node/package-lock.json ]; then
	(cd node && npm ci)
fi
