// The tutorial's producer: kafka-node 5, a KafkaClient.
const kafka = require('kafka-node')
const [address, topic, count] = process.argv.slice(2)

const client = new kafka.KafkaClient({ kafkaHost: address })
const producer = new kafka.Producer(client, { requireAcks: 1 })

producer.on('ready', () => {
  let acked = 0
  for (let i = 0; i < Number(count); i++) {
    producer.send([{ topic, messages: `message ${i}` }], (err, data) => {
      if (err) { console.error(err); process.exit(1) }
      console.log(`sent ${i}`)
      if (++acked === Number(count)) client.close(() => process.exit(0))
    })
  }
})
producer.on('error', (err) => { console.error(err); process.exit(1) })
