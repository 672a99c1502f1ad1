package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A stream's cells are its entries by id, and the cell "", which whatever adds to the stream writes too: the stream exists
// while that lives, empty or not. Removing entries leaves it.

// id is the id of an entry. Its text form is "<ms>-<seq>".
type id struct{ ms, seq uint64 }

// firstSequence is the lowest sequence of ids that a region makes in an epoch; others are multiples of 32768 above.
func firstSequence(o Origin) uint64 {
	counter, random, _ := strings.Cut(o.Epoch, "-")
	if counter == "1" {
		return uint64(o.Region)
	}
	n, _ := strconv.ParseUint(random, 16, 64)
	number, _ := strconv.ParseUint(counter, 10, 64)
	return uint64(o.Region) + 64*(1+(n+number)%511)
}

func (i id) String() string { return fmt.Sprintf("%d-%d", i.ms, i.seq) }

func (i id) compare(j id) int { return cmp.Or(cmp.Compare(i.ms, j.ms), cmp.Compare(i.seq, j.seq)) }

func parseID(text string) (i id, complete bool) {
	ms, seq, complete := strings.Cut(text, "-")
	i.ms, _ = strconv.ParseUint(ms, 10, 64)
	i.seq, _ = strconv.ParseUint(seq, 10, 64)
	return i, complete
}

const (
	idNotAbove = Failure("ERR The ID specified in XADD is equal or smaller than the target stream top item")
	idZero     = Failure("ERR The ID specified in XADD must be greater than 0-0")
	idBelowTop = Failure("ERR The ID specified in XSETID is smaller than the target stream top item")
	groupBusy  = Failure("BUSYGROUP Consumer Group name already exists")
	groupNoKey = Failure("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the " +
		"MKSTREAM option to create an empty stream automatically.")
)

// group is a consumer group: its live creations, and of each origin the newest destruction. What it has delivered is not
// part of the model, because it is not part of what merges.
type group struct {
	creations []Stamp
	destroyed map[Origin]instant
}

// groupAction says what an effect does to groups.
type groupAction byte

const (
	createGroup  groupAction = 'c'
	destroyGroup groupAction = 'd'
	destroyAll   groupAction = 'D'
	raiseLast    groupAction = 's' // of the stream: the last id that it has had
)

// destroyedUnseen says whether one of some destructions is none that ctx has seen.
func destroyedUnseen(ctx context, destroyed map[Origin]instant) bool {
	for origin, at := range destroyed {
		if !ctx.seen(Stamp{origin, at.T, at.Op}) {
			return true
		}
	}
	return false
}

// mergeGroups is the rule that destroying a group, or removing a stream, wins over creating it.
func (k *Key) mergeGroups(ctx context, e Effect) {
	at := k.groups[e.Value]
	if at == nil {
		at = &group{destroyed: map[Origin]instant{}}
	}
	switch e.action {
	case createGroup:
		if !destroyedUnseen(ctx, k.destroyed) && !destroyedUnseen(ctx, at.destroyed) {
			at.creations = append(at.creations, ctx.self)
		}
		k.groups[e.Value] = at
	case destroyGroup:
		at.creations, at.destroyed[ctx.self.Origin] = nil, ctx.self.instant()
		k.groups[e.Value] = at
	case destroyAll:
		for _, g := range k.groups {
			g.creations = nil
		}
		k.destroyed[ctx.self.Origin] = ctx.self.instant()
	case raiseLast:
		if last, _ := parseID(e.Value); k.shown() == Stream && last.compare(k.last) > 0 {
			k.last = last
		}
	}
}

// removeSeenGroups is what removing a stream as seen does to its groups.
func (k *Key) removeSeenGroups(ctx context) {
	for _, g := range k.groups {
		g.creations = slices.DeleteFunc(g.creations, ctx.seen)
	}
}

// keepLast keeps the last id that the stream has had, which its region forgets with the key.
func (k *Key) keepLast() {
	if k.shown() != Stream {
		k.last = id{}
		return
	}
	for name, c := range k.cells[Stream] {
		if i, _ := parseID(name); c.live() && i.compare(k.last) > 0 {
			k.last = i
		}
	}
}

// streamElements is what a stream shows: its entries, and its groups under "g" and their names.
func (k *Key) streamElements() map[string]string {
	shown := k.elements(Stream)
	delete(shown, "")
	for name, g := range k.groups {
		if len(g.creations) > 0 {
			shown["g"+name] = ""
		}
	}
	return shown
}

