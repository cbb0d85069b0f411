#!/usr/bin/env bash
# A real Nautobot on loopback: PostgreSQL and Redis from apt, Nautobot from pip.
#
#   tests/live/nautobot.sh up       install what is missing, start everything, print the address and the token
#   tests/live/nautobot.sh install  install what is missing, and start nothing
#   tests/live/nautobot.sh down     stop what `up` started; the database stays for the next `up`
#   tests/live/nautobot.sh status   exit 0 when it answers, 3 when it does not
#   tests/live/nautobot.sh reset    down, forget the database, up: an empty Nautobot again
#
# Exit codes: 0 done; 1 it should have worked and did not; 2 usage; 3 not running (status only);
# 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the working directory (default target/live; ours is its `nautobot`)
#   NAUTOBOT_PORT            the API's port (18011); NAUTOBOT_PG_PORT (55433) and NAUTOBOT_LIVE_REDIS_PORT (56380) too
#   NAUTOBOT_VERSION         3.2.7
#   NAUTOBOT_PYTHON          the interpreter to use instead of python3
#   NAUTOBOT_VENV            the virtual environment (default: in the working directory)
#   NAUTOBOT_DUMP            `pg_dump -Fc` of a migrated database of that version (3.2.7: nautobot-empty.dump beside this script): restoring takes
#                            seconds, migrating five minutes
#   NAUTOBOT_TEST_TOKEN      the token of user admin (password admin)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)

version=${NAUTOBOT_VERSION:-3.2.7}
port=${NAUTOBOT_PORT:-18011}
pg_port=${NAUTOBOT_PG_PORT:-55433}
redis_port=${NAUTOBOT_LIVE_REDIS_PORT:-56380}
# It opens nothing but this loopback server.
token=${NAUTOBOT_TEST_TOKEN:-0123456789abcdef0123456789abcdef01234567}
url=http://127.0.0.1:$port

live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/nautobot
venv=${NAUTOBOT_VENV:-$work/venv}
dump=${NAUTOBOT_DUMP:-}
[ -n "$dump" ] || [ "$version" != 3.2.7 ] || dump=$here/nautobot-empty.dump
data=$work/pg/data
# Read by Nautobot.
export NAUTOBOT_ROOT=$work/root NAUTOBOT_INSTALLATION_METRICS_ENABLED=false NAUTOBOT_ALLOWED_HOSTS="127.0.0.1 localhost"
export NAUTOBOT_DB_HOST=127.0.0.1 NAUTOBOT_DB_PORT=$pg_port NAUTOBOT_DB_USER=postgres NAUTOBOT_DB_PASSWORD=x NAUTOBOT_DB_NAME=nautobot
export NAUTOBOT_REDIS_HOST=127.0.0.1 NAUTOBOT_REDIS_PORT=$redis_port
NAUTOBOT_SECRET_KEY=$(printf 'live-tests-only-%.0s' 1 2 3 4)
export NAUTOBOT_SECRET_KEY PATH=$venv/bin:$PATH

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

# Polls a condition twice a second: wait_until SECONDS COMMAND...
wait_until() {
  local rounds=$(($1 * 2)); shift
  while ! "$@" >/dev/null 2>&1; do
    ((rounds-- > 0)) || return 1
    sleep 0.5
  done
}

# An authenticated answer proves web server, database, Redis and token at once. No proxy: this is loopback.
answers() {
  [ "$(curl --noproxy '*' -s -o /dev/null -m 30 -w '%{http_code}' -H "Authorization: Token $token" "$url/api/status/")" = 200 ]
}

# True when the pid in FILE is alive and its command line has TEXT: pids are reused, files survive a reboot.
runs() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2"
}
uwsgi_runs() { runs "$work/uwsgi.pid" "$work/uwsgi.ini"; }
redis_runs() { runs "$work/redis.pid" ":$redis_port"; }
postgres_runs() { [ -f "$data/postmaster.pid" ] && as_database_user "$pg_bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }
not() { ! "$@"; }

# PostgreSQL refuses to run as root, so as root we use the user which its package made.
as_database_user() {
  if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u postgres -- "$@"); else "$@"; fi
}

