# SPDX-License-Identifier: Apache-2.0
# test_push_busy.sh - utapictl push against a server that is busy, or breaks off.
. "$3/tests/support/support.sh"

# push_to "ANSWERS" FLAG...: sets code, out, err.
push_to() {
    : >"$tmp/port"
    # shellcheck disable=SC2086 # ANSWERS is a list
    python3 "$(dirname "$0")/busy_server.py" $1 >"$tmp/port" 2>"$tmp/log" &
    server=$!
    tries=0
    while [ ! -s "$tmp/port" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    shift
    "$utapictl" push -p "$(cat "$tmp/port")" "$@" "$tmp/events" >"$tmp/push.out" 2>"$tmp/push.err"
    code=$?
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
    out=$(cat "$tmp/push.out")
    err=$(cat "$tmp/push.err")
}

printf '{"operationId":"a"}\n{"operationId":"b"}\n{"operationId":"c"}\n' >"$tmp/events"

push_to "503 503 200"
is "$code/$out" "0/3 events accepted" "busy twice, then not"

push_to "200 503 503" --batch 2 --retries 1
is "$code" 1 "exit code of a server that stays busy"
has "$err" "line 3, event 3: ServiceUnavailable" "a server that stays busy"
has "$err" "2 events were accepted; to go on from there: --skip 2" "a server that stays busy"

push_to "200 drop" --batch 1
is "$code" 1 "exit code of a lost answer"
has "$err" "line 2, event 2: " "a lost answer"
has "$err" "not known" "a lost answer"
has "$err" "1 event was accepted" "a lost answer"

push_to "500"
is "$code" 1 "exit code of 500"
has "$err" "lines 1 to 3, events 1 to 3: " "an internal error"
has "$err" "not known" "an internal error"

finish
