package crdtmeta

import (
	"reflect"
	"testing"
)

func TestStableIsWhatEveryLogSays(t *testing.T) {
	a, b, b2, c := Origin{1, 0, "1-aa"}, Origin{2, 0, "1-bb"}, Origin{2, 0, "2-bb"}, Origin{3, 0, "1-cc"}
	for _, test := range []struct {
		name     string
		others   []int
		frontier Frontier
		contexts map[Origin]Frontier
		want     Frontier
	}{
		{"nobody has spoken", []int{2, 3}, Frontier{}, nil, Frontier{a: 0}},
		{"the slowest counts", []int{2, 3}, Frontier{b: 50, c: 60},
			map[Origin]Frontier{b: {a: 10, c: 30}, c: {a: 20, b: 40}}, Frontier{a: 10, b: 40, c: 30}},
		{"what is seen there but not here is not stable", []int{2, 3}, Frontier{b: 50, c: 60},
			map[Origin]Frontier{b: {a: 10, c: 99}, c: {a: 20, b: 99}}, Frontier{a: 10, b: 50, c: 60}},
		{"a silent member", []int{2, 3}, Frontier{b: 50}, map[Origin]Frontier{b: {a: 10}}, Frontier{a: 0, b: 0}},
		{"a new epoch says nothing yet", []int{2}, Frontier{b: 50, b2: 70}, map[Origin]Frontier{b: {a: 10}, b2: {}}, Frontier{a: 0, b: 0, b2: 70}},
		{"and then it does", []int{2}, Frontier{b: 50, b2: 70}, map[Origin]Frontier{b: {a: 10}, b2: {a: 9, b: 50}}, Frontier{a: 9, b: 50, b2: 70}},
		{"a region alone", nil, Frontier{}, nil, Frontier{a: maxTime}},
		{"two regions", []int{2}, Frontier{b: 50}, map[Origin]Frontier{b: {a: 10}}, Frontier{a: 10, b: 50}},
	} {
		if got := Stable(a, test.others, test.frontier, test.contexts); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
