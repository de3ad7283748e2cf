"""The official SDKs of OpenAI and Anthropic against a gateway.

See `checks.py` for what is printed.
"""

import json

import anthropic
import openai
import pydantic
from checks import JOB, check, equal

URL = JOB["url"]
TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def chat_client(key=JOB["key"], **more):
    return openai.OpenAI(api_key=key, base_url=URL + "/v1", max_retries=0, timeout=30, **more)


def messages_client(key=JOB["key"], **more):
    return anthropic.Anthropic(api_key=key, base_url=URL, max_retries=0, timeout=30, **more)


CHAT, MESSAGES = chat_client(), messages_client()


def raises(kind, run):
    try:
        run()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


# What an answer says, whichever way it came: text, tool calls, tokens.


def of_chat(answer):
    message = answer.choices[0].message
    calls = [c.function for c in message.tool_calls or []]
    if message.function_call:  # what tool calls were before there were several
        calls.append(message.function_call)
    calls = [(function.name, loads(function.arguments)) for function in calls]
    usage = answer.usage
    return message.content or "", calls, usage.completion_tokens if usage else None


def of_chat_stream(stream):
    text, calls, tokens = "", {}, None
    for chunk in stream:
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                kept = calls.setdefault(call.index, ["", ""])
                kept[0] += call.function.name or ""
                kept[1] += call.function.arguments or ""
            if old := choice.delta.function_call:
                kept = calls.setdefault(0, ["", ""])
                kept[0] += old.name or ""
                kept[1] += old.arguments or ""
    calls = [(name, loads(arguments)) for _, (name, arguments) in sorted(calls.items())]
    return text, calls, tokens


def of_message(answer):
    text = "".join(b.text for b in answer.content if b.type == "text")
    calls = [(b.name, b.input) for b in answer.content if b.type == "tool_use"]
    return text, calls, answer.usage.output_tokens


def of_response(answer):
    text = answer.output_text
    calls = [(i.name, loads(i.arguments)) for i in answer.output if i.type == "function_call"]
    return text, calls, answer.usage.output_tokens if answer.usage else None


def of_response_stream(stream):
    """What the events say one by one, which has to be what the answer at their end says."""
    text, calls, end, number = "", {}, None, -1
    for event in stream:
        # Two old recordings have no numbers.
        if (given := getattr(event, "sequence_number", None)) is not None:
            assert given > number, event
            number = given
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.output_item.done" and event.item.type == "function_call":
            calls[event.output_index] = (event.item.name, loads(event.item.arguments))
        elif event.type in ("response.completed", "response.incomplete"):
            end = of_response(event.response)
    said = text, [call for _, call in sorted(calls.items())], end[2]
    equal(said, end)
    return said


def loads(text):
    return json.loads(text) if text.strip() else {}


# The same, read from a recording without any SDK.


def events(body):
    for event in body.replace("\r\n", "\n").split("\n\n"):
        data = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
        if data and data[0] != "[DONE]":
            yield json.loads("\n".join(data))


def recorded_chat(body, stream):
    text, calls, tokens = "", {}, None
    for item in events(body) if stream else [json.loads(body)]:
        if item.get("usage"):
            tokens = item["usage"]["completion_tokens"]
        for choice in item.get("choices") or []:
            part = choice.get("delta") or choice.get("message") or {}
            text += part.get("content") or ""
            for position, call in enumerate(part.get("tool_calls") or []):
                kept = calls.setdefault(call.get("index", position), ["", ""])
                kept[0] += call["function"].get("name") or ""
                kept[1] += call["function"].get("arguments") or ""
            if old := part.get("function_call"):
                kept = calls.setdefault(0, ["", ""])
                kept[0] += old.get("name") or ""
                kept[1] += old.get("arguments") or ""
    calls = [(name, loads(arguments)) for _, (name, arguments) in sorted(calls.items())]
    return text, calls, tokens


