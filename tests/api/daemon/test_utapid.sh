# SPDX-License-Identifier: Apache-2.0
# test_utapid.sh - utapid from outside: its command line, its one line of output, its signals, its exit codes.
. "$3/tests/support/support.sh"

# ---- the command line

out=$("$utapid" --help) || fail "--help exits with $?"
for words in --config --port --bind --backend --data --auth-file --no-auth --check --version UTAPI_PORT 8100 \
    limits.maxEvents; do
    has "$out" "$words" "--help"
done
has "$("$utapid" --version)" "utapid 0." "--version"

for arguments in --colour "--port" "spare argument" "--check spare"; do
    err=$("$utapid" $arguments 2>&1 >/dev/null)
    is $? 2 "exit code of utapid $arguments"
    has "$err" "utapid: " "utapid $arguments"
    has "$err" "--help" "utapid $arguments"
done

# ---- settings

err=$("$utapid" --port 70000 2>&1)
is $? 2 "exit code of a bad value"
has "$err" "utapid: --port: expected a whole number from 0 to 65535, not 70000" "a bad flag"

printf '{"prot": 1}' >"$tmp/bad.json"
err=$("$utapid" --config "$tmp/bad.json" 2>&1)
is $? 1 "exit code of a bad file"
has "$err" "bad.json: prot: there is no such key; did you mean port?" "a bad file"
err=$(UTAPI_CONFIG_FILE=$tmp/bad.json "$utapid" --check 2>&1)
is $? 1 "exit code of --check with a bad file"

out=$("$utapid" --check --config "$source_dir/docs/examples/utapid.json")
is $? 0 "exit code of --check"
has "$out" "the configuration is valid" "--check"
out=$("$utapid" --check --config "$source_dir/docs/examples/cloudserver-config.json")
has "$out" "ignored, for they do not apply here: vaultd" "CloudServer's file"

printf '{"utapi": {"workers": 1, "redis": {"host": "127.0.0.1", "port": 6379, "password": "geheim"}}, "localCache": {}}' \
    >"$tmp/redis.json"
out=$("$utapid" --check --config "$tmp/redis.json" 2>&1)
is $? 0 "exit code of --check with a file that asks for Redis"
is "$out" "utapid: the configuration is valid" "a file that asks for Redis"
err=$("$utapid" --check --redis "rediss://:geheim@127.0.0.1" 2>&1)
is $? 2 "exit code of a URI that is none"
is "$err" "utapid: --redis: expected a URI that begins with redis://, redis+unix:// or redis-sentinel://" "a URI"

