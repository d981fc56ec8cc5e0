# SPDX-License-Identifier: Apache-2.0
"""Lists metrics signed by botocore, the library under the AWS command line and boto3.

    python3 list_metrics_botocore.py HOST PORT ACCESS-KEY SECRET-KEY LEVEL START END NAME...

Prints the status and the body.
"""

import json
import sys

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

host, port, access_key, secret_key, level, start, end, *names = sys.argv[1:]
request = AWSRequest(
    method="POST",
    url=f"http://{host}:{port}/{level}?Action=ListMetrics&Version=20160815",
    data=json.dumps({level: names, "timeRange": [int(start), int(end)]}).encode("utf-8"),
)
# Over plain HTTP it signs the payload's hash, as the server wants it.
S3SigV4Auth(Credentials(access_key, secret_key), "s3", "us-east-1").add_auth(request)
response = URLLib3Session().send(request.prepare())
print(response.status_code)
print(response.text)
