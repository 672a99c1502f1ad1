package migration

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/translate"
)

// Document is what /migration answers. `anabranch migrate report` decides by it.
type Document struct {
	Mode      string    `json:"mode"`
	Region    string    `json:"region"`
	RunID     string    `json:"run_id"`
	StartedAt time.Time `json:"started_at"`
	Time      time.Time `json:"time"`
	Error     string    `json:"error,omitempty"` // why something could not be found out

	Commands int64     `json:"commands"` // of this proxy's clients
	Writes   int64     `json:"writes"`
	Refused  []Refused `json:"refused"` // that active mode does not take
	Notices  []Notice  `json:"notices"`

	Recording bool     `json:"recording"` // metadata is kept
	Passive   int      `json:"passive_proxies"`
	Strangers []Client `json:"strangers"` // connections to this Redis that are no proxy's

	Conflicts *Conflicts `json:"conflicts,omitempty"` // in shadow mode
	Cost      Cost       `json:"cost"`
	Storage   *Storage   `json:"storage,omitempty"` // in shadow and active mode
}

// Storage is what metadata takes.
type Storage struct {
	Keys           int64 `json:"keys"` // of clients
	Companions     int64 `json:"companions"`
	CompanionBytes int64 `json:"companion_bytes"`
	LogBytes       int64 `json:"log_bytes"`
	LogLimit       int64 `json:"log_limit"`
	UsedBytes      int64 `json:"used_bytes"`
	LimitBytes     int64 `json:"limit_bytes"`
}

// Client is a connection to Redis past the proxies.
type Client struct {
	Addr    string `json:"addr"`
	Name    string `json:"name,omitempty"`
	User    string `json:"user,omitempty"`
	Command string `json:"last_command"`
	Writes  bool   `json:"writes"` // its last command was one that writes
}

// Source knows where the figures come from. Parts that are nil are not there in this mode.
type Source struct {
	Mode, Region, RunID string
	StartedAt           time.Time
	Redis               *redis.Client
	Prefix              string
	Own                 string // what the names of proxies' connections begin with
	PassiveName         string
	Tally               *Tally
	Meter               *Meter
	Rehearsal           *Rehearsal
	Storage             func(context.Context) (Storage, error)
}

// Saw is a proxy.Observer: it hands on what the proxy sees.
func (s *Source) Saw(plan *translate.Plan, args [][]byte, db int) {
	s.Tally.Saw(plan, args)
	if s.Rehearsal != nil {
		s.Rehearsal.Saw(plan, args, db)
	}
}

// Document asks for everything.
func (s *Source) Document(ctx context.Context) Document {
	d := Document{
		Mode: s.Mode, Region: s.Region, RunID: s.RunID, StartedAt: s.StartedAt, Time: time.Now(),
		Refused: s.Tally.Refused(), Notices: s.Tally.Notices(), Strangers: []Client{},
	}
	d.Commands, d.Writes = s.Tally.Totals()
	if s.Rehearsal != nil {
		found := s.Rehearsal.Conflicts()
		d.Conflicts = &found
	}
	failed := func(err error) {
		if err != nil && d.Error == "" {
			d.Error = err.Error()
		}
	}
	var err error
	d.Cost, err = s.Meter.Measure(ctx, d.Commands)
	failed(err)
	failed(s.look(ctx, &d))
	if s.Storage != nil {
		storage, err := s.Storage(ctx)
		failed(err)
		d.Storage = &storage
	}
	return d
}

// maxStrangers bounds how many are listed.
const maxStrangers = 50

// look finds out whether metadata is kept, and who else is connected.
func (s *Source) look(ctx context.Context, d *Document) error {
	pipe := s.Redis.Pipeline()
	self, plain, list := pipe.Exists(ctx, s.Prefix+"self"), pipe.Exists(ctx, s.Prefix+"plain"), pipe.ClientList(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	d.Recording = self.Val() == 1 && plain.Val() == 0
	clients := ClientsOf(list.Val())
	for _, c := range clients {
		if c.Name == s.PassiveName {
			d.Passive++
		}
	}
	if s.Mode == "passive" || d.Passive > 0 {
		return nil // behind a passive proxy each client has a connection of its own
	}
	for _, c := range clients {
		if !strings.HasPrefix(c.Name, s.Own) && len(d.Strangers) < maxStrangers {
			d.Strangers = append(d.Strangers, c)
		}
	}
	return nil
}

// upkeep are commands of those who watch over a Redis and do not use it.
var upkeep = map[string]bool{"replconf": true, "psync": true, "sync": true, "subscribe": true, "publish": true, "ping": true, "info": true, "client|list": true, "config|get": true, "null": true}

// ClientsOf reads CLIENT LIST, without replicas, Sentinels and others that only watch.
func ClientsOf(list string) (clients []Client) {
	for line := range strings.Lines(list) {
		fields := map[string]string{}
		for _, word := range strings.Fields(line) {
			name, value, _ := strings.Cut(word, "=")
			fields[name] = value
		}
		c := Client{Addr: fields["addr"], Name: fields["name"], User: fields["user"], Command: fields["cmd"]}
		if strings.ContainsAny(fields["flags"], "SM") || strings.HasPrefix(c.Name, "sentinel-") || upkeep[c.Command] && c.Name == "" {
			continue
		}
		command, _, _ := strings.Cut(c.Command, "|")
		row := translate.Lookup([]byte(command))
		c.Writes = row != nil && row.Flags&translate.FlagWrite != 0 || strings.HasPrefix(command, "eval") || command == "fcall"
		clients = append(clients, c)
	}
	return clients
}

// ServeHTTP answers the document.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(s.Document(ctx)) // the client is gone; nobody to tell
}
