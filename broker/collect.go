package broker

import (
	"runtime"
	"time"

	"ottla/broker/group/classic"
	"ottla/broker/logdir"
	"ottla/broker/metadata"
	"ottla/broker/metrics"
	"ottla/broker/partition"
)

// This file is the broker's metrics as they are at a scrape (see package metrics for their names). Values that Apache Kafka has and
// that mean nothing here are left out; testdata/metrics says which and why.

// perMilli turns microseconds into milliseconds.
const perMilli = 1e-3

func (s *Server) collect(w *metrics.Writer) {
	s.meters.requests.Collect(w)
	s.collectNetwork(w)
	s.collectTopics(w)
	s.collectPartitions(w)
	s.collectLogs(w)
	s.collectPlane(w)
	s.collectGroups(w)
	s.collectController(w)
	s.collectZooKeeper(w)
}

func (s *Server) collectNetwork(w *metrics.Writer) {
	cores := runtime.GOMAXPROCS(0)
	busy, share := s.meters.requests.Busy(cores)
	idle := 1 - share
	const help = "share of the cores that are not busy with requests and answers, over the last minute"
	w.Gauge("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", help, idle)
	w.Counter("kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_count", "the same as time, ns: its rate divided by 1e9 is the share",
		float64(max(s.meters.now()-busy/time.Duration(cores), 0)))
	w.Gauge("kafka_network_socketserver_networkprocessoravgidlepercent", help, idle)
	w.Gauge("kafka_network_socketserver_networkprocessoravgidle_percent", help, idle)
	w.Gauge("kafka_network_requestchannel_requestqueuesize", "requests that wait for a thread: none do", 0)
	w.Gauge("kafka_network_requestchannel_responsequeuesize", "answers that wait for a thread: none do", 0)

	st := s.network.Stats()
	w.Gauge("kafka_network_socketserver_memorypoolused", "bytes that requests hold", float64(st.MemoryUsed))
	w.Gauge("kafka_network_socketserver_memorypoolavailable", "bytes that requests may hold yet", float64(max(st.MemoryLimit-st.MemoryUsed, 0)))
	var idled int64
	for _, l := range st.Listeners {
		idled += l.Idle
		labels := []string{"listener", l.Name, "networkProcessor", "0"}
		w.Gauge("kafka_server_socket_server_metrics_connection_count", "open connections", float64(l.Open), labels...)
		w.Counter("kafka_server_socket_server_metrics_connection_creation_total", "connections that were opened", float64(l.Opened), labels...)
		w.Counter("kafka_server_socket_server_metrics_connection_close_total", "connections that were closed", float64(l.Closed), labels...)
	}
	w.Gauge("kafka_network_socketserver_expiredconnectionskilledcount", "connections that were closed because they were idle", float64(idled))
}

const topicMetrics = "kafka_server_brokertopicmetrics_"

// collectTopics writes the traffic of topics, and of all together without a label.
func (s *Server) collectTopics(w *metrics.Writer) {
	topics, all := s.table.Traffic()
	byTopic := func(t *partition.Traffic, labels ...string) {
		w.Counter(topicMetrics+"messagesin_total", "records that were appended", float64(t.MessagesIn.Load()), labels...)
		w.Counter(topicMetrics+"bytesin_total", "bytes that were appended", float64(t.BytesIn.Load()), labels...)
		w.Counter(topicMetrics+"bytesout_total", "bytes that were sent to consumers", float64(t.BytesOut.Load()), labels...)
		w.Counter(topicMetrics+"bytesrejected_total", "bytes of batches that were too large", float64(t.BytesRejected.Load()), labels...)
		w.Counter(topicMetrics+"totalproducerequests_total", "partitions in Produce requests", float64(t.Produces.Load()), labels...)
		w.Counter(topicMetrics+"failedproducerequests_total", "of them those that failed", float64(t.FailedProduces.Load()), labels...)
		w.Counter(topicMetrics+"totalfetchrequests_total", "partitions in Fetch requests", float64(t.Fetches.Load()), labels...)
		w.Counter(topicMetrics+"failedfetchrequests_total", "of them those that failed", float64(t.FailedFetches.Load()), labels...)
		w.Counter(topicMetrics+"producemessageconversions_total", "partitions in Produce requests whose records were converted", float64(t.ProduceConversions.Load()), labels...)
		w.Counter(topicMetrics+"fetchmessageconversions_total", "partitions in Fetch answers whose records were converted", float64(t.FetchConversions.Load()), labels...)
	}
	byTopic(all)
	for name, t := range topics {
		byTopic(t, "topic", name)
	}
	w.Counter(topicMetrics+"replicationbytesin_total", "bytes that were copied from leaders", 0)
	w.Counter(topicMetrics+"replicationbytesout_total", "bytes that were sent to followers", float64(all.ReplicatedOut.Load()))
	w.Counter(topicMetrics+"reassignmentbytesin_total", "of the copied bytes those of partitions that move here", 0)
	w.Counter(topicMetrics+"reassignmentbytesout_total", "of the sent bytes those of partitions that move away", 0)
	w.Counter(topicMetrics+"invalidmessagecrcrecords_total", "batches with a wrong checksum that were refused", float64(all.InvalidCRC.Load()))
	w.Counter(topicMetrics+"nokeycompactedtopicrecords_total", "records without a key that compacted topics refused", float64(all.MissingKey.Load()))
}

