//go:build unix

package e2e

var recordCalls = []call{
	{line: "kafka-console-producer --broker-list {K} --topic {T} --property parse.key=true --property key.separator=: --property parse.headers=true --property headers.delimiter=|",
		stdin: "h:1,i:2|k1:v1\nx:y|k2:v2\n"},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic peer-a --from-beginning --group {T}-1 --max-messages 2 --property print.key=true --property print.timestamp=true --property print.partition=true --property print.offset=true --property print.headers=true", edit: sorted},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic peer-a --partition 0 --offset 0 --timeout-ms 3000 --property print.value=false --property print.key=true --property line.separator=; --property key.separator=/", long: true},
	{line: "kafka-console-consumer --bootstrap-server {K} --topic {T} --from-beginning --group {T} --max-messages 2", edit: sorted},
}
