# SPDX-License-Identifier: Apache-2.0
# support.sh - for the shell tests of the programs: a folder of one's own, a server on a free port, checks.
# Sourced with the arguments of the test: UTAPID UTAPICTL SOURCE-FOLDER.
set -u

utapid=$1
utapictl=$2
source_dir=$3
tmp=$(mktemp -d "${TMPDIR:-/tmp}/utapi-test.XXXXXX")
server=
failures=0

unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
unset $(env | sed -n 's/^\(UTAPI_[A-Z0-9_]*\)=.*/\1/p')

end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$tmp"
}
trap end EXIT

fail() {
    printf 'FAILED: %s\n' "$*"
    failures=$((failures + 1))
}

# has TEXT WORDS NAME: the text contains the words.
has() {
    case $1 in
    *"$2"*) ;;
    *) fail "$3: expected \"$2\" in: $1" ;;
    esac
}

# is SEEN EXPECTED NAME
is() {
    [ "$1" = "$2" ] || fail "$3: \"$1\", not \"$2\""
}

# start_server FLAG...: sets server and port.
start_server() {
    : >"$tmp/out"
    "$utapid" --port 0 --data "$tmp/data" "$@" >"$tmp/out" 2>"$tmp/log" &
    server=$!
    port=
    tries=0
    while [ -z "$port" ] && [ $tries -lt 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
        port=$(sed -n 's|^utapid: listening on http://.*:\([0-9]*\)$|\1|p' "$tmp/out")
    done
    if [ -z "$port" ]; then
        cat "$tmp/out" "$tmp/log"
        echo "FAILED: utapid did not start"
        exit 1
    fi
}

# stop_server SIGNAL: sets code.
stop_server() {
    kill "-$1" "$server"
    wait "$server"
    code=$?
    server=
}

finish() {
    [ $failures -eq 0 ] || exit 1
    echo "all as expected"
}