func (s *Server) collectPartitions(w *metrics.Writer) {
	var led, underReplicated, underMin, atMin, reassigning, producers int
	hosted := s.table.Hosted()
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for tp, p := range hosted {
		labels := []string{"topic", tp.Topic, "partition", metrics.Int(tp.Partition)}
		role, log := p.Role(), p.Log()
		producers += log.ProducerCount()
		w.Gauge("kafka_log_log_size", "bytes of the log", float64(log.Size()), labels...)
		w.Gauge("kafka_log_log_numlogsegments", "segments of the log", float64(log.Segments()), labels...)
		w.Gauge("kafka_log_log_logstartoffset", "first offset of the log", float64(log.LogStart()), labels...)
		w.Gauge("kafka_log_log_logendoffset", "offset that the next record gets", float64(log.LogEnd()), labels...)

		isr, replicas, least := len(role.ISR), len(role.Replicas), min(p.Settings().MinISR, len(role.Replicas))
		under, below, at := false, false, false
		stable := int64(0)
		if role.Leads {
			led++
			under, below, at = isr < replicas, isr < least, isr == least
			stable = max(p.HighWatermark()-log.LastStable(p.HighWatermark()), 0)
		} else {
			isr, replicas = 0, 0 // as Kafka's followers say
		}
		for _, c := range []struct {
			n  *int
			is bool
		}{{&underReplicated, under}, {&underMin, below}, {&atMin, at}, {&reassigning, role.Leads && len(role.Adding)+len(role.Removing) > 0}} {
			if c.is {
				*c.n++
			}
		}
		w.Gauge("kafka_cluster_partition_underreplicated", "1: a replica is not in sync (of leaders)", is(under), labels...)
		w.Gauge("kafka_cluster_partition_underminisr", "1: fewer are in sync than min.insync.replicas (of leaders)", is(below), labels...)
		w.Gauge("kafka_cluster_partition_atminisr", "1: as many are in sync as min.insync.replicas (of leaders)", is(at), labels...)
		w.Gauge("kafka_cluster_partition_insyncreplicascount", "replicas in sync (of leaders)", float64(isr), labels...)
		w.Gauge("kafka_cluster_partition_replicascount", "replicas (of leaders)", float64(replicas), labels...)
		w.Gauge("kafka_cluster_partition_laststableoffsetlag", "by how much the last stable offset is behind the high watermark", float64(stable), labels...)
	}
	const manager = "kafka_server_replicamanager_"
	w.Gauge(manager+"partitioncount", "partitions on this broker", float64(len(hosted)))
	w.Gauge(manager+"leadercount", "partitions that this broker leads", float64(led))
	w.Gauge(manager+"offlinereplicacount", "partitions in log directories that are offline", float64(s.dirs.OfflineCount()))
	w.Gauge(manager+"underreplicatedpartitions", "partitions led here of which a replica is not in sync", float64(underReplicated))
	w.Gauge(manager+"underminisrpartitioncount", "partitions led here of which fewer are in sync than min.insync.replicas", float64(underMin))
	w.Gauge(manager+"atminisrpartitioncount", "partitions led here of which as many are in sync as min.insync.replicas", float64(atMin))
	w.Gauge(manager+"reassigningpartitions", "partitions led here that move", float64(reassigning))
	w.Gauge(manager+"produceridcount", "idempotent producers that are remembered", float64(producers))
	w.Gauge(manager+"partitionswithlatetransactionscount", "partitions with a transaction that should have ended", 0)
	for _, name := range []string{"isrshrinks", "isrexpands", "failedisrupdates"} {
		w.Counter(manager+name+"_total", "changes of the replicas in sync", 0)
	}
}

