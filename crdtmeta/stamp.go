package crdtmeta

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Ticks is the number of sequence numbers in one millisecond of a Time.
const Ticks = 2048

// Region ids are small, because XADD * keeps its sequence congruent to the region id modulo 64.
const (
	MinRegion = 1
	MaxRegion = 63
)

// maxTime keeps times exact in Lua, whose numbers are doubles.
const maxTime = 1<<53 - 1

// maxEpochBytes bounds the text of an epoch: a counter of at most 20 digits, a dash and the random part.
const maxEpochBytes = 40

var (
	errOrigin = errors.New("not an origin")
	errTime   = errors.New("not a time")
)

// Time names a log entry: Unix milliseconds times 2048 plus a sequence number (docs/engine.md, section 1). Zero is
// before every entry.
type Time int64

// TimeAt is the first Time of a millisecond.
func TimeAt(millis int64) Time { return Time(millis * Ticks) }

// Millis is the wall clock part, in Unix milliseconds.
func (t Time) Millis() int64 { return int64(t) / Ticks }

// ID is the stream id of the entry.
func (t Time) ID() string {
	return strconv.FormatInt(int64(t)/Ticks, 10) + "-" + strconv.FormatInt(int64(t)%Ticks, 10)
}

// String is the decimal form, as frontiers hold it.
func (t Time) String() string { return strconv.FormatInt(int64(t), 10) }

// ParseTime reads the decimal form.
func ParseTime(text string) (Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxTime {
		return 0, fmt.Errorf("%w: %.40q", errTime, text)
	}
	return Time(n), nil
}

// ParseID reads a stream id. Sequence numbers past 2047 belong to no entry of ours.
func ParseID(id string) (Time, error) {
	left, right, found := strings.Cut(id, "-")
	millis, err := strconv.ParseInt(left, 10, 64)
	if err != nil || !found || millis < 0 || millis > maxTime/Ticks {
		return 0, fmt.Errorf("%w: %.40q", errTime, id)
	}
	seq, err := strconv.ParseInt(right, 10, 64)
	if err != nil || seq < 0 || seq >= Ticks {
		return 0, fmt.Errorf("%w: %.40q", errTime, id)
	}
	return Time(millis*Ticks + seq), nil
}

// Origin is one uninterrupted history of one shard's log. It is comparable, so it can key a map.
type Origin struct {
	Region int
	Shard  int
	Epoch  string // counter, dash, random hex digits
}

// ParseOrigin reads "<region>.<shard>.<epoch>".
func ParseOrigin(text string) (Origin, error) {
	bad := func() (Origin, error) { return Origin{}, fmt.Errorf("%w: %.60q", errOrigin, text) }
	region, rest, _ := strings.Cut(text, ".")
	shard, epoch, _ := strings.Cut(rest, ".")
	r, err := strconv.Atoi(region)
	if err != nil || r < MinRegion || r > MaxRegion || strconv.Itoa(r) != region {
		return bad()
	}
	s, err := strconv.Atoi(shard)
	if err != nil || s < 0 || s > math.MaxUint16 || strconv.Itoa(s) != shard {
		return bad()
	}
	if !validEpoch(epoch) {
		return bad()
	}
	return Origin{Region: r, Shard: s, Epoch: epoch}, nil
}

func validEpoch(epoch string) bool {
	counter, random, found := strings.Cut(epoch, "-")
	if !found || len(epoch) > maxEpochBytes || random == "" {
		return false
	}
	if n, err := strconv.ParseInt(counter, 10, 64); err != nil || n < 0 || strconv.FormatInt(n, 10) != counter {
		return false
	}
	return strings.Trim(random, "0123456789abcdef") == ""
}

// Counter is the part of the epoch that grows: a later epoch of the same history has a higher one.
func (o Origin) Counter() int64 {
	counter, _, _ := strings.Cut(o.Epoch, "-")
	n, _ := strconv.ParseInt(counter, 10, 64)
	return n
}

// IsZero says whether o names no origin.
func (o Origin) IsZero() bool { return o == Origin{} }

// MarshalText makes the text form the one that JSON has, also of keys.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads it. It fails as ParseOrigin does.
func (o *Origin) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOrigin(string(text))
	return err
}

func (o Origin) String() string {
	if o.IsZero() {
		return ""
	}
	return strconv.Itoa(o.Region) + "." + strconv.Itoa(o.Shard) + "." + o.Epoch
}

// Stamp is the identity and time of an effect.
type Stamp struct {
	Origin Origin
	Time   Time
	Op     int // ordinal of the effect inside its entry, from 1
}

// Compare orders stamps by (time, op, region, epoch). Only concurrent writes are ever decided by it.
func (s Stamp) Compare(other Stamp) int {
	return cmp.Or(
		cmp.Compare(s.Time, other.Time),
		cmp.Compare(s.Op, other.Op),
		cmp.Compare(s.Origin.Region, other.Origin.Region),
		cmp.Compare(s.Origin.Epoch, other.Origin.Epoch),
	)
}
