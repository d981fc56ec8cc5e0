# SPDX-License-Identifier: Apache-2.0
# test_admin.sh - utapictl adjust, expire and audit: through a server's socket, through its journal, in its folder.
. "$3/tests/support/support.sh"

admin() { # COMMAND ARGUMENT...: sets code, out, err.
    "$utapictl" "$@" --data "$tmp/data" >"$tmp/admin.out" 2>"$tmp/admin.err"
    code=$?
    out=$(cat "$tmp/admin.out")
    err=$(cat "$tmp/admin.err")
}

stored() { # Bytes of bucket b.
    curl -sf "http://127.0.0.1:$port/v2/storage/buckets/b" | sed 's/[^0-9]*\([0-9]*\).*/\1/'
}

id=00112233445566778899aabbccddeeff
put='[{"operationId":"putObject","bucket":"b","sizeDelta":1000,"objectDelta":3,"incomingBytes":1000}]'

# ---- nobody is there

admin audit
is "$code" 1 "exit code without a server and a storage"
has "$err" "no utapid listens at $tmp/data/admin.sock, and there is no LMDB storage" "neither server nor storage"

# ---- through the socket

start_server --backend lmdb --no-auth
curl -sf -d "$put" "http://127.0.0.1:$port/v2/ingest" || fail "an event"
admin audit
is "$out" "nothing was adjusted or expired by hand" "an empty audit"
admin adjust buckets b --storage -400 --operation PutObject=-1 --reason "ticket 5" --id $id --dry-run
is "$code" 0 "exit code of a dry run"
has "$out" "  storageUtilized          1,000 -> 600
  numberOfObjects          3 -> 3
  s3:PutObject             1 -> 0
nothing was done: --dry-run" "a dry run"
is "$(stored)" 1000 "bytes after a dry run"
for _ in 1 2 3; do # an id is done once
    admin adjust buckets b --storage -400 --operation PutObject=-1 --reason "ticket 5" --id $id
    is "$code" 0 "exit code of an adjustment"
    has "$out" "  storageUtilized          1,000 -> 600" "before and after"
    has "$out" "done" "an adjustment"
    is "$(stored)" 600 "bytes after an adjustment"
done
admin audit buckets b
has "$out" "adjust buckets b" "the audit of a bucket"
has "$out" ": ticket 5" "the reason"
has "$out" "by uid $(id -u)" "who"
has "$out" "id $id" "the id"
admin audit users b
is "$out" "nothing was adjusted or expired by hand" "the audit of somebody else"
admin audit --json
has "$(printf %s "$out" | tr -d ' \n')" '"before":{"storageUtilized":1000,"numberOfObjects":3' "JSON"

# ---- ill said

refused() { # CODE WORDS ARGUMENT...
    expected=$1 words=$2
    shift 2
    admin "$@"
    is "$code" "$expected" "exit code: $*"
    has "$err" "$words" "refused: $*"
}
refused 2 "adjust needs a level and a name" adjust buckets --storage 1 --reason r
refused 2 "--reason: say why" adjust buckets b --storage 1
refused 2 'expected a whole number from -9223372036854775808 to 9223372036854775807, not "9223372036854775808"' \
    adjust buckets b --storage 9223372036854775808 --reason r
refused 2 'expected the name of an operation and a number' adjust buckets b --operation Put=1 --reason r
refused 2 'expected the name of an operation and a number' adjust buckets b --operation PutObject --reason r
refused 2 "--at: " adjust buckets b --storage 1 --at soon --reason r
refused 1 "every amount is 0" adjust buckets b --reason r
refused 1 "level: expected buckets" expire rooms b --reason r
refused 1 "hexadecimal digits" expire buckets b --reason r --id mine
refused 1 "lies too far in the future" adjust buckets b --storage 1 --at 2100-01-01 --reason r
refused 2 "audit takes a level and a name, or neither" audit buckets
is "$(stored)" 600 "bytes after what was ill said"

# ---- a second server leaves the socket alone; it goes with its own

err=$("$utapid" --port 0 --backend memory --no-auth --data "$tmp/data" 2>&1 & echo $! >"$tmp/second"; sleep 1
    kill "$(cat "$tmp/second")")
has "$err" "another process listens there" "a second server"
admin audit
is "$code" 0 "the socket of the first"
stop_server TERM
[ ! -e "$tmp/data/admin.sock" ] || fail "the socket outlives its server"

# ---- in the folder

admin adjust buckets b --storage -100 --objects -1 --reason "without a server"
is "$code" 0 "exit code in the folder"
has "$out" "  storageUtilized          600 -> 500" "in the folder"
has "$out" "without a server: " "who, in the folder"
admin expire buckets b --reason "gone" --dry-run
has "$out" "  storageUtilized          500 -> 0" "a dry run in the folder"
admin adjust buckets b --storage -400 --reason again --id $id
has "$out" ": ticket 5" "an id that the server did"
start_server --backend lmdb --no-auth
is "$(stored)" 500 "bytes after that"
kill -9 "$server" # the socket stays behind, and the next one replaces it
wait "$server" 2>/dev/null
[ -S "$tmp/data/admin.sock" ] || fail "no socket is left"
start_server --backend lmdb --no-auth
admin expire buckets b --reason "gone for good"
is "$code" 0 "exit code of an expiry"
has "$out" "  storageUtilized          500 -> 0" "an expiry"
is "$(stored)" 0 "bytes after an expiry"
admin audit
is "$(printf '%s\n' "$out" | grep -c ' by ')" 3 "acts that were done"
stop_server TERM

# ---- through a journal

export UTAPI_JOURNAL=true
start_server --backend lmdb --no-auth
curl -sf -d "$put" "http://127.0.0.1:$port/v2/ingest" || fail "an event into a journal"
admin adjust buckets b --storage 24 --reason "behind a journal"
is "$code" 0 "exit code through a journal"
has "$out" "  storageUtilized          1,000 -> 1,024" "through a journal"
is "$(stored)" 1024 "bytes through a journal"
stop_server TERM
admin audit
is "$code" 1 "exit code in a folder with a journal"
has "$err" "a journal stands before that storage" "a folder with a journal"
unset UTAPI_JOURNAL

# ---- over TCP, with a token

token=a-token-of-twenty-ch
UTAPI_ADMIN_TOKENS=$token start_server --backend memory --no-auth
url=http://127.0.0.1:$port/_/admin/audit
is "$(curl -s -o /dev/null -w '%{http_code}' "$url")" 401 "no token"
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer ${token}x" "$url")" 401 "a wrong token"
is "$(curl -s -H "Authorization: Bearer $token" "$url")" "[]" "a token"
stop_server TERM
if grep -q "$token" "$tmp"/*.log "$tmp"/*err* 2>/dev/null; then fail "a token is in the log"; fi
err=$(UTAPI_ADMIN_TOKENS=short-secret "$utapid" --check 2>&1)
is $? 1 "exit code of a token that is too short"
has "$err" "UTAPI_ADMIN_TOKENS[0]: expected 16 to 255 characters" "a token that is too short"
case $err in *short-secret*) fail "a token is in a message" ;; esac
finish