func (s *Server) collectLogs(w *metrics.Writer) {
	now := s.meters.now()
	w.Distribution("kafka_log_logflushstats_logflushrateandtimems", "time that a segment's sync took, ms", s.meters.flushes.Distribution(now, 0), perMilli)
	bad := map[string]int{}
	var bytes = map[string]int64{}
	for _, l := range s.cleaner.Uncleanable() {
		bad[logdir.DirOf(l)]++
		bytes[logdir.DirOf(l)] += l.Size()
	}
	offline := 0
	for _, d := range s.dirs.Dirs() {
		down := 0.0
		if d.Error != nil {
			offline++
			down = 1
		}
		w.Gauge("kafka_log_logmanager_logdirectoryoffline", "1: the directory is offline", down, "logDirectory", d.Path)
		w.Gauge("kafka_log_logcleanermanager_uncleanable_partitions_count", "logs that the cleaner has given up", float64(bad[d.Path]), "logDirectory", d.Path)
		w.Gauge("kafka_log_logcleanermanager_uncleanable_bytes", "bytes of logs that the cleaner has given up", float64(bytes[d.Path]), "logDirectory", d.Path)
	}
	w.Gauge("kafka_log_logmanager_offlinelogdirectorycount", "log directories that are offline", float64(offline))
	st := s.cleaner.Status()
	w.Gauge("kafka_log_logcleaner_cleaner_recopy_percent", "share of a log that the last cleaning kept, percent", 100*st.Recopied)
	w.Gauge("kafka_log_logcleaner_max_buffer_utilization_percent", "share of its map that the last cleaning used, percent", 100*st.MapUse)
	w.Gauge("kafka_log_logcleaner_max_clean_time_secs", "time that the last cleaning took, seconds", st.Took.Seconds())
	w.Gauge("kafka_log_logcleaner_deadthreadcount", "cleaner threads that have ended: none does", 0)
	w.Gauge("kafka_log_logcleanermanager_max_dirty_percent", "share of the dirtiest log that is not clean, percent", 100*st.DirtyRatio)
	since := 0.0
	if !st.LastRun.IsZero() {
		since = float64(max(s.o.Now().Sub(st.LastRun), 0).Milliseconds())
	}
	w.Gauge("kafka_log_logcleanermanager_time_since_last_run_ms", "time since the cleaner has looked for something to clean, ms", since)
}

func (s *Server) collectPlane(w *metrics.Writer) {
	n := s.plane.Counts()
	groups := s.groups.Counts()
	rebalancing := groups.Groups[classic.PreparingRebalance] + groups.Groups[classic.CompletingRebalance]
	for _, p := range []struct {
		name string
		n    int64
	}{
		{"Fetch", n.Fetches}, {"Produce", n.Produces}, {"DeleteRecords", n.Deletes}, {"Heartbeat", int64(groups.Members)}, {"Rebalance", int64(rebalancing)},
		{"ElectLeader", 0}, {"topic", 0}, {"RemoteFetch", 0}, {"AlterAcls", 0},
	} {
		w.Gauge("kafka_server_delayedoperationpurgatory_purgatorysize", "what waits: requests, members, groups", float64(p.n), "delayedOperation", p.name)
		w.Gauge("kafka_server_delayedoperationpurgatory_numdelayedoperations", "what waits: requests, members, groups", float64(p.n), "delayedOperation", p.name)
	}
	const expires = "kafka_server_delayedfetchmetrics_expires_total"
	w.Counter(expires, "fetches whose time was over before there was enough", float64(n.ExpiredConsumers), "fetcherType", "consumer")
	w.Counter(expires, "fetches whose time was over before there was enough", float64(n.ExpiredFollowers), "fetcherType", "follower")
	w.Gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "incremental fetch sessions", float64(n.Sessions))
	w.Gauge("kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "partitions in incremental fetch sessions", float64(n.SessionPartitions))
	w.Counter("kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", "fetch sessions that had to make room for others", float64(n.EvictedSessions))
}

