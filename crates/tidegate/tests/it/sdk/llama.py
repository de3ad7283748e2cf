"""The official SDKs of OpenAI and Anthropic with a real model behind the gateway.

A model of 135 million parameters says what it likes, so that only the form of its answers is
compared. See `checks.py` for what is printed.
"""

import json

import anthropic
import openai
from checks import JOB, check, equal

CHAT = openai.OpenAI(api_key=JOB["key"], base_url=JOB["url"] + "/v1", max_retries=0, timeout=120)
CLAUDE = anthropic.Anthropic(api_key=JOB["key"], base_url=JOB["url"], max_retries=0, timeout=120)
ASKED = [{"role": "user", "content": "Name one colour."}]
BOUNDS = {"max_tokens": 24, "temperature": 0.0}


def counted(usage):
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 24, usage
    return usage.prompt_tokens, usage.completion_tokens


def whole_and_streamed(model):
    answer = CHAT.chat.completions.create(model=model, messages=ASKED, **BOUNDS)
    assert answer.choices[0].message.content, answer
    # What it counted of a stream is what it counted of the same answer in one piece.
    options = {"include_usage": True}
    stream = CHAT.chat.completions.create(
        model=model, messages=ASKED, stream=True, stream_options=options, **BOUNDS
    )
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    equal(text, answer.choices[0].message.content)
    # This server counts streams only from some version on.
    if usage:
        equal(counted(usage), counted(answer.usage))


def limited(model):
    answer = CHAT.chat.completions.create(model=model, messages=ASKED, max_tokens=2, temperature=0)
    equal((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 2))


def json_mode(model):
    answer = CHAT.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Answer in JSON with the member colour."}],
        response_format={"type": "json_object"},
        max_tokens=200,
        temperature=0,
    )
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict), answer


def translated(model):
    # This SDK has no name for a temperature any more.
    ask = {"model": model, "messages": ASKED, "max_tokens": 24, "extra_body": {"temperature": 0}}
    answer = CLAUDE.messages.create(**ask)
    with CLAUDE.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    assert answer.content[0].text and answer.usage.input_tokens > 0, answer
    equal(streamed.content[0].text, answer.content[0].text)
    equal(streamed.stop_reason, answer.stop_reason)


for each in JOB["models"]:
    for run in (whole_and_streamed, limited, json_mode):
        check(f"{run.__name__} of {each}", lambda: run(each))
# The server of llama.cpp itself speaks Messages, and so does that kind of provider; this one does not.
check("translated", lambda: translated("by-compatible"))
