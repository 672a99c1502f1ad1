package differential

import (
	"slices"
	"strings"
	"testing"

	"anabranch/translate"
)

// elsewhere lists the commands that pass to Redis or are answered, and that no script can compare, with the reason.
var elsewhere = map[string]string{
	"BGREWRITEAOF":         "starts work in the background of the server",
	"BGSAVE":               "starts work in the background of the server",
	"SAVE":                 "writes to the server's disk",
	"PFSELFTEST":           "takes seconds and tells nothing about data",
	"LOLWUT":               "shows the version",
	"INFO":                 "has a section of its own",
	"MONITOR":              "never ends",
	"OBJECT FREQ":          "needs an LFU policy",
	"ROLE":                 "tells about this very server",
	"LASTSAVE":             "tells about this very server",
	"TIME":                 "never the same twice",
	"MEMORY STATS":         "tells about this very server",
	"MEMORY DOCTOR":        "tells about this very server",
	"MEMORY MALLOC-STATS":  "tells about this very server",
	"MEMORY PURGE":         "changes nothing that shows",
	"LATENCY DOCTOR":       "tells about this very server",
	"LATENCY GRAPH":        "tells about this very server",
	"LATENCY HISTOGRAM":    "tells about this very server",
	"LATENCY HISTORY":      "tells about this very server",
	"LATENCY LATEST":       "tells about this very server",
	"LATENCY RESET":        "tells about this very server",
	"SLOWLOG GET":          "tells about this very server",
	"SLOWLOG LEN":          "tells about this very server",
	"SLOWLOG RESET":        "tells about this very server",
	"CONFIG RESETSTAT":     "changes nothing that shows",
	"CONFIG REWRITE":       "writes to the server's disk",
	"CONFIG SET":           "changes the server for all scripts",
	"ACL GENPASS":          "never the same twice",
	"ACL SETUSER":          "changes users for all scripts; tested beside the proxy",
	"ACL DELUSER":          "changes users for all scripts; tested beside the proxy",
	"ACL LOAD":             "changes users for all scripts; tested beside the proxy",
	"ACL SAVE":             "writes to the server's disk",
	"ACL GETUSER":          "shows the service user",
	"ACL LIST":             "shows the service user",
	"ACL USERS":            "shows the service user",
	"ACL DRYRUN":           "shows the service user",
	"ACL LOG":              "tells about this very server",
	"CLIENT INFO":          "tells about this very connection",
	"CLIENT LIST":          "tells about these very connections",
	"CLIENT KILL":          "ends connections; tested beside the proxy",
	"CLIENT NO-EVICT":      "changes the connection only",
	"CLIENT PAUSE":         "stops all scripts",
	"CLIENT UNPAUSE":       "goes with CLIENT PAUSE",
	"CLIENT UNBLOCK":       "needs a blocked connection",
	"CLIENT GETREDIR":      "needs tracking",
	"CLIENT CACHING":       "needs tracking",
	"CLIENT TRACKING":      "changes the connection; tested beside the proxy",
	"COMMAND":              "is compared row by row in package translate",
	"COMMAND COUNT":        "counts the commands of Anabranch too",
	"COMMAND DOCS":         "is compared in package translate",
	"COMMAND LIST":         "lists the commands of Anabranch too",
	"CLUSTER":              "has no cluster to tell about",
	"SUBSCRIBE":            "changes the connection; tested beside the proxy",
	"UNSUBSCRIBE":          "changes the connection; tested beside the proxy",
	"PSUBSCRIBE":           "changes the connection; tested beside the proxy",
	"PUNSUBSCRIBE":         "changes the connection; tested beside the proxy",
	"SSUBSCRIBE":           "changes the connection; tested beside the proxy",
	"SUNSUBSCRIBE":         "changes the connection; tested beside the proxy",
	"PUBSUB SHARDCHANNELS": "needs subscribers; tested beside the proxy",
}

// TestEveryCommandIsCompared fails when a command that Anabranch lets through appears in no script: a new command must
// come with its comparison.
func TestEveryCommandIsCompared(t *testing.T) {
	compared := map[string]bool{}
	for _, script := range scripts(t) {
		for _, l := range script {
			if !l.direct {
				compared[strings.ToUpper(l.args0())] = true
				compared[strings.ToUpper(strings.Join(l.args[:min(2, len(l.args))], " "))] = true
			}
		}
	}
	reasons := map[string]bool{}
	check := func(cmd *translate.Command) {
		_, excused := elsewhere[cmd.Name]
		reasons[cmd.Name] = excused
		switch {
		case cmd.Class == translate.Refused || compared[cmd.Name] || excused:
		case slices.Contains([]string{"crdt"}, cmd.Group):
		default:
			t.Errorf("%s (%s) is in no script", cmd.Name, cmd.Class)
		}
	}
	for _, cmd := range translate.Commands() {
		subs := cmd.Subcommands()
		if len(subs) == 0 {
			check(cmd)
		}
		if _, excused := elsewhere[cmd.Name]; excused && len(subs) > 0 {
			reasons[cmd.Name] = true
			if cmd.Name == "CLUSTER" {
				continue
			}
		}
		for _, sub := range subs {
			check(sub)
		}
	}
	for name := range elsewhere {
		if !reasons[name] {
			t.Errorf("%s needs no reason: there is no such command", name)
		}
	}
}

// args0 is the command's name; a pause has none.
func (l line) args0() string {
	if len(l.args) == 0 {
		return ""
	}
	return l.args[0]
}
