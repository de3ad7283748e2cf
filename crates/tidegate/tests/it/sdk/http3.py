"""HTTP/3 by aioquic: an implementation that shares nothing with the gateway's. Prints a line per check."""

import asyncio
import json
import sys

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, StreamReset

PATIENCE = 30


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.waiting = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if isinstance(event, StreamReset) and event.stream_id in self.waiting:
            self.waiting[event.stream_id].put_nowait(("reset", event.error_code))
        if isinstance(event, ConnectionTerminated):
            for queue in self.waiting.values():
                queue.put_nowait(("gone", event.error_code))
        for http_event in self.http.handle_event(event) if self.http else []:
            queue = self.waiting.get(http_event.stream_id)
            if queue is not None:
                queue.put_nowait(http_event)

    def send(self, method, path, body=None, trailers=None):
        stream = self._quic.get_next_available_stream_id()
        self.waiting[stream] = asyncio.Queue()
        head = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", path.encode()),
        ]
        self.http.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.http.send_headers(stream, trailers, end_stream=True)
        self.transmit()
        return stream

    async def event(self, stream):
        return await asyncio.wait_for(self.waiting[stream].get(), PATIENCE)

    async def answer(self, stream):
        """The heads (trailers last) and the body."""
        heads, body, ended = [], b"", False
        while not ended:
            event = await self.event(stream)
            if isinstance(event, tuple):
                raise RuntimeError(f"the answer ended by {event}")
            if isinstance(event, HeadersReceived):
                heads.append(dict(event.headers))
            elif isinstance(event, DataReceived):
                body += event.data
            ended = event.stream_ended
        return heads, body


def check(name, holds, detail=""):
    print(f"ok {name}" if holds else f"failed {name}: {detail}", flush=True)


async def main(job):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
    configuration.load_verify_locations(cafile=job["authority"])
    configuration.server_name = "localhost"
    async with connect(
        "127.0.0.1", job["port"], configuration=configuration, create_protocol=Client
    ) as client:
        heads, body = await client.answer(client.send("GET", "/"))
        check("get", heads[0][b":status"] == b"200" and body == b"served", (heads, body))
        check("no alt-svc", b"alt-svc" not in heads[0], heads)
        large = bytes(range(256)) * 8192
        heads, body = await client.answer(client.send("POST", "/echo", large))
        check("2 MiB both ways", body == large, len(body))
        many = [client.send("GET", f"/?{n}") for n in range(50)]
        answers = [await client.answer(stream) for stream in many]
        check("50 at once", all(body == b"served" for _, body in answers))
        stream = client.send("GET", "/events")
        heads, body = await client.answer(stream)
        check("events", body.count(b"data:") == 5, body)
        heads, body = await client.answer(client.send("GET", "/%00"))
        check("refused", heads[0][b":status"] == b"400", heads)
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h2"])
    configuration.load_verify_locations(cafile=job["authority"])
    configuration.server_name = "localhost"
    try:
        async with connect("127.0.0.1", job["port"], configuration=configuration):
            check("another protocol", False, "was agreed on")
    except ConnectionError:
        check("another protocol", True)


with open(sys.argv[1]) as file:
    asyncio.run(main(json.load(file)))