# What a start would refuse, the check refuses, wherever the URI comes from; neither repeats the password.
printf '{"redis": {"url": "redis://:geheim@127.0.0.1/x"}}' >"$tmp/bad-redis.json"
printf '{"redis": {"sentinels": "127.0.0.1:0", "name": "utapi", "password": "geheim"}}' >"$tmp/bad-sentinels.json"
bad='Redis URI: database: expected a number'
for start in "" --check; do
    err=$("$utapid" $start --data "$tmp/none" --redis "redis://:geheim@127.0.0.1/x" 2>&1)
    is $? 1 "exit code of a database that is none, $start"
    has "$err" "$bad" "a database that is none, $start"
    err=$(UTAPI_REDIS_URL=redis://:geheim@127.0.0.1/x "$utapid" $start --data "$tmp/none" 2>&1)
    is $? 1 "exit code of a bad variable, $start"
    has "$err" "$bad" "a bad variable, $start"
    err=$("$utapid" $start --data "$tmp/none" --config "$tmp/bad-redis.json" 2>&1)
    is $? 1 "exit code of a bad URI in a file, $start"
    has "$err" "$bad" "a bad URI in a file, $start"
    is "$(printf %s "$err" | grep -c geheim)" 0 "passwords in a message, $start"
    err=$("$utapid" $start --data "$tmp/none" --config "$tmp/bad-sentinels.json" 2>&1)
    is $? 1 "exit code of a bad Sentinel, $start"
done
err=$(UTAPI_REDIS_CACHE_URL=redis://127.0.0.1/x "$utapid" --check 2>&1)
is $? 1 "exit code of a bad local cache"
has "$err" "$bad" "a bad local cache"

err=$(UTAPI_JOURNAL=false "$utapid" --check --redis "redis://127.0.0.1" 2>&1)
is $? 1 "exit code of Redis without a journal"
has "$err" "journal.enabled: events always go to the journal" "Redis without a journal"

for help in -h -V; do
    "$utapid" $help >"$tmp/help" || fail "utapid $help exits with $?"
done
has "$(cat "$tmp/help")" "utapid 0." "-V"

# Comments, slips in the environment, and where each value comes from.
printf '{"//": "who asked for this: ticket 4711", "limits": {"//": ["two", "lines"], "maxNames": 7},
    "admin": {"tokens": ["geheimgeheimgeheimgeheimgeheim12"]}, "redis": {"url": "redis://:geheim@127.0.0.1"}}' >"$tmp/commented.json"
out=$(UTAPI_PROT=5 UTAPI_WORKERS=3 "$utapid" --check --config "$tmp/commented.json")
is $? 0 "exit code of --check with comments"
has "$out" "the environment: ignored, for nothing is called so: UTAPI_PROT" "a slip in the environment"
out=$(UTAPI_WORKERS=3 "$utapid" --print-config --config "$tmp/commented.json" --port 7)
is $? 0 "exit code of --print-config"
for row in 'limits.maxNames": { "value": "7", "from": "file" }' 'workers": { "value": "3", "from": "environment" }' \
    '"port": { "value": "7", "from": "flag" }' 'bind": { "value": "127.0.0.1", "from": "default" }' \
    'admin.tokens": { "value": "***", "from": "file" }' 'redis.url": { "value": "***", "from": "file" }'; do
    has "$(printf %s "$out" | tr -s ' \n' ' ')" "$row" "--print-config"
done
is "$(printf %s "$out" | grep -c geheim)" 0 "secrets in --print-config"

printf '{"enabledOperationCounters": ["PutObject", "PutObjects", ""]}' >"$tmp/counters.json"
out=$("$utapid" --check --config "$tmp/counters.json" 2>&1)
is $? 0 "exit code of --check with an operation that nobody knows"
has "$out" 'enabledOperationCounters: ignored, for no operation is called so: "PutObjects", ""' "an unknown operation"

printf '{"accounts": 5}' >"$tmp/authdata.json"
err=$("$utapid" --check --auth-file "$tmp/authdata.json" 2>&1)
is $? 1 "exit code of a bad identity file"
has "$err" "accounts" "a bad identity file"

# ---- running

start_server --backend lmdb
is "$(cat "$tmp/out")" "utapid: listening on http://127.0.0.1:$port" "the line of a server that is ready"
is "$(grep -c 'so no key is known' "$tmp/log")" 1 "warnings about a missing identity file"
[ -d "$tmp/data" ] || fail "the data is not in --data"

err=$("$utapid" --port 0 --data "$tmp/data" 2>&1)
is $? 1 "exit code of a second utapid on the same data"
has "$err" "utapid: " "a second utapid on the same data"
has "$err" "$tmp/data" "a second utapid on the same data"
err=$("$utapid" --port "$port" --data "$tmp/other" 2>&1)
is $? 1 "exit code of a second utapid on the same port"
has "$err" "$port" "a second utapid on the same port"

for signal in PIPE HUP USR1 USR2; do
    kill "-$signal" "$server"
done
tries=0
until grep -q 'SIGHUP: the configuration was read again' "$tmp/log" || [ $tries -ge 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
[ $tries -lt 100 ] || fail "no line in the log about SIGHUP"
"$utapictl" list --no-sign -p "$port" --buckets b --recent >/dev/null 2>"$tmp/err"
has "$(cat "$tmp/err")" "InvalidRequest" "a question after signals that do not end the server"
stop_server TERM
is "$code" 0 "exit code after SIGTERM"

# Without standard streams the log goes nowhere, and not into the files of the storage.
"$utapid" --port 0 --data "$tmp/silent" <&- >&- 2>&- &
server=$!
tries=0
until [ -e "$tmp/silent/data.mdb" ] || [ $tries -ge 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
for stream in 0 1 2; do
    is "$(readlink "/proc/$server/fd/$stream")" /dev/null "stream $stream of a server that was given none"
done
stop_server TERM
is "$code" 0 "exit code of a server without streams"

start_server --backend memory --no-auth --bind ::1
is "$(cat "$tmp/out")" "utapid: listening on http://[::1]:$port" "the line of a server on IPv6"
is "$(grep -c 'so no key is known' "$tmp/log")" 0 "warnings with --no-auth"
out=$("$utapictl" list --no-sign -h ::1 -p "$port" --buckets b --recent) || fail "list over IPv6"
stop_server INT
is "$code" 0 "exit code after SIGINT"

# What the file says reaches the server: level buckets alone, a limit of two events.
printf '%s' '{"backend": "memory", "metrics": ["buckets"], "limits": {"maxEvents": 2}, "auth": {"enabled": false},
    "enabledOperationCounters": ["None"]}' >"$tmp/some.json"
start_server --config "$tmp/some.json"
event='{"operationId":"putObject","bucket":"b","account":"a","sizeDelta":5,"objectDelta":1}'
printf '%s\n%s\n' "$event" "$event" | "$utapictl" push -p "$port" --quiet || fail "two events in a request"
printf '%s\n%s\n%s\n' "$event" "$event" "$event" | "$utapictl" push -p "$port" --quiet 2>"$tmp/err" &&
    fail "three events in a request were accepted"
has "$(cat "$tmp/err")" "EntityTooLarge" "three events in a request"
is "$(grep -c "no operation is called so: .*None" "$tmp/log")" 1 "warnings about an unknown operation"
has "$("$utapictl" list --no-sign -p "$port" --buckets b -r --json | tr -d ' \n')" ',2],"operations"' "buckets"
has "$("$utapictl" list --no-sign -p "$port" --accounts a -r --json | tr -d ' \n')" '"numberOfObjects":[0,0]' "accounts"
stop_server TERM
is "$code" 0 "exit code after SIGTERM"

finish
