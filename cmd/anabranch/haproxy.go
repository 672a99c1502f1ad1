package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"anabranch/haproxy"
	"anabranch/internal/registry"
)

// haproxyFlags are those that both subcommands have: who may be asked for proxies, and where HAProxy's socket is.
type haproxyFlags struct {
	*pflag.FlagSet
	consul config // of which only what is about Consul counts
	socket string
}

func newHAProxyFlags(name string, usage string, stdout io.Writer) *haproxyFlags {
	f := &haproxyFlags{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), consul: defaultConfig()}
	f.SortFlags = false
	f.SetOutput(io.Discard)
	f.FlagSet.Usage = func() {
		fmt.Fprint(stdout, usage)
		writeFlags(stdout, f.FlagSet, false)
	}
	f.consul.addConsulOptions(f.FlagSet)
	f.StringVar(&f.socket, "socket", haproxy.DefaultConfig().Socket, "path of HAProxy's runtime socket")
	return f
}

// parse reads the arguments, and Consul's part also from the variables of `anabranch serve`.
func (f *haproxyFlags) parse(args []string) error {
	if err := parseFlags(f.FlagSet, args); err != nil {
		return err
	}
	err := readEnvironment(f.FlagSet, func(variable string) string {
		if strings.HasPrefix(variable, envName("consul")) {
			return os.Getenv(variable)
		}
		return ""
	})
	if err != nil {
		return &usageError{err}
	}
	if err := f.consul.checkConsulFiles(); err != nil {
		return &usageError{err}
	}
	return nil
}

// runHAProxyConfig is `anabranch haproxy-config`.
func runHAProxyConfig(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := haproxy.DefaultConfig()
	f := newHAProxyFlags("haproxy-config", `usage: anabranch haproxy-config --local NAME=HOST:PORT … [--remote NAME=HOST:PORT …] [flags]
       anabranch haproxy-config --region NAME --consul URL [flags]

Writes a complete configuration for an HAProxy that clients reach the proxies through, to the
standard output: the proxies of this region by weight, those of other regions as backup. The
proxies come from --local and --remote, or from Consul. With --slots, others can come later,
without a reload: "anabranch haproxy-sync". docs/haproxy.md explains it.

`, stdout)
	local := f.StringArray("local", nil, "proxy of this region: NAME=HOST:PORT[,admin=PORT][,agent=PORT], NAME is the region's; repeat it for each")
	remote := f.StringArray("remote", nil, "proxy of another region, in the same form; HAProxy takes the first one that works")
	f.StringVar(&c.Region, "region", "", "name of this region; needed without --local")
	f.StringArrayVar(&c.Backups, "backup-region", nil, "name of another region, the one to go to first at the beginning; repeat it for each")
	f.StringVar(&c.Listen, "listen", c.Listen, "where clients connect to HAProxy: [HOST]:PORT")
	f.StringVar(&c.Stats, "stats", c.Stats, "where HAProxy serves its statistics page: [HOST]:PORT")
	f.IntVar(&c.Slots, "slots", 0, "servers of each region that can be added over the runtime socket (default 8 with --consul)")
	f.DurationVar(&c.MaxLag, "max-lag", c.MaxLag, "check /readyz?max_lag=TIME: stricter than the agents, see docs/haproxy.md; 0: without")
	f.BoolVar(&c.KeepBackup, "keep-backup", false, "leave clients with another region when this one is back; new ones come home")
	f.BoolVar(&c.AllBackups, "all-backups", false, "share clients among all proxies of all other regions, not the first one that works")
	if err := f.parse(args); err != nil {
		return err
	}
	c.Socket = f.socket
	for _, text := range append(append([]string(nil), *local...), *remote...) {
		server, err := haproxy.ParseServer(text)
		if err != nil {
			return &usageError{fmt.Errorf("--local, --remote: %w", err)}
		}
		c.Servers = append(c.Servers, server)
	}
	if c.Region == "" && len(*local) > 0 {
		c.Region = c.Servers[0].Region
	}
	for i, server := range c.Servers {
		if here := i < len(*local); here != (server.Region == c.Region) {
			return &usageError{fmt.Errorf("--local, --remote: %s: this region is %q", server.Region, c.Region)}
		}
	}
	if c.Region == "" {
		return &usageError{errors.New("--local or --region: which region is this?")}
	}
	if f.consul.Consul != "" {
		if !f.Changed("slots") {
			c.Slots = 8
		}
		if err := addFromConsul(ctx, &c, f.consul, stderr); err != nil {
			return err
		}
	}
	if err := c.Write(stdout); err != nil {
		return &usageError{err}
	}
	return nil
}

