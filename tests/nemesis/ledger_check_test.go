package nemesis

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// complaints fails a test, but not with thousands of lines.
type complaints struct {
	testing.TB
	count    int
	suspects []string // what some of them are about, as a cell or key
}

const mostComplaints = 25

func (c *complaints) add(format string, args ...any) {
	c.Helper()
	if c.count++; c.count <= mostComplaints {
		c.Errorf(format, args...)
	}
	if name, ok := args[0].(string); ok && len(c.suspects) < mostExplained {
		c.suspects = append(c.suspects, name)
	}
}

// check compares the ledger with what a region shows after everything has arrived. It answers cells that are not as they should be.
func (l *ledger) check(t testing.TB, space redistest.Keyspace) (suspects []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	cells, c := space.Cells(), &complaints{TB: t}
	for _, text := range slices.Sorted(maps.Keys(l.surprises)) {
		c.add("not documented, %d times: %s", l.surprises[text], text)
	}
	l.checkCounters(c, cells)
	l.checkMarkers(c, cells)
	l.checkRegisters(c, cells)
	l.checkOrders(c, space)
	l.checkInventions(c, space, cells)
	if c.count > mostComplaints {
		t.Errorf("and %d more", c.count-mostComplaints)
	}
	t.Logf("%d writes acknowledged, %d unknown, %d refused; %d counters, %d markers, %d registers, %d keys with short lives",
		l.outcomes[acknowledged], l.outcomes[unknown], l.outcomes[refused], len(l.counters), len(l.markers), len(l.registers), len(l.mortals))
	return c.suspects
}

func (l *ledger) checkCounters(c *complaints, cells map[string]string) {
	for cell, b := range l.counters {
		got, err := strconv.ParseInt(cells[cell], 10, 64)
		if err != nil && (b.sum != 0 || cells[cell] != "") && (b.sum+b.below > 0 || b.sum+b.above < 0 || cells[cell] != "") {
			c.add("counter %s holds %q, acknowledged is %d with %d…+%d unknown", cell, cells[cell], b.sum, b.below, b.above)
			continue
		}
		if got < b.sum+b.below || got > b.sum+b.above {
			c.add("counter %s holds %d, acknowledged is %d with %d…+%d unknown", cell, got, b.sum, b.below, b.above)
		}
	}
	if a, b := cells["sum-a"], cells["sum-b"]; a != b && !l.torn {
		c.add("sum-a holds %q and sum-b %q", a, b)
	}
}

func (l *ledger) checkMarkers(c *complaints, cells map[string]string) {
	missing := map[string]int{} // by key, where pops of unknown outcome may have taken some
	for cell, m := range l.markers {
		value, present := cells[cell]
		switch {
		case present && m.removal == removed:
			c.add("%s was removed, and is there", cell)
		case present && m.written == refused:
			c.add("%s was refused, and is there", cell)
		case present && value != m.value:
			c.add("%s holds %q, written was %q", cell, value, m.value)
		case !present && m.written == acknowledged && m.removal == notRemoved:
			key, _, _ := strings.Cut(cell, "/")
			if missing[key]++; missing[key] > l.pops[key] {
				c.add("%s was acknowledged, and is not there", cell)
			}
		}
	}
	for _, group := range l.groups {
		there := 0
		for _, cell := range group {
			if _, present := cells[cell]; present {
				there++
			}
		}
		if there != 0 && there != len(group) {
			c.add("of one transaction %d of %d elements are there: %q", there, len(group), group)
		}
	}
	for key, over := range l.mortals {
		if _, present := space(cells, key); present && over {
			c.add("the time of %s is up, and it is there", key)
		}
	}
}

// space finds a key among cells, whatever its type.
func space(cells map[string]string, key string) (string, bool) {
	if value, present := cells[key]; present {
		return value, true
	}
	value, present := cells[key+"/v"] // what mortal lists hold
	return value, present
}

// checkRegisters wants one of the written values, and none that its own region had overwritten for sure.
func (l *ledger) checkRegisters(c *complaints, cells map[string]string) {
	for key, writes := range l.registers {
		var (
			shown      *registerWrite
			last       = map[int]time.Time{} // region → when its newest acknowledged write began
			value, has = cells[key]
		)
		for _, write := range writes {
			if write.outcome == acknowledged && write.begun.After(last[write.region]) {
				last[write.region] = write.begun
			}
			if write.value == value && write.outcome != refused {
				shown = write
			}
		}
		switch {
		case !has && len(last) > 0:
			c.add("%s was acknowledged, and is not there", key)
		case has && shown == nil:
			c.add("%s holds %q, which nobody wrote", key, value)
		case has && shown.outcome == acknowledged && shown.ended.Before(last[shown.region]):
			c.add("%s holds %q, which region %s had overwritten", key, value, regionNames[shown.region])
		}
	}
	for _, pair := range pairs {
		if a, b := cells[pair[0]], cells[pair[1]]; a != b && !l.torn {
			c.add("%s holds %q and %s %q", pair[0], a, pair[1], b)
		}
	}
}

// checkOrders wants the elements that one client put at the end of a list to stand in the order in which it did.
func (l *ledger) checkOrders(c *complaints, space redistest.Keyspace) {
	for list, clients := range l.orders {
		at := map[string]int{}
		for i, element := range space["0:"+strings.TrimPrefix(list, "0:")].Elements() {
			at[element] = i + 1
		}
		for client, elements := range clients {
			before := 0
			for _, element := range elements {
				if at[element] == 0 {
					continue // checkMarkers says so
				}
				if at[element] < before {
					c.add("%s: %s of %s stands before what was pushed earlier", list, element, client)
				}
				before = at[element]
			}
		}
	}
}

// element is what clients make up: their name and a number.
var element = regexp.MustCompile(`^([ABC]\d\.\d)-(\d+)$`)

// checkInventions wants nothing to be there that nobody wrote.
func (l *ledger) checkInventions(c *complaints, space redistest.Keyspace, cells map[string]string) {
	for cell := range cells {
		key, _, _ := strings.Cut(cell, "/")
		if _, name, found := strings.Cut(key, ":"); found {
			key = name
		}
		if strings.HasPrefix(key, "x") || strings.HasPrefix(key, "mortal-") {
			continue
		}
		if l.markers[cell] == nil && l.counters[cell] == nil && l.registers[cell] == nil {
			c.add("nobody wrote %s", cell)
		}
	}
	for name, entry := range space {
		if _, key, _ := strings.Cut(name, ":"); !strings.HasPrefix(key, "x") || entry.Type != "list" && entry.Type != "set" {
			continue
		}
		for _, e := range entry.Elements() {
			if match := element.FindStringSubmatch(e); match != nil {
				if n, err := strconv.Atoi(match[2]); err == nil && n <= l.tried[match[1]] {
					continue
				}
			}
			if !slices.Contains(vocabulary, e) {
				c.add("%s holds %q, which nobody wrote", name, e)
			}
		}
	}
}
