"""The official SDK as a client of the gateway's MCP endpoint. Each line that is not `ok ...` failed."""

import asyncio
import json
import sys
import traceback

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

job = json.load(open(sys.argv[1]))
failed = False


def check(name, right, saw=None):
    print(f"ok {name}" if right else f"{name}: {saw!r}")


def text(result):
    return "".join(part.text for part in result.content if part.type == "text")


def connect(key="open-sesame", mode="auto", **more):
    http = httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30)
    return Client(streamable_http_client(job["url"], http_client=http), mode=mode, **more)


async def refused(call):
    try:
        return await call
    except MCPError as error:
        return error.error


async def tools(mode):
    asked = []

    async def answer(context, params):
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"city": "Oslo"})

    async with connect(mode=mode, elicitation_callback=answer) as client:
        check("version", client.protocol_version == "2025-11-25", client.protocol_version)
        check("instructions", "Use one with care." in (client.instructions or ""), client.instructions)
        listed = {tool.name for tool in (await client.list_tools()).tools}
        wanted = {f"{server}__echo" for server in job["servers"]}
        check("listed", wanted <= listed, listed)
        check("dead ones are left out", not any(tool.startswith("dead") for tool in listed), listed)
        for server in job["servers"]:
            result = await client.call_tool(f"{server}__echo", {"text": "hé\n"})
            check(f"{server} echo", text(result) == f"{server}: hé\n" and not result.is_error, result)
            result = await client.call_tool(f"{server}__fail", {})
            check(f"{server} fail", result.is_error, result)
            seen = []

            async def progress(done, total, message):
                seen.append((done, total, message))

            result = await client.call_tool(f"{server}__steps", {"count": 3}, progress_callback=progress)
            check(f"{server} steps", text(result) == "3 steps", result)
            check(f"{server} progress", seen == [(n, 3, f"step {n}") for n in (1, 2, 3)], seen)
            result = await client.call_tool(f"{server}__ask", {})
            check(f"{server} ask", text(result) == f"{server} goes to Oslo", result)
            result = await client.call_tool(f"{server}__large", {"size": 300_000})
            check(f"{server} large", text(result) == "x" * 300_000, len(text(result)))
            result = await client.get_prompt(f"{server}__greet", {"who": "Ada"})
            check(f"{server} prompt", result.messages[0].content.text == f"{server} greets Ada", result)
            result = await client.read_resource(f"memo://{server}/today")
            check(f"{server} resource", result.contents[0].text == f"nothing, says {server}", result)
            result = await client.read_resource(f"memo://{server}/monday")
            check(f"{server} template", result.contents[0].text == f"monday at {server}", result)
        many = [client.call_tool(f"{server}__echo", {"text": str(n)}) for n in range(20) for server in job["servers"]]
        said = [text(result) for result in await asyncio.gather(*many)]
        check("many at a time", said == [f"{s}: {n}" for n in range(20) for s in job["servers"]], said)
        check("asked", len(asked) == len(job["servers"]), asked)
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        check("prompts", prompts == {f"{server}__greet" for server in job["servers"]}, prompts)
        resources = {str(found.uri) for found in (await client.list_resources()).resources}
        check("resources", resources == {f"memo://{server}/today" for server in job["servers"]}, resources)
        templates = (await client.list_resource_templates()).resource_templates
        check("templates", len(templates) == len(job["servers"]), templates)
        await client.send_ping()
        error = await refused(client.call_tool("one__made_up", {}))
        check("no such tool", getattr(error, "is_error", True), error)
        error = await refused(client.call_tool("echo", {"text": "x"}))
        code = getattr(error, "code", None)
        check("a name without prefix", code == -32602 and error.data == {"code": "tool_not_found"}, error)
        error = await refused(client.read_resource("memo://nobody/x"))
        check("no such resource", getattr(error, "code", None) is not None, error)


async def allowed():
    async with connect("limited") as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        check("only what is allowed", listed == {"one__echo"}, listed)
        result = await client.call_tool("one__echo", {"text": "x"})
        check("an allowed tool", text(result) == "one: x", result)
        for tool in ("one__process", "two__echo", "one__fail"):
            error = await refused(client.call_tool(tool, {"text": "x"}))
            check(f"not {tool}", getattr(error, "code", None) == -32602, error)
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        check("prompts of allowed servers", prompts == {"one__greet"}, prompts)


async def single(what):
    async with connect() as client:
        for step in what:
            if step["do"] == "call":
                result = await refused(client.call_tool(step["tool"], step.get("arguments", {})))
                said = text(result) if hasattr(result, "content") else f"error {result.code} {result.data}"
                print(f"ok {said}")
            elif step["do"] == "sleep":
                await asyncio.sleep(step["seconds"])
            elif step["do"] == "cancel":
                call = asyncio.create_task(client.call_tool(step["tool"], {}))
                await asyncio.sleep(0.5)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                print("ok cancelled")


async def main():
    if job["what"] == "tools":
        for mode in ("auto", "legacy"):
            await tools(mode)
        await allowed()
    else:
        try:
            await single(job["steps"])
        except* anyio.ClosedResourceError:
            # Every step is over: the client met an answer that came while it closed.
            pass


try:
    asyncio.run(asyncio.wait_for(main(), 120))
except BaseException:
    print("raised", traceback.format_exc())
