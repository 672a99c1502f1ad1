package verify

import (
	"slices"
	"testing"
)

func TestWhichRegionIsRight(t *testing.T) {
	for _, test := range []struct {
		name      string
		looks     []look
		preferred int
		want      []int
	}{
		{"the others agree", []look{{sums: "a", remark: stranger}, {sums: "b"}, {sums: "b"}}, -1, []int{1, 2}},
		{"one lost it", []look{{sums: "a"}, {state: absent, remark: evicted}}, -1, []int{0}},
		{"most lost it", []look{{state: absent, remark: evicted}, {sums: "a"}, {state: absent, remark: evicted}}, -1, []int{1}},
		{"the others do not agree", []look{{sums: "a", remark: deadline}, {sums: "b"}, {sums: "c"}}, -1, nil},
		{"a majority", []look{{sums: "a"}, {sums: "b"}, {sums: "a"}}, 1, []int{0, 2}},
		{"a majority, one of which does not fit", []look{{sums: "a", remark: deadline}, {sums: "a"}, {sums: "b"}, {sums: "a"}, {sums: "b"}}, -1, []int{1, 3, 0}},
		{"most are without it", []look{{sums: "a"}, {state: absent}, {state: absent}}, -1, []int{1, 2}},
		{"a deadline that has passed says nothing", []look{{sums: "a"}, {state: absent, remark: expired}}, -1, nil},
		{"half is no majority", []look{{sums: "a"}, {sums: "b"}, {sums: "a"}, {sums: "b"}}, -1, nil},
		{"the preferred one", []look{{sums: "a"}, {sums: "b"}}, 1, []int{1}},
	} {
		got, err := rightful(test.looks, test.preferred)
		if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}
