# SPDX-License-Identifier: Apache-2.0
# test_journal.sh - a journal before LMDB, and utapictl journal: its figures, its exit codes.
. "$3/tests/support/support.sh"

ndjson=$source_dir/tests/samples/cloudserver-v2-ingest.ndjson

journal() { # FLAG...: sets code, out, err.
    "$utapictl" journal -p "$port" "$@" >"$tmp/journal.out" 2>"$tmp/journal.err"
    code=$?
    out=$(cat "$tmp/journal.out")
    err=$(cat "$tmp/journal.err")
}

# ---- without a journal

start_server --backend lmdb --no-auth
journal
is "$code" 0 "exit code without a journal"
has "$out" "the server has no journal" "a server without a journal"
journal --json
is "$out" "{}" "the healthcheck without a journal"
journal --refused
is "$code" 0 "exit code of --refused without a journal"
has "$out" "there is no dead letter" "--refused without a journal"
"$utapictl" push -p "$port" --quiet "$ndjson" || fail "push"
expected=$("$utapictl" list --no-sign -p "$port" -m service -s 2023-11-14 -e 2023-11-16)
stop_server TERM
rm -rf "$tmp/data"

# ---- with one

export UTAPI_JOURNAL=true
start_server --backend lmdb --no-auth
[ -d "$tmp/data/journal" ] || fail "the journal is not in the folder of the data"
"$utapictl" push -p "$port" --quiet "$ndjson" || fail "push into a journal"
is "$("$utapictl" list --no-sign -p "$port" -m service -s 2023-11-14 -e 2023-11-16)" "$expected" "what was pushed"
journal --drain --timeout 60
is "$code" 0 "exit code of --drain"
has "$out" "status        ok" "the status"
has "$out" "waiting       0 events wait" "what waits"
has "$out" "of 4.0 GiB used" "the room"
has "$out" "dead letters  0 events" "the dead letters"
has "$out" "lost          0 events" "what was lost"
journal --json
has "$(printf %s "$out" | tr -d ' \n')" '{"status":"ok","journal":{"waiting":0,"oldestAgeMs":0,"usedBytes":' "JSON"
"$utapictl" push -p "$port" --quiet "$ndjson" || fail "the same events again"
is "$("$utapictl" list --no-sign -p "$port" -m service -s 2023-11-14 -e 2023-11-16)" "$expected" "the same events again"

err=$(UTAPI_JOURNAL_PATH=$tmp/data/journal "$utapid" --port 0 --data "$tmp/other" 2>&1)
is $? 1 "exit code of a second utapid on the same journal"
has "$err" "$tmp/data/journal" "a second utapid on the same journal"

# ---- it outlives kill -9

kill -9 "$server"
wait "$server" 2>/dev/null
start_server --backend lmdb --no-auth
is "$("$utapictl" list --no-sign -p "$port" -m service -s 2023-11-14 -e 2023-11-16)" "$expected" "after kill -9"

# ---- the command line

journal spare
is "$code" 2 "exit code of an argument"
journal --drain --refused
is "$code" 2 "exit code of two things at once"
journal --timeout soon
is "$code" 2 "exit code of a time-out that is none"
has "$err" "--timeout: expected a whole number" "a time-out that is none"
stop_server TERM
is "$code" 0 "exit code after SIGTERM"
journal
is "$code" 5 "exit code when nobody answers"

finish
