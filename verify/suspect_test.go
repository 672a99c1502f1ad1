package verify

import (
	"testing"

	"anabranch/crdtmeta"
)

// The rule, look by look: what two regions show, and how much of each other they have applied.
func TestJudge(t *testing.T) {
	one, two := crdtmeta.Origin{Region: 1, Epoch: "1-a1b2c3"}, crdtmeta.Origin{Region: 2, Epoch: "1-d4e5f6"}
	at := func(value, token string, first, second crdtmeta.Time) look {
		frontier := crdtmeta.Frontier{one: first, two: second}
		return look{state: whole, head: "k0:", sums: value, token: token, whole: true, begin: frontier, end: frontier, now: 1_000_000}
	}
	gone := func(token string) look {
		l := at("", token, 10, 10)
		l.state = absent
		return l
	}
	until := func(deadline int64) look {
		l := at("a", "t", 10, 10)
		l.deadline = deadline
		return l
	}
	torn := at("a", "t", 10, 10)
	torn.whole = false
	type step struct {
		a, b look
		want verdict
	}
	for name, steps := range map[string][]step{
		"equal whatever is on its way": {{at("a", "t", 10, 5), at("a", "u", 7, 9), equal}},
		"equal at last":                {{at("a", "t", 10, 5), at("b", "u", 7, 9), open}, {at("b", "u", 10, 9), at("b", "u", 10, 9), equal}},
		"different when all has arrived": {
			{at("a", "t", 10, 5), at("b", "u", 7, 9), open},
			{at("a", "t", 10, 8), at("b", "u", 10, 9), open}, // two has more than one knows
			{at("a", "t", 12, 9), at("b", "u", 9, 9), open},  // and the other way round
			{at("a", "t", 12, 9), at("b", "u", 10, 11), different},
		},
		"never from one look": {{at("a", "t", 10, 9), at("b", "u", 10, 9), open}},
		"a change begins anew": {
			{at("a", "t", 10, 9), at("b", "u", 10, 9), open},
			{at("c", "v", 11, 9), at("b", "u", 10, 9), open},
			{at("c", "v", 11, 9), at("b", "u", 10, 9), open},
			{at("c", "v", 11, 9), at("b", "u", 11, 9), different},
		},
		"back to the old value is a change": {
			{at("a", "t", 10, 9), at("b", "u", 10, 9), open},
			{at("a", "later", 12, 9), at("b", "u", 10, 9), open},
			{at("a", "later", 12, 9), at("b", "u", 12, 9), different},
		},
		"a value read while it changed counts for nothing": {
			{at("a", "t", 10, 9), at("b", "u", 10, 9), open},
			{torn, at("b", "u", 10, 9), open},
			{at("a", "t", 10, 9), at("b", "u", 10, 9), open},
			{at("a", "t", 10, 9), at("b", "u", 10, 9), different},
		},
		"equal halves of torn values are not equal": {{torn, torn, open}},
		"a passing deadline is waited for": {
			{gone("t"), until(1_000_100), open}, {gone("t"), until(1_000_100), open}, {gone("t"), gone("u"), equal},
		},
		"a far deadline is not": {{gone("t"), until(9_000_000), open}, {gone("t"), until(9_000_000), different}},
	} {
		s := &suspect{}
		for i, step := range steps {
			if got := s.judge([]look{step.a, step.b}); got != step.want {
				t.Errorf("%s, look %d: %v, want %v", name, i+1, got, step.want)
			}
		}
	}
}

func TestSplitBoundsPages(t *testing.T) {
	var list []string
	for range 1201 {
		list = append(list, "key")
	}
	long := string(make([]byte, pageBytes))
	list = append(list, long, "a", long)
	total := 0
	for i, page := range split(list) {
		bytes := 0
		for _, name := range page {
			bytes += len(name)
		}
		if len(page) == 0 || len(page) > pageKeys || (len(page) > 1 && bytes > pageBytes) {
			t.Errorf("page %d: %d keys of %d bytes", i, len(page), bytes)
		}
		total += len(page)
	}
	if total != len(list) {
		t.Errorf("%d of %d names", total, len(list))
	}
}
