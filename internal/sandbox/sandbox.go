package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Config says what to start.
type Config struct {
	Binary     string   // path of the anabranch program
	Regions    int      // 1 to 26; they are called A, B, C, …
	ServeFlags []string // added to every `anabranch serve`
}

// Region is one redis-server with one proxy in front of it.
type Region struct {
	Name      string
	ID        int
	Addr      string // of the proxy, for clients
	PeerAddr  string
	AdminAddr string
	Redis     *Server

	proxy *process
}

// ProxyPID is the process id of `anabranch serve`.
func (r *Region) ProxyPID() int { return r.proxy.pid() }

// Sandbox is a running deployment. Close it.
type Sandbox struct {
	Dir     string // of all files of all servers; other servers may be put there too
	Regions []*Region
}

// Start starts everything and returns when every proxy serves. On an error nothing is left running.
func Start(ctx context.Context, c Config) (*Sandbox, error) {
	if c.Regions < 1 || c.Regions > 26 {
		return nil, fmt.Errorf("sandbox: %d regions, expected 1 to 26", c.Regions)
	}
	dir, err := os.MkdirTemp("", "anabranch-")
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Dir: dir}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sandbox) start(ctx context.Context, c Config) error {
	for i := range c.Regions {
		region := &Region{Name: string(rune('A' + i)), ID: i + 1}
		for _, addr := range []*string{&region.Addr, &region.PeerAddr, &region.AdminAddr} {
			free, err := FreeAddr()
			if err != nil {
				return err
			}
			*addr = free
		}
		redis, err := StartRedis(ctx, filepath.Join(s.Dir, region.Name))
		if err != nil {
			return err
		}
		region.Redis = redis
		s.Regions = append(s.Regions, region)
	}
	for _, region := range s.Regions {
		proxy, err := start(filepath.Join(s.Dir, region.Name, "anabranch.log"), c.Binary, s.serveArgs(region, c.ServeFlags)...)
		if err != nil {
			return err
		}
		region.proxy = proxy
	}
	for _, region := range s.Regions {
		if err := awaitPing(ctx, region.proxy, region.Addr); err != nil {
			return fmt.Errorf("region %s: %w", region.Name, err)
		}
	}
	return nil
}

func (s *Sandbox) serveArgs(region *Region, more []string) []string {
	args := []string{"serve",
		"--region", region.Name,
		"--region-id", strconv.Itoa(region.ID),
		"--redis", "redis://" + region.Redis.Addr,
		"--listen", region.Addr,
		"--peer-listen", region.PeerAddr,
		"--admin-listen", region.AdminAddr,
	}
	for _, other := range s.Regions {
		if other != region {
			args = append(args, "--peer", other.Name+"="+other.PeerAddr)
		}
	}
	return append(args, more...)
}

// Failed names a process that has ended although nobody stopped it, with the end of its log; empty when all run.
func (s *Sandbox) Failed() string {
	for _, region := range s.Regions {
		for _, proc := range []*process{region.proxy, region.Redis.proc} {
			if proc != nil && !proc.running() {
				return fmt.Sprintf("region %s: %s has ended:\n%s", region.Name, proc.cmd.Path, proc.logTail())
			}
		}
	}
	return ""
}

// Close ends the proxies, then the servers, and removes their files.
func (s *Sandbox) Close() error {
	for _, region := range s.Regions {
		if region.proxy != nil {
			region.proxy.stop(stopLimit)
		}
	}
	for _, region := range s.Regions {
		region.Redis.proc.stop(time.Second) // nothing to save
	}
	return os.RemoveAll(s.Dir)
}
