#!/usr/bin/env bash
# A real NetBox on loopback for the live tests: PostgreSQL and Redis from apt, NetBox and gunicorn from pip.
#
#   tests/live/netbox.sh up       install what is missing, start everything, print the address and the tokens
#   tests/live/netbox.sh install  install what is missing, and start nothing
#   tests/live/netbox.sh down     stop what `up` started; the database stays for the next `up`
#   tests/live/netbox.sh status   exit 0 when it answers, 3 when it does not
#   tests/live/netbox.sh reset    down, forget the database, up: an empty NetBox again
#
# Exit codes: 0 done; 1 it should have worked and did not; 2 usage; 3 not running (status only);
# 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the working directory (default target/live; ours is its `netbox`)
#   NETBOX_PORT              the API's port (18012); NETBOX_PG_PORT (55434) and NETBOX_REDIS_PORT (56381) too
#   NETBOX_VERSION           4.7.3; the dump is of that version, another one is migrated from it (minutes)
#   NETBOX_PYTHON            the interpreter to use instead of looking for one
#   NETBOX_VENV              the virtual environment (default: in the working directory)
#   NETBOX_TEST_TOKEN        the v1 token to create in an empty database
#
# Working directory:
#   venv/ root/conf/configuration.py   the program and its settings
#   pg/data pg/log                     the database cluster (owned by `postgres` when we are root)
#   database-ready                     written last; without it the next `up` builds the database again
#   token-v1 token-v2                  the two API tokens of user admin (password admin)
#   gunicorn.pid redis.pid *.log lock
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)

version=${NETBOX_VERSION:-4.7.3}
port=${NETBOX_PORT:-18012}
pg_port=${NETBOX_PG_PORT:-55434}
redis_port=${NETBOX_REDIS_PORT:-56381}
# Forty hex digits, the only shape a v1 token may have. It opens nothing but this loopback server.
token_v1=${NETBOX_TEST_TOKEN:-0123456789abcdef0123456789abcdef01234567}
url=http://127.0.0.1:$port

live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/netbox
venv=${NETBOX_VENV:-$work/venv}
data=$work/pg/data
# Read by NetBox: the folder that holds conf/configuration.py.
export NETBOX_ROOT=$work/root

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

# Polls a condition four times a second: wait_until SECONDS COMMAND...
wait_until() {
  local rounds=$(($1 * 4)); shift
  while ! "$@" >/dev/null 2>&1; do
    ((rounds-- > 0)) || return 1
    sleep 0.25
  done
}

# ---------------------------------------------------------------- conditions

# An authenticated answer proves web server, database, Redis and token at once. No proxy: this is loopback.
answers() {
  [ "$(curl --noproxy '*' -s -o /dev/null -m 30 -w '%{http_code}' \
    -H "Authorization: Token $(cat "$work/token-v1" 2>/dev/null || echo "$token_v1")" "$url/api/status/")" = 200 ]
}

# True when the pid in FILE is alive and its command line has TEXT: pids are reused, files survive a reboot.
runs() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2"
}
gunicorn_runs() { runs "$work/gunicorn.pid" "$work/gunicorn.pid"; }
redis_runs() { runs "$work/redis.pid" ":$redis_port"; }
postgres_runs() { [ -f "$data/postmaster.pid" ] && as_database_user "$pg_bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }
not() { ! "$@"; }

# ---------------------------------------------------------------- what the machine has

# PostgreSQL refuses to run as root, so as root we use the user which its package made.
as_database_user() {
  if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u postgres -- "$@"); else "$@"; fi
}

