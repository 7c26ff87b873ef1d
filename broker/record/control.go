package record

import "encoding/binary"

// ControlType is what a control batch marks.
type ControlType int16

// The markers of transactions.
const (
	Abort  ControlType = 0
	Commit ControlType = 1
)

// Marker is the one record of a control batch that ends a transaction (EndTxnMarker).
type Marker struct {
	Type             ControlType
	CoordinatorEpoch int32
}

// NewControlBatch is the batch that marks the end of a producer's transaction in a partition. ts is in ms.
func NewControlBatch(m Marker, producerID int64, producerEpoch int16, leaderEpoch int32, ts int64) []byte {
	key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), uint16(m.Type)) // version 0, type
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(m.CoordinatorEpoch))
	b := NewBuilder(BuilderOptions{LeaderEpoch: leaderEpoch, Control: true})
	b.SetProducer(producerID, producerEpoch, -1, true)
	b.Append(key, value, nil, ts)
	batch, err := b.Bytes()
	if err != nil {
		panic("record: control batch: " + err.Error()) // one small record always fits
	}
	return batch
}

// ParseMarker reads the record of a control batch. Types that are no marker of a transaction, which other modes of Kafka
// write, are returned without a coordinator epoch (-1).
func ParseMarker(rec *Record) (Marker, error) {
	if len(rec.Key) < 4 {
		return Marker{}, invalid("control record at offset %d has a key of %d bytes", rec.Offset, len(rec.Key))
	}
	m := Marker{Type: ControlType(binary.BigEndian.Uint16(rec.Key[2:])), CoordinatorEpoch: -1}
	if m.Type != Abort && m.Type != Commit {
		return m, nil
	}
	if len(rec.Value) < 6 {
		return Marker{}, invalid("marker at offset %d has a value of %d bytes", rec.Offset, len(rec.Value))
	}
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(rec.Value[2:]))
	return m, nil
}
