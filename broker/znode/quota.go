package znode

import (
	"context"
	"slices"
)

// QuotaEntities reads the configuration of all users, clients, pairs of them and addresses, by their place below /config:
// users/bob, users/bob/clients/app, clients/app, ips/10.0.0.1. Unreadable ones are in skipped.
func (s *Session) QuotaEntities(ctx context.Context) (configs map[string]map[string]string, skipped []error, err error) {
	users, err := s.Children(ctx, ConfigPath+"/users")
	if err != nil && !isNoNode(err) {
		return nil, nil, err
	}
	kinds := []string{"users", "clients", "ips"}
	pairs := make([]string, len(users))
	err = s.each(ctx, len(users), func(i int) error {
		kind := "users/" + users[i] + "/clients"
		names, err := s.Children(ctx, ConfigPath+"/"+kind)
		if len(names) > 0 {
			pairs[i] = kind
		}
		if isNoNode(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	kinds = append(kinds, slices.DeleteFunc(pairs, func(kind string) bool { return kind == "" })...)
	configs = map[string]map[string]string{}
	for _, kind := range kinds {
		all, bad, err := s.Entities(ctx, kind)
		if err != nil {
			return nil, nil, err
		}
		skipped = append(skipped, bad...)
		for name, config := range all {
			configs[kind+"/"+name] = config
		}
	}
	return configs, skipped, nil
}
