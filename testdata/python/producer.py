"""librdkafka's producer: ADDRESS TOPIC COUNT. Prints a `sent N` line for each acknowledged message."""
import sys
from confluent_kafka import Producer

address, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
failed = []


def delivered(n):
    def report(err, _):
        if err:
            failed.append(err)
            print(err, file=sys.stderr)
        else:
            print(f"sent {n}")
    return report


producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5})
for n in range(count):
    producer.produce(topic, key=f"key {n}", value=f"message {n}", on_delivery=delivered(n))
    producer.poll(0)
producer.flush(60)
sys.exit(1 if failed else 0)
