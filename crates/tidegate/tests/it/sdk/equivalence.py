"""What each vendor's SDK reads from a recorded answer, directly and through the gateway in each of
the other dialects.

The job has the gateway's address, the address of the server that replays the recordings, and the
recordings. See `checks.py` for what is printed.
"""

import json

import anthropic
import boto3
import cohere
import jiter
import openai
from botocore.config import Config
from checks import JOB, check, equal
from google import genai
from google.genai import types

ASKED = [{"role": "user", "content": "Hi"}]


def said(text, calls, stop, usage):
    """Text, calls, reason to stop, tokens in and out."""
    return text, [(name, parsed(arguments) or {}) for name, arguments in calls], stop, usage


def parsed(arguments):
    """Arguments of a call, as far as they came: an answer may end inside of them."""
    if not isinstance(arguments, str):
        return dict(arguments or {})
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        # As Anthropic's SDK reads them.
        return jiter.from_json(arguments.encode(), partial_mode=True)


STOPS = {
    "tool_calls": "tool",
    "function_call": "tool",
    "tool_use": "tool",
    "TOOL_CALL": "tool",
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "max_output_tokens": "length",
    "content_filter": "refusal",
    "content_filtered": "refusal",
    "guardrail_intervened": "refusal",
    "refusal": "refusal",
    "SAFETY": "refusal",
}


class Chat:
    def __init__(self, url, key):
        self.sdk = openai.OpenAI(api_key=key, base_url=url + "/v1", max_retries=0, timeout=30)

    def whole(self, model):
        answer = self.sdk.chat.completions.create(model=model, messages=ASKED)
        choice, usage = answer.choices[0], answer.usage
        message = choice.message
        calls = [c.function for c in message.tool_calls or []]
        # Before there were tools, an answer had one call.
        calls += [message.function_call] if message.function_call else []
        calls = [(c.name, c.arguments) for c in calls]
        usage = (usage.prompt_tokens, usage.completion_tokens) if usage else None
        text = (message.content or "") + (message.refusal or "")
        return said(text, calls, STOPS.get(choice.finish_reason, "end"), usage)

    def stream(self, model):
        text, calls, stop, usage = "", {}, None, None
        options = {"include_usage": True}
        create = self.sdk.chat.completions.create
        for chunk in create(model=model, messages=ASKED, stream=True, stream_options=options):
            if chunk.usage:
                usage = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            for choice in chunk.choices:
                # Whoever asks for several answers has the first one elsewhere.
                if choice.index:
                    continue
                stop = choice.finish_reason or stop
                text += (choice.delta.content or "") + (choice.delta.refusal or "")
                found = [(call.index, call.function) for call in choice.delta.tool_calls or []]
                if choice.delta.function_call:
                    found.append((0, choice.delta.function_call))
                for index, function in found:
                    kept = calls.setdefault(index, ["", ""])
                    kept[0] += function.name or ""
                    kept[1] += function.arguments or ""
        return said(text, calls.values(), STOPS.get(stop, "end"), usage)


class Messages:
    def __init__(self, url, key):
        self.sdk = anthropic.Anthropic(api_key=key, base_url=url, max_retries=0, timeout=30)

    def read(self, answer):
        text = "".join(b.text for b in answer.content if b.type == "text")
        calls = [(b.name, b.input) for b in answer.content if b.type == "tool_use"]
        usage = answer.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        tokens = usage.input_tokens + cached, usage.output_tokens
        return said(text, calls, STOPS.get(answer.stop_reason, "end"), tokens)

    def whole(self, model):
        return self.read(self.sdk.messages.create(model=model, max_tokens=99, messages=ASKED))

    def stream(self, model):
        with self.sdk.messages.stream(model=model, max_tokens=99, messages=ASKED) as stream:
            return self.read(stream.get_final_message())


class Responses(Chat):
    def read(self, answer):
        calls = [(i.name, i.arguments) for i in answer.output if i.type == "function_call"]
        stop = "tool" if calls else "end"
        if answer.incomplete_details:
            stop = STOPS[answer.incomplete_details.reason]
        usage = answer.usage
        usage = (usage.input_tokens, usage.output_tokens) if usage else None
        said_no = [p.refusal for i in answer.output if i.type == "message" for p in i.content if p.type == "refusal"]
        return said(answer.output_text + "".join(said_no), calls, stop, usage)

    def whole(self, model):
        return self.read(self.sdk.responses.create(model=model, input="Hi"))

    def stream(self, model):
        for event in self.sdk.responses.create(model=model, input="Hi", stream=True):
            if event.type in ("response.completed", "response.incomplete"):
                return self.read(event.response)
        raise AssertionError("no end")


class GenerateContent:
    def __init__(self, url, key):
        # A client that nobody holds closes its connections.
        self.client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
        self.sdk = self.client.models

    def read(self, chunks):
        text, calls, stop, usage = "", [], None, None
        for chunk in chunks:
            for candidate in (chunk.candidates or [])[:1]:
                stop = candidate.finish_reason or stop
                for part in (candidate.content and candidate.content.parts) or []:
                    text += "" if part.thought else part.text or ""
                    if part.function_call:
                        calls.append((part.function_call.name, part.function_call.args))
            usage = chunk.usage_metadata or usage
        count = lambda name: getattr(usage, name) or 0
        if usage:
            asked = count("prompt_token_count") + count("tool_use_prompt_token_count")
            usage = asked, count("candidates_token_count") + count("thoughts_token_count")
        stop = STOPS.get(stop.name if stop else None, "tool" if calls else "end")
        return said(text, calls, stop, usage)

    def whole(self, model):
        return self.read([self.sdk.generate_content(model=model, contents="Hi")])

    def stream(self, model):
        return self.read(self.sdk.generate_content_stream(model=model, contents="Hi"))