def recorded_message(body, stream):
    if not stream:
        answer = json.loads(body)
        blocks, tokens = answer["content"], answer["usage"]["output_tokens"]
        text = "".join(b["text"] for b in blocks if b["type"] == "text")
        calls = [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
        return text, calls, tokens
    text, calls, tokens = "", {}, None
    for item in events(body):
        kind = item["type"]
        if kind == "content_block_start":
            block = item["content_block"]
            if block["type"] == "tool_use":
                calls[item["index"]] = [block["name"], ""]
            elif block["type"] == "text":
                text += block["text"]
        elif kind == "content_block_delta":
            delta = item["delta"]
            if delta["type"] == "text_delta":
                text += delta["text"]
            elif delta["type"] == "input_json_delta" and item["index"] in calls:
                calls[item["index"]][1] += delta["partial_json"]
        elif kind == "message_delta":
            tokens = item["usage"]["output_tokens"]
    return text, [(name, loads(arguments)) for name, arguments in calls.values()], tokens


def recorded_response(body, stream):
    if stream:
        ends = ("response.completed", "response.incomplete")
        answer = [e["response"] for e in events(body) if e["type"] in ends][0]
    else:
        answer = json.loads(body)
    text, calls = "", []
    for item in answer["output"]:
        if item["type"] == "message":
            text += "".join(part.get("text", "") for part in item["content"])
        elif item["type"] == "function_call":
            calls.append((item["name"], loads(item["arguments"])))
    return text, calls, answer["usage"]["output_tokens"]


# Both SDKs, whole and streamed.


def ask_chat(model, stream, **more):
    more.setdefault("messages", [{"role": "user", "content": "Hello"}])
    if not stream:
        return of_chat(CHAT.chat.completions.create(model=model, **more))
    options = {"include_usage": True}
    return of_chat_stream(
        CHAT.chat.completions.create(model=model, stream=True, stream_options=options, **more)
    )


def ask_messages(model, stream, **more):
    more.setdefault("messages", [{"role": "user", "content": "Hello"}])
    more.setdefault("max_tokens", 100)
    if not stream:
        return of_message(MESSAGES.messages.create(model=model, **more))
    with MESSAGES.messages.stream(model=model, **more) as stream:
        return of_message(stream.get_final_message())


def ask_responses(model, stream, **more):
    more.setdefault("input", "Hello")
    if not stream:
        return of_response(CHAT.responses.create(model=model, **more))
    return of_response_stream(CHAT.responses.create(model=model, stream=True, **more))


RECORDED = {
    "chat_completions": recorded_chat,
    "messages": recorded_message,
    "responses": recorded_response,
}


def replays():
    """Recorded traffic of every provider, in every dialect."""
    for recording in JOB["recordings"]:
        kept = json.load(open(recording["file"]))
        body, stream = kept["response"]["body_text"], kept["stream"]
        text, calls, tokens = RECORDED[recording["api"]](body, stream)
        for name, ask in [
            ("openai chat", ask_chat),
            ("anthropic", ask_messages),
            ("openai responses", ask_responses),
        ]:

            def compare():
                got = ask(recording["model"], stream)
                equal(got[0], text)
                equal(got[1], calls)
                if tokens is not None:
                    equal(got[2], tokens)

            check(f"replay {name} sdk, {recording['api']} of {recording['kind']}, {kept['id']}", compare)


def stand_in(model):
    """A conversation with the demo's stand-in, which answers what it is asked."""
    said = "This is a stand-in, not a model. You said: "
    for stream in [False, True]:
        how = f"{model}, {'streamed' if stream else 'whole'}"

        def chat():
            text, calls, tokens = ask_chat(model, stream)
            equal((text, calls), (said + "Hello", []))
            assert tokens and tokens > 0, tokens

        check(f"openai chat {how}", chat)

        def message():
            text, calls, tokens = ask_messages(model, stream, system="Be brief.")
            equal((text, calls), (said + "Hello", []))
            assert tokens and tokens > 0, tokens

        check(f"anthropic chat {how}", message)

        def response():
            text, calls, tokens = ask_responses(model, stream, instructions="Be brief.")
            equal((text, calls), (said + "Hello", []))
            assert tokens and tokens > 0, tokens

        check(f"openai responses {how}", response)

        def response_tool():
            tools = [{"type": "function", "name": "weather", "parameters": TOOL, "strict": False}]
            _, calls, _ = ask_responses(model, stream, tools=tools)
            equal(calls, [("weather", {"city": "sample", "days": 1})])
            call = {"type": "function_call", "call_id": "call_1", "name": "weather"}
            call["arguments"] = '{"city":"sample"}'
            output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
            items = [{"role": "user", "content": "Weather?"}, call, output]
            text, _, _ = ask_responses(model, stream, tools=tools, input=items)
            equal(text, "The tool answered: rain")

        check(f"openai responses tools {how}", response_tool)

        def response_image():
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
            image["detail"] = "auto"
            content = [{"type": "input_text", "text": "Look"}, image]
            text, _, _ = ask_responses(model, stream, input=[{"role": "user", "content": content}])
            equal(text, said + "Look (with 1 image)")

        check(f"openai responses image {how}", response_image)

        def chat_tool():
            function = {"name": "weather", "description": "Weather", "parameters": TOOL}
            tools = [{"type": "function", "function": function}]
            _, calls, _ = ask_chat(model, stream, tools=tools)
            equal(calls, [("weather", {"city": "sample", "days": 1})])
            call = {"id": "call_1", "type": "function"}
            call["function"] = {"name": "weather", "arguments": '{"city":"sample"}'}
            messages = [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ]
            text, _, _ = ask_chat(model, stream, tools=tools, messages=messages)
            equal(text, "The tool answered: rain")

        check(f"openai tools {how}", chat_tool)

        def message_tool():
            tools = [{"name": "weather", "description": "Weather", "input_schema": TOOL}]
            _, calls, _ = ask_messages(model, stream, tools=tools)
            equal(calls, [("weather", {"city": "sample", "days": 1})])
            use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "x"}}
            result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
            messages = [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]},
            ]
            text, _, _ = ask_messages(model, stream, tools=tools, messages=messages)
            equal(text, "The tool answered: rain")

        check(f"anthropic tools {how}", message_tool)

        def chat_image():
            url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
            content = [{"type": "text", "text": "Look"}, url]
            text, _, _ = ask_chat(model, stream, messages=[{"role": "user", "content": content}])
            equal(text, said + "Look (with 1 image)")

        check(f"openai image {how}", chat_image)

        def message_image():
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content = [{"type": "text", "text": "Look"}, {"type": "image", "source": source}]
            messages = [{"role": "user", "content": content}]
            text, _, _ = ask_messages(model, stream, messages=messages)
            equal(text, said + "Look (with 1 image)")

        check(f"anthropic image {how}", message_image)

    def limit():
        more = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
        answer = CHAT.chat.completions.create(model=model, **more)
        equal(answer.choices[0].finish_reason, "length")
        equal(MESSAGES.messages.create(model=model, **more).stop_reason, "max_tokens")
        # A limit of 16 is the least that OpenAI takes; the gateway leaves that to the provider.
        answer = CHAT.responses.create(model=model, input="Hello", max_output_tokens=3)
        equal((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))

    check(f"token limit {model}", limit)

    def helper():
        with CHAT.responses.stream(model=model, input="Hello") as stream:
            kinds = [event.type for event in stream]
            equal(stream.get_final_response().output_text, said + "Hello")
        equal((kinds[0], kinds[-1]), ("response.created", "response.completed"))

    check(f"openai responses.stream {model}", helper)


