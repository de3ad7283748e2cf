"""Signs requests by RFC 9421 with PyPI's http-message-signatures, and verifies what the gateway signs.

Arguments: the gateway's URL, a folder with the key pairs that this writes first (`keys` as the first
argument does only that). One line for each case: its name and what came of it.
"""

import datetime
import http.client
import sys
import urllib.parse

from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms

FOLDER = sys.argv[2]
SECRET = b"0123456789abcdef0123456789abcdef"
KINDS = {
    "ed25519": (algorithms.ED25519, ed25519.Ed25519PrivateKey.generate),
    "ecdsa-p256-sha256": (algorithms.ECDSA_P256_SHA256, lambda: ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-p384-sha384": (algorithms.ECDSA_P384_SHA384, lambda: ec.generate_private_key(ec.SECP384R1())),
    "rsa-pss-sha512": (algorithms.RSA_PSS_SHA512, lambda: rsa.generate_private_key(65537, 2048)),
    "rsa-v1_5-sha256": (algorithms.RSA_V1_5_SHA256, lambda: rsa.generate_private_key(65537, 2048)),
}

if sys.argv[1] == "keys":
    for name, (_, make) in KINDS.items():
        key = make()
        private = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
        public = key.public_key().public_bytes(
            ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo
        )
        open(f"{FOLDER}/{name}.key", "wb").write(private)
        open(f"{FOLDER}/{name}.pem", "wb").write(public)
    sys.exit()

URL = sys.argv[1]
HOST = urllib.parse.urlsplit(URL).netloc


class Keys:
    def resolve_private_key(self, key_id):
        if key_id == "hmac":
            return SECRET
        return ser.load_pem_private_key(open(f"{FOLDER}/{key_id}.key", "rb").read(), None)

    def resolve_public_key(self, key_id):
        if key_id == "hmac":
            return SECRET
        return ser.load_pem_public_key(open(f"{FOLDER}/{key_id}.pem", "rb").read())


class Request:
    def __init__(self, method, url, headers):
        self.method, self.url, self.headers = method, url, headers


def send(request, body=None):
    split = urllib.parse.urlsplit(request.url)
    connection = http.client.HTTPConnection(HOST, timeout=60)
    target = split.path + ("?" + split.query if split.query else "")
    connection.request(request.method, target, body=body, headers=request.headers)
    answer = connection.getresponse()
    return answer, answer.read().decode()


def algorithm(kind):
    return algorithms.HMAC_SHA256 if kind == "hmac" else KINDS[kind][0]


def signed(kind, body=None, covered=("@method", "@authority", "@path", "@query"), **more):
    request = Request("POST", URL + "/in/a%20b?x=1&y=%2F", {"content-type": "text/plain"})
    signer = HTTPMessageSigner(signature_algorithm=algorithm(kind), key_resolver=Keys())
    signer.sign(request, key_id=kind, covered_component_ids=covered, body=body, **more)
    return request


for kind in [*KINDS, "hmac"]:
    answer, text = send(signed(kind, b"hello"), b"hello")
    kept = [line for line in text.split("\n") if line.startswith("signature")]
    print(f"in {kind} {answer.status} {len(kept)}")
    changed, _ = send(signed(kind, b"hello"), b"hullo")
    print(f"in-changed {kind} {changed.status}")
now = datetime.datetime.now(datetime.timezone.utc)
old = signed("ed25519", b"", created=now - datetime.timedelta(seconds=400))
print("in-old", send(old, b"")[0].status)
over = signed("ed25519", b"", expires=now - datetime.timedelta(seconds=1))
print("in-expired", send(over, b"")[0].status)
little = signed("ed25519", b"", covered=("@method",))
print("in-covers-too-little", send(little, b"")[0].status)

for kind in [*KINDS, "hmac"]:
    answer, text = send(Request("POST", f"{URL}/out/{kind}?x=1", {"content-type": "text/plain"}), b"hello")
    head, _, body = text.partition("\n\n")
    first, *lines = head.split("\n")
    method, target = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    got = Request(method, "http://" + headers["host"] + target, headers)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm(kind), key_resolver=Keys())
    (result,) = verifier.verify(got, body=body.encode())
    print(f"out {kind} {answer.status} {' '.join(str(name) for name in result.covered_components)}")
