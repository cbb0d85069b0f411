#!/usr/bin/env bash
# A real Infrahub on loopback for the live tests: RabbitMQ and Redis from apt, Neo4j's library from Maven, Prefect,
# Infrahub's server and its task worker from pip. No containers, no user interface.
#
#   tests/live/infrahub.sh up [SCHEMA.yml...]     install what is missing, start everything, load the schemas,
#                                                 print the address and the token
#   tests/live/infrahub.sh install                install what is missing, and start nothing
#   tests/live/infrahub.sh load [--branch B] SCHEMA.yml...   load schemas; what is there already changes nothing
#   tests/live/infrahub.sh status                 exit 0 when it answers, 3 when it does not
#   tests/live/infrahub.sh reset [SCHEMA.yml...]  forget all data and schemas, up: an empty Infrahub again
#   tests/live/infrahub.sh down                   stop what `up` started; the data stays for the next `up`
#
# Exit codes: 0 done; 1 it should have worked and did not; 2 usage; 3 not running (status, load);
# 77 skipped, because this machine lacks something, which the last line names.
#
# Environment (all optional):
#   INFRAHUB_SYNC_LIVE_DIR   parent of the working directory (default target/live; ours is its `infrahub`)
#   INFRAHUB_PORT            the API's port (58000)
#   INFRAHUB_INNER_PORTS     the first of eight ports in a row for what is behind it (18020)
#   INFRAHUB_WORKERS         server processes (1)
#   INFRAHUB_VERSION         1.11.9
#   INFRAHUB_PYTHON          the interpreter to use instead of looking for one
#   INFRAHUB_VENV            the virtual environment (default: in the working directory)
#   INFRAHUB_TEST_TOKEN      the administrator's API token in an empty database
#   JAVA_HOME                a JDK of version 21 or newer; else one below /usr/lib/jvm
#
# Working directory:
#   venv/ jars/       the programs
#   data/             database, Prefect's database, file storage; data-ready is written last
#   empty-VERSION/    the database as Infrahub leaves it after its first start: `reset` copies it
#   run/              folders of what keeps nothing
#   token             the API token of user admin (password infrahub)
#   *.pid *.log lock
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)

version=${INFRAHUB_VERSION:-1.11.9}
port=${INFRAHUB_PORT:-58000}
inner=${INFRAHUB_INNER_PORTS:-18020}
bolt_port=$inner
amqp_port=$((inner + 1))
rabbit_http_port=$((inner + 2))
erlang_port=$((inner + 3))
epmd_port=$((inner + 4))
redis_port=$((inner + 5))
prefect_port=$((inner + 6))
metrics_port=$((inner + 7))
# It opens nothing but this loopback server.
token=${INFRAHUB_TEST_TOKEN:-06438eb2-8019-4776-878c-0941b1f1d1ec}
# What the task worker logs in with; fixed, so that a kept database stays usable.
agent_token=7e57ab1e-0000-4000-8000-000000000001
url=http://127.0.0.1:$port
prefect_url=http://127.0.0.1:$prefect_port

