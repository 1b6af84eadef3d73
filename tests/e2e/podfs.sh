#!/usr/bin/env bash
# podfs.sh ROOTFS: makes, once, a copy of the Debian folder that rootfs.sh made, with Python, and prints where it is: what
# pods run on, databases and Backstay alike. It lies beside ROOTFS (510 MB); to have it made again, remove it.
set -euo pipefail
rootfs=$1
cache=$(dirname "$rootfs")
whole=$cache/pods-$(basename "$rootfs")-1 # raise the number when what the folder holds changes
part=$whole.part                          # renamed once it is whole: a killed build is never taken for one
log=$cache/pods.log

inside() {
  chroot "$part" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

build() {
  rm -rf --one-file-system "$cache"/pods-*-*
  cp -a --reflink=auto "$rootfs" "$part"
  rm -rf "$part"/var/tmp/* "$part"/tmp/*
  apt-config dump | grep -iE '^Acquire::https?::Proxy(::| )' >"$part/etc/apt/apt.conf.d/90proxy" || true
  inside apt-get -qq update
  inside apt-get -qq install -y --no-install-recommends python3
  inside apt-get clean
  rm -rf "$part"/var/lib/apt/lists/* "$part"/etc/apt/apt.conf.d/90proxy "$part"/usr/share/{doc,locale,man}/*
  mv "$part" "$whole"
}

if [ "${2:-}" = build ]; then
  build
  exit
fi

exec 9>"$cache/pods.lock"
flock 9 # of two runs at once, the second waits and finds the folder made
if [ ! -d "$whole" ]; then
  bash "$0" "$rootfs" build >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    echo "error: no folder for pods was made; the whole log: $log" >&2
    exit 1
  }
fi
echo "$whole"
