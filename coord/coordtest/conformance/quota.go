package conformance

import (
	"fmt"
	"strings"

	"ottla/coord/wire"
)

// With enforceQuota=true.
var quotaChecks = []check{
	{name: "usage is counted", run: quotaCounts},
	{name: "statistics change in silence", run: quotaSilent},
	{name: "hard limit of nodes", run: quotaCountHard},
	{name: "hard limit of bytes", run: quotaBytesHard},
	{name: "soft limits let through", run: quotaSoft},
	{name: "hard goes before soft", run: quotaHardFirst},
	{name: "limit before version", run: quotaBeforeVersion},
	{name: "deepest limit counts", run: quotaDeepest},
	{name: "multi is judged on what was there before", run: quotaMulti},
	{name: "ephemerals count, also when they go", run: quotaEphemerals},
	{name: "limits can be changed and taken away", run: quotaChanged},
	{name: "limits that cannot be read", run: quotaBroken},
	{name: "limit of a path that does not exist", run: quotaMissing},
}

// setQuota does what zkCli's setquota does, and takes the quota away with the check.
func setQuota(e *Env, c *Client, path, limits string) {
	e.Helper()
	const root = "/zookeeper/quota"
	for i, r := range path + "/" {
		if r == '/' && i > 0 {
			if r := c.Do(wire.OpCreate, Create(root+path[:i], nil, 0, wire.OpenACL)); r.Code != wire.CodeOK && r.Code != wire.CodeNodeExists {
				e.Fatalf("create %s: %v", root+path[:i], r.Code)
			}
		}
	}
	c.Create(root+path+"/zookeeper_limits", limits, 0)
	c.Create(root+path+"/zookeeper_stats", "count=-1,bytes=-1", 0)
	top := root + "/" + strings.Split(path, "/")[1]
	e.Cleanup(func() { removeTree(e, top) })
}

func wantUsage(e *Env, c *Client, path, want string) {
	e.Helper()
	d := wire.NewDecoder(c.OK(wire.OpGetData, PathFlag("/zookeeper/quota"+path+"/zookeeper_stats", false)).Body)
	if got := string(d.Buffer()); got != want {
		e.Errorf("usage of %s: %s, want %s", path, got, want)
	}
}

func quotaCounts(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "12345", 0)
	c.Create(p+"/a", "123", 0)
	c.Create(p+"/a/b", "1", 0)
	setQuota(e, c, p, "count=100,bytes=100")
	wantUsage(e, c, p, "count=3,bytes=9")
	c.Create(p+"/c", "1234567890", 0)
	wantUsage(e, c, p, "count=4,bytes=19")
	c.OK(wire.OpSetData, SetData(p+"/c", nil, -1))
	wantUsage(e, c, p, "count=4,bytes=9")
	c.OK(wire.OpSetData, SetData(p, []byte("123456"), -1))
	wantUsage(e, c, p, "count=4,bytes=10")
	c.OK(wire.OpDelete, PathInt(p+"/a/b", -1))
	wantUsage(e, c, p, "count=3,bytes=9")
	c.Create(p+"x", "not below", 0)
	wantUsage(e, c, p, "count=3,bytes=9")
	c.Create(p+"/s-", "12", wire.FlagPersistentSequential)
	wantUsage(e, c, p, "count=4,bytes=11")
}

func quotaSilent(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=100,bytes=100")
	stats := "/zookeeper/quota" + p + "/zookeeper_stats"
	before := c.Stat(stats)
	c.OK(wire.OpGetData, PathFlag(stats, true))
	c.Create(p+"/a", "1", 0)
	wantEvents(e, c)
	after := c.Stat(stats)
	before.DataLength, after.DataLength = 0, 0
	if before != after || after.Version != 0 || after.Mzxid != after.Czxid {
		e.Errorf("statistics %+v, before %+v", after, before)
	}
	wantUsage(e, c, p, "count=2,bytes=1")
}

func quotaCountHard(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3")
	c.Create(p+"/a", "", 0)
	c.Create(p+"/b", "", 0)
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/c", nil, 0, wire.OpenACL))
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate2, Create(p+"/a/c", nil, wire.FlagEphemeralSequential, wire.OpenACL))
	c.OK(wire.OpSetData, SetData(p+"/a", []byte("any length"), -1))
	wantUsage(e, c, p, "count=3,bytes=10")
	c.OK(wire.OpDelete, PathInt(p+"/a", -1))
	c.Create(p+"/c", "", 0)
}

func quotaBytesHard(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "12345", 0)
	setQuota(e, c, p, "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=-1")
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/a", []byte("123456"), 0, wire.OpenACL))
	c.Create(p+"/a", "12345", 0)
	c.Fails(wire.CodeQuotaExceeded, wire.OpSetData, SetData(p, []byte("123456"), -1))
	c.OK(wire.OpSetData, SetData(p, []byte("54321"), -1)) // as long as before
	c.OK(wire.OpSetData, SetData(p, []byte("1"), -1))
	c.Create(p+"/empty", "", 0)
	wantUsage(e, c, p, "count=3,bytes=6")
}

func quotaSoft(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=1,bytes=1")
	c.Create(p+"/a", "123", 0)
	c.OK(wire.OpSetData, SetData(p, []byte("123"), -1))
	wantUsage(e, c, p, "count=2,bytes=6")
}

