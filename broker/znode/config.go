package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// DefaultEntity is the name of the node that holds the defaults of a kind of entity.
const DefaultEntity = "<default>"

type configJSON struct {
	Version int               `json:"version"`
	Config  map[string]string `json:"config"`
}

// Entity reads the configuration of an entity. A missing node, and one with null data (made as the parent of another), has
// none: an empty map and exists false.
func (s *Session) Entity(ctx context.Context, kind, name string) (config map[string]string, exists bool, err error) {
	data, _, err := s.Get(ctx, EntityPath(kind, name))
	if isNoNode(err) {
		return map[string]string{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return decodeEntity(kind, name, data)
}

func decodeEntity(kind, name string, data []byte) (config map[string]string, exists bool, err error) {
	if len(data) == 0 {
		return map[string]string{}, false, nil
	}
	var j configJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, false, fmt.Errorf("%s: %w", EntityPath(kind, name), err)
	}
	if j.Config == nil {
		j.Config = map[string]string{}
	}
	return j.Config, true, nil
}

// Entities reads the configuration of all entities of a kind, by the name of their nodes. Unreadable ones are in skipped.
func (s *Session) Entities(ctx context.Context, kind string) (configs map[string]map[string]string, skipped []error, err error) {
	names, err := s.Children(ctx, ConfigPath+"/"+kind)
	if err != nil {
		if isNoNode(err) {
			return map[string]map[string]string{}, nil, nil
		}
		return nil, nil, err
	}
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = EntityPath(kind, name)
	}
	reads, err := s.GetAll(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	configs = make(map[string]map[string]string, len(names))
	for i, r := range reads {
		if r.Err != nil {
			if !isNoNode(r.Err) {
				return nil, nil, r.Err
			}
			continue
		}
		config, exists, err := decodeEntity(kind, names[i], r.Data)
		switch {
		case err != nil:
			skipped = append(skipped, err)
		case exists:
			configs[names[i]] = config
		}
	}
	return configs, skipped, nil
}

// ErrKRaft means that a KRaft controller has taken the cluster over: ZooKeeper no longer rules its configuration.
var ErrKRaft = errors.New("a KRaft controller has taken over this cluster; configurations can no longer be written to ZooKeeper")

// SetEntity replaces the configuration of an entity, bound to the controller of the moment (as brokers of 3.4 and later do,
// to stay out of a migration to KRaft). It notifies nobody: see NotifyEntity.
func (s *Session) SetEntity(ctx context.Context, kind, name string, config map[string]string) error {
	if config == nil {
		config = map[string]string{}
	}
	data := encode(configJSON{Version: 1, Config: config})
	path := EntityPath(kind, name)
	for {
		_, version, kraft, elected, err := s.Controller(ctx)
		if err != nil {
			return err
		}
		if kraft {
			return ErrKRaft
		}
		var fence Fence
		if elected {
			fence = Fence{ControllerPath, version}
		}
		_, err = s.Write(ctx, fence, Set(path, data, -1))
		if isNoNode(err) {
			_, err = s.CreateAll(ctx, path, data)
		}
		if !errors.Is(err, ErrFenced) {
			return err
		}
		// The controller changed in between: look again whose cluster it is.
	}
}

// DeleteEntity removes the configuration of an entity; a missing one is fine.
func (s *Session) DeleteEntity(ctx context.Context, kind, name string) error {
	_, err := s.Write(ctx, Fence{}, Delete(EntityPath(kind, name), -1))
	if isNoNode(err) {
		return nil
	}
	return err
}

type changeJSON struct {
	Version    int    `json:"version"`
	EntityPath string `json:"entity_path"`
}

// NotifyEntity tells all brokers that the configuration of an entity has changed.
func (s *Session) NotifyEntity(ctx context.Context, kind, name string) error {
	if _, err := s.CreateAll(ctx, ConfigChangesPath, nil); err != nil {
		return err
	}
	data := encode(changeJSON{Version: 2, EntityPath: kind + "/" + name})
	_, err := s.Write(ctx, Fence{}, CreateSequential(ConfigChangesPath+"/"+configChangePrefix, data))
	return err
}

// decodeChange reads a notification: kind topics, name orders; deeper entities (users/bob/clients/app) keep their slashes in
// the name. ok is false for what is to be ignored.
func decodeChange(data []byte) (kind, name string, ok bool) {
	var j struct {
		Version    int    `json:"version"`
		EntityPath string `json:"entity_path"`
		EntityType string `json:"entity_type"` // version 1
		EntityName string `json:"entity_name"`
	}
	if json.Unmarshal(data, &j) != nil {
		return "", "", false
	}
	switch j.Version {
	case 1:
		return j.EntityType, j.EntityName, (j.EntityType == "topics" || j.EntityType == "clients") && j.EntityName != ""
	case 2:
		kind, name, ok = strings.Cut(j.EntityPath, "/")
		return kind, name, ok && kind != "" && name != ""
	}
	return "", "", false
}

// notificationAgeMax is how long a notification is kept for brokers that were away.
const notificationAgeMax = 15 * time.Minute

// ConfigChanges follows the notifications below /config/changes, from the oldest there is, in each session anew.
type ConfigChanges struct {
	client *Client
	apply  func(ctx context.Context, s *Session, kind, name string)
	now    func() time.Time
	log    zerolog.Logger

	wake chan struct{}
	wg   sync.WaitGroup
	stop context.CancelFunc
	last int64 // number of the last notification that was handled
}

// FollowConfigChanges calls apply for each change of an entity's configuration, one at a time on a goroutine of its own;
// apply reads the entity in the session it is given. It returns after what is there has been applied. now is the wall clock.
func FollowConfigChanges(ctx context.Context, c *Client, now func() time.Time, log zerolog.Logger, apply func(ctx context.Context, s *Session, kind, name string)) (*ConfigChanges, error) {
	f := &ConfigChanges{client: c, apply: apply, now: now, log: log, wake: make(chan struct{}, 1), last: -1}
	poke := func() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	c.HandleChildren(ConfigChangesPath, func(Event) { poke() })
	c.OnSession(Hooks{After: func(context.Context, *Session) { poke() }})
	s, err := c.Session(ctx)
	if err == nil {
		err = f.handle(ctx, s)
	}
	if err != nil {
		c.Unhandle(ConfigChangesPath)
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.wg.Go(func() { f.run(run) })
	return f, nil
}

// Close stops following, and waits for a running apply.
func (f *ConfigChanges) Close() {
	f.client.Unhandle(ConfigChangesPath)
	f.stop()
	f.wg.Wait()
}

func (f *ConfigChanges) run(ctx context.Context) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		s, err := f.client.Session(ctx)
		if err != nil {
			return
		}
		// After the end of a session the hook wakes this again.
		if err := f.handle(ctx, s); err != nil && ctx.Err() == nil && s.Err() == nil {
			f.log.Error().Err(err).Msg("configuration changes could not be read")
		}
	}
}

// handle applies the notifications that are new, then deletes the old ones.
func (f *ConfigChanges) handle(ctx context.Context, s *Session) error {
	names, err := s.Children(ctx, ConfigChangesPath)
	if err != nil {
		return err
	}
	slices.Sort(names)
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = ConfigChangesPath + "/" + name
	}
	reads, err := s.GetAll(ctx, paths)
	if err != nil {
		return err
	}
	var stale []Op
	for i, r := range reads {
		if r.Err != nil {
			continue // another broker has purged it
		}
		number, ok := sequenceNumber(names[i], configChangePrefix)
		if ok && number > f.last {
			f.last = number
			if kind, name, ok := decodeChange(r.Data); ok {
				f.apply(ctx, s, kind, name)
			} else {
				f.log.Warn().Str("node", paths[i]).Msg("configuration change is not understood and ignored")
			}
		}
		if f.now().UnixMilli()-r.Stat.Ctime > notificationAgeMax.Milliseconds() {
			stale = append(stale, Delete(paths[i], -1))
		}
	}
	_, err = s.Batch(ctx, Fence{}, stale)
	return err
}
