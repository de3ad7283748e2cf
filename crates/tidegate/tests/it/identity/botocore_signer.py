"""Signs requests with botocore's own signers, sends them, and prints what came back.

Arguments: the gateway's URL, an access key id and its secret. One line for each case: its name, the
status, and the target that the upstream was asked for ("-" where it was not asked).
"""

import datetime
import http.client
import sys
import urllib.parse

import botocore.auth as auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

URL, KEY, SECRET = sys.argv[1:4]
HOST = urllib.parse.urlsplit(URL).netloc
REGION = "eu-west-1"
NOW = auth.get_current_datetime


def credentials(token=None, secret=SECRET):
    return Credentials(KEY, secret, token)


def at(seconds):
    """The signers' clock, so many seconds ahead."""
    auth.get_current_datetime = lambda *a, **k: NOW(*a, **k) + datetime.timedelta(seconds=seconds)


def send(name, request, target=None, body=None):
    split = urllib.parse.urlsplit(request.url)
    target = target or split.path + ("?" + split.query if split.query else "")
    body = request.data if body is None else body
    connection = http.client.HTTPConnection(HOST, timeout=60)
    connection.request(request.method, target, body=body or None, headers=dict(request.headers))
    answer = connection.getresponse()
    text = answer.read().decode()
    asked = text.split("\n")[0].split(" ")[-1] if answer.status == 200 else "-"
    print(name, answer.status, asked, flush=True)


def request(method, path, data=None, **headers):
    return AWSRequest(method=method, url=URL + path, data=data, headers=headers)


def signed(signer, made, *more, **options):
    signer(*more, **options).add_auth(made)
    return made


def header(made, service="execute-api", who=None):
    return signed(auth.SigV4Auth, made, who or credentials(), service, REGION)


def url(made, service="execute-api", who=None, expires=600):
    signer = auth.S3SigV4QueryAuth if service == "s3" else auth.SigV4QueryAuth
    return signed(signer, made, who or credentials(), service, REGION, expires=expires)


json = {"content-type": "application/json"}
send("header", header(request("POST", "/api/a%20b?z=1&a=%2F", b'{"n":1}', **json)))
send("header-session", header(request("GET", "/api/a"), who=credentials("token")))
send("header-other-secret", header(request("GET", "/api/a"), who=credentials(secret="x")))
send("header-changed-body", header(request("POST", "/api/a", b"{}", **json)), body=b"[]")
send("header-and-url", header(url(request("GET", "/api/a"))))

send("url", url(request("GET", "/api/a%20b?z=1&a=%2F")))
send("url-session", url(request("GET", "/api/a"), who=credentials("to/ken+==")))
# Botocore has no bodies in presigned URLs of services but S3.
send("url-post", url(request("POST", "/api/a", **json)))
send("url-with-a-body-added", url(request("POST", "/api/a", **json)), body=b"[]")
send("url-other-secret", url(request("GET", "/api/a"), who=credentials(secret="x")))
send("url-too-long-a-life", url(request("GET", "/api/a"), expires=901))
longest = url(request("GET", "/api/a"), expires=900)
send("url-longest-life", longest)
stretched = urllib.parse.urlsplit(longest.url)
send("url-stretched", longest, target=f"{stretched.path}?{stretched.query}".replace("=900", "=899"))
at(-700)
send("url-over", url(request("GET", "/api/a")))
at(-120)
send("url-signed-a-while-ago", url(request("GET", "/api/a")))
at(200)
send("url-signed-by-a-fast-clock", url(request("GET", "/api/a")))
at(400)
send("url-from-the-future", url(request("GET", "/api/a")))
at(0)
send("url-where-none-are-taken", url(request("GET", "/strict/a")))

send("s3-url-get", url(request("GET", "/bucket/a%20b"), "s3"))
send("s3-url-put", url(request("PUT", "/bucket/a"), "s3"), body=b"data")
send("s3-strict-url-get", url(request("GET", "/s3strict/a"), "s3"))
send("s3-strict-url-put", url(request("PUT", "/s3strict/a"), "s3"), body=b"data")


def unsigned(path):
    made = request("PUT", path, b"data")
    made.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    signed(auth.S3SigV4Auth, made, credentials(), "s3", REGION)
    assert made.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD", dict(made.headers)
    return made


send("s3-unsigned", unsigned("/bucket/a"))
send("s3-strict-unsigned", unsigned("/s3strict/a"))


class Chunked(auth.S3SigV4Auth):
    """What SDKs sign where a body goes out in signed chunks."""

    def payload(self, request):
        return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

    def _modify_request_before_signing(self, request):
        super()._modify_request_before_signing(request)
        request.headers.replace_header("x-amz-content-sha256", self.payload(request))


chunks = request("PUT", "/bucket/a", b"4;chunk-signature=" + b"0" * 64 + b"\r\ndata\r\n")
send("s3-chunked", signed(Chunked, chunks, credentials(), "s3", REGION))
