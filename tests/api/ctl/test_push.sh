# SPDX-License-Identifier: Apache-2.0
# test_push.sh - utapictl push: every shape of input, order, and exactly where it stops.
. "$3/tests/support/support.sh"

start_server --backend memory --no-auth

v2() { # BUCKET BYTES
    printf '{"operationId":"putObject","bucket":"%s","sizeDelta":%s,"objectDelta":1,"timestamp":1700000000000}' "$1" "$2"
}

v1() { # BUCKET BYTES
    printf '{"action":"putObject","reqUid":"r","timestamp":1700000000000,"params":{"bucket":"%s",' "$1"
    printf '"newByteLength":%s,"oldByteLength":null}}' "$2"
}

# objects BUCKET: how many the meter says there are.
objects() {
    "$utapictl" list --no-sign -p "$port" --buckets "$1" -s 2023-11-14 -e 2023-11-14 --json |
        tr -d ' \n' | sed 's/.*"numberOfObjects":\[[0-9]*,\([0-9]*\)\].*/\1/'
}

push() { # FLAG...: reads standard input; sets code, out, err.
    "$utapictl" push -p "$port" "$@" >"$tmp/push.out" 2>"$tmp/push.err"
    code=$?
    out=$(cat "$tmp/push.out")
    err=$(cat "$tmp/push.err")
}

# ---- shapes

{ v2 lines 1; echo; v1 lines 2; echo; v2 lines 3; } >"$tmp/lines"
push "$tmp/lines"
is "$code/$out" "0/3 events accepted" "one event a line, forms mixed"
is "$(objects lines)" 3 "one event a line"

{ printf '[\n'; v2 array 1; printf ',\n'; v1 array 1; printf '\n]\n'; } >"$tmp/array"
push - <"$tmp/array"
is "$code/$out" "0/2 events accepted" "an array on standard input"
is "$(objects array)" 2 "an array"

{ printf '['; v2 arrays 1; printf ']\n[]\n['; v2 arrays 1; printf ','; v2 arrays 1; printf ']\n'; } | push
push --quiet </dev/null
is "$code/$out/$err" "0//" "nothing at all, quietly"
is "$(objects arrays)" 3 "one array a line"

i=0
while [ $i -lt 25 ]; do v2 many 1; echo; i=$((i + 1)); done >"$tmp/many"
push --batch 10 "$tmp/many"
is "$code/$(objects many)" "0/25" "batches of 10"
push --batch 10 --skip 20 "$tmp/many"
is "$code/$(objects many)" "0/30" "--skip 20 of 25"

# ---- where it stops

{ v2 bad 1; echo; echo; v2 bad 1; echo; v2 bad 1.5; echo; v2 bad 1; echo; } >"$tmp/bad"
push "$tmp/bad"
is "$code" 4 "exit code of a bad event"
has "$err" "line 4, event 3: InvalidParameterValue: sizeDelta" "a bad event"
has "$err" "2 events were accepted; to go on from there: --skip 2" "a bad event"
is "$(objects bad)" 2 "events before a bad one count, those after do not"

{ v2 late 1; echo; v1 late 1; echo; v1 late '"x"'; echo; v1 late 1; } | sed 's/late/other/4' >"$tmp/late"
push "$tmp/late"
has "$err" "line 3, event 3: InvalidParameterValue: newByteLength" "a bad event of V1"
is "$(objects late)" 2 "events of both forms before a bad one"

{ v2 broken 1; echo; v2 broken 1; echo; echo '{"operationId": }'; v2 broken 1; } >"$tmp/broken"
push "$tmp/broken"
is "$code" 1 "exit code of broken JSON"
has "$err" "line 3: unexpected token" "broken JSON"
has "$err" "2 events were accepted" "broken JSON"
is "$(objects broken)" 2 "events before broken JSON"

{ v2 first x; echo; } | push
push "$tmp/nowhere"
is "$code" 1 "exit code of a missing file"
has "$err" "nowhere: No such file" "a missing file"
push "$tmp/lines" "$tmp/lines"
is "$code" 2 "exit code of two files"
push --batch 0
is "$code" 2 "exit code of --batch 0"
has "$err" "--batch: expected a whole number from 1" "--batch 0"

# A uuid counts once; without one, an event counts again.
printf '{"operationId":"putObject","uuid":"u1","bucket":"once","objectDelta":1,"timestamp":1700000000000}\n' >"$tmp/once"
push "$tmp/once"
push "$tmp/once"
is "$code/$(objects once)" "0/1" "an event with a uuid, twice"

stop_server TERM
push --retries 0 "$tmp/lines"
is "$code" 5 "exit code without a server"
has "$err" "no event was accepted" "without a server"

finish
