# SPDX-License-Identifier: Apache-2.0
"""Lists metrics with nothing but Python's standard library: hashlib and hmac sign, urllib sends.

    python3 list_metrics.py HOST PORT ACCESS-KEY SECRET-KEY LEVEL START END NAME...

Signs the content type too, as Utapi's instructions for Python do. Prints the status and the body.
"""

import datetime
import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request

host, port, access_key, secret_key, level, start, end, *names = sys.argv[1:]
netloc = f"{host}:{port}"
region, service = "us-east-1", "s3"
content_type = "application/x-amz-json-1.0"
query = "Action=ListMetrics&Version=20160815"
body = json.dumps({level: names, "timeRange": [int(start), int(end)]}).encode("utf-8")

now = datetime.datetime.now(datetime.timezone.utc)
amz_date, date = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
payload_hash = hashlib.sha256(body).hexdigest()

signed = "content-type;host;x-amz-content-sha256;x-amz-date"
canonical_request = (
    f"POST\n/{level}\n{query}\n"
    f"content-type:{content_type}\nhost:{netloc}\nx-amz-content-sha256:{payload_hash}\nx-amz-date:{amz_date}\n\n"
    f"{signed}\n{payload_hash}"
)
scope = f"{date}/{region}/{service}/aws4_request"
string_to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{hashlib.sha256(canonical_request.encode()).hexdigest()}"

key = f"AWS4{secret_key}".encode("utf-8")
for part in (date, region, service, "aws4_request"):
    key = hmac.new(key, part.encode("utf-8"), hashlib.sha256).digest()
signature = hmac.new(key, string_to_sign.encode("utf-8"), hashlib.sha256).hexdigest()

request = urllib.request.Request(
    f"http://{netloc}/{level}?{query}",
    data=body,
    headers={
        "Content-Type": content_type,
        "X-Amz-Content-Sha256": payload_hash,
        "X-Amz-Date": amz_date,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}",
    },
)
try:
    with urllib.request.urlopen(request) as response:
        print(response.status)
        print(response.read().decode("utf-8"))
except urllib.error.HTTPError as error:
    print(error.code)
    print(error.read().decode("utf-8"))
