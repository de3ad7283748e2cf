"""Every endpoint that the official SDKs have and the gateway serves, each called once.

Nothing of an SDK is changed but its base address and key. See `checks.py` for what is printed.
"""

import io

import anthropic
import cohere
import openai
import pydantic
from checks import JOB, check, equal
from google import genai
from google.genai import types
from mistralai.client import Mistral

URL, KEY = JOB["url"], JOB["key"]
ASKED = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "Weather", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
OSLO = '{"city":"Oslo"}'
VECTOR = [0.5, -0.25]
CLIENTS = []


class City(pydantic.BaseModel):
    city: str
    days: int


def wav():
    return ("a.wav", io.BytesIO(b"RIFF"), "audio/wav")


def openai_sdk():
    sdk = openai.OpenAI(api_key=KEY, base_url=URL + "/v1", max_retries=0, timeout=30)
    chat = sdk.chat.completions

    def completed():
        answer = chat.create(model="gpt", messages=ASKED)
        equal((answer.choices[0].message.content, answer.usage.total_tokens), ("Hello", 12))

    def streamed():
        options = {"include_usage": True}
        chunks = list(chat.create(model="gpt", messages=ASKED, stream=True, stream_options=options))
        equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), "Hello")
        equal(chunks[-1].usage.total_tokens, 12)

    def tools():
        call = chat.create(model="gpt", messages=ASKED, tools=TOOLS).choices[0]
        equal((call.finish_reason, call.message.tool_calls[0].function.arguments), ("tool_calls", OSLO))

    def tools_streamed():
        with chat.stream(model="gpt", messages=ASKED, tools=TOOLS) as stream:
            call = stream.get_final_completion().choices[0].message.tool_calls[0]
        equal(call.function.arguments, OSLO)

    def structured():
        answer = chat.parse(model="gpt", messages=ASKED, response_format=City)
        equal(answer.choices[0].message.parsed, City(city="Oslo", days=2))

    def responses_streamed():
        with sdk.responses.stream(model="gpt", input="Hi") as stream:
            equal(stream.get_final_response().output_text, "Hello")

    def responses_tools():
        tool = {"type": "function", **FUNCTION, "strict": False}
        equal(sdk.responses.create(model="gpt", input="Hi", tools=[tool]).output[0].arguments, OSLO)

    def batches():
        made = sdk.batches.create(
            input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h"
        )
        equal([made.id, sdk.batches.retrieve("batch_1").id], ["batch_1", "batch_1"])
        equal([b.id for b in sdk.batches.list()], ["batch_1"])
        equal(sdk.batches.cancel("batch_1").status, "cancelling")

    def files():
        made = sdk.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        equal([made.id, sdk.files.retrieve("file-1").id], ["file-1", "file-1"])
        equal([f.id for f in sdk.files.list()], ["file-1"])
        equal(sdk.files.content("file-1").read(), b"{}\n")
        equal(sdk.files.delete("file-1").deleted, True)

    def stored():
        equal(sdk.responses.retrieve("resp_1").output_text, "Hello")
        sdk.responses.delete("resp_1")

    def realtime():
        with sdk.realtime.connect(model="voice") as connection:
            connection.session.update(session={"type": "realtime", "instructions": "Be kind."})
            connection.response.create()
            kinds = []
            for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        equal(kinds, ["session.created", "session.updated", "response.done"])
        equal(event.response.usage.total_tokens, 12)

    return {
        "chat": completed,
        "chat streamed": streamed,
        "chat with tools": tools,
        "chat with tools streamed": tools_streamed,
        "chat structured": structured,
        "completions": lambda: equal(
            sdk.completions.create(model="gpt", prompt="Hi").choices[0].text, "Hello"
        ),
        "responses": lambda: equal(
            sdk.responses.create(model="gpt", input="Hi").output_text, "Hello"
        ),
        "responses streamed": responses_streamed,
        "responses with tools": responses_tools,
        "responses stored": stored,
        "responses input tokens": lambda: equal(
            sdk.responses.input_tokens.count(model="gpt", input="Hi").input_tokens, 7
        ),
        "embeddings": lambda: equal(
            sdk.embeddings.create(model="gpt", input="a", encoding_format="float").data[0].embedding,
            VECTOR,
        ),
        "images": lambda: equal(
            sdk.images.generate(model="gpt", prompt="a cat").data[0].b64_json, "AA=="
        ),
        "images edited": lambda: equal(
            sdk.images.edit(model="gpt", prompt="a cat", image=("a.png", b"x", "image/png"))
            .data[0]
            .b64_json,
            "AQ==",
        ),
        "images varied": lambda: equal(
            sdk.images.create_variation(model="gpt", image=("a.png", b"x", "image/png"), n=2)
            .data[1]
            .b64_json,
            "Aw==",
        ),
        "speech": lambda: equal(
            sdk.audio.speech.create(model="gpt", voice="alloy", input="Hi").read(), b"RIFFsound"
        ),
        "transcriptions": lambda: equal(
            sdk.audio.transcriptions.create(model="gpt", file=wav()).text, "spoken words"
        ),
        "translations": lambda: equal(
            sdk.audio.translations.create(model="gpt", file=wav()).text, "in English"
        ),
        "moderations": lambda: equal(
            sdk.moderations.create(model="gpt", input="x").results[0].flagged, True
        ),
        "files": files,
        "batches": batches,
        "models": lambda: equal(sorted(m.id for m in sdk.models.list()), JOB["models"]),
        "one model": lambda: equal(sdk.models.retrieve("gpt").id, "gpt"),
        "realtime": realtime,
    }


