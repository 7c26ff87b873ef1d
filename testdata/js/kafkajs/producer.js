const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const [address, topic, count] = process.argv.slice(2)

async function main () {
  const kafka = new Kafka({ clientId: 'kafkajs-producer', brokers: [address], logLevel: logLevel.ERROR })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const batch = 100
  for (let from = 0; from < Number(count); from += batch) {
    const messages = []
    for (let i = from; i < Math.min(from + batch, Number(count)); i++) messages.push({ key: `key ${i}`, value: `message ${i}`, headers: { n: String(i) } })
    await producer.send({ topic, acks: -1, compression: from % 200 ? CompressionTypes.GZIP : CompressionTypes.None, messages })
    messages.forEach((m) => console.log(`sent ${m.value.split(' ')[1]}`))
  }
  await producer.disconnect()
}
main().catch((err) => { console.error(err); process.exit(1) })
