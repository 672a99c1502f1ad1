package crdtmeta_test

import (
	"strconv"
	"testing"
)

// A large key is removed in one region while another one adds to it and changes what it had: what the removal has not seen stays,
// in every region, as it does for small ones.
func TestLargeKeysAreRemovedAsSeen(t *testing.T) {
	const size = 700
	for name, test := range map[string]struct {
		add  func(i int) []string // one element
		card string
	}{
		"set":  {func(i int) []string { return []string{"SADD", "k", strconv.Itoa(i)} }, "SCARD"},
		"hash": {func(i int) []string { return []string{"HSET", "k", strconv.Itoa(i), "v" + strconv.Itoa(i)} }, "HLEN"},
		"zset": {func(i int) []string { return []string{"ZADD", "k", strconv.Itoa(i), "m" + strconv.Itoa(i)} }, "ZCARD"},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := regions(t, 3)
			a, b, c := nodes[0], nodes[1], nodes[2]
			for i := range size {
				a.call(t, 0, test.add(i))
			}
			exchange(t, nodes)
			for i := size; i < size+5; i++ {
				b.call(t, 0, test.add(i))
				c.call(t, 0, test.add(i+100))
			}
			if name == "hash" {
				b.call(t, 0, []string{"HSET", "k", "17", "again"})
			} else {
				b.call(t, 0, []string{"DEL", "other"})
			}
			a.call(t, 0, []string{"DEL", "k"})
			exchange(t, nodes)
			requireEqual(t, nodes)
			want := "(integer) 10"
			if name == "hash" {
				want = "(integer) 11"
			}
			if got := b.get(t, test.card, "k"); got != want {
				t.Errorf("%s is %s, want %s", test.card, got, want)
			}
			c.call(t, 0, test.add(3), []string{"EXPIRE", "k", "1000"})
			exchange(t, nodes)
			requireEqual(t, nodes)
			b.call(t, 0, []string{"DEL", "k"})
			exchange(t, nodes)
			requireEqual(t, nodes)
			if got := a.get(t, "EXISTS", "k"); got != "(integer) 0" {
				t.Errorf("after the second removal EXISTS is %s", got)
			}
		})
	}
}
