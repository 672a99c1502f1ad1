package acl

import (
	"slices"
	"strings"

	"anabranch/translate"
)

// Listed is a command as the server's COMMAND lists it.
type Listed struct {
	Name       string   // "get", "config|get"
	Categories []string // "@read", "@slow"
}

// ReadCommands reads the reply of COMMAND in RESP2. What it does not understand is left out.
func ReadCommands(reply []any) []Listed {
	var all []Listed
	for _, item := range reply {
		fields, ok := item.([]any)
		if !ok || len(fields) < 7 {
			continue
		}
		name, _ := fields[0].(string)
		categories, _ := fields[6].([]any)
		c := Listed{Name: name}
		for _, category := range categories {
			text, _ := category.(string)
			c.Categories = append(c.Categories, text)
		}
		all = append(all, c)
		if len(fields) > 9 {
			subs, _ := fields[9].([]any)
			all = append(all, ReadCommands(subs)...)
		}
	}
	return all
}

// Vocabulary is what rules can name: commands and their categories. It never changes after NewVocabulary.
type Vocabulary struct {
	byName     map[string]int
	byRow      map[*translate.Command]int
	inside     map[int][]int     // the subcommands of a container
	categories map[string]bitset // the commands in a category, with the subcommands of containers in it
}

// NewVocabulary takes the commands of a server. The categories of commands that only Anabranch has follow from their flags,
// as those of new commands in Redis do.
func NewVocabulary(commands []Listed) *Vocabulary {
	v := &Vocabulary{
		byName:     make(map[string]int),
		byRow:      make(map[*translate.Command]int),
		inside:     make(map[int][]int),
		categories: make(map[string]bitset),
	}
	for _, name := range categoryNames {
		v.categories[name] = nil
	}
	all := slices.Clone(commands)
	for _, c := range all {
		v.byName[strings.ToLower(c.Name)] = len(v.byName)
	}
	for _, cmd := range translate.Commands() {
		for _, row := range append(cmd.Subcommands(), cmd) {
			name := row.FullName()
			if _, known := v.byName[name]; !known {
				v.byName[name] = len(v.byName)
				all = append(all, Listed{name, implied(row.Flags)})
			}
			v.byRow[row] = v.byName[name]
		}
	}
	for name, id := range v.byName {
		container, _, isSub := strings.Cut(name, "|")
		if parent, known := v.byName[container]; isSub && known {
			v.inside[parent] = append(v.inside[parent], id)
		}
	}
	for _, c := range all {
		v.categorize(v.byName[strings.ToLower(c.Name)], c.Categories)
	}
	return v
}

// categorize enters a command into its categories. A container brings its subcommands with it.
func (v *Vocabulary) categorize(id int, categories []string) {
	for _, name := range categories {
		name = strings.ToLower(strings.TrimPrefix(name, "@"))
		set := v.categories[name]
		set.put(id, true)
		for _, sub := range v.inside[id] {
			set.put(sub, true)
		}
		v.categories[name] = set
	}
}

// categoryNames are the categories that exist even when no command is in them.
var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// implied are the categories that follow from a command's flags.
func implied(flags translate.Flags) []string {
	var categories []string
	for _, rule := range []struct {
		flag translate.Flags
		name string
	}{
		{translate.FlagWrite, "write"}, {translate.FlagReadOnly, "read"}, {translate.FlagAdmin, "admin"},
		{translate.FlagAdmin, "dangerous"}, {translate.FlagPubSub, "pubsub"}, {translate.FlagBlocking, "blocking"},
		{translate.FlagFast, "fast"},
	} {
		if flags&rule.flag != 0 {
			categories = append(categories, rule.name)
		}
	}
	if flags&translate.FlagFast == 0 {
		categories = append(categories, "slow")
	}
	return categories
}

// bitset holds commands by their numbers.
type bitset []uint64

func (b bitset) has(id int) bool { return id>>6 < len(b) && b[id>>6]&(1<<(id&63)) != 0 }

func (b *bitset) put(id int, in bool) {
	for id>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	if in {
		(*b)[id>>6] |= 1 << (id & 63)
	} else {
		(*b)[id>>6] &^= 1 << (id & 63)
	}
}

// each calls visit for all numbers in the set.
func (b bitset) each(visit func(id int)) {
	for id := range len(b) * 64 {
		if b.has(id) {
			visit(id)
		}
	}
}
