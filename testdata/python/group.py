"""A consumer group of librdkafka: ADDRESS TOPIC COUNT GROUP. Prints `PARTITION OFFSET VALUE` lines."""
import signal
import sys
from confluent_kafka import Consumer

address, topic, count, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))

consumer = Consumer({"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest",
                     "session.timeout.ms": 10000, "heartbeat.interval.ms": 500, "auto.commit.interval.ms": 200})
consumer.subscribe([topic], on_assign=lambda _, ps: print("joined", sorted(p.partition for p in ps), file=sys.stderr))
seen = 0
while seen < count and not stopped:
    message = consumer.poll(0.2)
    if message is None:
        continue
    if message.error():
        print(message.error(), file=sys.stderr)
        continue
    print(message.partition(), message.offset(), message.value().decode(), flush=True)
    seen += 1
consumer.close()
