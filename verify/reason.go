package verify

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// remark is what a region says when its data and its metadata of a key do not fit.
type remark string

const (
	evicted  remark = "evicted"  // the metadata says that there is data, and there is none
	expired  remark = "expired"  // by its deadline
	stranger remark = "stranger" // there is data, and the metadata says none, or of another type
	deadline remark = "deadline" // Redis has another deadline than the metadata
)

// Reason says why regions differ, as far as that can be known.
type Reason string

// The reasons.
const (
	BypassWrite Reason = "bypass write" // something was written to one Redis past Anabranch
	Eviction    Reason = "eviction"     // one Redis has lost the data, which no effect and no deadline has removed
	ExpiryRace  Reason = "expiry race"  // one region has let the key expire, another has a later deadline
	Unknown     Reason = "unknown"
)

// Shown is what one region shows of a key.
type Shown struct {
	Region   string
	Type     string    // empty when the key is absent
	Deadline time.Time // zero for none
	Digest   string    // equal for equal values and deadlines; of no other meaning
}

// Difference is a key that regions will not agree on by themselves.
type Difference struct {
	DB      int
	Key     string
	Reason  Reason
	Detail  string // which region, and how it can be told
	Regions []Shown
}

// Undecided is a key that differs and whose turn to be still did not come in time.
type Undecided struct {
	DB  int
	Key string
	Why string
}

// explain finds the reason of a difference. By then every effect has arrived, so either one Redis was changed past the engine,
// or has lost data, or Anabranch itself has gone wrong, which is what Unknown is for.
func explain(looks []look, regions []*region) (Reason, string) {
	for _, sign := range []struct {
		remark remark
		reason Reason
		text   string
	}{
		{evicted, Eviction, "region %s has no data, which no effect and no deadline has removed"},
		{deadline, BypassWrite, "region %s has another deadline in Redis than its metadata says"},
		{stranger, BypassWrite, "region %s has data which its metadata does not know"},
		{expired, ExpiryRace, "the deadline has passed in region %s, and another region has a later one"},
	} {
		var names []string
		for i := range looks {
			if looks[i].remark == sign.remark {
				names = append(names, regions[i].Name)
			}
		}
		if len(names) > 0 && len(names) < len(looks) {
			return sign.reason, fmt.Sprintf(sign.text, strings.Join(names, " and "))
		}
	}
	stamps := make([]string, len(looks))
	for i := range looks {
		stamps[i] = looks[i].stamps
	}
	odd := outlier(looks, regions)
	switch without := slices.Index(stamps, "-"); {
	case without >= 0 && looks[without].state == absent:
		return BypassWrite, "removed or written past Anabranch: region " + regions[without].Name + " has neither data nor metadata" + odd
	case without >= 0:
		return BypassWrite, "every effect is known to every region, but the values differ" + odd
	case len(slices.Compact(stamps)) == 1:
		return BypassWrite, "the regions know of the same effects, but the values differ" + odd
	}
	return Unknown, "every effect has arrived, but the regions made different values of them" + odd
}

// outlier names the one region that shows something else than all others do, if there are others enough to tell.
func outlier(looks []look, regions []*region) string {
	if len(looks) < 3 {
		return ""
	}
	times := map[string]int{}
	for i := range looks {
		times[looks[i].value()]++
	}
	if len(times) != 2 {
		return ""
	}
	for i := range looks {
		if times[looks[i].value()] == 1 {
			return "; region " + regions[i].Name + " is the one that differs"
		}
	}
	return ""
}

// digest is short, for people and programs to compare.
func (l *look) digest() string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(l.value())) // never fails
	return fmt.Sprintf("%016x", hash.Sum64())
}

func shown(looks []look, regions []*region) []Shown {
	list := make([]Shown, len(looks))
	for i := range looks {
		l := &looks[i]
		list[i] = Shown{Region: regions[i].Name, Type: l.kind}
		if l.state != absent {
			list[i].Digest = l.digest()
			if l.deadline > 0 {
				list[i].Deadline = time.UnixMilli(l.deadline)
			}
		}
	}
	return list
}
