"""Batches by the SDKs of Google and Mistral, at the stand-ins of the tests for relayed batches.

See `checks.py` for what is printed.
"""

import json
import tempfile
import time

from checks import JOB, check, equal
from google import genai
from google.genai import types
from mistralai.client import Mistral

OPTIONS = types.HttpOptions(base_url=JOB["gemini"], api_version="v1beta")
GOOGLE = genai.Client(api_key="k", http_options=OPTIONS)
MISTRAL = Mistral(api_key="k", server_url=JOB["mistral"], timeout_ms=30_000)


def until(ask, ends, patience=30):
    late = time.monotonic() + patience
    while True:
        one = ask()
        if ends(one):
            return one
        assert time.monotonic() < late, one
        time.sleep(0.02)


def google_file(requests):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("".join(json.dumps(one) + "\n" for one in requests))
        file.flush()
        config = types.UploadFileConfig(mime_type="application/jsonl")
        made = GOOGLE.files.upload(file=file.name, config=config)
    until(lambda: GOOGLE.files.get(name=made.name), lambda one: one.state.name == "ACTIVE")
    return made.name


def asked(text):
    return {"contents": [{"parts": [{"text": text}], "role": "user"}]}


def google():
    requests = [{"key": "a", "request": asked("Hi")}, {"key": "b", "request": asked("refuse")}]
    made = GOOGLE.batches.create(
        model="gemini-2.5-flash", src=google_file(requests), config={"display_name": "mine"}
    )
    equal((made.state.name, made.display_name), ("JOB_STATE_PENDING", "mine"))
    done = until(
        lambda: GOOGLE.batches.get(name=made.name), lambda one: one.state.name == "JOB_STATE_SUCCEEDED"
    )
    text = GOOGLE.files.download(file=done.dest.file_name).decode()
    lines = {one["key"]: one for one in map(json.loads, text.splitlines())}
    answer = types.GenerateContentResponse.model_validate(lines["a"]["response"])
    equal((answer.text, answer.usage_metadata.prompt_token_count), ("Theirs.", 1_000_000))
    equal(lines["b"]["error"]["code"], 3)
    assert made.name in [one.name for one in GOOGLE.batches.list()]


def google_embeddings():
    request = {"content": {"parts": [{"text": "Hi"}]}, "outputDimensionality": 2}
    file = google_file([{"key": "a", "request": request}])
    made = GOOGLE.batches.create_embeddings(
        model="gemini-embedding-001", src=types.EmbeddingsBatchJobSource(file_name=file)
    )
    done = until(
        lambda: GOOGLE.batches.get(name=made.name), lambda one: one.state.name == "JOB_STATE_SUCCEEDED"
    )
    line = json.loads(GOOGLE.files.download(file=done.dest.file_name))
    answer = types.SingleEmbedContentResponse.model_validate(line["response"])
    equal((answer.embedding.values, answer.token_count), ([0.5, -0.25], 1_000_000))


def google_cancelled():
    made = GOOGLE.batches.create(
        model="gemini-2.5-flash", src=google_file([{"key": "a", "request": asked("hold")}])
    )
    GOOGLE.batches.cancel(name=made.name)
    equal(GOOGLE.batches.get(name=made.name).state.name, "JOB_STATE_CANCELLED")


def mistral_job(content):
    line = {"custom_id": "a", "body": {"messages": [{"role": "user", "content": content}]}}
    file = {"file_name": "in.jsonl", "content": (json.dumps(line) + "\n").encode()}
    made = MISTRAL.files.upload(file=file, purpose="batch")
    return MISTRAL.batch.jobs.create(
        input_files=[made.id],
        model="mistral-small-latest",
        endpoint="/v1/chat/completions",
        metadata={"of": "a test"},
        timeout_hours=24,
    )


def mistral():
    jobs = MISTRAL.batch.jobs
    made = mistral_job("Hi")
    equal((made.status, made.metadata), ("QUEUED", {"of": "a test"}))
    done = until(lambda: jobs.get(job_id=made.id), lambda one: one.status == "SUCCESS")
    line = json.loads(MISTRAL.files.download(file_id=done.output_file).read())
    said = line["response"]["body"]["choices"][0]["message"]["content"]
    equal((line["custom_id"], line["response"]["status_code"], said), ("a", 200, "Theirs."))
    listed = jobs.list(page=0, page_size=100, order_by="-created").data
    assert made.id in [one.id for one in listed]


def mistral_cancelled():
    jobs = MISTRAL.batch.jobs
    made = mistral_job("hold")
    equal(jobs.cancel(job_id=made.id).status, "CANCELLATION_REQUESTED")
    equal(jobs.get(job_id=made.id).status, "CANCELLED")


for run in [google, google_embeddings, google_cancelled, mistral, mistral_cancelled]:
    check(run.__name__, run)
