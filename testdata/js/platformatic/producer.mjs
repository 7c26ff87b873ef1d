import { Producer, stringSerializers } from '@platformatic/kafka'
const [address, topic, count] = process.argv.slice(2)

const producer = new Producer({ clientId: 'platformatic-producer', bootstrapBrokers: [address], serializers: stringSerializers, autocreateTopics: true })
for (let i = 0; i < Number(count); i++) {
  await producer.send({ messages: [{ topic, key: `key ${i}`, value: `message ${i}`, headers: { n: String(i) } }], acks: -1 })
  console.log(`sent ${i}`)
}
await producer.close()