live=${INFRAHUB_SYNC_LIVE_DIR:-target/live}
case $live in /*) ;; *) live=$repository/$live ;; esac
work=$live/infrahub
venv=${INFRAHUB_VENV:-$work/venv}
jars=$work/jars
data=$work/data
empty=$work/empty-$version
run=$work/run
rabbit_server=/usr/lib/rabbitmq/bin/rabbitmq-server
# All that `up` starts, in the order of starting.
services=(neo4j redis epmd rabbit prefect server worker)

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

# ---------------------------------------------------------------- processes

# Field 22 of /proc/PID/stat. A pid with its start time is never another process, not even after a reboot;
# a command line would not do, because Redis and gunicorn rewrite theirs.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# spawn NAME COMMAND...: in a session of its own, so that it outlives this script's shell and can be killed with all
# its children. The pid file has pid and start time.
spawn() {
  local name=$1 pid; shift
  (cd "$run" && exec setsid "$@") >"$work/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  # Else bash would report it as killed.
  disown "$pid"
  echo "$pid $(started_at "$pid")" >"$work/$name.pid"
}
runs() {
  local pid time
  read -r pid time 2>/dev/null <"$work/$1.pid" && [ -n "$time" ] && [ "$(started_at "$pid")" = "$time" ]
}
signal() { # signal NAME TERM|KILL
  local pid
  runs "$1" || return 0
  read -r pid _ <"$work/$1.pid"
  # TERM to the leader, which knows what to do with its children; KILL to all of them.
  if [ "$2" = KILL ]; then kill -KILL -- "-$pid" 2>/dev/null || true; else kill -TERM "$pid" 2>/dev/null || true; fi
}
none_runs() { local name; for name; do ! runs "$name" || return 1; done; }

# stop SECONDS NAME...: asks them to end, and ends what is left after that time.
stop() {
  local seconds=$1 name; shift
  for name; do signal "$name" TERM; done
  wait_until "$seconds" none_runs "$@" || for name; do signal "$name" KILL; done
  wait_until 20 none_runs "$@" || fail "of $* something does not end even on SIGKILL (pids in $work/*.pid)"
  for name; do rm -f "$work/$name.pid"; done
}

# ready NAME SECONDS CONDITION...: waits for the condition as long as the process lives.
ready() {
  local name=$1 rounds=$(($2 * 4)) how; shift 2
  while ! "$@" >/dev/null 2>&1; do
    how=
    runs "$name" || how="ended right away"
    ((rounds-- > 0)) || how="is not ready in time"
    if [ -n "$how" ]; then
      tail -5 "$work/$name.log" >&2
      fail "$name $how; its log is $work/$name.log. After a look: \`$0 down\`, then \`$0 up\`, or \`$0 reset\` for an empty database"
    fi
    sleep 0.25
  done
}

# ---------------------------------------------------------------- conditions

# No proxy, here and in all that is started: this is loopback.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
get() { curl --noproxy '*' -s -f -m 30 "$@"; }

# A logged-in answer proves server, database and token at once: nobody else has an account.
answers() {
  get -H "X-INFRAHUB-KEY: $(cat "$work/token" 2>/dev/null || echo "$token")" -H 'content-type: application/json' \
    -d '{"query":"{AccountProfile{id}}"}' "$url/graphql" 2>/dev/null | grep -q '"id"'
}
open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
all_open() { local number; for number; do open "$number" || return 1; done; }
prefect_healthy() { get "$prefect_url/api/health"; }
server_healthy() { get "$url/api/schema/summary"; }
# The worker polls for tasks only after it has registered with Prefect; a schema load before that would hang.
worker_online() {
  get -H 'content-type: application/json' -d '{}' "$prefect_url/api/work_pools/infrahub-worker/workers/filter" |
    grep -q '"ONLINE"'
}

# ---------------------------------------------------------------- what the machine has

# Debian 12 has no JDK above 17, hence also the ones which others install below /usr/lib/jvm.
find_java() {
  local home number
  for home in "${JAVA_HOME:-}" /usr/lib/jvm/*; do
    [ -x "$home/bin/java" ] && [ -x "$home/bin/javac" ] || continue
    number=$("$home/bin/java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    if [ "${number:-0}" -ge 21 ]; then java=$home/bin/java; return; fi
  done
  return 1
}
have_jars() { [ -d "$jars" ]; }

install_packages() {
  local missing=()
  command -v curl >/dev/null || missing+=(curl)
  command -v redis-server >/dev/null || missing+=(redis-server)
  [ -x "$rabbit_server" ] || missing+=(rabbitmq-server)
  have_jars || command -v mvn >/dev/null || missing+=(maven)
  find_java || missing+=(openjdk-21-jdk-headless)
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
    { tail -5 "$log" >&2; skip "apt-get could not install ${missing[*]} (see $log; a JDK from elsewhere: set JAVA_HOME)"; }
  find_java || skip "no JDK of version 21 or newer: set JAVA_HOME"
}

python_fits() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info < (3, 15))' >/dev/null 2>&1
}
find_python() {
  local candidate
  if [ -n "${INFRAHUB_PYTHON:-}" ]; then
    python_fits "$INFRAHUB_PYTHON" || skip "INFRAHUB_PYTHON=$INFRAHUB_PYTHON is not a Python 3.12 to 3.14 with venv"
    echo "$INFRAHUB_PYTHON"; return
  fi
  for candidate in python3.12 python3.13 python3.14 python3 "$HOME"/.pyenv/versions/3.1[234]*/bin/python; do
    # An interpreter that pyenv has but did not select answers through its shim with an error: it does not fit.
    if python_fits "$candidate"; then command -v "$candidate"; return; fi
  done
  skip "no Python 3.12 to 3.14 with venv (Debian: python3.12 python3.12-venv; or INFRAHUB_PYTHON=…)"
}

