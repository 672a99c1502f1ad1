package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"anabranch/syncer"

	"github.com/spf13/pflag"
)

const exampleFile = "../../examples/anabranch.yaml"

// load is loadConfig with variables from a map.
func load(t *testing.T, env map[string]string, args ...string) (config, error) {
	t.Helper()
	return loadConfig(args, func(name string) string { return env[name] }, io.Discard)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "anabranch.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedenceIsFlagThenVariableThenFileThenDefault(t *testing.T) {
	path := writeFile(t, "region: FromFile\nregion-id: 3\nmaxclients: 3\nlog-level: warn\npeer: [X=127.0.0.1:1]\n")
	env := map[string]string{"ANABRANCH_CONFIG": path, "ANABRANCH_REGION_ID": "2", "ANABRANCH_MAXCLIENTS": "2",
		"ANABRANCH_PEER": "Y=127.0.0.1:2, Z=127.0.0.1:3", "ANABRANCH_LOG_FORMAT": ""}
	c, err := load(t, env, "--maxclients", "1")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxClients != 1 || c.RegionID != 2 || c.Region != "FromFile" || c.LogLevel != "warn" || c.LogFormat != "json" {
		t.Fatalf("got %+v", c)
	}
	if len(c.Peers) != 2 || c.Peers[0].Region != "Y" || c.Peers[1].Addr != "127.0.0.1:3" {
		t.Fatalf("peers of two sources were mixed: %v", c.Peers)
	}
}

