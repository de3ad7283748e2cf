"""Servers that subscribers' events go to, and clients of their own that read what arrived.

`peers.py KIND` starts one and tells, in a line of JSON, where it is; from then on it tells
every message that arrived, until it is killed.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time


def say(**what):
    # In one piece, whatever else is written.
    os.write(1, f"peer {json.dumps(what)}\n".encode())


# Whoever started this ends it by killing it.
ended = threading.Event()


def aws():
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    keys = dict(
        region_name="eu-west-1",
        endpoint_url=address,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
    )
    sqs, bus = boto3.client("sqs", **keys), boto3.client("events", **keys)
    plain = sqs.create_queue(QueueName="plain")["QueueUrl"]
    fifo = sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    routed = sqs.create_queue(QueueName="routed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=routed, AttributeNames=["QueueArn"])
    bus.create_event_bus(Name="shop")
    pattern = json.dumps({"source": ["/shop"], "detail-type": ["order.placed"]})
    bus.put_rule(Name="orders", EventBusName="shop", EventPattern=pattern)
    target = {"Id": "1", "Arn": arn["Attributes"]["QueueArn"]}
    bus.put_targets(Rule="orders", EventBusName="shop", Targets=[target])
    say(address=address, plain=plain, fifo=fifo)
    while not ended.is_set():
        for name, url in (("plain", plain), ("fifo", fifo), ("routed", routed)):
            got = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]
            ).get("Messages", [])
            for message in got:
                say(
                    queue=name,
                    body=json.loads(message["Body"]),
                    attributes=message.get("Attributes", {}),
                )
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        time.sleep(0.05)
    server.stop()


def nats():
    import asyncio

    import nats as client

    folder = tempfile.mkdtemp()
    ports = os.path.join(folder, "ports")
    os.mkdir(ports)
    binary = os.path.join(os.path.dirname(sys.executable), "nats-server")
    server = subprocess.Popen(
        [binary, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", folder, "--ports_file_dir", ports,
         "--user", "gateway", "--pass", "secret"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # It is killed with this process (PR_SET_PDEATHSIG).
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
    )
    try:
        address = None
        for _ in range(600):
            found = [name for name in os.listdir(ports) if name.endswith(".ports")]
            if found:
                text = open(os.path.join(ports, found[0])).read()
                if text.strip():
                    address = json.loads(text)["nats"][0].removeprefix("nats://")
                    break
            time.sleep(0.05)

        async def serve():
            link = await client.connect(f"nats://gateway:secret@{address}")

            async def heard(message):
                say(
                    subject=message.subject,
                    headers=dict(message.headers or {}),
                    body=message.data.decode(),
                )

            await link.subscribe("core.>", cb=heard)
            stream = link.jetstream()
            await stream.add_stream(name="orders", subjects=["orders.>"])
            await link.flush()
            say(address=address)
            known = 0
            while not ended.is_set():
                info = await stream.stream_info("orders")
                while known < info.state.messages:
                    known += 1
                    message = await stream.get_msg("orders", known)
                    say(
                        subject=message.subject,
                        headers=dict(message.headers or {}),
                        body=message.data.decode(),
                    )
                await asyncio.sleep(0.05)
            await link.close()

        asyncio.run(serve())
    finally:
        server.kill()
        server.wait()


def kafka():
    from confluent_kafka import Consumer, Producer

    # The cluster is mocked within the client; it lives as long as this producer.
    own = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 3})
    brokers = None
    for _ in range(100):
        known = own.list_topics(timeout=10).brokers
        brokers = [f"{one.host}:{one.port}" for one in known.values()]
        if len(brokers) == 3:
            break
    # The topic is there once something was produced to it.
    own.produce("events", b"first", partition=0)
    own.flush(10)
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(brokers),
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "check.crcs": True,
        }
    )
    consumer.subscribe(["events"])
    say(brokers=brokers)
    while not ended.is_set():
        own.poll(0)
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        if message.value() == b"first":
            continue
        say(
            key=message.key().decode() if message.key() else None,
            partition=message.partition(),
            headers={name: value.decode() for name, value in message.headers() or []},
            body=message.value().decode(),
        )
    consumer.close()


{"aws": aws, "nats": nats, "kafka": kafka}[sys.argv[1]]()
