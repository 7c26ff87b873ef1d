// The older tutorial's consumer: kafka-node 2.6, whose group lives in ZooKeeper. ADDRESS is ZooKeeper's.
const kafka = require('kafka-node-2')
const [address, topic, count, group] = process.argv.slice(2)

const client = new kafka.Client(address)
const consumer = new kafka.HighLevelConsumer(client, [{ topic }], { groupId: group || 'tutorial-zk', fromOffset: false, autoCommit: true })

let seen = 0
consumer.on('message', (message) => {
  console.log(`${message.partition} ${message.offset} ${message.value}`)
  if (++seen === Number(count)) consumer.close(true, () => process.exit(0))
})
consumer.on('error', (err) => { console.error(err); process.exit(1) })