func quotaHardFirst(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=1,bytes=-1=;countHardLimit=2")
	c.Create(p+"/a", "", 0)
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/b", nil, 0, wire.OpenACL))
}

func quotaBeforeVersion(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "1", 0)
	c.Create(p+"/eph", "", wire.FlagEphemeral)
	setQuota(e, c, p, "count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=2")
	c.Fails(wire.CodeQuotaExceeded, wire.OpSetData, SetData(p, []byte("12"), 77))
	c.Fails(wire.CodeBadVersion, wire.OpSetData, SetData(p, []byte("2"), 77))
	c.Fails(wire.CodeNodeExists, wire.OpCreate, Create(p+"/eph", nil, 0, wire.OpenACL))
	c.Fails(wire.CodeNoChildrenForEphemerals, wire.OpCreate, Create(p+"/eph/x", nil, 0, wire.OpenACL))
}

func quotaDeepest(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	c.Create(p+"/in", "", 0)
	setQuota(e, c, p, "count=-1,bytes=-1=;countHardLimit=3")
	setQuota(e, c, p+"/in", "count=-1,bytes=-1=;countHardLimit=100")
	wantUsage(e, c, p, "count=2,bytes=0")
	for i := range 3 {
		c.Create(fmt.Sprintf("%s/in/%d", p, i), "", 0)
	}
	wantUsage(e, c, p, "count=2,bytes=0")
	wantUsage(e, c, p+"/in", "count=4,bytes=0")
	c.Create(p+"/a", "", 0)
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/b", nil, 0, wire.OpenACL))
}

func quotaMulti(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	c.Create(p+"/a", "", 0)
	setQuota(e, c, p, "count=-1,bytes=-1=;countHardLimit=3")
	create := func(name string) Part { return Part{wire.OpCreate, Create(p+name, nil, 0, wire.OpenACL)} }
	got := multiAnswer(e, c.OK(wire.OpMulti, Multi(create("/b"), create("/c"), create("/d"))))
	if len(got) != 3 || got[0].code != 0 || got[2].code != 0 {
		e.Errorf("three at once where there is room for one: %+v", got)
	}
	wantUsage(e, c, p, "count=5,bytes=0")
	got = multiAnswer(e, c.OK(wire.OpMulti, Multi(Part{wire.OpDelete, PathInt(p+"/a", -1)}, Part{wire.OpDelete, PathInt(p+"/b", -1)},
		Part{wire.OpDelete, PathInt(p+"/c", -1)}, create("/e"))))
	if len(got) != 4 || got[3].code != wire.CodeQuotaExceeded {
		e.Errorf("room made in the same multi: %+v", got)
	}
	wantUsage(e, c, p, "count=5,bytes=0")
}

func quotaEphemerals(e *Env) {
	c, o, p := e.Client(), e.Another(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=10,bytes=-1")
	o.Create(p+"/a", "123", wire.FlagEphemeral)
	o.Create(p+"/b", "456", wire.FlagEphemeral)
	wantUsage(e, c, p, "count=3,bytes=6")
	o.OK(wire.OpCloseSession, nil)
	wantUsage(e, c, p, "count=1,bytes=0")
}

func quotaChanged(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=-1,bytes=-1=;countHardLimit=1")
	limits := "/zookeeper/quota" + p + "/zookeeper_limits"
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/a", nil, 0, wire.OpenACL))
	c.OK(wire.OpSetData, SetData(limits, []byte("count=-1,bytes=-1=;countHardLimit=2"), -1))
	c.Create(p+"/a", "", 0)
	c.OK(wire.OpDelete, PathInt(limits, -1))
	c.Create(p+"/b", "", 0)
	wantUsage(e, c, p, "count=2,bytes=0") // nobody counts any more
	c.Create(limits, "count=-1,bytes=-1=;countHardLimit=3", 0)
	c.Create(p+"/c", "", 0)
	wantUsage(e, c, p, "count=3,bytes=0")
}

func quotaBroken(e *Env) {
	c, p := e.Client(), e.Path("/q")
	c.Create(p, "", 0)
	setQuota(e, c, p, "count=-1,bytes=-1")
	limits := "/zookeeper/quota" + p + "/zookeeper_limits"
	for _, text := range []string{"count=x", "count", "nonsense", "count=,bytes=", ",count=1", "count=1,bytes=9223372036854775808"} {
		c.OK(wire.OpSetData, SetData(limits, []byte(text), -1))
		c.Fails(wire.CodeMarshallingError, wire.OpCreate, Create(p+"/a", nil, 0, wire.OpenACL))
	}
	for i, text := range []string{"", ",", "count==7", "bytes=5;;count=100,other=3", "countHardLimit=100"} {
		c.OK(wire.OpSetData, SetData(limits, []byte(text), -1))
		c.Create(fmt.Sprintf("%s/%d", p, i), "", 0)
	}
}

func quotaMissing(e *Env) {
	c, p := e.Client(), e.Path("/q")
	setQuota(e, c, p, "count=-1,bytes=-1=;countHardLimit=1")
	wantUsage(e, c, p, "count=0,bytes=0")
	c.Create(p, "", 0)
	wantUsage(e, c, p, "count=1,bytes=0")
	c.Fails(wire.CodeQuotaExceeded, wire.OpCreate, Create(p+"/a", nil, 0, wire.OpenACL))
	c.OK(wire.OpDelete, PathInt(p, -1))
	wantUsage(e, c, p, "count=0,bytes=0")
}
