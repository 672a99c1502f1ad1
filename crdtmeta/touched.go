package crdtmeta

import (
	"bytes"
	"fmt"
	"strings"
)

// effectValues is how many values each kind of effect has, its kind included, and where among them its key is; 0 for none
// (docs/engine.md, section 5).
var effectValues = map[string]struct{ count, key int }{
	"S": {3, 1}, "M": {2, 0}, "W": {4, 1}, "a": {5, 2}, "A": {6, 2}, "r": {5, 2}, "i": {8, 2}, "R": {3, 1}, "E": {3, 1},
	"O": {3, 1}, "V": {3, 1}, "F": {3, 0}, "D": {2, 0}, "l": {4, 1}, "d": {3, 1}, "L": {4, 1}, "g": {5, 1}, "p": {3, 1}, "C": {3, 0},
}

// Touched calls f with the keys that an entry of one's own log changed, some of them several times. fields are the entry's
// fields in Redis, names and values in turn: the body first.
func Touched(fields [][]byte, f func(db int, key string)) error {
	if len(fields) < 2 || len(fields)%2 != 0 || string(fields[0]) != "b" {
		return fmt.Errorf("%w: fields %.60q", errEntry, fields)
	}
	var err error
	switch EntryKind(fields[1]) {
	case KindEffects:
		err = touchedByEffects(fields[1], fields[2:], f)
	case KindRecord:
		for i := 2; i < len(fields); i += 2 {
			if string(fields[i]) == "k" {
				err = touchedByRecord(fields[i+1], f)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errEntry, err)
	}
	return nil
}

func touchedByEffects(body []byte, runs [][]byte, f func(db int, key string)) error {
	d := newDecoder(body)
	h, err := d.header()
	if err != nil {
		return err
	}
	db := int64(0)
	for left := h.Values; left > 0; {
		kind, err := d.text()
		if err != nil {
			return err
		}
		effect, known := effectValues[kind]
		if !known || effect.count > left {
			return fmt.Errorf("%w: effect %.10q with %d values left", errFormat, kind, left)
		}
		left -= effect.count
		for i := 1; i < effect.count; i++ {
			switch {
			case i == effect.key:
				key, err := d.text()
				if err != nil {
					return err
				}
				f(int(db), key)
				continue
			case kind == "D":
				db, err = d.integer()
			default:
				err = d.dec.Skip()
			}
			if err != nil {
				return err
			}
		}
		if kind == "M" {
			if len(runs) < 2 {
				return fmt.Errorf("%w: a run is missing", errFormat)
			}
			err := eachOfRun(runs[1], func(key, _, _ []byte) error {
				f(int(db), string(key))
				return nil
			})
			if err != nil {
				return err
			}
			runs = runs[2:]
		}
	}
	return d.end()
}

// touchedByRecord reads the list database, keys, database, keys….
func touchedByRecord(names []byte, f func(db int, key string)) error {
	d := newDecoder(names)
	n, _, err := d.container()
	if err != nil {
		return err
	}
	for ; n >= 2; n -= 2 {
		db, err := d.integer()
		if err != nil {
			return err
		}
		keys, _, err := d.container()
		if err != nil {
			return err
		}
		for range keys {
			key, err := d.text()
			if err != nil {
				return err
			}
			f(int(db), key)
		}
	}
	return d.end()
}

// KeyOf is the user's key that a companion, or a list of places, belongs to. ok is false for any other name.
func KeyOf(prefix, name string) (key string, ok bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	if !ours || rest == "" {
		return "", false
	}
	switch form := rest[0]; {
	case (form == '0' || form == '3') && strings.HasPrefix(rest[1:], "{") && strings.HasSuffix(rest, "}"):
		return rest[2 : len(rest)-1], true
	case form == '1' || form == '4':
		return rest[1:], true
	case (form == '2' || form == '5') && len(rest) >= 5 && rest[1] == '{' && bytes.IndexByte([]byte(rest), '}') == 4:
		return rest[5:], true
	}
	return "", false
}
