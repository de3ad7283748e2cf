"""An authorisation server for tests, made of authlib and Flask, on loopback: client credentials, access
tokens as JWTs (RFC 9068), their keys, and introspection (RFC 7662). Prints where it is."""

import os
import socket
import time

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.jose import JsonWebKey, jwt
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify
from werkzeug.serving import make_server

KEY = JsonWebKey.generate_key("EC", "P-256", {"kid": "one", "use": "sig", "alg": "ES256"}, is_private=True)
app = Flask(__name__)


class Client(ClientMixin):
    def __init__(self, name):
        self.client_id = name

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope if scope == "read" else ""

    def check_redirect_uri(self, redirect_uri):
        return False

    def check_client_secret(self, client_secret):
        return client_secret == "secret"

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return False

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


CLIENTS = {name: Client(name) for name in ("tidegate", "stranger")}


class Tokens(JWTBearerTokenGenerator):
    def get_jwks(self):
        return {"keys": [KEY.as_dict(is_private=True)]}

    def get_audiences(self, client, user, scope):
        return ["urn:orders"]


class Token(dict):
    def is_expired(self):
        return self["exp"] <= time.time()

    def is_revoked(self):
        return False


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def check_permission(self, token, client, request):
        return True

    def query_token(self, token_string, token_type_hint):
        try:
            return Token(jwt.decode(token_string, KEY))
        except Exception:
            return None

    def introspect_token(self, token):
        return {"active": True, **token}


listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(64)
ISSUER = f"http://127.0.0.1:{listening.getsockname()[1]}"
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=lambda token, request: None)
server.register_grant(type("Grant", (grants.ClientCredentialsGrant,), {"TOKEN_ENDPOINT_AUTH_METHODS": ["client_secret_basic"]}))
server.register_token_generator("default", Tokens(issuer=ISSUER, alg="ES256"))
server.register_endpoint(Introspection)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.get("/keys")
def keys():
    return jsonify({"keys": [KEY.as_dict()]})


@app.get("/.well-known/openid-configuration")
def describe():
    return jsonify(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        jwks_uri=f"{ISSUER}/keys",
        introspection_endpoint=f"{ISSUER}/introspect",
    )


print(f"provider at {ISSUER}", flush=True)
make_server("127.0.0.1", 0, app, threaded=True, fd=listening.fileno()).serve_forever()
