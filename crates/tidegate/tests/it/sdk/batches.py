"""Files and batches that the gateway keeps, by the official SDKs of OpenAI and Anthropic.

Nothing of an SDK is changed but its base address and key. See `checks.py` for what is printed.
"""

import io
import json
import time

import anthropic
import openai
from checks import JOB, check, equal

URL = JOB["url"]
OPENAI = openai.OpenAI(api_key=JOB["key"], base_url=URL + "/v1", max_retries=0, timeout=30)
OTHER = openai.OpenAI(api_key=JOB["other"], base_url=URL + "/v1", max_retries=0, timeout=30)
CLAUDE = anthropic.Anthropic(api_key=JOB["key"], base_url=URL, max_retries=0, timeout=30)
OTHER_CLAUDE = anthropic.Anthropic(api_key=JOB["other"], base_url=URL, max_retries=0, timeout=30)
CHAT = "/v1/chat/completions"


def line(name, content="Hi", model="fast", url=CHAT, **more):
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return {"custom_id": name, "method": "POST", "url": url, "body": {**body, **more}}


def upload(lines, **more):
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    file = ("in.jsonl", io.BytesIO(text.encode()))
    return OPENAI.files.create(file=file, purpose="batch", **more)


def begin(lines, endpoint=CHAT, window="24h", **more):
    file = upload(lines)
    return OPENAI.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window=window, **more
    )


def until(ask, ends, patience=60):
    late = time.monotonic() + patience
    while True:
        one = ask()
        if ends(one):
            return one
        assert time.monotonic() < late, one
        time.sleep(0.05)


def ended(batch, *states):
    return until(lambda: OPENAI.batches.retrieve(batch.id), lambda b: b.status in states)


def lines_of(file_id):
    return [json.loads(one) for one in OPENAI.files.content(file_id).text.splitlines()]


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def files():
    file = upload([line("a")], expires_after={"anchor": "created_at", "seconds": 3600})
    equal((file.object, file.purpose, file.filename), ("file", "batch", "in.jsonl"))
    equal(file.expires_at - file.created_at, 3600)
    equal(OPENAI.files.retrieve(file.id).bytes, file.bytes)
    equal(OPENAI.files.content(file.id).text, json.dumps(line("a")))
    more = [upload([line("b")]) for _ in range(3)]
    listed = [one.id for one in OPENAI.files.list(purpose="batch", limit=2)]
    equal(listed[:4], [one.id for one in reversed([file, *more])])
    first = OPENAI.files.list(limit=1, order="asc").data[0].id
    equal(first, listed[-1])
    equal(OPENAI.files.wait_for_processing(file.id).status, "processed")
    assert OPENAI.files.delete(file.id).deleted
    refused(openai.NotFoundError, lambda: OPENAI.files.retrieve(file.id))
    # A page behind what is gone would be empty, as the last page is.
    refused(openai.BadRequestError, lambda: OPENAI.files.list(after=file.id))
    refused(openai.BadRequestError, lambda: OPENAI.files.list(order="sideways"))


def files_refused():
    refused(openai.NotFoundError, lambda: OPENAI.files.retrieve("file-tg_0"))
    wrong = {"anchor": "created_at", "seconds": 1}
    refused(openai.BadRequestError, lambda: upload([line("a")], expires_after=wrong))


def completed():
    lines = [line("one"), line("two", "please refuse"), line("three", "Ho"), line("s", stream=True)]
    lives = {"anchor": "created_at", "seconds": 7200}
    batch = begin(lines, metadata={"of": "a test"}, output_expires_after=lives)
    assert batch.status in ("validating", "in_progress"), batch
    done = ended(batch, "completed", "failed")
    counts = done.request_counts
    equal((counts.total, counts.completed, counts.failed), (4, 2, 2))
    equal((done.usage.input_tokens, done.usage.total_tokens), (4, 6))
    equal((done.metadata, done.endpoint), ({"of": "a test"}, CHAT))
    assert done.completed_at >= done.in_progress_at >= done.created_at
    good, bad = lines_of(done.output_file_id), lines_of(done.error_file_id)
    equal([one["custom_id"] for one in good], ["one", "three"])
    said = good[1]["response"]["body"]["choices"][0]["message"]["content"]
    equal((said, good[1]["response"]["status_code"]), ("You said Ho.", 200))
    equal([one["custom_id"] for one in bad], ["two", "s"])
    equal({one["response"]["status_code"] for one in bad}, {400})
    for of in (done.output_file_id, done.error_file_id):
        file = OPENAI.files.retrieve(of)
        equal((file.purpose, file.expires_at - file.created_at), ("batch_output", 7200))
    # The file may go: what was made of it stays.
    OPENAI.files.delete(done.input_file_id)
    equal(OPENAI.batches.retrieve(batch.id).status, "completed")


