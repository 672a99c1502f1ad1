package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
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
	add(flags, &c.Redis, "redis", "URL", "this region's Redis, redis://[user:password@]host:port", parseRedisURL, redisURL.String)
	add(flags, &c.Listen, "listen", "HOST:PORT", "where clients connect", parseListen, asIs)
	add(flags, &c.PeerListen, "peer-listen", "HOST:PORT", "where the other regions connect", parseListen, asIs)
	add(flags, &c.AdminListen, "admin-listen", "HOST:PORT", "HTTP: /livez, /readyz, /status", parseListen, asIs)
	addList(flags, &c.Peers, "peer", "REGION=HOST:PORT", "peer address of a proxy of another region; repeat it for each", parsePeer)
	addSwitch(flags, &c.InsecurePeers, "insecure-peers", "allow peer links outside this machine, though they are not encrypted")
	add(flags, &c.Prefix, "prefix", "TEXT", "what the names of Anabranch's own keys start with; the same in all regions", parsePrefix, asIs)
	add(flags, &c.XAddIDs, "xadd-ids", "MODE", "which stream ids XADD takes: strict, semi-strict or liberal; no effect yet, streams cannot be written", oneOf("strict", "semi-strict", "liberal"), asIs)
	add(flags, &c.MaxClients, "maxclients", "N", "connections of clients at one time; one more is refused", intBetween(1, 1_000_000), strconv.Itoa)
	add(flags, &c.LogLevel, "log-level", "LEVEL", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"), asIs)
	add(flags, &c.LogFormat, "log-format", "FORMAT", "json, or console for people", oneOf("json", "console"), asIs)
	addSwitch(flags, &c.Pprof, "pprof", "serve profiles at /debug/pprof/ on the admin port, which must be a loopback address")
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
