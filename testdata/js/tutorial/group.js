// A consumer group of kafka-node 5.
const { ConsumerGroup } = require('kafka-node')
const [address, topic, count, group] = process.argv.slice(2)

const consumer = new ConsumerGroup({
  kafkaHost: address, groupId: group, fromOffset: 'earliest', sessionTimeout: 10000, autoCommit: true, autoCommitIntervalMs: 200
}, [topic])

let seen = 0
consumer.on('message', (message) => {
  console.log(`${message.partition} ${message.offset} ${message.value}`)
  if (++seen === Number(count)) consumer.close(true, () => process.exit(0))
})
consumer.on('rebalanced', () => console.error('rebalanced'))
consumer.on('error', (err) => { console.error(err); process.exit(1) })
process.on('SIGTERM', () => consumer.close(true, () => process.exit(0)))
