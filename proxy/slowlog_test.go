package proxy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/backend"
)

func TestSlowlogSpeaksOfClientsCommands(t *testing.T) {
	call := func(args ...string) []string { return append([]string{"FCALL", crdtmeta.FuncWrite, "0", "0"}, args...) }
	long := strings.Repeat("v", 200)
	var run crdtmeta.Run
	run.Add("crdt:", []byte("key"), []byte(long))
	run.Add("crdt:", []byte("other"), []byte("x"))
	head, list := run.Parts()
	whole := string(head[:]) + string(list)
	kept := whole[:slowBytes] + fmt.Sprintf("... (%d more bytes)", len(whole)-slowBytes)
	many := call("33", "SADD")
	for i := range 25 {
		many = append(many, fmt.Sprint(i))
	}
	many = append(many, "... (7 more arguments)")
	for _, test := range []struct{ call, want []string }{
		{call("3", "SET", "k", "v"), []string{"SET", "k", "v"}},
		{call("3", "SET", "k", "v", "2", "INCR", "n"), []string{"SET", "k", "v", "... (and 1 more commands in the same step)"}},
		{call("M", whole[:slowBytes]), []string{"SET", "key", long[:119] + "... (81 more bytes)", "... (and 1 more commands in the same step)"}},
		{call("M", kept, "2", "DEL", "k"), []string{"SET", "key", long[:119] + "... (81 more bytes)", "... (and 2 more commands in the same step)"}},
		{many, append(append([]string{"SADD"}, many[6:len(many)-1]...), "... (7 more arguments)")},
		{[]string{"FCALL", crdtmeta.FuncApply, "0", "2.0.1-a", "0"}, nil},
		{call("7", "XCRDT.AS", "-@all", "EVAL", "return 1", "1", "k", "a"), []string{"EVAL", "return 1", "1", "k", "a"}},
		{
			append(call("40", "XCRDT.AS", "-@all", "EVAL"), append(slices.Clone(many[6:29]), "... (14 more arguments)")...),
			append(append([]string{"EVAL"}, many[6:29]...), "... (14 more arguments)"),
		},
		{call(), nil},
		{call("x", "y"), nil},
	} {
		if got := carried(test.call); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q:\ngot  %q\nwant %q", test.call, got, test.want)
		}
	}
	ran := append([]string{"SADD"}, strings.Fields(strings.Repeat("x ", 30))...)
	cut := clientEntries([]slowEntry{
		{args: call("40", "sadd", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x",
			"x", "x", "... (14 more arguments)")},
		{args: append(ran, "... (9 more arguments)"), addr: insideCall},
	})
	if want := append(append([]string{"sadd"}, ran[1:]...), "... (9 more arguments)"); len(cut) != 1 || !reflect.DeepEqual(cut[0].args, want) {
		t.Errorf("of a long command: got %v, want %q", cut, want)
	}
	entries := []slowEntry{
		{id: 9, args: []string{"GET", "k"}, addr: "1.1.1.1:1", name: backend.LaneName},
		{id: 8, args: call("3", "SET", "k", "v"), name: backend.LaneName},
		{id: 7, args: []string{"XADD", "crdt:log"}, addr: insideCall},
		{id: 6, args: []string{"SET", "k", "v"}, addr: insideCall},
		{id: 5, args: []string{"EVAL", "…"}, name: "other"},
		{id: 4, args: []string{"SET", "by", "script"}, addr: insideCall},
		{id: 3, args: []string{"INFO"}, name: backend.ControlName},
		{id: 2, args: []string{"FCALL", crdtmeta.FuncApply, "0"}},
		{id: 1, args: []string{"SET", "remote", "v"}, addr: insideCall},
		{id: 0, args: []string{"CLIENT", "SETNAME", backend.LaneName}},
	}
	var ids []int64
	for _, entry := range clientEntries(entries) {
		ids = append(ids, entry.id)
		if entry.name == backend.LaneName {
			t.Errorf("%v: has a name that is not the client's", entry)
		}
	}
	if want := []int64{9, 8, 5, 4}; !reflect.DeepEqual(ids, want) {
		t.Errorf("shown: %v, want %v", ids, want)
	}
}

func TestSlowlogOverTheWire(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("CONFIG SET slowlog-log-slower-than 0", "SLOWLOG RESET")
	w.do("HSET h f v", "GET k")
	w.do("CONFIG SET slowlog-log-slower-than -1")
	got := w.do("SLOWLOG GET -1")
	for _, want := range []string{
		"*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\nv\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "*2\r\n$7\r\nSLOWLOG\r\n$5\r\nRESET\r\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "crdt:") || strings.Contains(got, "anabranch") {
		t.Errorf("shows what is Anabranch's own: %q", got)
	}
	count := strings.Split(got, "\r\n")[0][1:]
	w.want("SLOWLOG LEN", ":"+count+"\r\n")
	if got := w.do("SLOWLOG GET 1"); !strings.HasPrefix(got, "*1\r\n*6\r\n:") {
		t.Errorf("got %q", got)
	}
	w.want("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1\r\n")
	w.want("SLOWLOG GET x", "-ERR count should be greater than or equal to -1\r\n")
}
