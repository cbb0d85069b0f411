#!/usr/bin/env bash
# A real registry, which is Debian's docker-registry, unpacked and not installed.
#
#   tests/live/registry.sh install    download it if it is missing, print the path of the program
#   tests/live/registry.sh up         start one on loopback, without password and TLS; print its address
#   tests/live/registry.sh down       stop what `up` started
#
# The tests in tests/tests/it/registry.rs install it and start their own.
#
# Exit codes: 0 done; 1 it should have worked and did not; 2 usage; 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the working directory (default target/live; ours is its `registry`)
#   REGISTRY_PORT            the port of `up` (15000)
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
port=${REGISTRY_PORT:-15000}
live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/registry
program=$work/root/usr/bin/docker-registry

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

install_package() {
  [ -x "$program" ] && return
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "apt-get and dpkg are missing: the registry is Debian's package docker-registry"
  mkdir -p "$work"
  # Several tests may come at once.
  exec 8>"$work/install.lock"
  flock 8
  [ -x "$program" ] && return
  (cd "$work" && { apt-get download docker-registry || { apt-get update && apt-get download docker-registry; }; }) >"$work/apt.log" 2>&1 \
    || skip "apt-get cannot download docker-registry (see $work/apt.log)"
  rm -rf "$work/unpacked"
  dpkg -x "$work"/docker-registry_*.deb "$work/unpacked"
  mv "$work/unpacked" "$work/root"
}

up() {
  install_package
  cat >"$work/config.yml" <<YML
version: 0.1
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:$port"}
YML
  setsid "$program" serve "$work/config.yml" >"$work/registry.log" 2>&1 </dev/null &
  echo $! >"$work/registry.pid"
  for _ in $(seq 120); do
    (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && { printf 'REGISTRY=oci://127.0.0.1:%s\n' "$port"; return; }
    sleep 0.25
  done
  fail "the registry does not listen after 30 s; see $work/registry.log"
}

down() {
  [ -f "$work/registry.pid" ] && kill "$(cat "$work/registry.pid")" 2>/dev/null || true
  rm -f "$work/registry.pid"
}

case ${1:-} in
  install) install_package; printf '%s\n' "$program" ;;
  up) up ;;
  down) down ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
