"""The official A2A SDK as a caller of an agent behind the gateway. Each line that is not `ok ...` failed."""

import asyncio
import json
import sys
import traceback

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_artifact_text, new_text_message
from a2a.types.a2a_pb2 import (
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    Role,
    SendMessageRequest,
    TaskState,
)

job = json.load(open(sys.argv[1]))


def check(name, right, saw=None):
    print(f"ok {name}" if right else f"{name}: {saw!r}")


async def talk(http, card, binding, version, streaming):
    name = f"{binding} {version} {'stream' if streaming else 'whole'}"
    kept = [i for i in card.supported_interfaces if (i.protocol_binding, i.protocol_version) == (binding, version)]
    check(f"{name} has an interface", len(kept) == 1, card.supported_interfaces)
    own = type(card)()
    own.CopyFrom(card)
    del own.supported_interfaces[:]
    own.supported_interfaces.extend(kept)
    config = ClientConfig(streaming=streaming, httpx_client=http, supported_protocol_bindings=[binding])
    client = ClientFactory(config).create(own)
    request = SendMessageRequest(message=new_text_message("Oslo, é", role=Role.ROLE_USER))
    states, said, task_id = [], [], None
    async for event in client.send_message(request):
        kind = event.WhichOneof("payload")
        if kind == "task":
            task_id = event.task.id
            states.append(event.task.status.state)
            said += [get_artifact_text(artifact) for artifact in event.task.artifacts]
        elif kind == "status_update":
            states.append(event.status_update.status.state)
        elif kind == "artifact_update":
            said.append(get_artifact_text(event.artifact_update.artifact))
    check(f"{name} answer", said == ["You said: Oslo, é"], said)
    check(f"{name} end", states[-1] == TaskState.TASK_STATE_COMPLETED, states)
    check(f"{name} pieces", (len(states) > 1) == streaming, states)
    task = await client.get_task(GetTaskRequest(id=task_id))
    check(f"{name} task", task.id == task_id and task.status.state == TaskState.TASK_STATE_COMPLETED, task)
    if version == "1.0":
        extended = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
        urls = [interface.url for interface in extended.supported_interfaces]
        check(f"{name} extended card", urls and all(url.startswith(job["url"]) for url in urls), urls)


async def main():
    async with httpx.AsyncClient(headers={"authorization": "Bearer open-sesame"}, timeout=30) as http:
        card = await A2ACardResolver(http, job["url"]).get_agent_card()
        urls = [interface.url for interface in card.supported_interfaces]
        check("urls", len(urls) == 3 and all(url.startswith(job["url"]) for url in urls), urls)
        schemes = dict(card.security_schemes)
        check("security", list(schemes) == ["gateway"], schemes)
        for binding, version in (("JSONRPC", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "1.0")):
            for streaming in (False, True):
                await talk(http, card, binding, version, streaming)
    async with httpx.AsyncClient() as http:
        answer = await http.post(job["url"] + "/rpc", json={})
        check("no key", answer.status_code == 401, answer)


try:
    asyncio.run(asyncio.wait_for(main(), 60))
except BaseException:
    print("raised", traceback.format_exc())
