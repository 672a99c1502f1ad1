package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"anabranch/internal/registry"
	"anabranch/sentinel"
)

// envPrefix and the flag's name in capitals, with _ for -, are the name of its environment variable.
const envPrefix = "ANABRANCH_"

// envName is the variable that stands for a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// configFlag names the file. It is a flag and a variable, but cannot stand in the file itself.
const configFlag = "config"

// addOptions declares every setting of `anabranch serve`, each bound to its field of c. This is the one list: flags,
// variables, the keys of the file and the help text all come from it.
func (c *config) addOptions(flags *pflag.FlagSet) {
	add(flags, &c.Region, "region", "NAME", "name of this region, the same for all its proxies", parseRegion, asIs)
	add(flags, &c.RegionID, "region-id", "1-63", "number of this region; never reuse it for another one", intBetween(1, 63), strconv.Itoa)
	c.addRedisOptions(flags)
	add(flags, &c.Listen, "listen", "HOST:PORT", "where clients connect", parseListen, asIs)
	add(flags, &c.PeerListen, "peer-listen", "HOST:PORT", "where the other regions connect", parseListen, asIs)
	add(flags, &c.AdminListen, "admin-listen", "HOST:PORT", "HTTP: dashboard, /livez, /readyz, /status, /metrics", parseListen, asIs)
	addList(flags, &c.Peers, "peer", "REGION=HOST:PORT", "peer address of a proxy of another region; repeat it for each", parsePeer)
	addTLSFiles(flags, &c.PeerTLS, "peer-tls-", "certificate (PEM) of this region for the others, with the name anabranch://region/NAME; with it, all peer links are mutual TLS",
		"authorities (PEM) of all regions' certificates")
	add(flags, &c.PeerSecret, "peer-secret", "TEXT", "what all regions know and nobody else: they prove it to each other; better given as variable or in a file", asIsAlways, hidden)
	add(flags, &c.PeerSecretFile, "peer-secret-file", "FILE", "the same in a file; of several lines the first one is proved, and all are accepted", asIsAlways, asIs)
	addSwitch(flags, &c.InsecurePeers, "insecure-peers", "allow peer links outside this machine that nothing authenticates")

	add(flags, &c.AgentListen, "agent-listen", "HOST:PORT", "answer HAProxy's agent checks here; empty: nowhere", emptyOr(parseListen), asIs)
	addDuration(flags, &c.AgentMaxLag, "agent-max-lag", "a region that is so much further behind another one than that one is behind it sends HAProxy's clients there; 0: never", 0)

	c.addConsulOptions(flags)
	add(flags, &c.ConsulMembers, "consul-members-datacenter", "NAME", "datacentre whose KV store holds the membership; empty: the agent's", asIsAlways, asIs)
	addDuration(flags, &c.ConsulTTL, "consul-ttl", "a proxy that gives no sign of life for so long counts as dead", time.Second)
	addDuration(flags, &c.ConsulForgetAfter, "consul-forget-after", "a proxy that is dead or not ready for so long leaves the catalogue", time.Minute)
	add(flags, &c.Advertise, "advertise", "HOST", "host to register in Consul; empty: those of --listen and --peer-listen, or else the agent's", asIsAlways, asIs)

	add(flags, &c.MaxClients, "maxclients", "N", "connections of clients at one time; one more is refused", intBetween(1, 1_000_000), strconv.Itoa)
	add(flags, &c.Password, "password", "TEXT", "password of the default user, in the place of those in Redis; better given as variable than as flag", asIsAlways, asIs)
	addTLSFiles(flags, &c.TLS, "tls-", "certificate (PEM) for clients; with it, they must use TLS", "authorities (PEM) of clients' certificates")
	add(flags, &c.TLSAuthClients, "tls-auth-clients", "MODE", "whether clients must show a certificate: yes, no, or optional", oneOf(authAlways, authNone, authOptional), asIs)
	addBytes(flags, &c.QueryLimit, "query-limit", "largest command of a client; past it the client is disconnected", 1<<20)
	addBytes(flags, &c.OutputLimit, "output-limit", "replies that a client has not read yet; past it the client is disconnected", 1<<20)
	add(flags, &c.XAddIDs, "xadd-ids", "MODE", "which stream ids XADD takes: strict, semi-strict or liberal", oneOf("strict", "semi-strict", "liberal"), asIs)

	addSwitch(flags, &c.HideConflictValues, "hide-conflict-values", "keep values out of the ledger of conflicts")
	add(flags, &c.DashboardConflicts, "dashboard-conflicts", "DETAIL", "what the dashboard tells of a conflict: rules, keys too, or values too", oneOf("rules", "keys", "values"), asIs)

	add(flags, &c.BackendConnections, "backend-connections", "N", "connections to Redis that clients share, for each database and protocol version", intBetween(1, 64), strconv.Itoa)
	addBytes(flags, &c.BackendQueue, "backend-queue", "what may wait on one of these; past it, clients are not read until it is less", 64<<10)
	addDuration(flags, &c.BackendHold, "backend-hold", "how long commands wait for a lost Redis before they are answered with an error", time.Millisecond)
	addDuration(flags, &c.DrainTime, "drain-time", "how long to go on serving after SIGTERM, while load balancers are told to send no new clients; 0: not at all", 0)
	addDuration(flags, &c.FenceAfter, "fence-after", "with Sentinels: a primary that neither a majority of them nor all of its replicas have confirmed for so long is not used, 2s or more; 0: no end", 0)
	addDuration(flags, &c.ShutdownTime, "shutdown-time", "how long replies in flight may take after SIGTERM", time.Millisecond)

	addBytes(flags, &c.PeerWindow, "peer-window", "what is sent to a peer and not confirmed yet, at most", 64<<10)
	addDuration(flags, &c.PeerSilence, "peer-silence", "a peer that says nothing for so long is connected to anew", 2*time.Second)
	addDuration(flags, &c.LeaseTime, "lease-time", "a proxy that pulls for its region and dies is replaced after it", 100*time.Millisecond)
	addDuration(flags, &c.BacklogTime, "backlog-time", "log that every peer has is kept for so long, for a peer whose Redis loses it, and until its metadata was collected", time.Second)
	addBytes(flags, &c.BacklogSize, "backlog-size", "log for peers that are away; one that misses more takes the state of changed keys instead", 1<<20)
	addDuration(flags, &c.Quarantine, "quarantine-after", "a region that stays away for so long is left out of collection, and merges everything when it comes back", time.Second)
	add(flags, &c.QuarantineMemory, "quarantine-memory", "SIZE", "so is one that stays away when this much metadata waits for it: a size, a percentage of Redis's memory (maxmemory, or the machine's), or none for no limit", memoryShare, showMemoryShare)
	addDuration(flags, &c.AloneAfter, "alone-after", "a region that was away for more than half of gc-grace takes no writes until another one confirms that it has missed nothing, or for so long; 0: no end", 0)
	add(flags, &c.ShipAfterReplicas, "ship-after-replicas", "N", "other regions see a write when so many replicas of this region's Redis have it, so that no fail-over takes it back", intBetween(0, 16), strconv.Itoa)
	add(flags, &c.CopyOf, "copy-of", "NAME", "this Redis is a copy of that region's (a promoted replica, or its RDB): take it over with data and metadata", asIsAlways, asIs)
	addDuration(flags, &c.GCGrace, "gc-grace", "how long metadata stays that every region has seen", 100*time.Millisecond)
	addDuration(flags, &c.DriftLimit, "drift-limit", "difference between the clocks of two regions that raises an alarm", 100*time.Millisecond)
	add(flags, &c.Prefix, "prefix", "TEXT", "what the names of Anabranch's own keys start with", parsePrefix, asIs)

	add(flags, &c.LogLevel, "log-level", "LEVEL", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"), asIs)
	add(flags, &c.LogFormat, "log-format", "FORMAT", "json, or console for people", oneOf("json", "console"), asIs)
	addSwitch(flags, &c.Pprof, "pprof", "serve profiles at /debug/pprof/ on the admin port, which must be a loopback address")
}

// addRedisOptions declares where the region's Redis is, which other subcommands ask too.
func (c *config) addRedisOptions(flags *pflag.FlagSet) {
	add(flags, &c.Redis, "redis", "URL", "this region's Redis: redis://[user:password@]host:port, or "+sentinel.URLForm, parseRedisURL, redisURL.String)
	addTLSFiles(flags, &c.RedisTLS, "redis-tls-", "certificate (PEM) that Redis and its Sentinels are shown, with rediss…://", "authorities (PEM) of their certificates; empty: those of the system")
	add(flags, &c.RedisTLSServerName, "redis-tls-server-name", "NAME", "name in their certificates; empty: the host that is connected to", asIsAlways, asIs)
}

// addConsulOptions declares how Consul is asked, which other subcommands do too.
func (c *config) addConsulOptions(flags *pflag.FlagSet) {
	add(flags, &c.Consul, "consul", "URL", "agent of Consul, http://HOST:PORT or https://HOST:PORT; empty: none", emptyOr(registry.ParseAddress), asIs)
	add(flags, &c.ConsulToken, "consul-token", "TEXT", "ACL token for Consul; better given as variable than as flag", asIsAlways, hidden)
	add(flags, &c.ConsulCAFile, "consul-ca-file", "FILE", "certificates (PEM) that sign Consul's; empty: the system's", asIsAlways, asIs)
	add(flags, &c.ConsulCertFile, "consul-cert-file", "FILE", "certificate (PEM) to show to Consul", asIsAlways, asIs)
	add(flags, &c.ConsulKeyFile, "consul-key-file", "FILE", "private key (PEM) of that certificate", asIsAlways, asIs)
	add(flags, &c.ConsulService, "consul-service", "NAME", "service to register clients' addresses as; peers' are NAME-peer", registry.ParseService, asIs)
	addList(flags, &c.ConsulDatacentres, "consul-datacenter", "NAME", "datacentre to look for other regions in; repeat it for each. Default: the agent's", parseWord)
	addList(flags, &c.ConsulQueries, "consul-query", "NAME", "prepared query that names proxies of other regions; repeat it for each", parseWord)
}

// setting is one field with its parser; it is a pflag.Value.
type setting[T any] struct {
	target *T
	kind   string
	parse  func(string) (T, error)
	show   func(T) string
}

func (s *setting[T]) String() string { return s.show(*s.target) }
func (s *setting[T]) Type() string   { return s.kind }

func (s *setting[T]) Set(text string) error {
	value, err := s.parse(text)
	if err != nil {
		return err
	}
	*s.target = value
	return nil
}

func add[T any](flags *pflag.FlagSet, target *T, name, kind, usage string, parse func(string) (T, error), show func(T) string) {
	flags.Var(&setting[T]{target, kind, parse, show}, name, usage)
}

// addSwitch declares a flag that needs no value on the command line.
func addSwitch(flags *pflag.FlagSet, target *bool, name, usage string) {
	flags.VarPF(&setting[bool]{target, "bool", parseBool, strconv.FormatBool}, name, "", usage).NoOptDefVal = "true"
}

// listSetting is a field with several values: a repeated flag, a variable with commas, a list in the file.
type listSetting[T fmt.Stringer] struct {
	target *[]T
	kind   string
	parse  func(string) (T, error)
}

func (s *listSetting[T]) Type() string { return s.kind }
func (s *listSetting[T]) isList()      {}

func (s *listSetting[T]) String() string {
	var words []string
	for _, value := range *s.target {
		words = append(words, value.String())
	}
	return strings.Join(words, ",")
}

func (s *listSetting[T]) Set(text string) error {
	if text == "" {
		return nil // an empty list
	}
	for word := range strings.SplitSeq(text, ",") {
		value, err := s.parse(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		*s.target = append(*s.target, value)
	}
	return nil
}

func addList[T fmt.Stringer](flags *pflag.FlagSet, target *[]T, name, kind, usage string, parse func(string) (T, error)) {
	flags.Var(&listSetting[T]{target, kind, parse}, name, usage)
}

func addDuration(flags *pflag.FlagSet, target *time.Duration, name, usage string, lowest time.Duration) {
	add(flags, target, name, "TIME", usage, durationFrom(lowest), time.Duration.String)
}

func addBytes(flags *pflag.FlagSet, target *int64, name, usage string, lowest int64) {
	add(flags, target, name, "SIZE", usage, bytesFrom(lowest), showBytes)
}

func asIs(text string) string { return text }

// hidden shows nothing of what nobody may read.
func hidden(string) string { return "" }

func asIsAlways(text string) (string, error) { return text, nil }