// entries returns what a stream shows, without its groups.
func (c *call) entries(key string) (map[string]string, error) {
	k, right := c.typed(key, Stream)
	if !right {
		return nil, wrongType
	}
	shown := k.elements(Stream)
	delete(shown, "")
	return shown, nil
}

// dropOrphans destroys groups that outlived an earlier stream, before a stream is created anew.
func (c *call) dropOrphans(key string) {
	k := c.region.key(c.db, key)
	if k.shown() == Stream {
		return
	}
	for _, g := range k.groups {
		if len(g.creations) > 0 {
			c.emit(Effect{Kind: Groups, Key: key, action: destroyAll})
			return
		}
	}
}

// xadd is XADD key [NOMKSTREAM] [MAXLEN n] id field value…
func xadd(c *call, args []string) any {
	key, args := args[0], args[1:]
	entries, failure := c.entries(key)
	if failure != nil {
		return failure
	}
	most := -1
	for {
		if args[0] == "NOMKSTREAM" {
			if args = args[1:]; !c.exists(key) {
				return nil
			}
		} else if args[0] == "MAXLEN" {
			most, _ = strconv.Atoi(args[1])
			args = args[2:]
		} else {
			break
		}
	}
	k := c.region.key(c.db, key)
	entry, complete := parseID(args[0])
	if !complete {
		first := firstSequence(c.region.origin)
		if entry.seq = first; entry.ms == k.last.ms {
			entry.seq = k.last.seq + 1
			for entry.seq%32768 != first {
				entry.seq++
			}
		}
	}
	switch {
	case entry == id{}:
		return idZero
	case entry.compare(k.last) <= 0:
		return idNotAbove
	}
	c.dropOrphans(key)
	value := strings.Join(args[1:], " ")
	c.create(Effect{Kind: Add, Key: key, Type: Stream, Elements: []Element{{"", ""}, {entry.String(), value}}})
	if entries[entry.String()] = value; most >= 0 {
		c.trim(key, entries, most)
	}
	return entry.String()
}

func (c *call) trim(key string, entries map[string]string, most int) any {
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		i, _ := parseID(a)
		j, _ := parseID(b)
		return i.compare(j)
	})
	return c.remove(Stream, key, entries, names[:max(0, len(names)-most)])
}

// xtrim is XTRIM key MAXLEN n.
func xtrim(c *call, args []string) any {
	entries, failure := c.entries(args[0])
	if failure != nil {
		return failure
	}
	most, _ := strconv.Atoi(args[2])
	return c.trim(args[0], entries, most)
}

func xdel(c *call, args []string) any {
	entries, failure := c.entries(args[0])
	if failure != nil {
		return failure
	}
	return c.remove(Stream, args[0], entries, args[1:])
}

func xsetid(c *call, args []string) any {
	if !c.exists(args[0]) {
		return noSuchKey
	}
	if _, failure := c.entries(args[0]); failure != nil {
		return failure
	}
	last, _ := parseID(args[1])
	switch last.compare(c.region.key(c.db, args[0]).last) {
	case -1:
		return idBelowTop
	case 1:
		c.emit(Effect{Kind: Groups, Key: args[0], action: raiseLast, Value: args[1]})
	}
	return ok
}

// xgroup is XGROUP CREATE key group id [MKSTREAM], and XGROUP DESTROY key group.
func xgroup(c *call, args []string) any {
	key, name := args[1], args[2]
	k, right := c.typed(key, Stream)
	existed := c.exists(key)
	switch {
	case !right:
		return wrongType
	case !existed && (args[0] != "CREATE" || args[len(args)-1] != "MKSTREAM"):
		return groupNoKey
	}
	_, exists := k.streamElements()["g"+name]
	switch {
	case args[0] == "DESTROY" && exists:
		c.emit(Effect{Kind: Groups, Key: key, action: destroyGroup, Value: name})
		return int64(1)
	case args[0] == "DESTROY":
		return int64(0)
	case existed && exists:
		return groupBusy
	}
	if !existed {
		c.dropOrphans(key)
		c.create(Effect{Kind: Add, Key: key, Type: Stream, Elements: []Element{{"", ""}}})
	}
	c.emit(Effect{Kind: Groups, Key: key, action: createGroup, Value: name})
	return ok
}
