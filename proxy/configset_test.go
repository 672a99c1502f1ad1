package proxy

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfigSetKeepsSharedConnections(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for name, value := range map[string]string{
		"timeout": "60", "maxclients": "100", "proto-max-bulk-len": "1mb", "client-query-buffer-limit": "1mb", "port": "1",
	} {
		w.want("CONFIG SET "+name+" "+value, fmt.Sprintf("-"+errConfigSet+"\r\n", name, keptParameters[name]))
	}
	w.want("CONFIG SET hz 20 Maxmemory-Policy ALLKEYS-lru", fmt.Sprintf("-"+errConfigSet+"\r\n", "maxmemory-policy", whyEviction))
	w.want("CONFIG GET hz", "*2\r\n$2\r\nhz\r\n$2\r\n10\r\n")
	w.want("CONFIG SET timeout 0 hz 20", "+OK\r\n") // the value that it has
	w.want("CONFIG GET hz", "*2\r\n$2\r\nhz\r\n$2\r\n20\r\n")
	w.want("CONFIG SET maxmemory-policy volatile-ttl", "+OK\r\n")
	w.want("CONFIG SET notify-keyspace-events KEA", "+OK\r\n")
}

func TestInfoSpeaksOfClientsOfTheProxy(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxClients = 7 })
	w, tracker := r.dial(), r.dial()
	tracker.do("CLIENT TRACKING ON")
	got := w.do("INFO")
	for _, want := range []string{"connected_clients:2", "tracking_clients:1", "blocked_clients:0", "maxclients:7", "total_connections_received:2"} {
		if !strings.Contains(got, "\n"+want+"\r\n") {
			t.Errorf("%s is not in INFO", want)
		}
	}
}