func TestErrorsNameTheFlagVariableOrKey(t *testing.T) {
	ok := []string{"--region=A", "--region-id=1"}
	for _, test := range []struct {
		env  map[string]string
		args []string
		file string
		want string
	}{
		{args: []string{"--region-id=1"}, want: "--region: is required"},
		{args: []string{"--region=A"}, want: "--region-id: is required"},
		{args: []string{"--region=A", "--region-id=64"}, want: `--region-id: "64": expected a number from 1 to 63`},
		{args: []string{"--region=1a", "--region-id=1"}, want: "--region: \"1a\": a region's name is a letter"},
		{args: []string{"--region=ALL", "--region-id=1"}, want: "--region: \"ALL\": means all regions"},
		{args: append(ok, "--listen=nowhere"), want: `--listen: "nowhere": expected HOST:PORT`},
		{args: append(ok, "--listen=127.0.0.1:70000"), want: "--listen: "},
		{args: append(ok, "--listen=127.0.0.1:6480"), want: "--peer-listen: 127.0.0.1:6480 is already used by --listen"},
		{args: append(ok, "--redis=redis-sentinel://h:1"), want: "--redis: must name the primary as the Sentinels do"},
		{args: append(ok, "--redis=redis-sentinel://h:1/main?db=1"), want: "--redis: a parameter is not known"},
		{args: append(ok, "--fence-after=-1s"), want: "--fence-after: "},
		{args: append(ok, "--fence-after=1s"), want: "--fence-after: 1s is less than the 2s"},
		{args: append(ok, "--redis=127.0.0.1:6379"), want: "--redis: is no URL"},
		{args: append(ok, "--redis=http://h"), want: `--redis: scheme "http" is not known`},
		{args: append(ok, "--redis=redis://h:1/3"), want: "--redis: must not name a database"},
		{args: append(ok, "--peer=127.0.0.1:1"), want: "--peer: \"127.0.0.1:1\": expected REGION=HOST:PORT"},
		{args: append(ok, "--peer=A=127.0.0.1:1"), want: "--peer: A is this region"},
		{args: append(ok, "--peer=B=10.0.0.1:1"), want: "--peer: 10.0.0.1:1 is no loopback address"},
		{args: append(ok, "--peer-listen=:1"), want: "--peer-listen: :1 is no loopback address"},
		{args: append(ok, "--tls-cert-file=c"), want: "--tls-cert-file, --tls-key-file: give both, or neither"},
		{args: append(ok, "--tls-auth-clients=yes"), want: "--tls-auth-clients: yes needs the authorities"},
		{args: append(ok, "--tls-auth-clients=maybe"), want: `--tls-auth-clients: "maybe": expected one of`},
		{args: append(ok, "--tls-ca-file=c"), want: "--tls-ca-file: is of no use unless --tls-auth-clients"},
		{args: append(ok, "--tls-ca-file=c", "--tls-auth-clients=yes"), want: "--tls-ca-file: is of no use without --tls-cert-file"},
		{args: append(ok, "--peer-tls-key-file=c"), want: "--peer-tls-cert-file, --peer-tls-key-file: give both"},
		{args: append(ok, "--peer-tls-ca-file=c"), want: "give all three, or none"},
		{args: append(ok, "--peer-secret=0123456789abcdef", "--peer-secret-file=f"), want: "--peer-secret, --peer-secret-file: give one"},
		{args: append(ok, "--redis-tls-ca-file=c"), want: "--redis-tls-…: are of no use without rediss://"},
		{args: append(ok, "--redis=rediss://h", "--redis-tls-key-file=c"), want: "--redis-tls-cert-file, --redis-tls-key-file: give both"},
		{args: append(ok, "--pprof", "--admin-listen=:9"), want: "--pprof: "},
		{args: append(ok, "--xadd-ids=any"), want: "--xadd-ids: \"any\": expected one of strict, semi-strict, liberal"},
		{args: append(ok, "--quarantine-memory=0"), want: `--quarantine-memory: "0": expected a size of at least 1mb, such as 512mb, a percentage from 1% to 100%, or none`},
		{args: append(ok, "--quarantine-memory=0%"), want: `--quarantine-memory: "0%": expected`},
		{args: append(ok, "--quarantine-memory=101%"), want: `--quarantine-memory: "101%": expected`},
		{args: append(ok, "--log-level=loud"), want: "--log-level: "},
		{args: append(ok, "--prefix={a}"), want: "--prefix: "},
		{args: append(ok, "--colour"), want: "unknown flag: --colour"},
		{args: append(ok, "extra"), want: `unexpected argument "extra"`},
		{args: ok, env: map[string]string{"ANABRANCH_MAXCLIENTS": "many"}, want: `ANABRANCH_MAXCLIENTS: "many": expected a number`},
		{args: ok, file: "maxclients: 10\nmaxclient: 10\n", want: ":2: maxclient: unknown key"},
		{args: ok, file: "config: other.yaml\n", want: ":1: config: unknown key"},
		{args: ok, file: "maxclients: 0\n", want: `:1: maxclients: "0": expected a number`},
		{args: ok, file: "maxclients: [1, 2]\n", want: ":1: maxclients: takes one value"},
		{args: ok, file: "maxclients:\n", want: ":1: maxclients: line 1: expected a value"},
		{args: ok, file: "maxclients: 5\nmaxclients: 6\n", want: "maxclients"},
		{args: ok, file: "- a\n", want: ":1: expected lines of the form"},
		{args: append(ok, "--config=/does/not/exist"), want: "--config: open /does/not/exist"},
	} {
		args := slices.Clone(test.args)
		if test.file != "" {
			args = append(args, "--config", writeFile(t, test.file))
		}
		_, err := load(t, test.env, args...)
		var usage *usageError
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, &usage) {
			t.Errorf("%v %v %q: got %v, want %q", test.args, test.env, test.file, err, test.want)
		}
	}
}

