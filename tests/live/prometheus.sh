#!/usr/bin/env bash
# A real Prometheus on loopback that scrapes itself and a real node exporter; both are Debian's packages, unpacked and not installed.
#
#   tests/live/prometheus.sh up       download what is missing, start both, print the two addresses
#   tests/live/prometheus.sh down     stop what `up` started
#
# Exit codes: 0 done; 1 it should have worked and did not; 2 usage; 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the working directory (default target/live; ours is its `prometheus`)
#   PROMETHEUS_PORT          the server's port (19090); NODE_EXPORTER_PORT (19100) too
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
port=${PROMETHEUS_PORT:-19090}
exporter_port=${NODE_EXPORTER_PORT:-19100}
live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/prometheus

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

get() { python3 -c 'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=5).read())' "$1"; }

# Polls a condition four times a second: wait_until SECONDS COMMAND...
wait_until() {
  local rounds=$(($1 * 4)); shift
  while ! "$@" >/dev/null 2>&1; do
    ((rounds-- > 0)) || return 1
    sleep 0.25
  done
}

# A new server has no series until its first scrapes are over.
both_scraped() { get "http://127.0.0.1:$port/api/v1/query?query=count(up==1)" | grep -q '"2"'; }

install_packages() {
  [ -x "$work/root/usr/bin/prometheus" ] && [ -x "$work/root/usr/bin/prometheus-node-exporter" ] && return
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "apt-get and dpkg are missing: Prometheus comes from Debian's packages"
  mkdir -p "$work"
  (cd "$work" && apt-get download prometheus prometheus-node-exporter) >"$work/apt.log" 2>&1 || skip "apt-get cannot download prometheus (see $work/apt.log)"
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
}

# Starts a program unless it runs: spawn NAME COMMAND...
spawn() {
  local name=$1; shift
  if [ -f "$work/$name.pid" ] && kill -0 "$(cat "$work/$name.pid")" 2>/dev/null; then return; fi
  setsid "$@" >"$work/$name.log" 2>&1 </dev/null &
  echo $! >"$work/$name.pid"
}

up() {
  install_packages
  cat >"$work/prometheus.yml" <<YML
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:$port"]}]
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$exporter_port"]}]
YML
  spawn exporter "$work/root/usr/bin/prometheus-node-exporter" --web.listen-address "127.0.0.1:$exporter_port"
  spawn prometheus "$work/root/usr/bin/prometheus" --config.file "$work/prometheus.yml" --storage.tsdb.path "$work/data" \
    --web.listen-address "127.0.0.1:$port"
  wait_until 60 both_scraped || fail "Prometheus has not scraped both targets within 60 s; see $work/*.log"
  printf 'PROMETHEUS=http://127.0.0.1:%s\nNODE_EXPORTER=http://127.0.0.1:%s\n' "$port" "$exporter_port"
}

down() {
  for name in prometheus exporter; do
    [ -f "$work/$name.pid" ] && kill "$(cat "$work/$name.pid")" 2>/dev/null || true
    rm -f "$work/$name.pid"
  done
}

case ${1:-} in
  up) up ;;
  down) down ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
