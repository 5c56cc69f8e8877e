#!/bin/sh
# Installs redis-server, of which the tests start processes of their own. What is there already stays. Needs root and
# Debian's apt-get where it is missing. A service that the package starts is not used.
set -eu

if command -v redis-server >/dev/null; then
	exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "install.sh: redis-server is not in PATH: install Redis 7, or run this as root on Debian" >&2
	exit 1
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
