#!/usr/bin/env bash
# The original beside ours: a virtual environment with infrahub-sync 2.0.1, its NetBox client and Infrahub's SDK, from pip.
#
#   tests/live/reference.sh            make it if it is not there, and print its folder
#   tests/live/reference.sh examples   download the example projects of 2.0.1 if they are not there, and print their folder
#   tests/live/reference.sh clients    the clients that other people wrote for the systems that our tests play, beside 2.0.1, whose adapters
#                                      use them: make their folder if it is not there, and print it
#
# Exit codes: 0 done; 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the folder (default target/live; ours is its `reference`)
#   REFERENCE_PYTHON         the interpreter to use instead of looking for one
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/reference
venv=$work/venv

say() { printf '%s\n' "$*" >&2; }
skip() { say "skipped: $*"; exit 77; }

python_fits() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}
find_python() {
  local candidate
  for candidate in ${REFERENCE_PYTHON:-python3.12 python3.11 python3.13 python3.10 python3 "$HOME"/.pyenv/versions/3.1[0123]*/bin/python}; do
    # An interpreter that pyenv has but did not select answers through its shim with an error: it does not fit.
    if python_fits "$candidate"; then command -v "$candidate"; return; fi
  done
  skip "no Python 3.10 to 3.13 with venv (Debian: python3 python3-venv; or REFERENCE_PYTHON=…)"
}

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
if [ "${1:-}" = examples ]; then
  if [ ! -e "$work/sdist/complete" ]; then
    python=$(find_python) || exit $?
    rm -rf "$work/sdist"
    # Only the source package has them.
    "$python" -m pip download -q --disable-pip-version-check --no-deps --no-binary infrahub-sync -d "$work/sdist" infrahub-sync==2.0.1 \
      >"$work/sdist.log" 2>&1 || { tail -5 "$work/sdist.log" >&2; skip "pip could not download the source of infrahub-sync==2.0.1 (see $work/sdist.log)"; }
    tar -xzf "$work"/sdist/infrahub_sync-2.0.1.tar.gz -C "$work/sdist"
    : >"$work/sdist/complete"
  fi
  echo "$work/sdist/infrahub_sync-2.0.1/examples"
  exit
fi
if [ "${1:-}" = clients ]; then
  work=$work/clients
  if [ ! -e "$work/venv/complete" ]; then
    python=$(find_python) || exit $?
    say "installing the clients with $python"
    rm -rf "$work"
    mkdir -p "$work"
    "$python" -m venv "$work/venv"
    "$work/venv/bin/pip" install -q --disable-pip-version-check infrahub-sync==2.0.1 infrahub-sdk==1.23.2 ipfabric==8.0.1 slurpit_sdk==0.9.156 \
      >"$work/pip.log" 2>&1 || { tail -5 "$work/pip.log" >&2; skip "pip could not install the clients (see $work/pip.log)"; }
    # The whole package needs a Nautobot; its client of the APIC does not.
    "$work/venv/bin/pip" download -q --disable-pip-version-check --no-deps --dest "$work/ssot" nautobot-ssot==4.7.0 >>"$work/pip.log" 2>&1 ||
      { tail -5 "$work/pip.log" >&2; skip "pip could not download nautobot-ssot==4.7.0 (see $work/pip.log)"; }
    "$work/venv/bin/python" -m zipfile -e "$work"/ssot/*.whl "$work/ssot"
    : >"$work/venv/complete"
  fi
  echo "$work"
  exit
fi
if [ ! -e "$venv/complete" ]; then
  python=$(find_python) || exit $?
  say "installing infrahub-sync 2.0.1 with $python"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  # The versions of what it stands on are those that the differences were explained with.
  "$venv/bin/pip" install -q --disable-pip-version-check infrahub-sync==2.0.1 infrahub-sdk==1.23.2 pynetbox==7.8.0 >"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not install infrahub-sync==2.0.1 (see $work/pip.log)"; }
  : >"$venv/complete"
fi
echo "$venv"
