# SPDX-License-Identifier: Apache-2.0
# test_list.sh - utapictl list: signed and not, the table and the JSON, times, and what is refused.
. "$3/tests/support/support.sh"

start_server --backend memory --auth-file "$source_dir/docs/examples/authdata.json"
"$utapictl" push -p "$port" --quiet "$source_dir/tests/samples/cloudserver-v2-ingest.ndjson" || fail "push"

list() { # FLAG...: sets code, out, err.
    "$utapictl" list -p "$port" "$@" >"$tmp/list.out" 2>"$tmp/list.err"
    code=$?
    out=$(cat "$tmp/list.out")
    err=$(cat "$tmp/list.err")
}

keys='-a accessKey1 -k verySecretKey1'
range='-s 2023-11-14 -e 2023-11-16'

# ---- the table

list $keys --buckets wl-plain,wl-gone $range
is "$code" 0 "exit code of a list"
has "$out" "2023-11-14 00:00 to 2023-11-17 00:00 UTC" "the range of the table"
has "$out" "BUCKET" "the table's headings"
has "$out" "28.0 MiB  +28.0 MiB" "sizes in the table"
has "$out" "CreateBucket 1" "operations below the table"
has "$(printf '%s\n' "$out" | grep '^wl-gone ')" "5.0 MiB" "the second row"
is "$(printf '%s\n' "$out" | grep -c ' $')" 0 "lines of the table that end in a space"

# ---- the JSON, and the same figures

list $keys -m buckets --buckets wl-plain $range --json
is "$code" 0 "exit code of a list as JSON"
has "$out" '    "timeRange": [
      1699920000000,
      1700179199999
    ],' "the JSON's form"
is "$(printf '%s\n' "$out" | sed -n '/storageUtilized/,/]/p' | sed -n 3p | tr -d ' ')" 29360128 "bytes in the JSON"
AWS_ACCESS_KEY_ID=accessKey2 AWS_SECRET_ACCESS_KEY=verySecretKey2
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
list -m buckets wl-plain -s 1699920000000 -e 1700179199999 --json
is "$(cksum <"$tmp/list.out")" "$(printf '%s\n' "$out" | cksum)" "keys of the environment, a name as argument"
list --accounts 123456789012 $range
has "$out" "123456789012" "an account"
list -m service $range
has "$out" "s3" "the service by default"
list -m location --locations us-east-1 -r
has "$out" "LOCATION" "locations"
list --users nobody --recent
is "$code" 0 "exit code of --recent"
has "$out" "nobody" "--recent"
list --buckets wl-plain $range -v
has "$err" "< HTTP/1.1 200" "--verbose"
case $err in *verySecretKey*) fail "--verbose shows a secret" ;; esac
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY

# ---- what is refused

refused() { # CODE WORDS FLAG...
    expected=$1
    words=$2
    shift 2
    list "$@"
    is "$code" "$expected" "exit code of list $*"
    has "$err" "utapictl: " "list $*"
    has "$err" "$words" "list $*"
}

refused 4 "SignatureDoesNotMatch: " -a accessKey1 -k wrong --buckets b -r
refused 4 "InvalidAccessKeyId: " -a nobody -k wrong --buckets b -r
refused 4 "InvalidRequest: Must use Auth V4" --no-sign --buckets b -r
refused 2 "AWS_ACCESS_KEY_ID" --buckets b -r
refused 2 "--start TIME, or --recent" $keys --buckets b
refused 2 "--start: \"soon\" is no time" $keys --buckets b -s soon
refused 2 "--end: \"2023-02-30\" is no time" $keys --buckets b -s 7d -e 2023-02-30
refused 2 "is after --end" $keys --buckets b -s today -e yesterday
refused 2 "no name was given: --buckets" $keys -m buckets -r
refused 2 "no name was given: --users" $keys -m users --buckets b -r
refused 2 "what to list?" $keys -r
refused 2 "one level at a time" $keys --buckets b --users u -r
refused 2 "--metric: expected buckets" $keys -m bucket -r
refused 2 "--port: expected a whole number" $keys --buckets b -r -p 0
refused 2 "--help" --colour

# ---- the command itself

has "$("$utapictl" --help)" "push" "utapictl --help"
has "$("$utapictl" list --help)" "--access-key" "utapictl list --help"
has "$("$utapictl" push --help)" "--retries" "utapictl push --help"
has "$("$utapictl" --version)" "utapictl 0." "utapictl --version"
"$utapictl" 2>/dev/null
is $? 2 "exit code of utapictl"
err=$("$utapictl" pull 2>&1)
is $? 2 "exit code of utapictl pull"
has "$err" "there is no command \"pull\"" "utapictl pull"

stop_server TERM
is "$code" 0 "exit code after SIGTERM"
list $keys --buckets b -r
is "$code" 5 "exit code without a server"

finish
