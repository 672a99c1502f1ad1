package haproxy

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/template"
	"time"
)

// Backend is the name of the backend in the configuration.
const Backend = "redis"

// Config says what a configuration is written for.
type Config struct {
	Region  string   // of this HAProxy: its proxies come first
	Backups []string // the other regions, the one to go to first at the beginning; those of Servers that are not here follow
	Servers []Server

	Listen     string        // for clients
	Stats      string        // HTTP, the statistics page
	Socket     string        // path of the runtime socket
	Slots      int           // servers of each region that can come later, over the runtime socket
	MaxLag     time.Duration // see /readyz?max_lag; 0: agents alone speak of lag
	KeepBackup bool          // leave clients where they are when this region is back
	AllBackups bool          // share clients among all proxies of all other regions
}

// DefaultConfig lacks Region and Servers.
func DefaultConfig() Config {
	return Config{
		Listen: ":6379",
		Stats:  "127.0.0.1:8404",
		Socket: "/run/haproxy/anabranch.sock",
	}
}

const (
	maxSlots = 64
	// A slot that nobody has: nothing listens there, and HAProxy does not look while it is disabled.
	freeHost = "127.0.0.1"
	freePort = 1
)

var errConfig = errors.New("haproxy")

func (c Config) validate() error {
	for _, text := range append([]string{c.Region, c.Listen, c.Stats}, c.Backups...) {
		if err := validWord(text); err != nil {
			return fmt.Errorf("%w: %w", errConfig, err)
		}
	}
	local := 0
	for _, s := range c.Servers {
		if err := s.validate(); err != nil {
			return fmt.Errorf("%w: %w", errConfig, err)
		}
		if s.Region == c.Region {
			local++
		}
	}
	switch {
	case local == 0 && c.Slots == 0:
		return fmt.Errorf("%w: region %s has no proxy, and no room for one", errConfig, c.Region)
	case c.Slots < 0 || c.Slots > maxSlots:
		return fmt.Errorf("%w: %d slots, at most %d can be", errConfig, c.Slots, maxSlots)
	case slices.Contains(c.Backups, c.Region):
		return fmt.Errorf("%w: region %s is this region; backups are the other ones", errConfig, c.Region)
	}
	return nil
}

//go:embed haproxy.cfg.tmpl
var source string

var configTemplate = template.Must(template.New("haproxy.cfg").Parse(source))

// Write writes a complete configuration.
func (c Config) Write(out io.Writer) error {
	if err := c.validate(); err != nil {
		return err
	}
	type line struct {
		Name      string // or prefix and range
		Addr      string
		AdminPort int
		AgentPort int
		Template  string // the range of numbers
		Backup    bool
	}
	type group struct {
		Region string
		Lines  []line
	}
	page := struct {
		Config
		Backend string
		Groups  []group
	}{Config: c, Backend: Backend}
	for _, region := range c.regions() {
		g := group{Region: region}
		number := 0
		for _, s := range c.Servers {
			if s.Region == region {
				number++
				agent := s.AgentPort
				if agent == 0 && c.Slots > 0 {
					agent = freePort // another proxy with an agent may come to its place; to reach none changes nothing
				}
				g.Lines = append(g.Lines, line{
					Name: slotName(region, number), Addr: s.addr(), AdminPort: s.AdminPort, AgentPort: agent, Backup: region != c.Region,
				})
			}
		}
		if c.Slots > 0 {
			g.Lines = append(g.Lines, line{
				Name: region + "-", Template: fmt.Sprintf("%d-%d", number+1, number+c.Slots), Addr: fmt.Sprintf("%s:%d", freeHost, freePort),
				AdminPort: freePort, AgentPort: freePort, Backup: region != c.Region,
			})
		}
		page.Groups = append(page.Groups, g)
	}
	return configTemplate.Execute(out, page)
}

// regions lists them in order: HAProxy takes the first backup that works.
func (c Config) regions() []string {
	list := append([]string{c.Region}, c.Backups...)
	for _, s := range c.Servers {
		if !slices.Contains(list, s.Region) {
			list = append(list, s.Region)
		}
	}
	return list
}

// CheckPath is what HAProxy asks each proxy for.
func (c Config) CheckPath() string {
	if c.MaxLag <= 0 {
		return "/readyz"
	}
	return "/readyz?max_lag=" + c.MaxLag.String()
}
