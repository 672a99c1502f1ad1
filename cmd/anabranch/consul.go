package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/rs/zerolog"

	"anabranch/internal/registry"
	"anabranch/syncer"
)

// registered is this proxy as the registry sees it.
type registered struct {
	*syncer.Syncer
	*health
}

// newRegistry is nil without Consul.
func newRegistry(c config, runID string, log zerolog.Logger) (*registry.Registry, error) {
	if c.Consul == "" {
		return nil, nil
	}
	r, err := registry.New(registry.Config{
		Access: c.consulAccess(), Source: c.consulSource(), MembersDatacentre: c.ConsulMembers,
		Region: c.Region, RegionID: c.RegionID, RunID: runID, Version: version,
		Client: c.endpoint(c.Listen), Peer: c.endpoint(c.PeerListen),
		AdminPort: c.reachablePort(c.AdminListen), AgentPort: c.reachablePort(c.AgentListen),
		TTL: c.ConsulTTL, ForgetAfter: c.ConsulForgetAfter,
		Log: log.With().Str("part", "consul").Logger(),
	})
	if err != nil {
		return nil, &usageError{fmt.Errorf("--consul, --consul-ca-file, --consul-cert-file, --consul-key-file: %w", err)}
	}
	return r, nil
}

func (c *config) consulAccess() registry.Access {
	return registry.Access{Address: c.Consul, Token: c.ConsulToken, CAFile: c.ConsulCAFile, CertFile: c.ConsulCertFile, KeyFile: c.ConsulKeyFile}
}

func (c *config) consulSource() registry.Source {
	return registry.Source{Service: c.ConsulService, Datacentres: wordsOf(c.ConsulDatacentres), Queries: wordsOf(c.ConsulQueries)}
}

// endpoint is what others connect to in order to reach a listener.
func (c *config) endpoint(listen string) registry.Endpoint {
	host, port, _ := net.SplitHostPort(listen) // options.go has checked it
	number, _ := strconv.Atoi(port)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	if c.Advertise != "" {
		host = c.Advertise
	}
	return registry.Endpoint{Host: host, Port: number}
}

// reachablePort is the port of a listener that those who reach the clients' port also reach, or 0.
func (c *config) reachablePort(listen string) int {
	if listen == "" || isLoopback(listen) && !isLoopback(c.Listen) {
		return 0
	}
	return c.endpoint(listen).Port
}

// checkConsulFiles checks how Consul is asked.
func (c *config) checkConsulFiles() error {
	if (c.ConsulCertFile == "") != (c.ConsulKeyFile == "") {
		return errors.New("--consul-cert-file, --consul-key-file: give both, or neither")
	}
	return nil
}

// checkConsul also checks what is registered.
func (c *config) checkConsul() error {
	if err := c.checkConsulFiles(); err != nil {
		return err
	}
	if c.Consul == "" {
		return nil
	}
	for flag, listen := range map[string]string{"--listen": c.Listen, "--peer-listen": c.PeerListen} {
		if c.endpoint(listen).Port == 0 {
			return fmt.Errorf("%s: %s has no fixed port, which --consul needs", flag, listen)
		}
	}
	return nil
}