install_infrahub() {
  [ -e "$venv/infrahub-server-$version" ] && return
  local python
  python=$(find_python) || exit $?
  say "installing infrahub-server $version with $python"
  [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
  # graphql-core 3.2.10 has moved an argument which this server passes by position: its errors become tracebacks.
  "$venv/bin/pip" install -q --disable-pip-version-check "infrahub-server==$version" "graphql-core<3.2.10" \
    >"$work/pip.log" 2>&1 ||
    { tail -5 "$work/pip.log" >&2; skip "pip could not install infrahub-server==$version (see $work/pip.log)"; }
  : >"$venv/infrahub-server-$version"
}

install_neo4j() {
  have_jars && return
  say "downloading Neo4j's library"
  rm -rf "$jars.part"
  mvn -B -q -f "$here/infrahub/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$jars.part" >"$work/maven.log" 2>&1 ||
    { tail -5 "$work/maven.log" >&2; skip "Maven could not download Neo4j (see $work/maven.log)"; }
  mv "$jars.part" "$jars"
}

# ---------------------------------------------------------------- the seven servers

start_neo4j() {
  spawn neo4j "$java" -Xms512m -Xmx2g --enable-native-access=ALL-UNNAMED \
    --add-opens=java.base/java.nio=ALL-UNNAMED --add-modules=jdk.incubator.vector \
    -cp "$jars/*" "$here/infrahub/Neo4j.java" "$data/neo4j" "$bolt_port"
}

# The queue and the cache keep nothing over a restart.
start_redis() {
  spawn redis redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$run"
}

start_rabbit() {
  local home=$run/rabbit
  rm -rf "$home"
  mkdir -p "$home/log"
  cat >"$home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp_port
management.tcp.ip = 127.0.0.1
management.tcp.port = $rabbit_http_port
default_user = infrahub
default_pass = infrahub
CONF
  echo '[rabbitmq_management].' >"$home/enabled_plugins"
  # Erlang's name service, in the foreground: by itself RabbitMQ would start one that outlives it.
  spawn epmd epmd -address 127.0.0.1 -port "$epmd_port"
  ready epmd 20 open "$epmd_port"
  spawn rabbit env HOME="$home" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd_port" \
    RABBITMQ_NODENAME=infrahub-live@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT="$erlang_port" \
    RABBITMQ_BASE="$home" RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" \
    RABBITMQ_CONFIG_FILE="$home/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
    RABBITMQ_PID_FILE="$home/pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' "$rabbit_server"
}

# What Prefect, the server and the worker read. The secrets protect a throwaway server.
configure() {
  export INFRAHUB_ADDRESS=$url INFRAHUB_INTERNAL_ADDRESS=$url
  export INFRAHUB_INITIAL_ADMIN_TOKEN=$token INFRAHUB_INITIAL_ADMIN_PASSWORD=infrahub
  export INFRAHUB_INITIAL_AGENT_TOKEN=$agent_token INFRAHUB_SECURITY_SECRET_KEY=live-tests-only
  export INFRAHUB_DB_ADDRESS=127.0.0.1 INFRAHUB_DB_PORT=$bolt_port
  export INFRAHUB_CACHE_ADDRESS=127.0.0.1 INFRAHUB_CACHE_PORT=$redis_port
  export INFRAHUB_BROKER_ADDRESS=127.0.0.1 INFRAHUB_BROKER_PORT=$amqp_port
  export INFRAHUB_BROKER_RABBITMQ_HTTP_PORT=$rabbit_http_port
  export INFRAHUB_WORKFLOW_ADDRESS=127.0.0.1 INFRAHUB_WORKFLOW_PORT=$prefect_port
  export INFRAHUB_STORAGE_LOCAL_PATH=$data/storage
  export INFRAHUB_GIT_REPOSITORIES_DIRECTORY=$data/repositories INFRAHUB_GIT_GLOBAL_CONFIG_FILE=$run/gitconfig
  export PREFECT_API_URL=$prefect_url/api PREFECT_HOME=$data/prefect
  export PREFECT_API_DATABASE_CONNECTION_URL="sqlite+aiosqlite:///$data/prefect/prefect.db"
  export PREFECT_REDIS_MESSAGING_HOST=127.0.0.1 PREFECT_REDIS_MESSAGING_PORT=$redis_port PREFECT_REDIS_MESSAGING_DB=1
  # A schema load hands the whole schema over as a parameter: more than the 512 KiB that Prefect takes by default.
  export PREFECT_SERVER_API_MAX_PARAMETER_SIZE=$((20 << 20))
  # Nothing calls home.
  export INFRAHUB_TELEMETRY_OPTOUT=true DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_UI_ENABLED=false
  printf '[user]\n\tname = Infrahub\n\temail = infrahub@localhost\n[safe]\n\tdirectory = *\n' >"$run/gitconfig"
}

# --app-dir: uvicorn would put the working directory first in the module path.
start_prefect() {
  spawn prefect "$venv/bin/uvicorn" --app-dir / --host 127.0.0.1 --port "$prefect_port" \
    --factory infrahub.prefect_server.app:create_infrahub_prefect
}

start_server() {
  spawn server "$venv/bin/gunicorn" --bind "127.0.0.1:$port" --workers "${INFRAHUB_WORKERS:-1}" \
    --worker-class uvicorn.workers.UvicornWorker --timeout 300 --log-level warning infrahub.server:app
}

start_worker() {
  spawn worker env INFRAHUB_API_TOKEN="$agent_token" PATH="$venv/bin:$PATH" PYTHONPATH="$here/infrahub/loopback" \
    INFRAHUB_METRICS_PORT="$metrics_port" \
    "$venv/bin/prefect" worker start --type infrahubasync --pool infrahub-worker
}

# Waits are generous, because a parallel cargo build can have both cores.
start_behind() {
  mkdir -p "$run" "$data"/{prefect,storage,repositories}
  configure
  start_neo4j
  start_redis
  start_rabbit
  ready redis 60 open "$redis_port"
  start_prefect
  ready neo4j 300 open "$bolt_port"
  ready rabbit 300 all_open "$amqp_port" "$rabbit_http_port"
  ready prefect 300 prefect_healthy
}

# An empty Infrahub. Its first start writes its own schema into the database, which takes longer than all the rest
# together; hence the copy, taken while nothing runs. Made here, once, rather than carried along: it is quick enough.
build_database() {
  [ -f "$work/data-ready" ] && return
  rm -rf "$data"
  if [ ! -f "$empty/ready" ] || [ "$(cat "$empty/token")" != "$token" ]; then
    say "initialising an empty database"
    start_behind
    start_server
    ready server 600 server_healthy
    halt
    rm -rf "$empty"
    mkdir -p "$empty"
    mv "$data" "$empty/data"
    printf %s "$token" >"$empty/token"
    : >"$empty/ready"
  fi
  cp -a "$empty/data" "$data"
  cp "$empty/token" "$work/token"
  : >"$work/data-ready"
}

# ---------------------------------------------------------------- commands

report() {
  cat <<TEXT
infrahub $version on $url (user admin, password infrahub)
token (X-INFRAHUB-KEY: …)   $work/token ($(cat "$work/token"))
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
  install_infrahub
  install_neo4j
}

load_schemas() {
  [ $# -gt 0 ] || return 0
  say "loading ${*##*/}"
  # --wait: until the server's processes have all taken the schema over.
  INFRAHUB_ADDRESS=$url INFRAHUB_API_TOKEN=$(cat "$work/token") \
    "$venv/bin/infrahubctl" schema load --wait 60 "$@" >"$work/load.log" 2>&1 9>&- ||
    { tail -20 "$work/load.log" >&2; fail "the schema was not loaded (see $work/load.log, $work/worker.log)"; }
}

up() {
  take_lock
  if ! { answers && runs worker; }; then
    # What a killed `up` has left.
    halt
    local number
    for number in "$port" $(seq "$inner" "$metrics_port"); do
      ! open "$number" || fail "port $number is taken by another program: set INFRAHUB_PORT or INFRAHUB_INNER_PORTS"
    done
    install_all
    build_database
    start_behind
    start_server
    ready server 60 answers
    start_worker
    ready worker 300 worker_online
  fi
  load_schemas "$@"
  report
}

halt() {
  stop 5 worker server prefect
  # Neo4j writes a checkpoint when it is asked to end; the others have nothing to write.
  stop 60 neo4j
  stop 0 rabbit redis epmd
}

down() { take_lock; halt; }

reset() {
  take_lock
  # Nothing of it is kept, so nothing needs to end in order.
  stop 0 "${services[@]}"
  rm -rf "$work/data-ready" "$data"
  up "$@"
}

# Schema files are named from where the caller is; a wrong name is told before minutes of starting.
check_files() {
  local file
  for file; do
    case $file in *.yml | *.yaml | *.json) [ -f "$file" ] || { say "error: there is no file $file"; exit 2; } ;; esac
  done
}

command=${1:-}
[ $# -eq 0 ] || shift
check_files "$@"
case $command in
  up) up "$@" ;;
  install) take_lock; install_all ;;
  load)
    [ $# -gt 0 ] || { say "error: load what? \`$0 load SCHEMA.yml...\`"; exit 2; }
    answers || { say "not running on $url: \`$0 up\` first"; exit 3; }
    load_schemas "$@" ;;
  down) down ;;
  status) if answers && runs worker; then report; else say "not running on $url"; exit 3; fi ;;
  reset) reset "$@" ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
