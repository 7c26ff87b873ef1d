//go:build unix

package e2e

var shellCalls = []call{
	{line: "zookeeper-shell {Z} ls /brokers"},
	{line: "zookeeper-shell {Z} get -s /controller_epoch", long: true},
	{line: "zookeeper-shell {Z} get /nope", errs: true, long: true},
	{line: "zookeeper-shell {Z} create /{T} data", errs: true, long: true},
	{line: "zookeeper-shell {Z} getAcl /brokers", long: true},
	{line: "zookeeper-shell {Z}", stdin: "create /{T}-2 \"two words\"\nget /{T}-2\nset /{T}-2 more\nstat /{T}-2\ncreate -s /{T}-2/n x\nls -R /{T}-2\nls -s /{T}-2\ndelete /{T}-2\ndeleteall /{T}-2\nget /brokers\nhistory\nquit\n"},
}
