package cluster

import (
	"errors"
	"fmt"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/tool"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// parseFeatures reads --feature options, NAME=LEVEL or to disable them NAME.
func parseFeatures(op string, features []string, unsafe bool) ([]kadm.FeatureUpdate, error) {
	if len(features) == 0 {
		return nil, errors.New("You must specify at least one feature to " + op)
	}
	how := int8(1) // upgrade; 2 and 3 are downgrades, safe and not
	switch {
	case op != "upgrade" && unsafe:
		how = 3
	case op != "upgrade":
		how = 2
	}
	var out []kadm.FeatureUpdate
	for _, f := range features {
		name, level := f, int64(0)
		if op != "disable" {
			before, after, ok := strings.Cut(f, "=")
			if !ok {
				return nil, fmt.Errorf("Can't parse feature=level string %s: equals sign not found.", f)
			}
			var err error
			if level, err = strconv.ParseInt(strings.TrimSpace(after), 10, 16); err != nil {
				return nil, fmt.Errorf("Can't parse feature=level string %s: unable to parse %s as a short.", f, strings.TrimSpace(after))
			}
			name = strings.TrimSpace(before)
		}
		if slices.ContainsFunc(out, func(u kadm.FeatureUpdate) bool { return u.Feature == name }) {
			return nil, fmt.Errorf("Feature %s was specified more than once.", name)
		}
		out = append(out, kadm.FeatureUpdate{Feature: name, MaxVersionLevel: int16(level), UpgradeType: how})
	}
	return out, nil
}

// KafkaFeatures is kafka-features.sh.
func KafkaFeatures() *cobra.Command {
	var k client.Kafka
	cmd := &cobra.Command{
		Use:     "kafka-features",
		Short:   "Show and change the feature levels of a cluster, as Apache Kafka's tool does",
		Example: "  kafka-features --bootstrap-server localhost:9092 describe",
	}
	kafkaFlags(cmd, &k, "command-config")
	describe := &cobra.Command{Use: "describe", Short: "Show the features", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needServers(cmd, &k); err != nil {
			return err
		}
		return k.With(cmd.Context(), func(s client.Session) error { return tool.Refused(cmd, describeFeatures(cmd, s)) })
	}}
	cmd.AddCommand(describe)
	for _, op := range []string{"upgrade", "downgrade", "disable"} {
		cmd.AddCommand(changeFeatures(op, &k))
	}
	return cmd
}

func describeFeatures(cmd *cobra.Command, s client.Session) error {
	resp, err := askVersions(s, s.Kafka.DiscoveredBrokers()[0])
	if err != nil {
		return err
	}
	final := map[string]int16{}
	for _, f := range resp.FinalizedFeatures {
		final[f.Name] = f.MaxVersionLevel
	}
	epoch := "-"
	if resp.FinalizedFeaturesEpoch >= 0 {
		epoch = fmt.Sprint(resp.FinalizedFeaturesEpoch)
	}
	for _, f := range resp.SupportedFeatures {
		fmt.Fprintf(cmd.OutOrStdout(), "Feature: %s\tSupportedMinVersion: %d\tSupportedMaxVersion: %d\tFinalizedVersionLevel: %d\tEpoch: %s\n",
			f.Name, f.MinVersion, f.MaxVersion, final[f.Name], epoch)
	}
	return nil
}

func changeFeatures(op string, k *client.Kafka) *cobra.Command {
	var features []string
	var dry, unsafe bool
	cmd := &cobra.Command{Use: op, Short: "Change the level of features: " + op, Args: cobra.NoArgs}
	f := cmd.Flags()
	if op == "disable" {
		f.StringArrayVar(&features, "feature", nil, "the `name` of a feature; may be repeated")
	} else {
		f.StringArrayVar(&features, "feature", nil, "`feature=level`; may be repeated")
	}
	f.BoolVar(&dry, "dry-run", false, "only say whether it could be done")
	if op != "upgrade" {
		f.BoolVar(&unsafe, "unsafe", false, "even if metadata may be lost")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needServers(cmd, k); err != nil {
			return err
		}
		updates, err := parseFeatures(op, features, unsafe)
		if err != nil {
			return tool.Failed(cmd, "%v", err)
		}
		return k.With(cmd.Context(), func(s client.Session) error {
			refused, err := updateFeatures(s, updates, dry)
			if err != nil {
				return tool.Refused(cmd, err)
			}
			bad := 0
			for _, u := range updates {
				what := fmt.Sprintf("%s %s to %d", op, u.Feature, u.MaxVersionLevel)
				done := op + "d to " + fmt.Sprint(u.MaxVersionLevel)
				if op == "disable" {
					what, done = "disable "+u.Feature, "disabled"
				}
				verb, could := " was ", "Could not "
				if dry {
					verb, could = " can be ", "Can not "
				}
				if why, no := refused[u.Feature]; no {
					fmt.Fprintf(cmd.OutOrStdout(), "%s%s. %s\n", could, what, why)
					bad++
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s%s%s.\n", u.Feature, verb, done)
				}
			}
			if bad > 0 {
				return tool.Failed(cmd, "%d out of %d operation(s) failed.", bad, len(updates))
			}
			return nil
		})
	}
	return cmd
}

// updateFeatures asks for levels, and returns why some were refused.
func updateFeatures(s client.Session, updates []kadm.FeatureUpdate, dry bool) (refused map[string]string, err error) {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.ValidateOnly = dry
	for _, u := range updates {
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = u.Feature, u.MaxVersionLevel, u.UpgradeType, u.UpgradeType > 1
		req.FeatureUpdates = append(req.FeatureUpdates, f)
	}
	resp, err := req.RequestWith(s, s.Kafka)
	if err != nil {
		return nil, err
	}
	refused = map[string]string{}
	note := func(name string, code int16, sent *string) {
		if err := kerr.ErrorForCode(code); err != nil {
			text := ""
			if sent != nil {
				text = *sent
			}
			refused[name] = tool.Message(err, text)
		}
	}
	for _, u := range updates {
		note(u.Feature, resp.ErrorCode, resp.ErrorMessage)
	}
	for _, r := range resp.Results {
		note(r.Feature, r.ErrorCode, r.ErrorMessage)
	}
	return refused, nil
}
