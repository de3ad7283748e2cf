"""An authority that others wrote, on a port of its own; its look at challenges is off, because names
of tests lead nowhere."""

from wsgiref.simple_server import WSGIRequestHandler, make_server

from acme2certifier.share import acme2certifier_wsgi as authority


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


server = make_server("127.0.0.1", 0, authority.application, handler_class=Quiet)
print(f"authority at http://127.0.0.1:{server.server_port}/directory", flush=True)
server.serve_forever()
