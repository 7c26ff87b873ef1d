// The older tutorial's producer: kafka-node 2.6, which finds the brokers in ZooKeeper. ADDRESS is ZooKeeper's.
const kafka = require('kafka-node-2')
const [address, topic, count] = process.argv.slice(2)

const client = new kafka.Client(address)
const producer = new kafka.HighLevelProducer(client)

producer.on('ready', () => {
  let acked = 0
  for (let i = 0; i < Number(count); i++) {
    producer.send([{ topic, messages: `message ${i}` }], (err) => {
      if (err) { console.error(err); process.exit(1) }
      console.log(`sent ${i}`)
      if (++acked === Number(count)) producer.close(() => process.exit(0))
    })
  }
})
producer.on('error', (err) => { console.error(err); process.exit(1) })
