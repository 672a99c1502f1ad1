package translate

import (
	"slices"
	"strings"
)

// rows are the commands of one group, or the subcommands of one container.
type rows []Command

// groups lists the table's parts under the names that Redis gives its command groups. The rows lie in table_*.go.
var groups = []struct {
	name string
	rows rows
}{
	{"string", stringCommands},
	{"bitmap", bitmapCommands},
	{"hyperloglog", hyperloglogCommands},
	{"hash", hashCommands},
	{"list", listCommands},
	{"set", setCommands},
	{"sorted_set", sortedSetCommands},
	{"geo", geoCommands},
	{"stream", streamCommands},
	{"generic", genericCommands},
	{"transactions", transactionsCommands},
	{"scripting", scriptingCommands},
	{"pubsub", pubsubCommands},
	{"connection", connectionCommands},
	{"server", serverCommands},
	{"cluster", clusterCommands},
	{"crdt", crdtCommands},
}

// commands holds every top-level row, completed; see index for how a name finds its row.
var commands = complete()

// complete fills in what follows from a row: it is written once, in the table or here, and never changed afterwards.
func complete() []*Command {
	var all []*Command
	for _, group := range groups {
		for i := range group.rows {
			cmd := &group.rows[i]
			cmd.complete(group.name, nil)
			all = append(all, cmd)
		}
	}
	slices.SortFunc(all, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (c *Command) complete(group string, container *Command) {
	c.Group = group
	c.container = container
	c.Flags = parseFlags(c.flags)
	c.DenyOOM = c.Flags&FlagDenyOOM != 0
	if c.Class == Refused {
		c.refusal = c.refusalText()
	}
	if c.subcommands == nil {
		return
	}
	c.bySuffix = make(map[string]*Command, len(c.subcommands))
	for i := range c.subcommands {
		sub := &c.subcommands[i]
		sub.complete(group, c)
		c.bySuffix[sub.Name[len(c.Name)+1:]] = sub
	}
}

// Commands lists every top-level command in alphabetical order. The caller must not change the rows.
func Commands() []*Command { return slices.Clone(commands) }

// Subcommands lists the subcommands of a container in the table's order, which is alphabetical.
func (c *Command) Subcommands() []*Command {
	subs := make([]*Command, len(c.subcommands))
	for i := range subs {
		subs[i] = &c.subcommands[i]
	}
	return subs
}

// FullName is the name as Redis's own errors and ACL rules write it: "get", "client|list".
func (c *Command) FullName() string {
	return strings.ReplaceAll(strings.ToLower(c.Name), " ", "|")
}