# Debian keeps the server's programs out of PATH, one folder per version; NetBox 4.7 needs 14 or newer.
find_postgres() {
  pg_bin=$(for bin in /usr/lib/postgresql/*/bin; do
    number=${bin#/usr/lib/postgresql/}; number=${number%/bin}
    [ -x "$bin/initdb" ] && [ "${number%%.*}" -ge 14 ] 2>/dev/null && echo "$number $bin"
  done | sort -n | tail -1 | cut -d' ' -f2)
  [ -n "$pg_bin" ]
}

install_packages() {
  local missing=()
  find_postgres || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v curl >/dev/null || missing+=(curl)
  # pip builds psycopg's C half: a compiler and libpq's headers, only while there is no virtual environment.
  if [ ! -x "$venv/bin/netbox" ]; then
    [ -e /usr/include/postgresql/libpq-fe.h ] || missing+=(libpq-dev)
    command -v gcc >/dev/null || missing+=(gcc)
  fi
  [ ${#missing[@]} -gt 0 ] || return 0

  command -v apt-get >/dev/null || skip "missing ${missing[*]}, and there is no apt-get to install them with"
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
      skip "missing ${missing[*]}; run as root: apt-get install ${missing[*]}"
    root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  # RUNLEVEL=1 keeps the packages from starting their own services: we run ours, on our ports.
  local log=$work/apt.log
  { "${root[@]}" apt-get update -q &&
    "${root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q -o DPkg::Lock::Timeout=600 --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
    { tail -5 "$log" >&2; skip "apt-get could not install ${missing[*]} (see $log)"; }
  find_postgres || skip "PostgreSQL 14 or newer is not in this machine's apt sources"
}

# NetBox 4.7 runs on Python 3.12 to 3.14; the headers are for psycopg's C half.
python_fits() {
  "$1" - >/dev/null 2>&1 <<'PY'
import os, sys, sysconfig, venv, ensurepip
fits = (3, 12) <= sys.version_info < (3, 15)
sys.exit(not (fits and os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))))
PY
}
find_python() {
  local candidate
  if [ -n "${NETBOX_PYTHON:-}" ]; then
    python_fits "$NETBOX_PYTHON" ||
      skip "NETBOX_PYTHON=$NETBOX_PYTHON is not a Python 3.12 to 3.14 with venv and headers"
    echo "$NETBOX_PYTHON"; return
  fi
  for candidate in python3.12 python3.13 python3.14 python3 "$HOME"/.pyenv/versions/3.1[234]*/bin/python; do
    # An interpreter that pyenv has but did not select answers through its shim with an error: it does not fit.
    if python_fits "$candidate"; then command -v "$candidate"; return; fi
  done
  skip "no Python 3.12 to 3.14 with venv and headers (Debian: python3.12 python3.12-venv python3.12-dev; or NETBOX_PYTHON=…)"
}

install_netbox() {
  [ -x "$venv/bin/netbox" ] && [ "$("$venv/bin/pip" list 2>/dev/null | awk '$1=="netbox"{print $2}')" = "$version" ] && return
  local python
  python=$(find_python) || exit $?
  say "installing netbox $version with $python"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "netbox==$version" gunicorn >"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not install netbox==$version (see $work/pip.log)"; }
}

# ---------------------------------------------------------------- the three servers

start_postgres() {
  mkdir -p "$work/pg"
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$work/pg"
    as_database_user test -x "$work/pg" ||
      skip "user postgres cannot enter $work (a parent folder is private): set INFRAHUB_SYNC_LIVE_DIR elsewhere"
  fi
  # UTF-8 by name: with LANG unset initdb would choose SQL_ASCII.
  [ -f "$data/PG_VERSION" ] ||
    as_database_user "$pg_bin/initdb" -D "$data" -A trust -U postgres --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  postgres_runs && return
  # Nothing here needs to survive a power cut, so nothing waits for the disk. No socket file: its path has a
  # limit of 107 bytes, and TCP on loopback is enough.
  as_database_user "$pg_bin/pg_ctl" -w -t 120 -D "$data" -l "$work/pg/log" -o "-p $pg_port \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off" start >/dev/null 9>&- ||
    { tail -5 "$work/pg/log" >&2; fail "PostgreSQL did not start on port $pg_port (see $work/pg/log)"; }
}

start_redis() {
  redis_runs && return
  redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --daemonize yes \
    --dir "$work" --logfile "$work/redis.log" --pidfile "$work/redis.pid" >/dev/null 9>&-
  wait_until 30 redis-cli -h 127.0.0.1 -p "$redis_port" ping ||
    fail "Redis did not start on port $redis_port (see $work/redis.log)"
}

configure() {
  [ -d "$NETBOX_ROOT/conf" ] || "$venv/bin/netbox" setup --target "$NETBOX_ROOT" >/dev/null
  # The secrets protect a throwaway server; fixed, so that a kept database stays readable. The last three
  # settings keep NetBox from calling home.
  cat >"$NETBOX_ROOT/conf/configuration.py" <<PYTHON
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": "$pg_port",
        "NAME": "netbox",
        "USER": "postgres",
        "CONN_MAX_AGE": 300,
    }
}
REDIS = {
    name: {"HOST": "127.0.0.1", "PORT": $redis_port, "DATABASE": number, "USERNAME": "", "PASSWORD": "", "SSL": False}
    for number, name in enumerate(["tasks", "caching"])
}
SECRET_KEY = "live-tests-only-" * 4
API_TOKEN_PEPPERS = {1: "live-tests-only-" * 4}
CENSUS_REPORTING_ENABLED = False
ISOLATED_DEPLOYMENT = True
RELEASE_CHECK_URL = None
PYTHON
}