def anthropic_sdk():
    sdk = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0, timeout=30)
    ask = {"model": "claude", "max_tokens": 50, "messages": ASKED}
    tools = [{"name": "weather", "description": "Weather", "input_schema": SCHEMA}]

    def streamed(**more):
        with sdk.messages.stream(**ask, **more) as stream:
            return stream.get_final_message()

    def batches():
        one = {"custom_id": "a", "params": ask}
        made = sdk.messages.batches.create(requests=[one])
        equal([made.id, sdk.messages.batches.retrieve("msgbatch_1").id], ["msgbatch_1"] * 2)
        equal([b.id for b in sdk.messages.batches.list()], ["msgbatch_1"])
        [result] = sdk.messages.batches.results("msgbatch_1")
        equal(result.result.message.content[0].text, "Hello")
        sdk.messages.batches.cancel("msgbatch_1")

    def files():
        # The path is OpenAI's and Mistral's, too.
        equal(sdk.beta.files.upload(file=("a.txt", b"abc", "text/plain")).id, "file_1")
        equal([f.id for f in sdk.beta.files.list()], ["file_1"])

    return {
        "messages": lambda: equal(sdk.messages.create(**ask).content[0].text, "Hello"),
        "messages streamed": lambda: equal(streamed().content[0].text, "Hello"),
        "messages with tools": lambda: equal(
            sdk.messages.create(**ask, tools=tools).content[0].input, {"city": "Oslo"}
        ),
        "messages with tools streamed": lambda: equal(
            streamed(tools=tools).content[0].input, {"city": "Oslo"}
        ),
        "count_tokens": lambda: equal(
            sdk.messages.count_tokens(model="claude", messages=ASKED).input_tokens, 7
        ),
        "batches": batches,
        "files": files,
        "models": lambda: equal(sorted(m.id for m in sdk.models.list()), JOB["models"]),
        "one model": lambda: equal(sdk.models.retrieve("claude").id, "claude"),
    }


def google_sdk():
    # A client that nobody holds closes its connections.
    CLIENTS.append(genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL)))
    sdk = CLIENTS[0].models
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    ask = {"model": "gemini", "contents": "Hi"}

    def streamed():
        chunks = list(sdk.generate_content_stream(**ask))
        equal("".join(chunk.text for chunk in chunks), "Hello")
        equal(chunks[-1].usage_metadata.total_token_count, 12)

    def tools_streamed():
        [chunk] = sdk.generate_content_stream(**ask, config=config)
        equal(chunk.function_calls[0].args, {"city": "Oslo"})

    return {
        "generate_content": lambda: equal(sdk.generate_content(**ask).text, "Hello"),
        "generate_content_stream": streamed,
        "generate_content with tools": lambda: equal(
            sdk.generate_content(**ask, config=config).function_calls[0].args, {"city": "Oslo"}
        ),
        "generate_content_stream with tools": tools_streamed,
        "count_tokens": lambda: equal(sdk.count_tokens(**ask).total_tokens, 7),
        "embed_content": lambda: equal(sdk.embed_content(**ask).embeddings[0].values, VECTOR),
        "models": lambda: equal(
            sorted(m.name for m in sdk.list()), [f"models/{name}" for name in JOB["models"]]
        ),
        "one model": lambda: equal(sdk.get(model="gemini").name, "models/gemini"),
    }