def embeddings():
    body = {"model": "fast", "input": "a"}
    url = "/v1/embeddings"
    lines = [{"custom_id": "v", "method": "POST", "url": url, "body": body}]
    done = ended(begin(lines, url), "completed")
    (one,) = lines_of(done.output_file_id)
    equal(one["response"]["body"]["data"][0]["embedding"], [0.5, -0.25])


def responses():
    body = {"model": "fast", "input": "Hi"}
    url = "/v1/responses"
    lines = [{"custom_id": "r", "method": "POST", "url": url, "body": body}]
    done = ended(begin(lines, url), "completed")
    (one,) = lines_of(done.output_file_id)
    equal(one["response"]["body"]["output"][0]["content"][0]["text"], "You said Hi.")


def wrong_files():
    lines = [line("a"), "{", line("a"), line("b", url="/v1/embeddings"), {"custom_id": "c"}]
    failed = ended(begin(lines), "failed")
    told = [(one.line, one.code, one.param) for one in failed.errors.data]
    wanted = [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "invalid_url", "url"),
        (5, "missing_required_parameter", "method"),
    ]
    equal(told, wanted)
    empty = ended(begin(["\n"]), "failed")
    equal([one.code for one in empty.errors.data], ["empty_file"])


def wrong_batches():
    file = upload([line("a")])

    def make(**wrong):
        wish = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **wrong}
        return lambda: OPENAI.batches.create(**wish)

    refused(openai.NotFoundError, make(input_file_id="file-tg_0"))
    refused(openai.BadRequestError, make(endpoint="/v1/files"))
    refused(openai.BadRequestError, make(completion_window="8d"))
    refused(openai.BadRequestError, make(metadata={"a": "b" * 513}))
    short = {"anchor": "created_at", "seconds": 60}
    refused(openai.BadRequestError, make(output_expires_after=short))
    refused(openai.NotFoundError, lambda: OPENAI.batches.retrieve("batch_tg_0"))
    refused(openai.BadRequestError, lambda: OPENAI.batches.list(after="batch_tg_0"))


def unknown_model():
    done = ended(begin([line("a", model="nobody")]), "completed")
    (one,) = lines_of(done.error_file_id)
    equal(one["response"]["status_code"], 404)


def cancelled():
    batch = begin([line(f"n{i}", model="slow") for i in range(200)])
    ended(batch, "in_progress")
    assert OPENAI.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(batch, "cancelled")
    assert done.cancelled_at >= done.cancelling_at
    good = lines_of(done.output_file_id) if done.output_file_id else []
    bad = lines_of(done.error_file_id)
    equal(len(good) + len(bad), 200)
    equal({one["error"]["code"] for one in bad}, {"batch_cancelled"})
    error = refused(openai.APIStatusError, lambda: OPENAI.batches.cancel(batch.id))
    equal(error.status_code, 409)


def expired():
    batch = begin([line(f"n{i}", model="slow") for i in range(300)], window="2s")
    done = ended(batch, "expired")
    good = lines_of(done.output_file_id) if done.output_file_id else []
    bad = lines_of(done.error_file_id)
    equal(len(good) + len(bad), 300)
    equal({one["error"]["code"] for one in bad}, {"batch_expired"})


def lists():
    made = [begin([line("a")]) for _ in range(3)]
    listed = [one.id for one in OPENAI.batches.list(limit=2)]
    equal(listed[:3], [one.id for one in reversed(made)])
    equal(len(set(listed)), len(listed))


