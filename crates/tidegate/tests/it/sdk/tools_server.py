"""A server of tools, made with the official SDK: `tools_server.py http NAME` or `... stdio NAME`."""

import asyncio
import os
import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

kind, name = sys.argv[1:3]
server = MCPServer(name, instructions=f"Use {name} with care.")


class Answer(BaseModel):
    city: str


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return f"{name}: {text}"


@server.tool()
def fail() -> str:
    """Never works."""
    raise ValueError("as it should")


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Tells of its progress."""
    for step in range(count):
        await ctx.report_progress(step + 1, count, f"step {step + 1}")
        await asyncio.sleep(0.01)
    return f"{count} steps"


@server.tool()
async def ask(ctx: Context) -> str:
    """Asks its client."""
    result = await ctx.elicit("Which city?", Answer)
    return f"{name} goes to {result.data.city}" if result.action == "accept" else result.action


@server.tool()
async def hang() -> str:
    """Takes too long."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        with open(os.environ.get("CANCELLED", os.devnull), "a") as file:
            file.write("cancelled\n")
        raise
    return "late"


@server.tool()
def shown(field: str, ctx: Context) -> str:
    """What a request carried."""
    return (ctx.headers or {}).get(field, "nothing")


@server.tool()
def environment(variable: str) -> str:
    """What the process sees."""
    return os.environ.get(variable, "nothing")


@server.tool()
def process() -> int:
    """Which process this is."""
    return os.getpid()


@server.tool()
def crash() -> str:
    """Ends the process."""
    print("going down with", os.environ.get("TOKEN"), file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
def large(size: int) -> str:
    """Answers at length."""
    return "x" * size


@server.prompt()
def greet(who: str) -> str:
    """A greeting."""
    return f"{name} greets {who}"


@server.resource(f"memo://{name}/today")
def today() -> str:
    """What is on today."""
    return f"nothing, says {name}"


@server.resource("memo://" + name + "/{day}")
def memo(day: str) -> str:
    """What is on some day."""
    return f"{day} at {name}"


if kind == "stdio":
    anyio.run(server.run_stdio_async)
else:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    print("port", listening.getsockname()[1], flush=True)
    app = server.streamable_http_app(json_response=kind == "json")
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
