package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"anabranch/internal/credentials"
	"anabranch/sentinel"
)

// directRedis is how a subcommand reaches a region's Redis itself, and not a proxy: by the flags and variables with which
// `anabranch serve` does.
type directRedis struct {
	*pflag.FlagSet
	config config // of which only what is about Redis counts
}

func newDirectRedis(name, usage string, stdout io.Writer) *directRedis {
	d := &directRedis{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), config: defaultConfig()}
	d.SortFlags = false
	d.SetOutput(io.Discard)
	d.Usage = func() {
		fmt.Fprint(stdout, usage)
		writeFlags(stdout, d.FlagSet, false)
	}
	d.config.addRedisOptions(d.FlagSet)
	add(d.FlagSet, &d.config.Prefix, "prefix", "TEXT", "what the names of Anabranch's own keys start with", parsePrefix, asIs)
	return d
}

// parse reads the arguments, and where Redis is also from the variables of `anabranch serve`.
func (d *directRedis) parse(args []string) error {
	if err := parseFlags(d.FlagSet, args); err != nil {
		return err
	}
	ours := map[string]bool{envName("prefix"): true}
	names := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&config{}).addRedisOptions(names)
	names.VisitAll(func(flag *pflag.Flag) { ours[envName(flag.Name)] = true })
	err := readEnvironment(d.FlagSet, func(variable string) string {
		if ours[variable] {
			return os.Getenv(variable)
		}
		return ""
	})
	if err == nil {
		err = d.config.checkTLS()
	}
	if err != nil {
		return &usageError{err}
	}
	return nil
}

// dialTime bounds the search for the primary, and each call.
const dialTime = 10 * time.Second

// connect returns a client of the primary, which the caller closes.
func (d *directRedis) connect(ctx context.Context) (*redis.Client, error) {
	logging.Disable() // whoever calls the client library gets its errors, and reports them
	u := d.config.Redis
	opts, err := redis.ParseURL(u.full)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--redis: %w", err)}
	}
	opts.Protocol, opts.MaxRetries, opts.DisableIdentity = 2, -1, true
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = dialTime, dialTime, dialTime
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	var identity *credentials.Identity
	if u.secure() {
		if identity, err = credentials.NewIdentity("redis", d.config.RedisTLS); err != nil {
			return nil, &usageError{fmt.Errorf("--redis-tls-…-file: %w", err)}
		}
	}
	if opts.TLSConfig != nil {
		server := d.config.RedisTLSServerName
		if server == "" {
			server = opts.TLSConfig.ServerName
		}
		opts.TLSConfig = identity.Client(server)
	}
	if u.sentinel != nil {
		c := sentinel.DefaultConfig()
		c.Use(*u.sentinel)
		c.Log = zerolog.Nop()
		if u.sentinel.SentinelTLS {
			c.TLS = func() *tls.Config { return identity.Client(d.config.RedisTLSServerName) }
		}
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		if opts.Addr, err = sentinel.Find(ctx, c); err != nil {
			return nil, fmt.Errorf("%s: %w", u, err)
		}
		if opts.TLSConfig != nil && d.config.RedisTLSServerName == "" {
			opts.TLSConfig = identity.Client(hostOf(opts.Addr))
		}
	}
	client := redis.NewClient(opts)
	if err := client.Ping(ctx).Err(); err != nil {
		client.Close()
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	return client, nil
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