sql() { "$pg_bin/psql" -q -h 127.0.0.1 -p "$pg_port" -U postgres -v ON_ERROR_STOP=1 "$@"; }

# An empty, migrated NetBox with user admin and both tokens. Restoring takes seconds where migrating takes minutes.
build_database() {
  [ -f "$work/database-ready" ] && return
  say "restoring the database"
  sql -c "drop database if exists netbox" 2>/dev/null
  sql -c "create database netbox"
  # The dump's owner.
  sql -tAc "select 1 from pg_roles where rolname = 'netbox'" | grep -q 1 || sql -c "create role netbox superuser"
  "$pg_bin/pg_restore" -h 127.0.0.1 -p "$pg_port" -U postgres -d netbox -j 2 "$here/netbox-empty.dump"
  [ "$version" = 4.7.3 ] || "$venv/bin/netbox" migrate --no-input >"$work/migrate.log" 2>&1 ||
    fail "the dump could not be migrated to $version (see $work/migrate.log)"
  # A v2 token can be read only while it is made, hence the file.
  TOKEN_V1=$token_v1 TOKEN_V2_FILE=$work/token-v2 "$venv/bin/netbox" shell >"$work/tokens.log" 2>&1 -c '
import os
from users.models import Token, User
admin, _ = User.objects.get_or_create(username="admin")
admin.is_active = admin.is_superuser = True
admin.set_password("admin")
admin.save()
Token.objects.filter(user=admin).delete()
first = Token(user=admin, version=1)
first.token = os.environ["TOKEN_V1"]
first.save()
second = Token(user=admin, version=2)
second.save()
with open(os.environ["TOKEN_V2_FILE"], "w") as file:
    file.write(f"nbt_{second.key}.{second.token}")
' && [ -s "$work/token-v2" ] || { tail -5 "$work/tokens.log" >&2; fail "the API tokens could not be made"; }
  printf %s "$token_v1" >"$work/token-v1"
  : >"$work/database-ready"
}

start_gunicorn() {
  if ! gunicorn_runs; then
    # Two workers of two threads suit two cores. The session of its own keeps it alive after this script's shell.
    (cd "$NETBOX_ROOT" && exec setsid nohup "$venv/bin/gunicorn" --bind "127.0.0.1:$port" --preload \
      --workers 2 --threads 2 --timeout 300 --keep-alive 5 --pid "$work/gunicorn.pid" netbox.wsgi) \
      >"$work/gunicorn.log" 2>&1 </dev/null 9>&- &
  fi
  # Generous, because a parallel cargo build can have both cores.
  wait_until 300 answers || { tail -20 "$work/gunicorn.log" >&2; fail "NetBox does not answer on $url (see $work/gunicorn.log)"; }
}

# ---------------------------------------------------------------- commands

report() {
  cat <<TEXT
netbox $version on $url
token v1 (Authorization: Token …)       $work/token-v1 ($(cat "$work/token-v1"))
token v2 (Authorization: Bearer nbt_…)  $work/token-v2
TEXT
}

# One command at a time: test processes may all call `up`. Servers must not inherit descriptor 9 (see 9>&-).
take_lock() {
  mkdir -p "$work"
  exec 9>"$work/lock"
  flock 9
}

# What `up` needs, so that it can be installed while the machine does something else.
install_all() {
  [ "$(uname)" = Linux ] || skip "the recipe is for Linux with apt"
  install_packages
  install_netbox
}

up() {
  take_lock
  if answers; then report; return; fi
  install_all
  start_postgres
  start_redis
  configure
  build_database
  start_gunicorn
  report
}

down() {
  take_lock
  if gunicorn_runs; then
    kill "$(cat "$work/gunicorn.pid")"
    wait_until 60 not gunicorn_runs || fail "gunicorn does not stop"
  fi
  if redis_runs; then
    kill "$(cat "$work/redis.pid")"
    wait_until 60 not redis_runs || fail "redis does not stop"
  fi
  if find_postgres && postgres_runs; then
    as_database_user "$pg_bin/pg_ctl" -w -D "$data" -m fast stop >/dev/null
  fi
  rm -f "$work/gunicorn.pid" "$work/redis.pid"
}

case ${1:-} in
  up) up ;;
  install) take_lock; install_all ;;
  down) down ;;
  status) if answers; then report; else say "not running on $url"; exit 3; fi ;;
  reset) down; rm -f "$work/database-ready"; up ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