def owners():
    file, batch = upload([line("a")]), begin([line("a")])
    refused(openai.NotFoundError, lambda: OTHER.files.retrieve(file.id))
    refused(openai.NotFoundError, lambda: OTHER.files.content(file.id))
    refused(openai.NotFoundError, lambda: OTHER.files.delete(file.id))
    refused(openai.NotFoundError, lambda: OTHER.batches.retrieve(batch.id))
    refused(openai.NotFoundError, lambda: OTHER.batches.cancel(batch.id))
    wish = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    refused(openai.NotFoundError, lambda: OTHER.batches.create(**wish))
    equal(([*OTHER.files.list()], [*OTHER.batches.list()]), ([], []))


def message(name, content="Hi", model="fast", **more):
    asked = [{"role": "user", "content": content}]
    return {
        "custom_id": name,
        "params": {"model": model, "max_tokens": 9, "messages": asked, **more},
    }


def message_ended(batch):
    ask = CLAUDE.messages.batches.retrieve
    return until(lambda: ask(batch.id), lambda b: b.processing_status == "ended")


def messages():
    batches = CLAUDE.messages.batches
    requests = [message("one"), message("two", "please refuse"), message("three", stream=True)]
    batch = batches.create(requests=requests)
    equal((batch.type, batch.results_url), ("message_batch", None))
    done = message_ended(batch)
    counts = done.request_counts
    equal((counts.processing, counts.succeeded, counts.errored), (0, 1, 2))
    one, two, three = batches.results(batch.id)
    equal((one.custom_id, one.result.type), ("one", "succeeded"))
    equal(one.result.message.content[0].text, "You said Hi.")
    equal((two.result.type, two.result.error.type), ("errored", "error"))
    equal(three.result.error.error.type, "invalid_request_error")
    refused(anthropic.NotFoundError, lambda: OTHER_CLAUDE.messages.batches.retrieve(batch.id))
    equal(batches.delete(batch.id).type, "message_batch_deleted")
    refused(anthropic.NotFoundError, lambda: batches.retrieve(batch.id))


def messages_of_the_beta():
    """The same calls where the SDK keeps its betas."""
    batches = CLAUDE.beta.messages.batches
    batch = batches.create(requests=[message("one")])
    until(lambda: batches.retrieve(batch.id), lambda b: b.processing_status == "ended")
    (one,) = batches.results(batch.id)
    equal(one.result.message.content[0].text, "You said Hi.")
    assert batch.id in [one.id for one in batches.list(limit=5)]
    equal(batches.cancel(batch.id).processing_status, "ended")
    equal(batches.delete(batch.id).type, "message_batch_deleted")


def messages_cancelled():
    batches = CLAUDE.messages.batches
    batch = batches.create(requests=[message(f"n{i}", model="slow") for i in range(200)])
    refused(anthropic.BadRequestError, lambda: batches.delete(batch.id))
    assert batches.cancel(batch.id).processing_status in ("canceling", "ended")
    done = message_ended(batch)
    assert done.cancel_initiated_at and done.request_counts.canceled > 0
    kinds = [one.result.type for one in batches.results(batch.id)]
    equal((len(kinds), set(kinds) - {"succeeded"}), (200, {"canceled"}))


def messages_refused():
    batches = CLAUDE.messages.batches
    twice = [message("a"), message("a")]
    for wrong in ([], twice, [message("a b")], [{"custom_id": "a"}]):
        refused(anthropic.BadRequestError, lambda: batches.create(requests=wrong))


def messages_listed():
    batches = CLAUDE.messages.batches
    made = [batches.create(requests=[message("a")]).id for _ in range(3)]
    listed = [one.id for one in batches.list(limit=2)]
    equal(listed[:3], made[::-1])
    back = batches.list(before_id=made[1], limit=1)
    equal([one.id for one in back.data], [made[2]])
    for one in made:
        until(lambda: batches.retrieve(one), lambda b: b.processing_status == "ended")


for run in [
    files,
    files_refused,
    completed,
    embeddings,
    responses,
    wrong_files,
    wrong_batches,
    unknown_model,
    cancelled,
    expired,
    lists,
    owners,
    messages,
    messages_of_the_beta,
    messages_cancelled,
    messages_refused,
    messages_listed,
]:
    check(run.__name__, run)
