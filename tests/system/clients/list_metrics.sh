#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Lists metrics with curl, which signs by itself; the payload's hash must be given to it.
#
#     list_metrics.sh HOST PORT ACCESS-KEY SECRET-KEY LEVEL START END NAME...
#
# Prints the status and the body. Names must not need escapes in JSON.
set -eu

host=$1 port=$2 access_key=$3 secret_key=$4 level=$5 start=$6 end=$7
shift 7
names=$(printf '"%s",' "$@")
body="{\"$level\":[${names%,}],\"timeRange\":[$start,$end]}"
hash=$(printf '%s' "$body" | sha256sum | cut -d' ' -f1)

answer=$(curl -sS --aws-sigv4 aws:amz:us-east-1:s3 --user "$access_key:$secret_key" \
    -H "x-amz-content-sha256: $hash" -H 'content-type: application/json' \
    --data-binary "$body" -w '\n%{http_code}' "http://$host:$port/$level?Action=ListMetrics")
printf '%s\n' "$answer" | tail -n 1
printf '%s\n' "$answer" | sed '$d'