# Debian keeps the server's programs out of PATH, one folder per version.
find_postgres() {
  pg_bin=$(for bin in /usr/lib/postgresql/*/bin; do
    number=${bin#/usr/lib/postgresql/}; number=${number%/bin}
    [ -x "$bin/initdb" ] && [ "${number%%.*}" -ge 14 ] 2>/dev/null && echo "$number $bin"
  done | sort -n | tail -1 | cut -d' ' -f2)
  [ -n "$pg_bin" ]
}

install_all() {
  [ "$(uname)" = Linux ] || skip "the recipe is for Linux with apt"
  local missing=()
  find_postgres || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v curl >/dev/null || missing+=(curl)
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || skip "missing ${missing[*]}, and there is no apt-get to install them with"
    local root=()
    if [ "$(id -u)" != 0 ]; then
      sudo -n true 2>/dev/null || skip "missing ${missing[*]}; run as root: apt-get install ${missing[*]}"
      root=(sudo -n)
    fi
    say "installing ${missing[*]}"
    { "${root[@]}" apt-get update -q && "${root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q -o DPkg::Lock::Timeout=600 --no-install-recommends "${missing[@]}"; } >"$work/apt.log" 2>&1 ||
      skip "apt-get could not install ${missing[*]} (see $work/apt.log)"
    find_postgres || skip "PostgreSQL 14 or newer is not in this machine's apt sources"
  fi
  [ -x "$venv/bin/nautobot-server" ] && return
  local python=${NAUTOBOT_PYTHON:-python3}
  "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null ||
    skip "$python is not a Python 3.10 to 3.13 with venv: set NAUTOBOT_PYTHON"
  say "installing nautobot $version with $python"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "nautobot==$version" >"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not install nautobot==$version (see $work/pip.log)"; }
}

start_postgres() {
  mkdir -p "$work/pg"
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$work/pg"
    as_database_user test -x "$work/pg" ||
      skip "user postgres cannot enter $work (a parent folder is private): set INFRAHUB_SYNC_LIVE_DIR elsewhere"
  fi
  [ -f "$data/PG_VERSION" ] ||
    as_database_user "$pg_bin/initdb" -D "$data" -A trust -U postgres --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  postgres_runs && return
  # Nothing here needs to survive a power cut, so nothing waits for the disk.
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

sql() { "$pg_bin/psql" -q -h 127.0.0.1 -p "$pg_port" -U postgres -v ON_ERROR_STOP=1 "$@"; }

# A migrated Nautobot with user admin and the token.
build_database() {
  [ -f "$NAUTOBOT_ROOT/nautobot_config.py" ] || nautobot-server init --disable-installation-metrics >"$work/init.log" 2>&1
  [ -f "$work/database-ready" ] && return
  sql -c "drop database if exists nautobot" 2>/dev/null
  sql -c "create database nautobot"
  # The dump's owner.
  sql -tAc "select 1 from pg_roles where rolname = 'nautobot'" | grep -q 1 || sql -c "create role nautobot superuser"
  if [ -n "$dump" ]; then
    say "restoring the database"
    "$pg_bin/pg_restore" -h 127.0.0.1 -p "$pg_port" -U postgres -d nautobot -j 2 "$dump"
  else
    say "migrating an empty database, which takes about five minutes"
    nautobot-server migrate --no-input >"$work/migrate.log" 2>&1 || fail "the database could not be migrated (see $work/migrate.log)"
  fi
  TOKEN=$token nautobot-server nbshell --command '
import os
from django.contrib.auth import get_user_model
from nautobot.users.models import Token
user, _ = get_user_model().objects.get_or_create(username="admin")
user.is_superuser = user.is_staff = True
user.set_password("admin")
user.save()
Token.objects.get_or_create(user=user, key=os.environ["TOKEN"])
' >"$work/token.log" 2>&1 || fail "the API token could not be made (see $work/token.log)"
  printf %s "$token" >"$work/token"
  : >"$work/database-ready"
}

start_uwsgi() {
  cat >"$work/uwsgi.ini" <<INI
[uwsgi]
http = 127.0.0.1:$port
http-keepalive = 1
http-auto-chunked = true
http-timeout = 300
harakiri = 300
processes = 2
master = true
enable-threads = true
single-interpreter = true
buffer-size = 65535
die-on-term = true
module = nautobot.core.wsgi
pidfile = $work/uwsgi.pid
INI
  if ! uwsgi_runs; then
    (cd "$work" && exec setsid nohup nautobot-server start --ini "$work/uwsgi.ini") >"$work/uwsgi.log" 2>&1 </dev/null 9>&- &
  fi
  wait_until 300 answers || { tail -20 "$work/uwsgi.log" >&2; fail "Nautobot does not answer on $url (see $work/uwsgi.log)"; }
}

report() {
  cat <<TEXT
nautobot $version on $url
token (Authorization: Token …)  $work/token ($token)
TEXT
}

# One command at a time. Servers must not inherit descriptor 9 (see 9>&-).
take_lock() {
  mkdir -p "$work" "$NAUTOBOT_ROOT"
  exec 9>"$work/lock"
  flock 9
}

up() {
  take_lock
  if answers; then report; return; fi
  install_all
  start_postgres
  start_redis
  build_database
  start_uwsgi
  report
}

down() {
  take_lock
  if uwsgi_runs; then
    kill -INT "$(cat "$work/uwsgi.pid")"
    wait_until 60 not uwsgi_runs || fail "uWSGI does not stop"
  fi
  if redis_runs; then
    kill "$(cat "$work/redis.pid")"
    wait_until 60 not redis_runs || fail "redis does not stop"
  fi
  if find_postgres && postgres_runs; then
    as_database_user "$pg_bin/pg_ctl" -w -D "$data" -m fast stop >/dev/null
  fi
  rm -f "$work/uwsgi.pid" "$work/redis.pid"
}

case ${1:-} in
  up) up ;;
  install) take_lock; install_all ;;
  down) down ;;
  status) if answers; then report; else say "not running on $url"; exit 3; fi ;;
  reset) down; rm -f "$work/database-ready"; up ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
