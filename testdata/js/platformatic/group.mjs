import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, stringDeserializers } from '@platformatic/kafka'
const [address, topic, count, group] = process.argv.slice(2)

const consumer = new Consumer({ clientId: 'platformatic-group', groupId: group, bootstrapBrokers: [address], deserializers: stringDeserializers, sessionTimeout: 10000, heartbeatInterval: 500, rebalanceTimeout: 10000 })
const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST, autocommit: 200 })
process.on('SIGTERM', async () => { await consumer.close(true); process.exit(0) })
let seen = 0
for await (const message of stream) {
  console.log(`${message.partition} ${message.offset} ${message.value}`)
  if (++seen === Number(count)) break
}
await stream.close()
await consumer.close(true)
process.exit(0)
