package syncer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"anabranch/crdtmeta"

	"pgregory.net/rapid"
)

func streamOf(entries []entry) []byte {
	var stream []byte
	for _, e := range entries {
		stream = append(appendHead(stream, e), e.body...)
	}
	return stream
}

func TestEntriesSurviveAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent, got []entry
		last := crdtmeta.Time(0)
		for range rapid.IntRange(0, 20).Draw(t, "entries") {
			last += crdtmeta.Time(rapid.IntRange(1, 1<<40).Draw(t, "step"))
			body := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body")
			sent = append(sent, entry{t: last, body: body, runs: rapid.IntRange(0, len(body)).Draw(t, "runs")})
		}
		s := &entryStream{limit: 1 << 10}
		for stream := streamOf(sent); len(stream) > 0; {
			n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
			codec, payload := compress(stream[:n], 100)
			raw, err := expand(codec, payload, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := s.feed(raw)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, entries...)
			stream = stream[n:]
		}
		if len(got) != len(sent) {
			t.Fatalf("%d entries of %d", len(got), len(sent))
		}
		for i := range got {
			if got[i].t != sent[i].t || got[i].runs != sent[i].runs || !bytes.Equal(got[i].body, sent[i].body) {
				t.Fatalf("entry %d differs", i)
			}
		}
	})
}

func TestStreamRefusesWhatGoesBackOrIsTooLarge(t *testing.T) {
	s := &entryStream{limit: 100, last: 50}
	if _, err := s.feed(streamOf([]entry{{t: 50, body: []byte("x")}})); err == nil {
		t.Error("took an entry at or below the start")
	}
	s = &entryStream{limit: 100}
	if _, err := s.feed(streamOf([]entry{{t: 1, body: make([]byte, 101)}})); err == nil {
		t.Error("took an entry above the limit")
	}
	s = &entryStream{limit: 100}
	if _, err := s.feed(streamOf([]entry{{t: 1, body: []byte("x"), runs: 2}})); err == nil {
		t.Error("took runs longer than their entry")
	}
	bomb, payload := compress(make([]byte, 1<<20), 100)
	if _, err := expand(bomb, payload, 1<<10); err == nil {
		t.Error("expanded past the limit")
	}
}

func TestRunsOfAnEntry(t *testing.T) {
	e := engine{prefix: "crdt:"}
	var run crdtmeta.Run
	run.Add(e.prefix, []byte("key"), bytes.Repeat([]byte("v"), 70_000))
	head, list := run.Parts()
	good := string(head[:]) + string(list)
	body := appendRun(appendRun([]byte("body"), good), good)
	args, err := e.appendEntry(nil, entry{t: 1, body: body, runs: len(body) - 4})
	if err != nil || len(args) != 5 || fmt.Sprintf("%s %v", args[1], args[2]) != "body 2" || string(args[4].([]byte)) != good {
		t.Errorf("%.100q, %v", args, err)
	}
	other := strings.Replace(good, "crdt:0{key}", "crdt:0{kez}", 1)
	for _, list := range [][]byte{[]byte("\x03ke"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), appendRun(nil, ""), appendRun(nil, other),
		appendRun(nil, good[:len(good)-1]), appendRun(nil, good+"\xa0"), appendRun(nil, "\xdc\x00\x00"), appendRun(nil, "\xdc\xff\xff")} {
		if _, err := e.appendEntry(nil, entry{t: 1, body: list, runs: len(list)}); err == nil {
			t.Errorf("%.100q is taken", list)
		}
	}
}

func FuzzBatch(f *testing.F) {
	f.Add("none", streamOf([]entry{{t: 1, body: []byte("a")}, {t: 2, body: nil}}))
	_, packed := compress(bytes.Repeat([]byte("abcd"), 400), 1)
	f.Add("s2", packed)
	f.Fuzz(func(t *testing.T, codec string, payload []byte) {
		raw, err := expand(codec, payload, 1<<16)
		if err != nil {
			return
		}
		s := &entryStream{limit: 1 << 12}
		last := crdtmeta.Time(0)
		for len(raw) > 0 {
			n := min(len(raw), 37)
			entries, err := s.feed(raw[:n:n])
			if err != nil {
				return
			}
			for _, e := range entries {
				if e.t <= last || len(e.body) > 1<<12 {
					t.Fatalf("entry %d of %d bytes after %d", e.t, len(e.body), last)
				}
				last = e.t
			}
			if len(s.rest) > 1<<12+64 {
				t.Fatalf("%d bytes are kept", len(s.rest))
			}
			raw = raw[n:]
		}
	})
}
