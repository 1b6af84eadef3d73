#!/usr/bin/env bash
# Makes, once, a Debian folder with PostgreSQL 17, TimescaleDB and etcd, and prints where it is. Needs root, Linux, apt.
# It lies in $BACKSTAY_TESTBED, else in the user's cache (900 MB); to have it made again, remove it.
# Packages come from the machine's own Debian mirror, or from the one that $BACKSTAY_TESTBED_MIRROR names.
# Exit status 3: this machine lacks what it needs.
set -euo pipefail

SUITE=trixie
PACKAGES=(postgresql-17 postgresql-17-timescaledb etcd-server etcd-client)
REVISION=2 # raise it when what the folder holds changes: an older one is then made again

cache=${BACKSTAY_TESTBED:-${XDG_CACHE_HOME:-$HOME/.cache}/backstay-testbed}
whole=$cache/timescaledb-$SUITE-$REVISION
part=$whole.part # renamed once it is whole: a killed build is never taken for one
log=$cache/timescaledb.log

needs() {
  echo "needs $1" >&2
  exit 3
}

mirror() {
  if [ -n "${BACKSTAY_TESTBED_MIRROR:-}" ]; then
    echo "$BACKSTAY_TESTBED_MIRROR"
  else # the security archive has another label
    apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Origin: Debian" "Label: Debian" | sed -n 1p
  fi
}

make_base() {
  local source proxy="" include=()
  apt-get -qq update
  command -v debootstrap || apt-get -qq install -y --no-install-recommends debootstrap
  source=$(mirror)
  [ -n "$source" ] || { echo "no Debian mirror among the package sources: set BACKSTAY_TESTBED_MIRROR"; return 1; }
  case $source in https:*) include=(--include=ca-certificates) ;; esac
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [ -z "$proxy" ] || export http_proxy="$proxy"
  debootstrap --variant=minbase "${include[@]}" "$SUITE" "$part" "$source"
}

inside() {
  chroot "$part" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

add_packages() {
  # Nothing starts at installation: packages ask policy-rc.d first, and PostgreSQL's makes no cluster.
  printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"
  chmod 755 "$part/usr/sbin/policy-rc.d"
  mkdir -p "$part/etc/postgresql-common"
  echo "create_main_cluster = false" >"$part/etc/postgresql-common/createcluster.conf"
  apt-config dump | grep -iE '^Acquire::https?::Proxy(::| )' >"$part/etc/apt/apt.conf.d/90proxy" || true
  inside apt-get -qq update
  inside apt-get -qq install -y --no-install-recommends "${PACKAGES[@]}"
  inside apt-get clean
  rm -rf "$part"/var/lib/apt/lists/* "$part/etc/apt/apt.conf.d/90proxy"
}

build() {
  rm -rf --one-file-system "$cache"/timescaledb-*-*
  make_base
  add_packages
  sync -f "$part"
  mv "$part" "$whole"
}

if [ "${1:-}" = build ]; then
  build
  exit
fi

[ "$(uname -s)" = Linux ] || needs "Linux (PostgreSQL with TimescaleDB and etcd come from Debian)"
[ "$(id -u)" = 0 ] || needs "root (to make and enter a Debian folder)"
command -v apt-get >/dev/null || needs "apt-get (to make a Debian folder)"

mkdir -p "$cache"
exec 9>"$cache/timescaledb.lock"
flock 9 # of two runs at once, the second waits and finds the folder made
if [ ! -d "$whole" ]; then
  # What debootstrap mounts goes when the build ends, however it ends.
  unshare --mount true 2>/dev/null && isolated=(unshare --mount) || isolated=()
  "${isolated[@]}" bash "$0" build >"$log" 2>&1 || { # which inherits the lock: it may outlive us
    tail -n 15 "$log" >&2
    echo "error: no Debian folder was made; the whole log: $log" >&2
    exit 1
  }
fi
echo "$whole"
