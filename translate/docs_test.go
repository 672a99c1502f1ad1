package translate

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const docsPath = "../docs/commands.md"

// TestDocsAreFresh fails when docs/commands.md is not what the table says. go test -update writes it.
func TestDocsAreFresh(t *testing.T) {
	want := commandsPage()
	if *update {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/commands.md is stale: go test ./translate -update")
	}
}

const docsHead = `# Commands

What Anabranch does with every command of Redis 7.0. This page is generated from the table in ` + "`translate/`" + `:
` + "`go test ./translate -update`" + `.

[semantics.md](semantics.md) shows with histories what the words in the last column mean.

* **read**: goes to this region's Redis as it is.
* **write**: applied in this region in one atomic step with its metadata, and replicated. The last column says how it merges
  with what other regions do at the same time.
* **write that may wait**: a write for which the proxy lets its client wait, see [proxy.md](proxy.md). ` + "`XREAD BLOCK`" + ` waits there too.
* **refused**: not possible through a proxy, or it would go past the merging. The error says why, before anything changes.
* A command that is not on this page is refused as unknown, also where the server behind knows it.
* A key name that starts with ` + "`crdt:`" + ` is refused in every command.
* A write keeps the errors and the reply that it has in Redis. Whatever it tests (NX, XX, GT, LT) it tests in its own region.
`

var groupTitles = map[string]string{
	"string": "Strings", "bitmap": "Bitmaps", "hyperloglog": "HyperLogLogs", "hash": "Hashes", "list": "Lists",
	"set": "Sets", "sorted_set": "Sorted sets", "geo": "Geo", "stream": "Streams", "generic": "Keys of any type",
	"transactions": "Transactions", "scripting": "Scripts and functions", "pubsub": "Messages", "connection": "Connection",
	"server": "Server", "cluster": "Cluster", "crdt": "Anabranch's own",
}

func commandsPage() string {
	var page strings.Builder
	page.WriteString(docsHead)
	for _, group := range groups {
		fmt.Fprintf(&page, "\n## %s\n\n| command | what happens | how it merges, or why not |\n|---|---|---|\n", groupTitles[group.name])
		for i := range group.rows {
			cmd := &group.rows[i]
			if cmd.subcommands == nil {
				page.WriteString(docsRow(cmd))
			}
			for _, sub := range cmd.Subcommands() {
				page.WriteString(docsRow(sub))
			}
		}
	}
	return page.String()
}

func docsRow(cmd *Command) string {
	return fmt.Sprintf("| %s | %s | %s |\n", cmd.Name, docsClass(cmd), docsNote(cmd))
}

func docsClass(cmd *Command) string {
	if cmd.Class == Write && cmd.Flags&FlagReadOnly != 0 {
		return "read, through the engine"
	}
	return map[Class]string{
		Read: "read", Write: "write", ReadOrWrite: "read or write", Blocking: "write that may wait", PubSub: "messages", Connection: "this connection",
		Admin: "this region's server", Local: "answered by the proxy", Refused: "refused", Transaction: "transaction", Script: "script",
	}[cmd.Class]
}

func docsNote(cmd *Command) string {
	if cmd.Class == Refused {
		return strings.TrimPrefix(cmd.Reason, "ERR ")
	}
	return cmd.merges
}
