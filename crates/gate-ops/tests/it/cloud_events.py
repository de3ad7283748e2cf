"""Reads events with the CloudEvents SDK and writes them again, in both modes that it knows."""

import base64
import json
import sys

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)


def message(made):
    body = base64.b64encode(made.body).decode()
    return {"headers": {name.lower(): value for name, value in made.headers.items()}, "body": body}


said = []
for given in json.load(open(sys.argv[1])):
    event = from_http_event(HTTPMessage(given["headers"], base64.b64decode(given["body"])))
    data = event.get_data()
    if isinstance(data, bytes):
        data = {"bytes": base64.b64encode(data).decode()}
    said.append(
        {
            "id": event.get_id(),
            "source": event.get_source(),
            "type": event.get_type(),
            "subject": event.get_subject(),
            "extension": event.get_extension("partitionkey"),
            "data": data,
            "binary": message(to_binary_event(event)),
            "structured": message(to_structured_event(event)),
        }
    )
print(json.dumps(said))
