const { Kafka, logLevel } = require('kafkajs')
const [address, topic, count, group] = process.argv.slice(2)

async function main () {
  const kafka = new Kafka({ clientId: 'kafkajs-group', brokers: [address], logLevel: logLevel.ERROR })
  const consumer = kafka.consumer({ groupId: group, sessionTimeout: 10000, heartbeatInterval: 500 })
  const stop = async () => { await consumer.disconnect(); process.exit(0) }
  process.on('SIGTERM', stop)
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  consumer.on(consumer.events.GROUP_JOIN, (e) => console.error('joined', JSON.stringify(e.payload.memberAssignment)))
  let seen = 0
  await consumer.run({
    autoCommitInterval: 200,
    eachMessage: async ({ partition, message }) => {
      console.log(`${partition} ${message.offset} ${message.value}`)
      if (++seen === Number(count)) setImmediate(stop)
    }
  })
}
main().catch((err) => { console.error(err); process.exit(1) })
