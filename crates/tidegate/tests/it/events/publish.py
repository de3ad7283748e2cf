"""Publishes by the SDK of CloudEvents, binary and structured, and checks what is answered."""

import sys

import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

url, key = sys.argv[1:]
session = requests.Session()
session.headers["authorization"] = f"Bearer {key}"


def publish(message):
    answer = session.post(url, headers=dict(message.headers), data=message.body, timeout=30)
    assert answer.status_code == 202, (answer.status_code, answer.text)
    return answer.json()["events"][0]


def event(id, kind, data, **more):
    attributes = {"specversion": "1.0", "id": id, "source": "/shop/sdk", "type": kind, **more}
    return CloudEvent(attributes=attributes, data=data)


upload = event("1", "com.example.upload", {"id": "ä"}, datacontenttype="application/json", subject="ü %")
first = publish(to_binary_event(upload))
assert first["id"] == "1" and first["source"] == "/shop/sdk", first
assert publish(to_structured_event(upload)) == first
second = event("2", "com.example.upload", {"id": "b"}, datacontenttype="application/json")
assert publish(to_structured_event(second))["place"] > first["place"]
plain = event("3", "com.example.plain", b"\x00\xff", datacontenttype="application/octet-stream")
publish(to_binary_event(plain))
bad = event("4", "com.example.upload", {"id": 4}, datacontenttype="application/json")
message = to_binary_event(bad)
answer = session.post(url, headers=dict(message.headers), data=message.body, timeout=30)
assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"] == "/id", answer.text
