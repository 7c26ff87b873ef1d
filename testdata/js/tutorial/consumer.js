// The tutorial's consumer: kafka-node 5, a KafkaClient, from the beginning of partition 0.
const kafka = require('kafka-node')
const [address, topic, count, group] = process.argv.slice(2)

const client = new kafka.KafkaClient({ kafkaHost: address })
const options = { groupId: group || 'tutorial', autoCommit: true, fromOffset: !group }
const consumer = new kafka.Consumer(client, [{ topic, partition: 0, offset: group ? undefined : 0 }], options)

let seen = 0
consumer.on('message', (message) => {
  console.log(`${message.partition} ${message.offset} ${message.value}`)
  if (++seen === Number(count)) consumer.close(true, () => process.exit(0))
})
consumer.on('error', (err) => { console.error(err); process.exit(1) })
