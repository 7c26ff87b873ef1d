package tool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// javaNames are the exceptions whose names are not those of their error codes.
var javaNames = map[string]string{
	"NON_EMPTY_GROUP": "GroupNotEmptyException", "TOPIC_ALREADY_EXISTS": "TopicExistsException", "INVALID_CONFIG": "InvalidConfigurationException",
	"INVALID_TOPIC_EXCEPTION": "InvalidTopicException", "UNKNOWN_SERVER_ERROR": "UnknownServerException", "KAFKA_STORAGE_ERROR": "KafkaStorageException",
	"MESSAGE_TOO_LARGE": "RecordTooLargeException", "REQUEST_TIMED_OUT": "TimeoutException",
}

// Class is the Java class of the exception that Apache's clients make of a broker's error.
func Class(err error) string {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return "org.apache.kafka.common.KafkaException"
	}
	name := javaNames[ke.Message]
	if name == "" {
		var b strings.Builder
		for _, w := range strings.Split(strings.ToLower(ke.Message), "_") {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
		name = b.String() + "Exception"
	}
	return "org.apache.kafka.common.errors." + name
}

// Java is an error as Apache's tools print the exception: its class and its message.
func Java(err error, sent string) string {
	return fmt.Sprintf("%s: %s", Class(err), Message(err, sent))
}

// Executed is an error as they print it when a future failed by it.
func Executed(err error, sent string) string {
	return "java.util.concurrent.ExecutionException: " + Java(err, sent)
}
