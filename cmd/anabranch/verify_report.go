package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"anabranch/verify"
)

// verifyText shows differences to people.
type verifyText struct {
	out io.Writer
	err error // the first one of writing
}

func (v *verifyText) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(v.out, format, args...); err != nil && v.err == nil {
		v.err = err
	}
}

func (v *verifyText) Differs(d verify.Difference) {
	v.printf("db%d %q: %s: %s\n", d.DB, d.Key, d.Reason, d.Detail)
	for _, s := range d.Regions {
		v.printf("    %-10s %s\n", s.Region, shownText(s))
	}
}

func shownText(s verify.Shown) string {
	if s.Type == "" {
		return "absent"
	}
	until := "no deadline"
	if !s.Deadline.IsZero() {
		until = "until " + s.Deadline.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return fmt.Sprintf("%s, %s, digest %s", s.Type, until, s.Digest)
}

func (v *verifyText) Undecided(u verify.Undecided) {
	v.printf("db%d %q: undecided: %s\n", u.DB, u.Key, u.Why)
}

func (v *verifyText) Repaired(d verify.Repaired) {
	v.printf("db%d %q: repaired with the value of region %s in %v\n", d.DB, d.Key, d.Region, d.Took.Round(time.Millisecond))
}

func (v *verifyText) Unrepaired(u verify.Unrepaired) {
	v.printf("db%d %q: not repaired: %s\n", u.DB, u.Key, u.Why)
}

func (v *verifyText) finish(s verify.Summary, regions int) error {
	found := "no differences"
	if n := s.Differences(); n > 0 {
		var parts []string
		for _, reason := range slices.Sorted(maps.Keys(s.Different)) {
			parts = append(parts, fmt.Sprintf("%s %d", reason, s.Different[reason]))
		}
		found = fmt.Sprintf("%d keys differ (%s)", n, strings.Join(parts, ", "))
	}
	if s.Repaired > 0 {
		found += fmt.Sprintf(", %d repaired", s.Repaired)
	}
	if s.Undecided > 0 {
		found += fmt.Sprintf(", %d undecided", s.Undecided)
	}
	v.printf("%d keys of %d regions compared in %v, %d a second: %s\n", s.Keys, regions, s.Took.Round(time.Millisecond), perSecond(s), found)
	return v.err
}

func perSecond(s verify.Summary) int64 { return int64(float64(s.Keys) / max(s.Took.Seconds(), 0.001)) }

// verifyJSON shows them to programs, one object a line.
type verifyJSON struct {
	out io.Writer
	err error
}

type jsonKey struct {
	Kind string `json:"kind"`
	DB   int    `json:"db"`
	Key  string `json:"key"`
	// Only where the name is no UTF-8, which JSON cannot carry.
	Base64  string       `json:"key-base64,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Detail  string       `json:"detail,omitempty"`
	Region  string       `json:"region,omitempty"`  // whose value it is now
	Millis  int64        `json:"took-ms,omitempty"` // of a repair
	Regions []jsonRegion `json:"regions,omitempty"`
}

type jsonRegion struct {
	Region   string `json:"region"`
	Type     string `json:"type"` // "none" when the key is absent
	Deadline int64  `json:"deadline-ms,omitempty"`
	Digest   string `json:"digest,omitempty"`
}

type jsonSummary struct {
	Kind      string           `json:"kind"`
	Regions   int              `json:"region-count"`
	Keys      int64            `json:"keys"`
	Different map[string]int64 `json:"different"`
	Repaired  int64            `json:"repaired"`
	Undecided int64            `json:"undecided"`
	Millis    int64            `json:"took-ms"`
}

func (v *verifyJSON) write(object any) {
	line, err := json.Marshal(object)
	if err == nil {
		_, err = fmt.Fprintf(v.out, "%s\n", line)
	}
	if err != nil && v.err == nil {
		v.err = err
	}
}

func newJSONKey(kind string, db int, key, detail string) jsonKey {
	object := jsonKey{Kind: kind, DB: db, Key: key, Detail: detail}
	if !utf8.ValidString(key) {
		object.Base64 = base64.StdEncoding.EncodeToString([]byte(key))
	}
	return object
}

func (v *verifyJSON) Differs(d verify.Difference) {
	object := newJSONKey("difference", d.DB, d.Key, d.Detail)
	object.Reason = string(d.Reason)
	for _, s := range d.Regions {
		region := jsonRegion{Region: s.Region, Type: s.Type, Digest: s.Digest}
		if s.Type == "" {
			region.Type = "none"
		}
		if !s.Deadline.IsZero() {
			region.Deadline = s.Deadline.UnixMilli()
		}
		object.Regions = append(object.Regions, region)
	}
	v.write(object)
}

func (v *verifyJSON) Undecided(u verify.Undecided) {
	v.write(newJSONKey("undecided", u.DB, u.Key, u.Why))
}

func (v *verifyJSON) Repaired(d verify.Repaired) {
	object := newJSONKey("repaired", d.DB, d.Key, "")
	object.Region, object.Millis = d.Region, d.Took.Milliseconds()
	v.write(object)
}

func (v *verifyJSON) Unrepaired(u verify.Unrepaired) {
	v.write(newJSONKey("not-repaired", u.DB, u.Key, u.Why))
}

func (v *verifyJSON) finish(s verify.Summary, regions int) error {
	different := map[string]int64{}
	for reason, n := range s.Different {
		different[string(reason)] = n
	}
	v.write(jsonSummary{"summary", regions, s.Keys, different, s.Repaired, s.Undecided, s.Took.Milliseconds()})
	return v.err
}
