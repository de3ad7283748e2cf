"""What stands behind the gateway in this example, in place of AWS: a function, and a private service
with its database. Needs nothing but Python.

    python3 stand_ins.py [--function ADDRESS] [--service ADDRESS] [--database FILE]

The function answers GET /catalog/NAME and says how often it has run. The service keeps orders in a
database (SQLite): POST /orders/ID with a JSON object writes one, GET reads it, and DELETE removes it.
Both listen on this machine only; port 0 is any that is free. One line of JSON says where they listen.
"""

import argparse
import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_MAX = 64 * 1024


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON, and keeps connections open."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def reply(self, status, value, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Function(Handler):
    """In place of a Lambda function."""

    runs = 0
    lock = threading.Lock()

    def do_GET(self):
        with Function.lock:
            Function.runs += 1
            runs = Function.runs
        name = self.path.split("?")[0].rpartition("/")[2]
        headers = [("Cache-Control", "max-age=60"), ("X-Runs", str(runs))]
        self.reply(200, {"item": name, "price": 12 + len(name)}, headers)

    do_HEAD = do_GET


class Service(Handler):
    """In place of a service in a private network."""

    database = None

    def do_GET(self):
        if self.path == "/healthz":
            return self.reply(200, {"status": "ok"})
        with sqlite3.connect(self.database) as rows:
            found = rows.execute("SELECT body FROM orders WHERE id = ?", [self.id()]).fetchone()
        if found is None:
            return self.reply(404, {"error": "there is no such order"})
        return self.reply(200, {"id": self.id(), **json.loads(found[0])})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            return self.reply(413, {"error": "too large"})
        try:
            order = json.loads(self.rfile.read(length))
        except ValueError:
            return self.reply(400, {"error": "no JSON"})
        if not isinstance(order, dict):
            return self.reply(400, {"error": "an order is an object"})
        with sqlite3.connect(self.database) as rows:
            rows.execute("INSERT OR REPLACE INTO orders VALUES (?, ?)", [self.id(), json.dumps(order)])
        return self.reply(201, {"id": self.id(), **order})

    def do_DELETE(self):
        with sqlite3.connect(self.database) as rows:
            rows.execute("DELETE FROM orders WHERE id = ?", [self.id()])
        self.reply(200, {"id": self.id()})

    def id(self):
        return self.path.split("?")[0].rpartition("/")[2]


def listen(address, handler):
    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "%s:%d" % server.server_address[:2]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--function", default="127.0.0.1:9001")
    options.add_argument("--service", default="127.0.0.1:9002")
    options.add_argument("--database", default="orders.db")
    chosen = options.parse_args()
    Service.database = chosen.database
    with sqlite3.connect(chosen.database) as rows:
        rows.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
    where = {"function": listen(chosen.function, Function), "service": listen(chosen.service, Service)}
    print(json.dumps(where), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
