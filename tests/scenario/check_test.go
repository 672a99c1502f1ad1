package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"anabranch/internal/redistest"
)

// verify compares a reply with what is expected of it.
func (c check) verify(reply redistest.Reply) error {
	if c.shown != "" {
		return c.verifyShown(reply)
	}
	if c.Error {
		if !reply.IsError() || !strings.HasPrefix(reply.Text, c.ErrorPrefix) {
			return fmt.Errorf("got %s, want an error %s…", reply, c.ErrorPrefix)
		}
		return nil
	}
	if reply.IsError() {
		return fmt.Errorf("got %s", reply)
	}
	if c.ReplyLen != nil && len(reply.Items) != *c.ReplyLen {
		return fmt.Errorf("got %d elements %s, want %d", len(reply.Items), reply, *c.ReplyLen)
	}
	if c.Range != nil {
		n := reply.Int()
		if reply.Kind != ':' || len(c.Range) != 2 || n < c.Range[0] || n > c.Range[1] {
			return fmt.Errorf("got %s, want an integer in %v", reply, c.Range)
		}
	}
	wanted := c.OneOf
	if c.Reply != nil {
		wanted = []json.RawMessage{c.Reply}
	}
	if wanted == nil {
		return nil
	}
	for _, want := range wanted {
		ok, err := c.matches(reply, want)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("got %s, want %s", reply, join(wanted))
}

func (c check) verifyShown(reply redistest.Reply) error {
	if c.Unordered {
		slices.SortFunc(reply.Items, func(x, y redistest.Reply) int { return strings.Compare(x.Text, y.Text) })
	}
	begin, cut := strings.CutSuffix(c.shown, "…")
	if got := reply.String(); got != c.shown && !(cut && strings.HasPrefix(got, begin)) {
		return fmt.Errorf("got %s, want %s", got, c.shown)
	}
	return nil
}

func (c check) matches(reply redistest.Reply, raw json.RawMessage) (bool, error) {
	var want any
	if err := json.Unmarshal(raw, &want); err != nil {
		return false, err
	}
	if c.JSON {
		var got any
		if err := json.Unmarshal([]byte(reply.Text), &got); err != nil {
			return false, fmt.Errorf("reply %s is no JSON: %w", reply, err)
		}
		return reflect.DeepEqual(got, want), nil
	}
	got, err := c.value(reply)
	if err != nil {
		return false, err
	}
	if object, ok := want.(map[string]any); ok {
		fields, ok := asMap(got)
		return ok && equal(fields, object, c.Numeric), nil
	}
	if c.Unordered {
		gotItems, ok1 := got.([]any)
		wantItems, ok2 := want.([]any)
		return ok1 && ok2 && equal(sorted(gotItems), sorted(wantItems), c.Numeric), nil
	}
	return equal(got, want, c.Numeric), nil
}

// value turns a reply into what JSON would hold: nil, number, string or list.
func (c check) value(reply redistest.Reply) (any, error) {
	plain := plainValue(reply)
	if c.Project == nil {
		return plain, nil
	}
	rows, ok := plain.([]any)
	if !ok {
		return nil, fmt.Errorf("got %s, want rows", reply)
	}
	projected := make([]any, 0, len(rows))
	for _, row := range rows {
		cell, err := project(row, c.Project)
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, reply)
		}
		projected = append(projected, cell)
	}
	return projected, nil
}

func plainValue(reply redistest.Reply) any {
	switch {
	case reply.Null:
		return nil
	case reply.Kind == ':':
		return float64(reply.Int())
	case strings.IndexByte("*~>%", reply.Kind) >= 0:
		list := make([]any, 0, len(reply.Items))
		for _, item := range reply.Items {
			list = append(list, plainValue(item))
		}
		return list
	}
	return reply.Text
}

func project(row any, by any) (any, error) {
	cells, ok := row.([]any)
	if !ok {
		return nil, fmt.Errorf("row %v is no list", row)
	}
	switch by := by.(type) {
	case float64:
		if int(by) < len(cells) {
			return cells[int(by)], nil
		}
	case string:
		if fields, ok := asMap(cells); ok {
			if cell, ok := fields[by]; ok {
				return cell, nil
			}
		}
	}
	return nil, fmt.Errorf("no %v in row %v", by, row)
}

func asMap(v any) (map[string]any, bool) {
	flat, ok := v.([]any)
	if !ok || len(flat)%2 != 0 {
		return nil, false
	}
	fields := map[string]any{}
	for i := 0; i < len(flat); i += 2 {
		name, ok := flat[i].(string)
		if _, twice := fields[name]; !ok || twice {
			return nil, false
		}
		fields[name] = flat[i+1]
	}
	return fields, true
}

func equal(got, want any, numeric bool) bool {
	if numeric {
		x, errX := strconv.ParseFloat(fmt.Sprint(got), 64)
		y, errY := strconv.ParseFloat(fmt.Sprint(want), 64)
		if errX == nil && errY == nil {
			// Redis prints 17 digits, so equal sums may differ in the last one.
			return math.Abs(x-y) <= 1e-9*math.Max(1, math.Abs(y))
		}
	}
	gotItems, ok1 := got.([]any)
	wantItems, ok2 := want.([]any)
	if !ok1 || !ok2 {
		return reflect.DeepEqual(got, want)
	}
	if len(gotItems) != len(wantItems) {
		return false
	}
	for i := range gotItems {
		if !equal(gotItems[i], wantItems[i], numeric) {
			return false
		}
	}
	return true
}

// sorted returns the elements in an order that does not depend on where they stood.
func sorted(items []any) []any {
	out := append([]any(nil), items...)
	sort.Slice(out, func(i, j int) bool { return fmt.Sprintf("%#v", out[i]) < fmt.Sprintf("%#v", out[j]) })
	return out
}

func join(raw []json.RawMessage) string {
	parts := make([]string, 0, len(raw))
	for _, r := range raw {
		parts = append(parts, string(r))
	}
	return strings.Join(parts, " or ")
}