// addFromConsul asks for the proxies that are there now.
func addFromConsul(ctx context.Context, c *haproxy.Config, consul config, stderr io.Writer) error {
	catalogue, err := registry.NewCatalogue(consul.consulAccess(), consul.consulSource(), newLogger(consul, stderr))
	if err != nil {
		return &usageError{fmt.Errorf("--consul: %w", err)}
	}
	found, err := catalogue.List(ctx)
	if err != nil {
		return err
	}
	for _, proxy := range proxiesOf(found) {
		if proxy.AdminPort == 0 {
			fmt.Fprintf(stderr, "anabranch haproxy-config: %s of region %s is left out: its admin port is not reachable, see --admin-listen\n", proxy.Host, proxy.Region)
			continue
		}
		c.Servers = append(c.Servers, proxy.Server)
	}
	return nil
}

// proxiesOf turns what Consul says into what HAProxy needs.
func proxiesOf(found []registry.Proxy) (list []haproxy.Proxy) {
	for _, proxy := range found {
		host, port, err := net.SplitHostPort(proxy.Addr)
		if err != nil {
			continue
		}
		number, _ := strconv.Atoi(port) // 0 is refused later
		list = append(list, haproxy.Proxy{
			Server: haproxy.Server{Region: proxy.Region, Host: host, Port: number, AdminPort: proxy.AdminPort, AgentPort: proxy.AgentPort},
			Ready:  proxy.Passing,
		})
	}
	return list
}

// runHAProxySync is `anabranch haproxy-sync`.
func runHAProxySync(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := newHAProxyFlags("haproxy-sync", `usage: anabranch haproxy-sync --consul URL [flags]

Keeps a running HAProxy, whose configuration "anabranch haproxy-config" has written, equal to
Consul's catalogue over HAProxy's runtime socket: without a reload, and without dropping a
connection to a proxy that works. It goes on until it is stopped. What it is told with SIGTERM
or Ctrl-C changes nothing in HAProxy.

`, stdout)
	interval := f.Duration("interval", 2*time.Second, "time between looks at HAProxy, which forgets what it was told when it is reloaded")
	add(f.FlagSet, &f.consul.LogLevel, "log-level", "LEVEL", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"), asIs)
	add(f.FlagSet, &f.consul.LogFormat, "log-format", "FORMAT", "json, or console for people", oneOf("json", "console"), asIs)
	if err := f.parse(args); err != nil {
		return err
	}
	switch {
	case f.consul.Consul == "":
		return &usageError{errors.New("--consul: is required")}
	case *interval < 100*time.Millisecond:
		return &usageError{fmt.Errorf("--interval: %v is below 100ms", *interval)}
	}
	log := newLogger(f.consul, stderr)
	catalogue, err := registry.NewCatalogue(f.consul.consulAccess(), f.consul.consulSource(), log.With().Str("part", "consul").Logger())
	if err != nil {
		return &usageError{fmt.Errorf("--consul: %w", err)}
	}
	sync := haproxy.NewSync(f.socket, *interval, log.With().Str("part", "haproxy").Logger())
	done := make(chan error, 1)
	go func() { done <- sync.Run(ctx) }() // ends with ctx
	catalogue.Follow(ctx, func(found []registry.Proxy) { sync.Want(proxiesOf(found)) })
	return <-done
}
