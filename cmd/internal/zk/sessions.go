package zk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ottla/broker/znode"
	"ottla/cmd/internal/client"
	"ottla/cmd/internal/output"
)

// sessionRow is a session of one server.
type sessionRow struct {
	ID         string   `json:"id"`
	Server     string   `json:"server,omitempty"`
	Address    string   `json:"address,omitempty"` // of the client; "": it is not connected here
	TimeoutMs  int64    `json:"timeoutMs,omitempty"`
	Received   int64    `json:"received,omitempty"`
	Sent       int64    `json:"sent,omitempty"`
	Last       string   `json:"lastOperation,omitempty"`
	Ephemerals []string `json:"ephemerals"`
}

func sessions() *cobra.Command {
	var z client.ZooKeeper
	var admin string
	cmd := &cobra.Command{
		Use: "sessions", Short: "List the sessions of the servers, with their ephemeral nodes", Args: cobra.NoArgs,
		Long: `List the sessions of each server of --zookeeper, with their clients and ephemeral nodes. It asks with the four-letter words cons and
dump, which a server answers if its 4lw.commands.whitelist has them; or with --admin the AdminServer.`,
		Example: "  ottla zk sessions --admin http://localhost:8080",
	}
	z.Flags(cmd.Flags())
	cmd.Flags().StringVar(&admin, "admin", "", "ask the AdminServer at this `URL` instead of the servers")
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), z.Timeout)
		defer cancel()
		all := map[string]*sessionRow{}
		if admin != "" {
			if err := askAdmin(ctx, strings.TrimSuffix(admin, "/"), all); err != nil {
				return err
			}
		} else {
			connect := z.Connect
			if t, ok := cmd.Context().Value(sessionKey{}).(*client.Tree); ok {
				connect = t.Connect
			}
			servers, _, err := znode.ParseConnect(connect)
			if err != nil {
				return output.Usagef("--zookeeper %s: want host:port,host:port", connect)
			}
			for _, s := range servers {
				if err := askWords(ctx, s, all); err != nil {
					return err
				}
			}
		}
		rows := []*sessionRow{}
		for _, s := range all {
			slices.Sort(s.Ephemerals)
			s.Ephemerals = slices.Compact(s.Ephemerals)
			rows = append(rows, s)
		}
		slices.SortFunc(rows, func(a, b *sessionRow) int { return strings.Compare(a.ID, b.ID) })
		return format.Print(cmd.OutOrStdout(), rows, func() *output.Table {
			tab := &output.Table{Columns: []string{"SESSION", "SERVER", "CLIENT", "TIMEOUT", "LAST", "EPHEMERALS"}}
			for _, s := range rows {
				tab.Row(s.ID, or(s.Server), or(s.Address), time.Duration(s.TimeoutMs)*time.Millisecond, or(s.Last), or(strings.Join(s.Ephemerals, " ")))
			}
			return tab
		})
	}
	return cmd
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func sessionOf(all map[string]*sessionRow, id string) *sessionRow {
	s := all[id]
	if s == nil {
		s = &sessionRow{ID: id, Ephemerals: []string{}}
		all[id] = s
	}
	return s
}

// word asks a server for one of its four-letter words.
func word(ctx context.Context, server, word string) (string, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return "", fmt.Errorf("%s cannot be reached: %w", server, err)
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	const max = 64 << 20
	b, err := io.ReadAll(io.LimitReader(c, max))
	if err != nil {
		return "", err
	}
	if strings.Contains(string(b), "is not executed because it is not in the whitelist") {
		return "", fmt.Errorf("%s does not answer %q; add it to 4lw.commands.whitelist in its zoo.cfg, or ask its AdminServer with --admin", server, word)
	}
	return string(b), nil
}

// connection is a line of cons: /127.0.0.1:5000[1](queued=0,recved=3,sent=3,sid=0x1,...).
var connection = regexp.MustCompile(`(?m)^\s*/(\S+?)\[\d+\]\((.*)\)\s*$`)

func askWords(ctx context.Context, server string, all map[string]*sessionRow) error {
	text, err := word(ctx, server, "cons")
	if err != nil {
		return err
	}
	for _, m := range connection.FindAllStringSubmatch(text, -1) {
		f := map[string]string{}
		for pair := range strings.SplitSeq(m[2], ",") {
			key, value, _ := strings.Cut(pair, "=")
			f[key] = value
		}
		if f["sid"] == "" {
			continue // a connection without a session, such as the one that asks
		}
		s := sessionOf(all, f["sid"])
		s.Server, s.Address, s.Last = server, m[1], f["lop"]
		s.TimeoutMs, _ = strconv.ParseInt(f["to"], 10, 64)
		s.Received, _ = strconv.ParseInt(f["recved"], 10, 64)
		s.Sent, _ = strconv.ParseInt(f["sent"], 10, 64)
	}
	if text, err = word(ctx, server, "dump"); err != nil {
		return err
	}
	// Session ids stand at the beginning of a line with a colon behind, their nodes below them behind a tab.
	id := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch name, isID := strings.CutSuffix(line, ":"); {
		case isID && strings.HasPrefix(name, "0x"):
			id = name
			sessionOf(all, id)
		case id != "" && strings.HasPrefix(line, "\t/"):
			s := sessionOf(all, id)
			s.Ephemerals = append(s.Ephemerals, line[1:])
		default:
			id = ""
		}
	}
	return nil
}

// askAdmin asks the AdminServer for its connections and its ephemeral nodes.
func askAdmin(ctx context.Context, url string, all map[string]*sessionRow) error {
	type adminConnection struct {
		Address  string          `json:"remote_socket_address"`
		ID       json.RawMessage `json:"session_id"` // a number, or a text
		Timeout  int64           `json:"session_timeout"`
		Received int64           `json:"packets_received"`
		Sent     int64           `json:"packets_sent"`
		Last     string          `json:"last_operation"`
	}
	var cons struct {
		Plain  []adminConnection `json:"connections"`
		Secure []adminConnection `json:"secure_connections"`
	}
	if err := getJSON(ctx, url+"/commands/connections", &cons); err != nil {
		return err
	}
	for _, c := range append(cons.Plain, cons.Secure...) {
		id := hexID(strings.Trim(string(c.ID), `"`))
		if id == "" || id == "0x0" {
			continue
		}
		s := sessionOf(all, id)
		s.Address, s.TimeoutMs, s.Received, s.Sent, s.Last = strings.TrimPrefix(c.Address, "/"), c.Timeout, c.Received, c.Sent, c.Last
	}
	var dump struct {
		Ephemerals map[string][]string `json:"session_id_to_ephemeral_paths"`
	}
	if err := getJSON(ctx, url+"/commands/dump", &dump); err != nil {
		return err
	}
	for id, paths := range dump.Ephemerals {
		s := sessionOf(all, hexID(id))
		s.Ephemerals = append(s.Ephemerals, paths...)
	}
	return nil
}

// hexID is a session as 0x...; the AdminServer writes it in decimal.
func hexID(id string) string {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		return "0x" + strconv.FormatUint(uint64(n), 16)
	}
	return id
}

func getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return output.Usagef("--admin: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w; is the AdminServer on (admin.enableServer=true)?", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return errors.New(url + " does not answer as an AdminServer does: " + err.Error())
	}
	return nil
}