func TestPasswordsAreNeverShown(t *testing.T) {
	const secret = "s3cret"
	c, err := load(t, nil, "--region=A", "--region-id=1", "--redis=redis://me:"+secret+"@10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Redis.String(); got != "redis://me:***@10.0.0.1:6379" {
		t.Errorf("shown as %q", got)
	}
	if !strings.Contains(c.Redis.full, secret) {
		t.Error("the password was lost")
	}
	for _, bad := range []string{"redis://:" + secret + "@h:1/3", "redis://:" + secret + "@h:x", "http://:" + secret + "@h"} {
		if _, err := load(t, nil, "--region=A", "--region-id=1", "--redis="+bad); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "1k": 1000, "64mb": 64 << 20, "2GB": 2 << 30, "512b": 512} {
		if got, err := bytesFrom(0)(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "mb", "-1", "1tb", "99999999999gb", "1.5mb"} {
		if _, err := bytesFrom(0)(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for _, n := range []int64{0, 1, 1000, 1 << 20, 64 << 20, 3 << 30} {
		if got, err := bytesFrom(0)(showBytes(n)); err != nil || got != n {
			t.Errorf("%d is shown as %s", n, showBytes(n))
		}
	}
}

// optionsOf are the flags that may stand in a file, with their defaults.
func optionsOf() map[string]string {
	c := defaultConfig()
	defaults := map[string]string{}
	serveFlags(&c, io.Discard).VisitAll(func(flag *pflag.Flag) {
		if flag.Name != configFlag {
			defaults[flag.Name] = flag.DefValue
		}
	})
	return defaults
}

// required have no default; the example shows a value for each.
var required = []string{"region", "region-id", "peer"}

var keyLine = regexp.MustCompile(`(?m)^(# )?([a-z][a-z-]*):(?: (.*))?$`)

func TestTheExampleFileHasEveryOptionWithItsDefault(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	defaults := optionsOf()
	shown := map[string]bool{}
	for _, match := range keyLine.FindAllStringSubmatch(string(text), -1) {
		commented, name, value := match[1] != "", match[2], strings.Trim(match[3], `"`)
		want, known := defaults[name]
		switch {
		case !known:
			t.Errorf("%s is no option", name)
		case commented == slices.Contains(required, name):
			t.Errorf("%s: options without a default must be set, the others commented out", name)
		case commented && value != want:
			t.Errorf("%s: the file says %q, the default is %q", name, value, want)
		}
		shown[name] = true
	}
	for name := range defaults {
		if !shown[name] {
			t.Errorf("--%s is not in the example file", name)
		}
	}
}

func TestTheExampleFileIsAccepted(t *testing.T) {
	if _, err := load(t, nil, "--config", exampleFile); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^# ([a-z][a-z-]*:)`).ReplaceAllString(string(text), "$1")
	got, err := load(t, nil, "--config", writeFile(t, all))
	if err != nil {
		t.Fatalf("with every line in force: %v", err)
	}
	want := defaultConfig()
	want.Region, want.RegionID, want.Peers = got.Region, got.RegionID, got.Peers
	if got.Listen != want.Listen || got.MaxClients != want.MaxClients || got.Prefix != want.Prefix || got.Redis != want.Redis {
		t.Errorf("the example file changes a default: %+v", got)
	}
}

func TestHelpListsEveryFlagWithItsVariable(t *testing.T) {
	var out strings.Builder
	if _, err := loadConfig([]string{"--help"}, func(string) string { return "" }, &out); !errors.Is(err, pflag.ErrHelp) {
		t.Fatal(err)
	}
	for name := range optionsOf() {
		if !strings.Contains(out.String(), "--"+name) || !strings.Contains(out.String(), envName(name)) {
			t.Errorf("--%s or %s is missing in the help text", name, envName(name))
		}
	}
}

// A limit of 0 means "none" to some code, and "nothing" to other. Here it is refused, unless the option says what it means.
func TestNoLimitIsZeroUnlessItSaysWhatThatMeans(t *testing.T) {
	allowed := []string{"alone-after", "ship-after-replicas", "agent-max-lag", "drain-time", "fence-after"}
	c := defaultConfig()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.addOptions(flags)
	limits := 0
	flags.VisitAll(func(flag *pflag.Flag) {
		if kind := flag.Value.Type(); kind != "N" && kind != "SIZE" && kind != "TIME" && kind != "1-63" {
			return
		}
		limits++
		for _, zero := range []string{"0", "0s", "0mb", "-1", "-1s"} {
			if err := flag.Value.Set(zero); err == nil && (zero[0] == '-' || !slices.Contains(allowed, flag.Name)) {
				t.Errorf("--%s %s is accepted", flag.Name, zero)
			}
		}
		if slices.Contains(allowed, flag.Name) && flag.Value.Set("0") != nil {
			t.Errorf("--%s 0 is refused", flag.Name)
		}
	})
	if limits < 15 {
		t.Errorf("only %d limits: the test has missed some", limits)
	}
}

func TestMemoryShares(t *testing.T) {
	for text, want := range map[string]syncer.MemoryShare{
		"25%": {Percent: 25}, "100%": {Percent: 100}, "512mb": {Bytes: 512 << 20}, "none": {All: true},
	} {
		got, err := memoryShare(text)
		if err != nil || got != want || showMemoryShare(got) != text {
			t.Errorf("%s: got %+v, shown as %s, %v", text, got, showMemoryShare(got), err)
		}
	}
	for _, text := range []string{"", "0", "0%", "1kb", "%", "-5%", "25 %", "all", "2.5%"} {
		if got, err := memoryShare(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}