def listing():
    check("openai models.list", lambda: equal([m.id for m in CHAT.models.list()], JOB["models"]))
    check("anthropic models.list", lambda: equal([m.id for m in MESSAGES.models.list()], JOB["models"]))


def errors(model):
    hello = [{"role": "user", "content": "Hello"}]

    def chat(client, model=model, **more):
        return lambda: client.chat.completions.create(model=model, messages=hello, **more)

    def message(client, model=model):
        return lambda: client.messages.create(model=model, max_tokens=5, messages=hello)

    check("openai AuthenticationError", lambda: raises(openai.AuthenticationError, chat(chat_client("wrong"))))
    check("anthropic AuthenticationError", lambda: raises(anthropic.AuthenticationError, message(messages_client("wrong"))))
    check("openai NotFoundError", lambda: raises(openai.NotFoundError, chat(CHAT, "no-such-model")))
    check("anthropic NotFoundError", lambda: raises(anthropic.NotFoundError, message(MESSAGES, "no-such-model")))

    def without_model(client, path):
        return lambda: client.post(path, body={"messages": hello}, cast_to=object)

    check("openai BadRequestError", lambda: raises(openai.BadRequestError, without_model(CHAT, "/chat/completions")))
    check("anthropic BadRequestError", lambda: raises(anthropic.BadRequestError, without_model(MESSAGES, "/v1/messages")))

    def limited(kind, client, call):
        limited = client(default_headers={"x-limited": client.__name__})
        call(limited)()
        error = raises(kind, call(limited))
        assert int(error.response.headers["retry-after"]) > 0

    check("openai RateLimitError", lambda: limited(openai.RateLimitError, chat_client, chat))
    check("anthropic RateLimitError", lambda: limited(anthropic.RateLimitError, messages_client, message))
    check("openai InternalServerError", lambda: raises(openai.InternalServerError, chat(CHAT, "unreachable")))
    check("anthropic InternalServerError", lambda: raises(anthropic.InternalServerError, message(MESSAGES, "unreachable")))


class City(pydantic.BaseModel):
    city: str
    days: int


def structured():
    """An answer that has to follow a schema, from a provider that says one that does."""
    for model in JOB["models"]:

        def parse():
            answer = CHAT.responses.parse(model=model, input="Weather?", text_format=City)
            equal(answer.output_parsed, City(city="Oslo", days=2))

        check(f"openai responses.parse {model}", parse)


if JOB["what"] == "replays":
    replays()
elif JOB["what"] == "structured":
    structured()
else:
    for each in JOB["stand_ins"]:
        stand_in(each)
    listing()
    errors(JOB["stand_ins"][0])
