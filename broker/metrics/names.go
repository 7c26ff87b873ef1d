package metrics

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var kafkaSpelling = strings.NewReplacer("ISR", "Isr", "IDs", "Ids", "ID", "Id", "SASL", "Sasl", "SCRAM", "Scram", "ACLs", "Acls")

// APIName is the API's name as Kafka spells it: LeaderAndIsr, InitProducerId.
func APIName(key int16) string { return kafkaSpelling.Replace(kmsg.NameForKey(key)) }

// renamed are errors that have another name in Kafka by now.
var renamed = map[string]string{"NOT_LEADER_FOR_PARTITION": "NOT_LEADER_OR_FOLLOWER"}

// ErrorName is the name of an error code as Kafka's Errors has it.
func ErrorName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	err, ok := kerr.ErrorForCode(code).(*kerr.Error)
	if !ok {
		return "UNKNOWN_SERVER_ERROR"
	}
	if name, ok := renamed[err.Message]; ok {
		return name
	}
	return err.Message
}
