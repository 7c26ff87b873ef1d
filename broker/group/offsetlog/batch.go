package offsetlog

import "ottla/broker/record"

// Record is one record to write. A nil Value is a tombstone.
type Record struct {
	Key   []byte
	Value []byte
}

// Batch builds one batch of magic 2 at offset 0. time is that of all records, in ms. sequenced gives it the base sequence 0 that
// Apache Kafka puts into batches of offset commits (without a producer id it means nothing).
func Batch(records []Record, time int64, sequenced bool, codec record.Codec) ([]byte, error) {
	b := record.NewBuilder(record.BuilderOptions{LeaderEpoch: -1, Codec: codec})
	if sequenced {
		b.SetProducer(record.NoProducerID, -1, 0, false)
	}
	for _, r := range records {
		b.Append(r.Key, r.Value, nil, time)
	}
	return b.Bytes()
}
