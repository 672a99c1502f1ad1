package proxy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"anabranch/crdtmeta"
	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

// Redis's slow log knows the engine's calls, and in front of each the commands that it led to. Clients are shown their own
// commands instead: one entry for each call, in which those of several clients may have travelled together.

// slowEntry is one entry of SLOWLOG GET.
type slowEntry struct {
	id, at, micros int64
	args           []string
	addr, name     string
}

// Redis keeps this much of a slow command.
const (
	slowArgs  = 32
	slowBytes = 128
)

// insideCall is the address that Redis gives to what a function runs.
const insideCall = "?:0"

// slowlogGet is SLOWLOG GET [count].
func (s *session) slowlogGet(args [][]byte) {
	count := int64(10)
	if len(args) > 2 {
		var ok bool
		if count, ok = integer(args[2]); len(args) > 3 || !ok || count < -1 {
			s.pass(0, s.silent(), 1, s.scan.Raw) // Redis says what is wrong
			return
		}
	}
	entries, ok := s.slowEntries()
	if !ok {
		return
	}
	if count >= 0 && int64(len(entries)) > count {
		entries = entries[:count]
	}
	out := resp.AppendArray(nil, len(entries))
	for _, entry := range entries {
		out = resp.AppendArray(out, 6)
		out = resp.AppendInt(out, entry.id)
		out = resp.AppendInt(out, entry.at)
		out = resp.AppendInt(out, entry.micros)
		out = resp.AppendArray(out, len(entry.args))
		for _, arg := range entry.args {
			out = resp.AppendBulkString(out, arg)
		}
		out = resp.AppendBulkString(out, entry.addr)
		out = resp.AppendBulkString(out, entry.name)
	}
	s.reply(out)
}

// slowlogLen counts what SLOWLOG GET would show.
func (s *session) slowlogLen([][]byte) {
	if entries, ok := s.slowEntries(); ok {
		s.replyInt(int64(len(entries)))
	}
}

// slowEntries asks for all entries, the newest first, or answers the command when that fails.
func (s *session) slowEntries() (entries []slowEntry, ok bool) {
	s.barrier()
	ctx, cancel := s.controlContext()
	defer cancel()
	list, err := s.server.cfg.Backend.Client().Do(ctx, "SLOWLOG", "GET", -1).Slice()
	if err != nil {
		s.replyError(controlError(err))
		return nil, false
	}
	for _, item := range list {
		if entry, ok := readSlowEntry(item); ok {
			entries = append(entries, entry)
		}
	}
	return clientEntries(entries), true
}

func readSlowEntry(item any) (entry slowEntry, ok bool) {
	fields, _ := item.([]any)
	if len(fields) != 6 {
		return entry, false
	}
	entry.id, _ = fields[0].(int64)
	entry.at, _ = fields[1].(int64)
	entry.micros, _ = fields[2].(int64)
	args, _ := fields[3].([]any)
	for _, arg := range args {
		text, _ := arg.(string)
		entry.args = append(entry.args, text)
	}
	entry.addr, _ = fields[4].(string)
	entry.name, _ = fields[5].(string)
	return entry, len(entry.args) > 0
}

// clientEntries keeps what clients have run and puts it in their words. entries are in Redis's order, the newest first, so
// what a call has led to comes behind it.
func clientEntries(entries []slowEntry) []slowEntry {
	var shown []slowEntry
	inside := false
	var call *slowEntry // the shown one that inside speaks of
	for _, entry := range entries {
		if entry.addr == insideCall && inside {
			if call != nil && goesOn(call.args, entry.args) {
				call.args = append(call.args[:1], entry.args[1:]...)
			}
			continue
		}
		inside, call = isCall(entry.args), nil
		switch {
		case entry.name == backend.ControlName, isGreeting(entry.args):
			continue
		case inside:
			if entry.args = carried(entry.args); entry.args == nil {
				continue
			}
		}
		if entry.name == backend.LaneName {
			entry.name = "" // the connection's, not the client's
		}
		shown = append(shown, entry)
		if inside {
			call = &shown[len(shown)-1]
		}
	}
	return shown
}

// goesOn reports that a command which ran inside a call is the one that the call carried and Redis has kept more of it.
func goesOn(carried, ran []string) bool {
	last := len(carried) - 1
	return len(ran) > len(carried) && strings.HasSuffix(carried[last], " more arguments)") && strings.EqualFold(carried[0], ran[0]) &&
		slices.Equal(carried[1:last], ran[1:last])
}

func isCall(args []string) bool {
	return len(args) > 1 && strings.EqualFold(args[0], "FCALL") && crdtmeta.IsFunction(args[1])
}

func isGreeting(args []string) bool {
	return len(args) == 3 && args[0] == "CLIENT" && args[1] == "SETNAME" && args[2] == backend.LaneName
}

// carried are the arguments of the first command of an engine call, as Redis would have kept them, and a word on the
// others. nil: the call carries no client's command.
func carried(call []string) []string {
	if call[1] != crdtmeta.FuncWrite && call[1] != crdtmeta.FuncFree || len(call) < 6 {
		return nil
	}
	rest, cut := call[4:], ""
	if last := rest[len(rest)-1]; len(call) == slowArgs && strings.HasPrefix(last, "... (") {
		rest, cut = rest[:len(rest)-1], last
	}
	var command []string
	others := 0
	if rest[0] == "M" {
		if len(rest) < 2 {
			return nil
		}
		command, others = firstOfRun(rest[1])
		rest = rest[2:]
	} else {
		argc, err := strconv.Atoi(rest[0])
		if err != nil || argc < 1 {
			return nil
		}
		if len(rest) > 3 && rest[1] == actAs {
			argc, rest = argc-2, rest[2:]
		}
		n := min(argc, len(rest)-1)
		own := 0
		if n > 2 && rest[1] == "XCRDT.TRY" { // a client that waits; which of its keys is tried is our affair
			own = 2
		}
		command = append(command, rest[1+own:1+n]...)
		if n < argc {
			return append(command, fmt.Sprintf("... (%d more arguments)", argc-n))
		}
		if len(command) > slowArgs {
			command = append(command[:slowArgs-1], fmt.Sprintf("... (%d more arguments)", argc-slowArgs+1))
		}
		rest = rest[1+n:]
	}
	for len(rest) > 0 {
		skip := 2 // a run has one argument
		if argc, err := strconv.Atoi(rest[0]); err == nil {
			skip = 1 + argc
		}
		others++
		rest = rest[min(skip, len(rest)):]
	}
	switch {
	case cut != "":
		return append(command, "... (and more commands in the same step)")
	case others > 0:
		return append(command, fmt.Sprintf("... (and %d more commands in the same step)", others))
	}
	return command
}

// firstOfRun is the first SET of a run as far as Redis has kept it, and how many others there are.
func firstOfRun(list string) (command []string, others int) {
	command = []string{"SET"}
	count, texts := crdtmeta.PeekRun([]byte(list[:min(len(list), slowBytes)]))
	for _, text := range texts {
		kept := string(text.Kept)
		if more := text.Bytes - len(kept); more > 0 {
			kept += fmt.Sprintf("... (%d more bytes)", more)
		}
		command = append(command, kept)
	}
	return command, max(0, count-1)
}
