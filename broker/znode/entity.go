package znode

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// Sanitize is a user's, client's or address's name as it stands in paths and metrics: percent-encoded, with nothing that would be
// special there. Names that come back from it: url.QueryUnescape.
func Sanitize(name string) string {
	return strings.NewReplacer("+", "%20", "~", "%7E").Replace(url.QueryEscape(name))
}

// ChangeEntity makes config the configuration of a user (users/bob), a client, an address, or a user and client together
// (users/bob/clients/app), and notifies the brokers. Where nothing is left of an entity its node goes, and with a pair what only
// served to hold it.
func (s *Session) ChangeEntity(ctx context.Context, kind, name string, config map[string]string) error {
	cleaned := false
	if len(config) == 0 {
		var err error
		if cleaned, err = s.cleanEntity(ctx, kind, name); err != nil {
			return err
		}
	}
	if !cleaned {
		if err := s.SetEntity(ctx, kind, name, config); err != nil {
			return err
		}
	}
	return s.NotifyEntity(ctx, kind, name)
}

// cleanEntity removes an entity's node unless others hang below it.
func (s *Session) cleanEntity(ctx context.Context, kind, name string) (bool, error) {
	remove := func(path string) (bool, error) {
		_, err := s.Write(ctx, Fence{}, Delete(path, -1))
		if errors.Is(err, ErrNotEmpty) {
			return false, nil
		}
		return err == nil || isNoNode(err), ignoreNoNode(err)
	}
	gone, err := remove(EntityPath(kind, name))
	user, _, isPair := strings.Cut(name, "/")
	if err != nil || !gone || !isPair {
		return gone, err
	}
	if empty, err := remove(EntityPath(kind, user+"/clients")); err != nil || !empty {
		return true, err
	}
	config, _, err := s.Entity(ctx, kind, user)
	if err != nil || len(config) > 0 {
		return true, err
	}
	_, err = remove(EntityPath(kind, user))
	return true, err
}

func ignoreNoNode(err error) error {
	if isNoNode(err) {
		return nil
	}
	return err
}