class Converse:
    def __init__(self, url, key):
        self.sdk = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="TGTESTER",
            aws_secret_access_key=key,
            config=Config(retries={"max_attempts": 0}, read_timeout=30),
        )
        self.ask = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    def tokens(self, usage):
        cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
        return usage["inputTokens"] + cached, usage["outputTokens"]

    def whole(self, model):
        answer = self.sdk.converse(modelId=model, **self.ask)
        content = answer["output"]["message"]["content"]
        text = ""
        for block in content:
            cited = block.get("citationsContent", {}).get("content", [])
            text += block.get("text", "") + "".join(piece["text"] for piece in cited)
        calls = [(b["toolUse"]["name"], b["toolUse"]["input"]) for b in content if "toolUse" in b]
        stop = STOPS.get(answer["stopReason"], "end")
        return said(text, calls, stop, self.tokens(answer["usage"]))

    def stream(self, model):
        text, calls, stop, usage = "", {}, None, None
        for event in self.sdk.converse_stream(modelId=model, **self.ask)["stream"]:
            if start := event.get("contentBlockStart"):
                if "toolUse" in start["start"]:
                    calls[start["contentBlockIndex"]] = [start["start"]["toolUse"]["name"], ""]
            elif piece := event.get("contentBlockDelta"):
                text += piece["delta"].get("text", "")
                if "toolUse" in piece["delta"]:
                    calls[piece["contentBlockIndex"]][1] += piece["delta"]["toolUse"]["input"]
            elif end := event.get("messageStop"):
                stop = end["stopReason"]
            elif metadata := event.get("metadata"):
                usage = self.tokens(metadata["usage"])
        return said(text, calls.values(), STOPS.get(stop, "end"), usage)


class CohereChat:
    def __init__(self, url, key):
        self.sdk = cohere.ClientV2(api_key=key, base_url=url, timeout=30)

    def tokens(self, usage):
        # What is billed is what counts: see the dialect's page.
        counted = usage and (usage.billed_units or usage.tokens)
        return counted and (int(counted.input_tokens), int(counted.output_tokens))

    def whole(self, model):
        answer = self.sdk.chat(model=model, messages=ASKED)
        message = answer.message
        text = "".join(p.text for p in message.content or [] if p.type == "text")
        calls = [(c.function.name, none(c.function.arguments)) for c in message.tool_calls or []]
        stop = STOPS.get(answer.finish_reason, "end")
        return said(text + (message.tool_plan or ""), calls, stop, self.tokens(answer.usage))

    def stream(self, model):
        text, calls, stop, usage = "", [], None, None
        for event in self.sdk.chat_stream(model=model, messages=ASKED):
            message = getattr(event.delta, "message", None) if hasattr(event, "delta") else None
            if event.type == "tool-plan-delta":
                text += message.tool_plan
            elif event.type == "content-delta":
                text += message.content.text or ""
            elif event.type == "tool-call-start":
                calls.append([message.tool_calls.function.name, ""])
            elif event.type == "tool-call-delta":
                calls[-1][1] += message.tool_calls.function.arguments
            elif event.type == "message-end":
                stop, usage = event.delta.finish_reason, self.tokens(event.delta.usage)
        return said(text, [(name, none(a)) for name, a in calls], STOPS.get(stop, "end"), usage)


def none(arguments):
    """Cohere's models write null for no arguments."""
    return "{}" if arguments == "null" else arguments


KINDS = {
    "chat_completions": Chat,
    "messages": Messages,
    "responses": Responses,
    "generate_content": GenerateContent,
    "converse": Converse,
    "cohere_chat": CohereChat,
}
DIRECT = {name: kind(JOB["upstream"], JOB["key"]) for name, kind in KINDS.items()}
CALLERS = {name: kind(JOB["url"], JOB["key"]) for name, kind in KINDS.items()}

for recording in JOB["recordings"]:
    model, how, api = recording["model"], recording["how"], recording["api"]
    direct = []

    def read(sdk):
        return getattr(sdk, how)(model)

    check(f"{api} directly, {model}", lambda: direct.append(read(DIRECT[api])))
    for caller, sdk in CALLERS.items():

        def compare():
            text, calls, stop, usage = direct[0]
            # Cohere has no refusal: the table of losses says so.
            stop = "end" if caller == "cohere_chat" and stop == "refusal" else stop
            got = read(sdk)
            # Gemini's arguments are an object, which one that was cut off is not: the table says so.
            if caller == "generate_content" and stop == "length":
                calls = calls[: len(got[1])]
            equal(got[:3], (text, calls, stop))
            if usage:
                equal(got[3], usage)

        check(f"{api} through the gateway with the SDK of {caller}, {how}, {model}", compare)
