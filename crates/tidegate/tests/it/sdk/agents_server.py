"""An agent, made with the official SDK: JSON-RPC and HTTP+JSON, revisions 1.0 and 0.3.

It takes only requests that carry its own credential.
"""

import asyncio
import socket
import sys

import uvicorn
from a2a.helpers.proto_helpers import (
    get_message_text,
    new_task_from_user_message,
    new_text_artifact_update_event,
    new_text_status_update_event,
)
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TaskState
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

secret = sys.argv[1]


class Travel(AgentExecutor):
    async def execute(self, context, queue):
        task = new_task_from_user_message(context.message)
        await queue.enqueue_event(task)
        ids = (task.id, task.context_id)
        await queue.enqueue_event(new_text_status_update_event(*ids, TaskState.TASK_STATE_WORKING, "thinking"))
        await asyncio.sleep(0.05)
        said = "You said: " + get_message_text(context.message)
        await queue.enqueue_event(new_text_artifact_update_event(*ids, "answer", said, last_chunk=True))
        await queue.enqueue_event(new_text_status_update_event(*ids, TaskState.TASK_STATE_COMPLETED, "done"))

    async def cancel(self, context, queue):
        raise NotImplementedError


listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(64)
port = listening.getsockname()[1]
base = f"http://127.0.0.1:{port}/travel"
interfaces = [
    AgentInterface(url=f"{base}/rpc", protocol_binding="JSONRPC", protocol_version=version)
    for version in ("1.0", "0.3")
] + [
    AgentInterface(url=f"{base}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
    AgentInterface(url="http://elsewhere.invalid/", protocol_binding="GRPC", protocol_version="1.0"),
]
card = AgentCard(
    name="Travel",
    description="Repeats what it hears.",
    version="1",
    supported_interfaces=interfaces,
    capabilities=AgentCapabilities(streaming=True, extended_agent_card=True),
    default_input_modes=["text"],
    default_output_modes=["text"],
    skills=[AgentSkill(id="echo", name="echo", description="Echo", tags=["echo"])],
)
handler = DefaultRequestHandler(Travel(), InMemoryTaskStore(), card, extended_agent_card=card)
routes = (
    create_agent_card_routes(card, card_url="/travel/.well-known/agent-card.json")
    + create_jsonrpc_routes(handler, "/travel/rpc", enable_v0_3_compat=True)
    + create_rest_routes(handler, path_prefix="/travel/rest")
)
app = Starlette(routes=routes)


async def guarded(scope, receive, send):
    if scope["type"] == "http":
        shown = dict(scope["headers"]).get(b"authorization", b"").decode()
        if shown != f"Bearer {secret}":
            return await PlainTextResponse("no", 401)(scope, receive, send)
    await app(scope, receive, send)


print("port", port, flush=True)
config = uvicorn.Config(guarded, log_level="warning", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listening])
