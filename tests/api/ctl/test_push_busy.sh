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
is "$code" 3 "exit code of a server that stays busy"
has "$err" "line 3, event 3: ServiceUnavailable" "a server that stays busy"
has "$err" "2 events were accepted; to go on from there: --skip 2" "a server that stays busy"

push_to "200 drop" --batch 1
is "$code" 5 "exit code of a lost answer"
has "$err" "line 2, event 2: " "a lost answer"
has "$err" "not known" "a lost answer"
has "$err" "1 event was accepted" "a lost answer"

push_to "500"
is "$code" 3 "exit code of 500"
has "$err" "lines 1 to 3, events 1 to 3: " "an internal error"
has "$err" "not known" "an internal error"

push_to "400"
is "$code" 4 "exit code of a refusal"

# ---- a server that is away: what can be repeated safely is

printf '{"operationId":"a","uuid":"1"}\n{"operationId":"b","uuid":"2"}\n' >"$tmp/events"
push_to "drop 200"
is "$code/$out" "0/2 events accepted" "events with uuids, an answer that was lost"
has "$err" "trying again" "an answer that was lost"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$utapictl" push -p "$port" --retries 1 "$tmp/events" >"$tmp/push.out" 2>"$tmp/push.err"
is $? 5 "exit code of a server that stays away"
has "$(cat "$tmp/push.err")" "no event was accepted" "a server that stays away"

printf '{"operationId":"a"}\n' >"$tmp/plain" # nothing was sent, so no uuid is needed
"$utapictl" push -p "$port" "$tmp/plain" >"$tmp/push.out" 2>"$tmp/push.err" &
pusher=$!
sleep 0.5
python3 "$(dirname "$0")/busy_server.py" --port "$port" 200 >"$tmp/port" &
server=$!
wait "$pusher"
is "$?/$(cat "$tmp/push.out")" "0/1 event accepted" "a server that starts again"
wait "$server"
server=

# ---- interrupted: the request that is under way is finished

# interrupt_at SECONDS ANSWER...: sets code, err.
interrupt_at() {
    : >"$tmp/port"
    seconds=$1
    shift
    python3 "$(dirname "$0")/busy_server.py" "$@" >"$tmp/port" &
    server=$!
    while [ ! -s "$tmp/port" ]; do sleep 0.05; done
    # A shell has what it starts in the background ignore SIGINT, so Python starts it.
    python3 -c '
import signal, subprocess, sys, time
pusher = subprocess.Popen(sys.argv[2:], stderr=sys.stderr)
time.sleep(float(sys.argv[1]))
pusher.send_signal(signal.SIGINT)
sys.exit(pusher.wait())' "$seconds" "$utapictl" push --batch 1 -p "$(cat "$tmp/port")" "$tmp/events" 2>"$tmp/push.err"
    code=$?
    err=$(cat "$tmp/push.err")
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
}

interrupt_at 0.5 slow slow
is "$code" 130 "exit code of an interrupt"
has "$err" "1 event was accepted; to go on from there: --skip 1" "an interrupt"

interrupt_at 0.5 503 503 503 503 503 503
is "$code" 130 "exit code of an interrupt while it waits"
has "$err" "no event was accepted" "an interrupt while it waits"

finish
