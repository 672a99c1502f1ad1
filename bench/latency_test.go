package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resp"
)

func TestQuantilesAreWithinTheWidthOfABucket(t *testing.T) {
	var l latencies
	for n := 1; n <= 100_000; n++ {
		l.add(time.Duration(n)*time.Microsecond, 1)
	}
	for q, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		got := l.quantile(q)
		if diff := (got - want).Abs(); diff > want/50 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if l.count != 100_000 {
		t.Errorf("count %d", l.count)
	}
}

func TestBucketsCoverEveryTime(t *testing.T) {
	var l latencies
	previous := -1
	for n := time.Duration(0); n >= 0 && n < 1<<62; n = n*2 + 1 {
		bucket := bucketOf(n)
		if bucket < previous || bucket >= len(l.buckets) {
			t.Fatalf("%d falls into bucket %d after %d", n, bucket, previous)
		}
		if got := middleOf(bucket); (got - n).Abs() > n/32+1 {
			t.Fatalf("%v is shown as %v", n, got)
		}
		previous = bucket
	}
}

func TestTemplatesStayWellFormed(t *testing.T) {
	random := rand.NewPCG(1, 2)
	for name, w := range workloads {
		var buf []byte
		for range 100 {
			buf = w.append(buf, random)
		}
		if strings.Contains(string(buf), "#") {
			t.Errorf("%s: a place was not filled", name)
		}
		// A command has the form of a reply that is an array of strings.
		var scanner resp.ReplyScanner
		if end, done, err := scanner.Scan(buf, 0, 100); err != nil || done != 100 || end != len(buf) {
			t.Errorf("%s: %d commands in %d of %d bytes: %v", name, done, end, len(buf), err)
		}
	}
}