func (s *Server) collectGroups(w *metrics.Writer) {
	n := s.groups.Counts()
	const manager = "kafka_coordinator_group_groupmetadatamanager_"
	all := 0
	for _, st := range []struct {
		name string
		of   classic.State
	}{
		{"empty", classic.Empty}, {"preparingrebalance", classic.PreparingRebalance}, {"completingrebalance", classic.CompletingRebalance},
		{"stable", classic.Stable}, {"dead", classic.Dead},
	} {
		all += n.Groups[st.of]
		w.Gauge(manager+"numgroups"+st.name, "groups in this state that this broker coordinates", float64(n.Groups[st.of]))
	}
	w.Gauge(manager+"numgroups", "groups that this broker coordinates", float64(all))
	w.Gauge(manager+"numoffsets", "offsets of those groups", float64(n.Offsets))
}

// collectController writes what the controller is asked for; where another broker is it, most of that is 0, as in Kafka.
func (s *Server) collectController(w *metrics.Writer) {
	now := s.meters.now()
	const controller = "kafka_controller_kafkacontroller_"
	active := s.controller.IsActive()
	var n struct{ topics, partitions, offline, imbalanced, brokers int }
	if active {
		im := s.metadata.Load()
		n.brokers = len(im.Brokers())
		for t := range im.Topics() {
			n.topics++
			n.partitions += len(t.Partitions)
			for i := range t.Partitions {
				p := &t.Partitions[i]
				if p.Leader == metadata.NoLeader {
					n.offline++
				}
				if len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
					n.imbalanced++
				}
			}
		}
	}
	is := 0.0
	if active {
		is = 1
	}
	deletions := s.controller.Deletions()
	w.Gauge(controller+"activecontrollercount", "1: this broker is the controller", is)
	w.Gauge(controller+"activebrokercount", "live brokers", float64(n.brokers))
	w.Gauge(controller+"fencedbrokercount", "brokers that are fenced: with ZooKeeper none is", 0)
	w.Gauge(controller+"globaltopiccount", "topics of the cluster", float64(n.topics))
	w.Gauge(controller+"globalpartitioncount", "partitions of the cluster", float64(n.partitions))
	w.Gauge(controller+"offlinepartitionscount", "partitions without a leader", float64(n.offline))
	w.Gauge(controller+"preferredreplicaimbalancecount", "partitions whose leader is not their first replica", float64(n.imbalanced))
	w.Gauge(controller+"topicstodeletecount", "topics that wait to be deleted", float64(deletions.Topics))
	w.Gauge(controller+"topicsineligibletodeletecount", "of them those that cannot be now", float64(deletions.IneligibleTopics))
	w.Gauge(controller+"replicastodeletecount", "replicas that wait to be deleted", float64(deletions.Replicas))
	w.Gauge(controller+"replicasineligibletodeletecount", "of them those that cannot be now", float64(deletions.IneligibleReplicas))
	w.Gauge(controller+"zkmigrationstate", "4: the cluster is kept in ZooKeeper", 4)

	w.Gauge("kafka_controller_controllereventmanager_eventqueuesize", "events that wait", float64(s.controller.Queue()))
	w.Distribution("kafka_controller_controllereventmanager_eventqueuetimems", "time that events waited, ms", s.meters.queue.Distribution(now, 0), perMilli)
	for _, name := range eventMetrics {
		w.Distribution("kafka_controller_controllerstats_"+name+"rateandtimems", "time that such an event took, ms", s.meters.events[name].Distribution(now, 0), perMilli)
	}
	w.Counter("kafka_controller_controllerstats_uncleanleaderelections_total", "partitions that got a leader that was not in sync", float64(s.controller.UncleanElections()))
}

func (s *Server) collectZooKeeper(w *metrics.Writer) {
	st := s.zk.Stats()
	const listener = "kafka_server_sessionexpirelistener_zookeeper"
	w.Counter(listener+"disconnects_total", "times that the connection to the coordinator was lost", float64(st.Disconnects))
	w.Counter(listener+"expires_total", "sessions that expired", float64(st.Expires))
	w.Counter(listener+"syncconnects_total", "times that the coordinator was connected to", float64(st.Connects))
	w.Counter(listener+"authfailures_total", "times that the coordinator refused who we are", 0)
	w.Counter(listener+"readonlyconnects_total", "times that the coordinator was read-only", 0)
	w.Counter(listener+"saslauthentications_total", "times that the coordinator was told who we are", 0)
	w.Distribution("kafka_server_zookeeperclientmetrics_zookeeperrequestlatencyms", "time that the coordinator took to answer, ms",
		s.meters.zk.Distribution(s.meters.now(), 0), perMilli)
}
