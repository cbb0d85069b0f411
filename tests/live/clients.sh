#!/usr/bin/env bash
# The clients that other people wrote for the systems that our tests play, from pip: a virtual environment with them, and with
# infrahub-sync 2.0.1, whose adapters use them.
#
#   tests/live/clients.sh     make it if it is not there, and print its folder
#
# Exit codes: 0 done; 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the folder (default target/live; ours is its `clients`)
#   REFERENCE_PYTHON         the interpreter to use instead of looking for one
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/clients
venv=$work/venv

say() { printf '%s\n' "$*" >&2; }
skip() { say "skipped: $*"; exit 77; }

python_fits() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}
find_python() {
  local candidate
  for candidate in ${REFERENCE_PYTHON:-python3.12 python3.11 python3.13 python3.10 python3 "$HOME"/.pyenv/versions/3.1[0123]*/bin/python}; do
    if python_fits "$candidate"; then command -v "$candidate"; return; fi
  done
  skip "no Python 3.10 to 3.13 with venv (Debian: python3 python3-venv; or REFERENCE_PYTHON=…)"
}

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  python=$(find_python) || exit $?
  say "installing the clients with $python"
  rm -rf "$venv" "$work/ssot"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check infrahub-sync==2.0.1 infrahub-sdk==1.23.2 ipfabric==8.0.1 slurpit_sdk==0.9.156 \
    peeringdb==2.5.0 pydevice42==0.4.1 librenms-handler==0.4.3 >"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not install the clients (see $work/pip.log)"; }
  # The whole package needs a Nautobot; its client of the APIC does not.
  "$venv/bin/pip" download -q --disable-pip-version-check --no-deps --dest "$work/ssot" nautobot-ssot==4.7.0 >>"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not download nautobot-ssot==4.7.0 (see $work/pip.log)"; }
  "$venv/bin/python" -m zipfile -e "$work"/ssot/*.whl "$work/ssot"
  : >"$venv/complete"
fi
echo "$work"
