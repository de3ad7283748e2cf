"""A stand-in for OpenAI Realtime; prints the port it listens on."""

import json

from websockets.sync.server import serve

USAGE = {"total_tokens": 12, "input_tokens": 7, "output_tokens": 5}


def talk(socket):
    headers = socket.request.headers
    assert headers["authorization"] == "Bearer vendor-key", headers
    assert socket.request.path == "/v1/realtime?model=up", socket.request.path
    socket.send(json.dumps({"type": "session.created", "event_id": "e1", "session": {"type": "realtime"}}))
    for text in socket:
        asked = json.loads(text)
        if asked["type"] == "session.update":
            socket.send(json.dumps({"type": "session.updated", "event_id": "e2", "session": asked["session"]}))
        else:
            response = {"id": "r1", "object": "realtime.response", "status": "completed", "usage": USAGE}
            response["output"] = []
            socket.send(json.dumps({"type": "response.done", "event_id": "e3", "response": response}))


with serve(talk, "127.0.0.1", 0) as server:
    print("port", server.socket.getsockname()[1], flush=True)
    server.serve_forever()
