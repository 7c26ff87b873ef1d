//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestSessionExpiry cuts a broker, which is the controller, off from its coordinator for longer than its session lasts: by
// SIGSTOP, and by a network that swallows everything. It registers with a new epoch, what it was asked meanwhile is done or
// refused but never both, and every watch works again.
func TestSessionExpiry(t *testing.T) {
	for _, way := range []string{"stopped", "cut off"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			coordinators(t, func(t *testing.T, coord *Server) { sessionStory(t, coord, way == "stopped") })
		})
	}
}

func sessionStory(t *testing.T, coord *Server, stopped bool) {
	timeout := time.Duration(Scale(5, 18)) * time.Second
	cable := startProxy(t, coord.Address)
	b := Broker(t, 0, cable.Address, fmt.Sprint("zookeeper.session.timeout.ms=", timeout.Milliseconds()))
	createTopic(t, b.Address, "before", 2, nil)
	c := connect(t, coord.Address)
	registered, controlled := czxid(t, c, "/brokers/ids/0"), czxid(t, c, "/controller")
	l := startTrickle(t, b.Address, "before")
	l.progress(t, 100)
	asking := Client(t, b.Address, kgo.RequestTimeoutOverhead(2*time.Minute))
	if err := asking.Ping(context.Background()); err != nil { // so that it is connected
		t.Fatal(err)
	}

	begin := time.Now()
	if stopped {
		b.Signal(syscall.SIGSTOP)
	} else {
		cable.cut()
	}
	early := ask(asking, "early", 10)
	Await(t, 4*timeout, "the registration of the broker vanishes", func() error { return absent(c, "/brokers/ids/0") })
	late := ask(asking, "late", 10)
	if !stopped {
		l.progress(t, 100) // a broker without a coordinator goes on serving
	}
	Await(t, time.Minute, "the time to be cut off is over", func() error {
		if Long() && time.Since(begin) < 30*time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	away := time.Since(begin)
	if stopped {
		b.Signal(syscall.SIGCONT)
	} else {
		cable.mend()
	}

	Await(t, time.Minute, "the broker registers with a greater epoch, and is elected again", func() error {
		for path, before := range map[string]int64{"/brokers/ids/0": registered, "/controller": controlled} {
			_, s, err := c.Get(path)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if s.Czxid <= before {
				return fmt.Errorf("%s was made by %#x, not after %#x", path, s.Czxid, before)
			}
		}
		return nil
	})
	l.progress(t, 100)
	honest(t, c, "early", early(), true)
	honest(t, c, "late", late(), false)
	l.finish(t)
	watches(t, c, coord, b)
	b.Stop(t)
	Result(t, "cut off for %v: %d records acknowledged, all there once, and every watch works", away.Round(time.Second), len(l.place))
}

// absent is nil if a node is not there.
func absent(c *zk.Conn, path string) error {
	ok, _, err := c.Exists(path)
	if err == nil && ok {
		err = errors.New("it is there")
	}
	return err
}

func czxid(t *testing.T, c *zk.Conn, path string) int64 {
	t.Helper()
	_, s, err := c.Get(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s.Czxid
}

// ask sends requests for topics NAME-0, NAME-1 … without waiting for the answers, which the function that it returns does.
func ask(cl *kgo.Client, name string, n int) (answers func() map[string]error) {
	var done sync.WaitGroup
	var mu sync.Mutex
	got := map[string]error{}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	for i := range n {
		done.Go(func() {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.TimeoutMillis = 60000
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprint(name, "-", i), 1, 1
			req.Topics = append(req.Topics, topic)
			raw, err := cl.SeedBrokers()[0].Request(ctx, req)
			if err == nil {
				err = kerr.ErrorForCode(raw.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
			}
			mu.Lock()
			defer mu.Unlock()
			got[topic.Topic] = err
		})
	}
	return func() map[string]error {
		done.Wait()
		cancel()
		return got
	}
}

// honest wants each topic that was acknowledged to be there. One that was refused must not be: its write belonged to a session
// that had ended. A write that was under way when the session still lived may have been done and its answer lost.
func honest(t *testing.T, c *zk.Conn, what string, answers map[string]error, underWay bool) {
	t.Helper()
	counts := map[string]int{}
	for topic, err := range answers {
		there, _, zkErr := c.Exists("/brokers/topics/" + topic)
		if zkErr != nil {
			t.Fatal(zkErr)
		}
		if err == nil && !there {
			t.Errorf("%s was acknowledged and is not there", topic)
		}
		if err != nil && there && !underWay {
			t.Errorf("%s was refused (%v) and is there", topic, err)
		}
		text := "done"
		if err != nil {
			text, _, _ = strings.Cut(err.Error(), ":")
		}
		counts[text]++
	}
	t.Logf("requests %s: %v", what, counts)
}

// watches changes nodes as other brokers and old tools do, and wants the broker to notice each.
func watches(t *testing.T, c *zk.Conn, coord, b *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	put := func(path, data string, flags int32) {
		t.Helper()
		if _, err := c.Create(path, []byte(data), flags, world); err != nil {
			t.Fatalf("create %s: %v", path, err)
		}
	}
	set := func(path, data string) {
		t.Helper()
		if _, err := c.Set(path, []byte(data), -1); err != nil {
			t.Fatalf("set %s: %v", path, err)
		}
	}
	vanishes := func(path string) {
		t.Helper()
		Await(t, 30*time.Second, path+" vanishes", func() error { return absent(c, path) })
	}
	led := func(topic string, partitions int) {
		t.Helper()
		Await(t, 30*time.Second, fmt.Sprint(topic, " has ", partitions, " partitions with leaders"), func() error {
			_, err := leaders(t, b.Address, topic, partitions)
			return err
		})
	}

	put("/brokers/topics/written", `{"version":1,"partitions":{"0":[0]}}`, 0) // children of /brokers/topics
	led("written", 1)
	set("/brokers/topics/written", `{"version":1,"partitions":{"0":[0],"1":[0]}}`) // the topic's data
	led("written", 2)
	set("/config/topics/before", `{"version":1,"config":{"retention.ms":"123456"}}`)
	put("/config/changes/config_change_", `{"version":2,"entity_path":"topics/before"}`, zk.FlagSequence) // children of /config/changes
	Await(t, 30*time.Second, "the broker sees the configuration", func() error {
		return configured(t, ctx, b.Address, "before", "retention.ms", "123456")
	})
	put("/admin/delete_topics/written", "", 0) // children of /admin/delete_topics
	vanishes("/brokers/topics/written")
	put("/admin/preferred_replica_election", `{"version":1,"partitions":[{"topic":"before","partition":0}]}`, 0) // its existence
	vanishes("/admin/preferred_replica_election")
	put("/admin/reassign_partitions", `{"version":1,"partitions":[{"topic":"before","partition":0,"replicas":[0]}]}`, 0) // its existence
	vanishes("/admin/reassign_partitions")
	put("/log_dir_event_notification/log_dir_event_", `{"version":1,"broker":0,"event":1}`, zk.FlagSequence) // children of it
	Await(t, 30*time.Second, "the notification vanishes", func() error {
		names, _, err := c.Children("/log_dir_event_notification")
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("there are %v", names)
		}
		return err
	})
	led("before", 2)

	other := Broker(t, 1, coord.Address) // children of /brokers/ids
	known := func(address string, want ...int32) {
		t.Helper()
		Await(t, 30*time.Second, fmt.Sprintf("%s knows the brokers %v", address, want), func() error {
			cl := Client(t, address)
			defer cl.Close()
			bs, err := kadm.NewClient(cl).ListBrokers(ctx)
			if err == nil && !slices.Equal(bs.NodeIDs(), want) {
				err = fmt.Errorf("it knows %v", bs.NodeIDs())
			}
			return err
		})
	}
	known(b.Address, 0, 1)
	if err := c.Delete("/controller", -1); err != nil { // its existence
		t.Fatal(err)
	}
	Await(t, 30*time.Second, "there is a controller again", func() error {
		_, _, err := c.Get("/controller")
		return err
	})
	createTopic(t, b.Address, "under-the-new-controller", 4, nil)
	led("under-the-new-controller", 4)
	other.Stop(t)
	known(b.Address, 0)
}
