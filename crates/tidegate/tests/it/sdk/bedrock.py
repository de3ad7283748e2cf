"""boto3 against a gateway, and botocore's opinion of the signatures that the gateway makes.

See `checks.py` for what is printed.
"""

import base64
import datetime
import json
from unittest import mock

import anthropic
import boto3
import botocore.auth
import openai
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EventStreamError
from checks import JOB, check, equal

TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SAID = "This is a stand-in, not a model. You said: "


def client(secret=None, region="us-east-1", **more):
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=JOB["url"],
        region_name=region,
        aws_access_key_id=JOB["id"],
        aws_secret_access_key=secret or JOB["secret"],
        config=Config(retries={"max_attempts": 0}, read_timeout=30),
        **more,
    )


def user(*content):
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def ask(model, stream, messages, aws=None, **more):
    """Text, tool calls, reason to stop and usage."""
    aws = aws or AWS
    if not stream:
        answer = aws.converse(modelId=model, messages=messages, **more)
        content = answer["output"]["message"]["content"]
        text = "".join(block.get("text", "") for block in content)
        calls = [(b["toolUse"]["name"], b["toolUse"]["input"]) for b in content if "toolUse" in b]
        assert isinstance(answer["metrics"]["latencyMs"], int)
        return text, calls, answer["stopReason"], answer["usage"]
    text, calls, stop, usage = "", {}, None, None
    for event in aws.converse_stream(modelId=model, messages=messages, **more)["stream"]:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            calls[start["contentBlockIndex"]] = [start["start"]["toolUse"]["name"], ""]
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            text += delta.get("text", "")
            if "toolUse" in delta:
                index = event["contentBlockDelta"]["contentBlockIndex"]
                calls[index][1] += delta["toolUse"]["input"]
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    return text, [(name, json.loads(json_)) for name, json_ in calls.values()], stop, usage


def conversation(model, stream):
    how = f"{model} {'streamed' if stream else 'whole'}"

    def plain():
        text, calls, stop, usage = ask(model, stream, [user("Hello")], system=[{"text": "Be kind."}])
        equal((text, calls, stop), (SAID + "Hello", [], "end_turn"))
        assert usage["outputTokens"] > 0 and usage["inputTokens"] > 0, usage
        equal(usage["totalTokens"], usage["inputTokens"] + usage["outputTokens"])

    def limit():
        config = {"maxTokens": 3, "temperature": 0.5, "stopSequences": ["x"]}
        text, _, stop, _ = ask(model, stream, [user("Hello")], inferenceConfig=config)
        equal((text, stop), ("This is a", "max_tokens"))

    def image():
        part = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
        text, _, _, _ = ask(model, stream, [user("Look", part)])
        equal(text, SAID + "Look (with 1 image)")

    def tool():
        spec = {"name": "weather", "description": "Weather", "inputSchema": {"json": TOOL}}
        tools = {"tools": [{"toolSpec": spec}], "toolChoice": {"auto": {}}}
        _, calls, stop, _ = ask(model, stream, [user("Rain?")], toolConfig=tools)
        equal((calls, stop), ([("weather", {"city": "sample", "days": 1})], "tool_use"))
        use = {"toolUseId": "t_1", "name": "weather", "input": {"city": "x"}}
        result = {"toolUseId": "t_1", "content": [{"text": "rain"}]}
        messages = [
            user("Rain?"),
            {"role": "assistant", "content": [{"toolUse": use}]},
            user({"toolResult": result}),
        ]
        text, _, _, _ = ask(model, stream, messages, toolConfig=tools)
        equal(text, "The tool answered: rain")

    for run in (plain, limit, image, tool):
        check(f"{run.__name__} {how}", run)


def refused(run):
    try:
        run()
    except ClientError as error:
        answer = error.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError("no error")


def errors():
    hello = [user("Hello")]
    for stream in (False, True):
        how = "streamed" if stream else "whole"

        def unknown():
            got = refused(lambda: ask("nobody", stream, hello))
            equal(got, ("ResourceNotFoundException", 404))

        def throttled():
            got = refused(lambda: ask("busy", stream, hello))
            equal(got, ("ThrottlingException", 429))

        def secret():
            wrong = client(secret="wrong")
            got = refused(lambda: ask("native", stream, hello, aws=wrong))
            equal(got, ("AccessDeniedException", 401))

        def region():
            wrong = client(region="eu-west-1")
            got = refused(lambda: ask("native", stream, hello, aws=wrong))
            equal(got, ("AccessDeniedException", 401))

        for run in (unknown, throttled, secret, region):
            check(f"error {run.__name__} {how}", run)


def session():
    tokened = client(aws_session_token="a token+/=")
    text, _, _, _ = ask("native", False, [user("Hello")], aws=tokened)
    equal(text, SAID + "Hello")


