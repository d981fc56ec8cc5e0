# SPDX-License-Identifier: Apache-2.0
# test_keys.sh - where utapictl list has its key from, and that it is not shown; exit codes; help.
. "$3/tests/support/support.sh"

start_server --backend memory --auth-file "$source_dir/docs/examples/authdata.json"

list() { # FLAG...: sets code, err.
    err=$("$utapictl" list -p "$port" --service s3 --recent "$@" 2>&1 >/dev/null)
    code=$?
}

export AWS_SHARED_CREDENTIALS_FILE="$tmp/credentials"
unset AWS_PROFILE AWS_SESSION_TOKEN

list
is "$code" 2 "no key"
has "$err" "no key to sign with" "no key"

cat >"$AWS_SHARED_CREDENTIALS_FILE" <<END
# a comment
[default]
aws_access_key_id = accessKey1
aws_secret_access_key=wrong

[ billing ]
  aws_access_key_id=accessKey1
aws_secret_access_key = verySecretKey1
aws_session_token = temporary
END
list
is "$code" 4 "the default profile's wrong key is refused"
has "$err" "SignatureDoesNotMatch" "a wrong key"
list --profile billing
is "$code" 0 "a profile by its name, with a session token"
has "$("$utapictl" list -p "$port" --service s3 --recent --profile billing -v 2>&1)" "200" "a session token"
AWS_PROFILE=billing list
is "$code" 0 "a profile by AWS_PROFILE"
AWS_ACCESS_KEY_ID=accessKey1 AWS_SECRET_ACCESS_KEY=verySecretKey1 list
is "$code" 0 "the environment wins over the default profile"
AWS_ACCESS_KEY_ID=accessKey1 AWS_SECRET_ACCESS_KEY=wrong list --profile billing
is "$code" 0 "a named profile wins over the environment"
list --profile nobody
is "$code" 2 "a profile that is not there"
has "$err" "there is no profile \"nobody\"" "a profile that is not there"

printf 'verySecretKey1\r\nsecond\n' >"$tmp/secret"
list -a accessKey1 --secret-key-file "$tmp/secret"
is "$code" 0 "a secret key in a file"
printf 'verySecretKey1' | "$utapictl" list -p "$port" --service s3 --recent -a accessKey1 --secret-key-file - >/dev/null
is $? 0 "a secret key on standard input"
list -a accessKey1 --secret-key-file "$tmp/none"
is "$code" 2 "a secret key in a file that is not there"
: >"$tmp/empty"
list -a accessKey1 --secret-key-file "$tmp/empty"
is "$code" 2 "an empty file"

# ---- a secret is not shown: the server stands still, so that the arguments can be read meanwhile

kill -STOP "$server"
"$utapictl" list -p "$port" --service s3 --recent -a accessKey1 -k verySecretKey1 >/dev/null 2>&1 &
lister=$!
tries=0
while tr '\0' ' ' <"/proc/$lister/cmdline" | grep -q verySecret && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
has "$(tr '\0' ' ' <"/proc/$lister/cmdline")" "-a accessKey1 -k" "the arguments while it runs"
[ $tries -lt 100 ] || fail "the secret key can be read in /proc"
kill -CONT "$server"
wait "$lister"
is $? 0 "a key that was given as an argument"

# ---- exit codes, and help

stop_server TERM
list --no-sign
is "$code" 5 "nobody listens"
for help in "-h" "--help" "list -h" "list --help"; do
    # shellcheck disable=SC2086 # HELP is words
    has "$("$utapictl" $help)" "Usage: utapictl" "utapictl $help"
done
has "$("$utapictl" -V)" "utapictl " "utapictl -V"

# ---- completion

for shell in bash zsh fish; do
    "$utapictl" completion "$shell" >"$tmp/completion.$shell"
    is $? 0 "completion $shell"
    ! command -v "$shell" >"$tmp/shell" || "$shell" -n "$tmp/completion.$shell" || fail "completion $shell: it cannot be read"
done
has "$(grep -c 'complete -c utapictl' "$tmp/completion.fish")" "" "fish"
has "$(cat "$tmp/completion.zsh")" "'(-s --start)'{-s,--start}'[start of the time range]" "zsh"
has "$(cat "$tmp/completion.fish")" "-l start -s s -r -d 'start of the time range'" "fish"
"$utapictl" completion tcsh 2>"$tmp/err"
is $? 2 "a shell that is not known"

completed=$(bash -c '
. "$1"
try() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _utapictl
    echo "${COMPREPLY[*]}"
}
try utapictl li
try utapictl list --se
try utapictl journal --dr
cd "$2"; try utapictl list --secret-key-file empt' bash "$tmp/completion.bash" "$tmp")
is "$(echo "$completed" | tr '\n' '/')" "list/--service --secret-key --secret-key-file --server/--drain/empty/" "what bash completes"

finish