def mistral_sdk():
    sdk = Mistral(api_key=KEY, server_url=URL, timeout_ms=30_000)
    ask = {"model": "mistral", "messages": ASKED}

    def completed():
        answer = sdk.chat.complete(**ask)
        equal((answer.choices[0].message.content, answer.usage.total_tokens), ("Hello", 12))

    def streamed():
        chunks = [event.data for event in sdk.chat.stream(**ask)]
        equal("".join(c.choices[0].delta.content or "" for c in chunks), "Hello")
        equal(chunks[-1].usage.total_tokens, 12)

    def tools():
        call = sdk.chat.complete(**ask, tools=TOOLS).choices[0]
        equal((call.finish_reason, call.message.tool_calls[0].function.arguments), ("tool_calls", OSLO))

    def files():
        file = {"file_name": "a.jsonl", "content": b"{}\n"}
        made = sdk.files.upload(file=file, purpose="batch")
        equal(sdk.files.retrieve(file_id=made.id).id, made.id)
        equal([f.id for f in sdk.files.list().data], [made.id])
        equal(sdk.files.download(file_id=made.id).read(), b"{}\n")
        equal(sdk.files.delete(file_id=made.id).deleted, True)

    def batches():
        jobs = sdk.batch.jobs
        made = jobs.create(endpoint="/v1/chat/completions", input_files=["file-1"], model="mistral")
        equal([made.id, jobs.get(job_id="job_1").id], ["job_1", "job_1"])
        equal([job.id for job in jobs.list().data], ["job_1"])
        jobs.cancel(job_id="job_1")

    return {
        "chat": completed,
        "chat streamed": streamed,
        "chat with tools": tools,
        "chat structured": lambda: equal(
            sdk.chat.parse(City, **ask).choices[0].message.parsed, City(city="Oslo", days=2)
        ),
        "embeddings": lambda: equal(
            sdk.embeddings.create(model="mistral", inputs=["a"]).data[0].embedding, VECTOR
        ),
        "moderations": lambda: equal(
            sdk.classifiers.moderate(model="mistral", inputs=["x"]).results[0].categories["violence"],
            True,
        ),
        "transcriptions": lambda: equal(
            sdk.audio.transcriptions.complete(
                model="mistral", file={"file_name": "a.wav", "content": b"RIFF"}
            ).text,
            "spoken words",
        ),
        "speech": lambda: equal(
            sdk.audio.speech.complete(model="mistral", input="Hi", voice_id="v").audio_data,
            "UklGRg==",
        ),
        "files": files,
        "batches": batches,
        "models": lambda: equal(sorted(m.id for m in sdk.models.list().data), JOB["models"]),
        "one model": lambda: equal(sdk.models.retrieve(model_id="mistral").id, "mistral"),
    }


def cohere_sdk():
    sdk = cohere.ClientV2(api_key=KEY, base_url=URL, timeout=30)
    ask = {"model": "command", "messages": ASKED}

    def completed():
        answer = sdk.chat(**ask)
        got = answer.message.content[0].text, answer.finish_reason, answer.usage.tokens.output_tokens
        equal(got, ("Hello", "COMPLETE", 5))

    def streamed():
        events = list(sdk.chat_stream(**ask))
        deltas = [e.delta.message.content.text for e in events if e.type == "content-delta"]
        equal("".join(deltas), "Hello")
        equal((events[-1].type, events[-1].delta.finish_reason), ("message-end", "COMPLETE"))

    def tools():
        answer = sdk.chat(**ask, tools=TOOLS)
        equal(answer.message.tool_calls[0].function.arguments, OSLO)
        equal((answer.finish_reason, answer.message.tool_plan), ("TOOL_CALL", "I ask."))

    def tools_streamed():
        events = list(sdk.chat_stream(**ask, tools=TOOLS))
        kinds = ("tool-call-start", "tool-call-delta")
        calls = [e.delta.message.tool_calls for e in events if e.type in kinds]
        equal(calls[0].function.name, "weather")
        equal("".join(call.function.arguments for call in calls), OSLO)

    return {
        "chat": completed,
        "chat_stream": streamed,
        "chat with tools": tools,
        "chat_stream with tools": tools_streamed,
        "embed": lambda: equal(
            sdk.embed(
                model="command",
                texts=["a"],
                input_type="search_query",
                embedding_types=["float"],
            ).embeddings.float_,
            [VECTOR],
        ),
        "rerank": lambda: equal(
            [r.index for r in sdk.rerank(model="command", query="q", documents=["a", "b"]).results],
            [1, 0],
        ),
        "transcriptions": lambda: equal(
            sdk.audio.transcriptions.create(model="command", language="en", file=wav()).text,
            "spoken words",
        ),
        "models": lambda: equal(sorted(m.name for m in sdk.models.list().models), JOB["models"]),
        "one model": lambda: equal(sdk.models.get(model="command").name, "command"),
    }


for sdk in [openai_sdk, anthropic_sdk, google_sdk, mistral_sdk, cohere_sdk]:
    for name, run in sdk().items():
        check(f"{sdk.__name__} {name}", run)