def invoke(stream):
    """InvokeModel with the body of one of Anthropic's models."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    ask = {"modelId": "claude", "body": json.dumps(body), "contentType": "application/json"}
    if not stream:
        answer = AWS.invoke_model(**ask)
        equal(answer["contentType"], "application/json")
        message = json.loads(answer["body"].read())
        equal((message["content"][0]["text"], message["stop_reason"]), (SAID + "Hello", "end_turn"))
        equal(message["usage"], {"input_tokens": 7, "output_tokens": 5})
        return
    text, last = "", None
    for event in AWS.invoke_model_with_response_stream(**ask)["body"]:
        last = json.loads(event["chunk"]["bytes"])
        text += last.get("delta", {}).get("text", "")
    equal((text, last["type"]), (SAID + "Hello", "message_stop"))


def counted():
    """CountTokens of a conversation and of a body for InvokeModel."""
    converse = {"messages": [user("Hello")]}
    answer = AWS.count_tokens(modelId="native", input={"converse": converse})
    equal(answer["inputTokens"], 7)
    body = json.dumps({"messages": []}).encode()
    answer = AWS.count_tokens(modelId="native", input={"invokeModel": {"body": body}})
    equal(answer["inputTokens"], 7)


def cut():
    """A stream that ends too early raises what the SDK knows."""
    ask = {"modelId": "cut", "body": "{}"}
    try:
        for _ in AWS.invoke_model_with_response_stream(**ask)["body"]:
            pass
    except EventStreamError as error:
        assert "broke off" in str(error), error
        return
    raise AssertionError("no error")


def openai_sdk(stream):
    sdk = openai.OpenAI(api_key=JOB["key"], base_url=JOB["url"] + "/v1", max_retries=0, timeout=30)
    function = {"name": "weather", "parameters": TOOL}
    tools = [{"type": "function", "function": function}]
    ask = {"model": "native", "messages": [{"role": "user", "content": "Hello"}]}
    if not stream:
        answer = sdk.chat.completions.create(**ask)
        equal(answer.choices[0].message.content, SAID + "Hello")
        assert answer.usage.total_tokens > 0
        call = sdk.chat.completions.create(tools=tools, **ask).choices[0]
        equal(call.finish_reason, "tool_calls")
        arguments = json.loads(call.message.tool_calls[0].function.arguments)
        equal(arguments, {"city": "sample", "days": 1})
        return
    text, tokens = "", 0
    options = {"include_usage": True}
    for chunk in sdk.chat.completions.create(stream=True, stream_options=options, **ask):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        tokens = chunk.usage.total_tokens if chunk.usage else tokens
    equal(text, SAID + "Hello")
    assert tokens > 0


def anthropic_sdk(stream):
    sdk = anthropic.Anthropic(api_key=JOB["key"], base_url=JOB["url"], max_retries=0, timeout=30)
    tools = [{"name": "weather", "description": "Weather", "input_schema": TOOL}]
    ask = {"model": "native", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    if not stream:
        answer = sdk.messages.create(**ask)
        equal(answer.content[0].text, SAID + "Hello")
        assert answer.usage.output_tokens > 0
        call = sdk.messages.create(tools=tools, **ask)
        equal((call.stop_reason, call.content[0].input), ("tool_use", {"city": "sample", "days": 1}))
        return
    with sdk.messages.stream(**ask) as events:
        answer = events.get_final_message()
    equal(answer.content[0].text, SAID + "Hello")
    assert answer.usage.output_tokens > 0


def signature(seen):
    """Signs what arrived at the upstream again."""
    headers = dict(seen["headers"])
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    kept = {name: headers[name] for name in signed if name not in ("host", "x-amz-date")}
    url = f"http://{headers['host']}{seen['target']}"
    body = base64.b64decode(seen["body"])
    request = AWSRequest(method=seen["method"], url=url, headers=kept, data=body)
    then = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    token = kept.pop("x-amz-security-token", None)
    keys = Credentials(JOB["upstream_id"], JOB["upstream_secret"], token)
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: then):
        botocore.auth.SigV4Auth(keys, "bedrock", "eu-west-1").add_auth(request)
    equal(headers["authorization"], request.headers["Authorization"])
    assert abs((datetime.datetime.utcnow() - then).total_seconds()) < 300


if JOB["what"] == "signatures":
    for number, seen in enumerate(JOB["seen"]):
        check(f"signature {number}", lambda: signature(seen))
else:
    AWS = client()
    for model in JOB["models"]:
        for stream in (False, True):
            conversation(model, stream)
    errors()
    check("session", session)
    check("counted", counted)
    check("cut", cut)
    for stream in (False, True):
        check(f"invoke {stream}", lambda: invoke(stream))
        check(f"openai {stream}", lambda: openai_sdk(stream))
        check(f"anthropic {stream}", lambda: anthropic_sdk(stream))
