"""The official google-genai SDK against a gateway.

See `checks.py` for what is printed.
"""

from checks import JOB, check, equal
from google import genai
from google.genai import errors, types

SAID = "This is a stand-in, not a model. You said: "
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather of a city",
            parameters_json_schema={
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        )
    ]
)


def client(key=JOB["key"]):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=JOB["url"]))


CLIENT = client()


def conversations(model):
    def text():
        answer = CLIENT.models.generate_content(model=model, contents="Hello")
        assert SAID in answer.text and "Hello" in answer.text, answer
        assert answer.usage_metadata.prompt_token_count > 0, answer
        equal(answer.candidates[0].finish_reason, types.FinishReason.STOP)

    def stream():
        chunks = list(CLIENT.models.generate_content_stream(model=model, contents="Hello"))
        said = "".join(chunk.text or "" for chunk in chunks)
        assert SAID in said and "Hello" in said, said
        assert chunks[-1].usage_metadata.candidates_token_count > 0, chunks[-1]

    def tools():
        config = types.GenerateContentConfig(
            tools=[TOOL],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        asked = [types.Content(role="user", parts=[types.Part(text="Weather?")])]
        answer = CLIENT.models.generate_content(model=model, contents=asked, config=config)
        calls = answer.function_calls
        equal([call.name for call in calls], ["weather"])
        assert "city" in calls[0].args, calls
        result = types.Part.from_function_response(name="weather", response={"output": "sunny"})
        result.function_response.id = calls[0].id
        asked += [answer.candidates[0].content, types.Content(role="user", parts=[result])]
        answer = CLIENT.models.generate_content(model=model, contents=asked, config=config)
        assert "sunny" in answer.text, answer

    for run in [text, stream, tools]:
        check(f"{run.__name__} of {model}", run)


def native(model):
    def structured():
        config = types.GenerateContentConfig(
            response_mime_type="application/json",
            response_schema={"type": "OBJECT", "properties": {"said": {"type": "STRING"}}},
        )
        answer = CLIENT.models.generate_content(model=model, contents="Hello", config=config)
        equal(answer.parsed, {"said": "Hello"})

    def counted():
        equal(CLIENT.models.count_tokens(model=model, contents="Hello").total_tokens, 7)

    def embedded():
        answer = CLIENT.models.embed_content(model=model, contents=["a", "b"])
        equal([e.values for e in answer.embeddings], [[1.0, 2.0], [1.0, 2.0]])

    for run in [structured, counted, embedded]:
        check(f"{run.__name__} of {model}", run)


def listed():
    names = sorted(model.name for model in CLIENT.models.list())
    equal(names, sorted(f"models/{name}" for name in JOB["models"]))


def refused():
    wrong = client("wrong")
    for asking, code, status in [
        (lambda: CLIENT.models.generate_content(model="nobody", contents="a"), 404, "NOT_FOUND"),
        (
            lambda: wrong.models.generate_content(model="native", contents="a"),
            401,
            "UNAUTHENTICATED",
        ),
    ]:
        try:
            asking()
        except errors.ClientError as error:
            equal((error.code, error.status), (code, status))
        else:
            raise AssertionError(f"no error {code}")


for each in JOB["models"]:
    conversations(each)
native("native")
check("listed", listed)
check("refused", refused)
