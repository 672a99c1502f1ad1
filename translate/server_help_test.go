package translate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// serverRow is what COMMAND tells about one command.
type serverRow struct {
	name  string // as in the table: "CLIENT LIST"
	arity int
	flags []string
	specs []string
}

func serverRows(t *testing.T, server *redis.Client) []serverRow {
	t.Helper()
	reply, err := server.Do(context.Background(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	var all []serverRow
	var read func(reply []any)
	read = func(reply []any) {
		for _, item := range reply {
			fields := item.([]any)
			row := serverRow{
				name:  strings.ToUpper(strings.ReplaceAll(fields[0].(string), "|", " ")),
				arity: int(fields[1].(int64)),
				flags: sorted(texts(fields[2])),
			}
			for _, spec := range fields[8].([]any) {
				row.specs = append(row.specs, serverSpec(spec))
			}
			all = append(all, row)
			read(fields[9].([]any))
		}
	}
	read(reply)
	return all
}

// serverSpec writes a key specification of COMMAND as specTexts writes ours.
func serverSpec(reply any) string {
	spec := pairs(reply)
	return specPart(spec["begin_search"]) + " " + specPart(spec["find_keys"]) + " " + rights(texts(spec["flags"]))
}

func specPart(reply any) string {
	part := pairs(reply)
	words := []string{}
	for name, value := range pairs(part["spec"]) {
		words = append(words, fmt.Sprintf("%v=%v", name, value))
	}
	return fmt.Sprintf("%v%v", part["type"], sorted(words))
}

// rights reduces the server's key flags to what EachKey tells.
func rights(flags []string) string {
	var access Access
	for _, flag := range flags {
		switch flag {
		case "access":
			access |= AccessRead
		case "insert", "update", "delete":
			access |= AccessWrite
		case "not_key":
			return "channel"
		case "variable_flags":
			return "variable"
		}
	}
	return accessText(access)
}

func specTexts(cmd *Command) []string {
	var all []string
	for i := range cmd.keys {
		s := &cmd.keys[i]
		begin := fmt.Sprintf("index[index=%d]", s.start)
		if s.keyword != "" {
			begin = fmt.Sprintf("keyword[keyword=%s startfrom=%d]", s.keyword, s.start)
		}
		limit := 0
		if s.half {
			limit = 2
		}
		found := fmt.Sprintf("range[keystep=%d lastkey=%d limit=%d]", s.step, s.last, limit)
		if s.counted {
			found = "keynum[firstkey=1 keynumidx=0 keystep=1]"
		}
		access := accessText(s.access)
		switch {
		case s.vary != nil:
			access = "variable"
		case s.access == AccessChannel:
			access = "channel"
		}
		all = append(all, begin+" "+found+" "+access)
	}
	return all
}

func find(name string) *Command {
	container, sub, isSub := strings.Cut(name, " ")
	cmd := Lookup([]byte(container))
	if cmd == nil || !isSub {
		return cmd
	}
	return cmd.Sub([]byte(sub))
}

// wrongNumber builds a call of the command with one argument too few or too many; nil when every number is right.
func wrongNumber(cmd *Command) [][]byte {
	var args [][]byte
	for _, word := range strings.Fields(strings.ToLower(cmd.Name)) {
		args = append(args, []byte(word))
	}
	count := cmd.Arity + 1
	if cmd.Arity < 0 {
		count = -cmd.Arity - 1
	}
	if count < len(args) {
		return nil
	}
	for len(args) < count {
		args = append(args, []byte("x"))
	}
	return args
}

func inRedisWords(err string) bool {
	for _, start := range []string{"ERR unknown ", "ERR wrong number ", "EXECABORT ", clusterDisabled} {
		if strings.HasPrefix(err, start) {
			return true
		}
	}
	return false
}

func serverError(server *redis.Client, args [][]byte) string {
	err := server.Do(context.Background(), anys(args)...).Err()
	if err == nil {
		return "(no error)"
	}
	return err.Error()
}

func serverKeys(server *redis.Client, args [][]byte) ([]string, error) {
	call := append([]any{"COMMAND", "GETKEYSANDFLAGS"}, anys(args)...)
	reply, err := server.Do(context.Background(), call...).Slice()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, item := range reply {
		pair := item.([]any)
		found = append(found, fmt.Sprintf("%v:%s", pair[0], rights(without(texts(pair[1]), "variable_flags"))))
	}
	return sorted(found), nil
}

func ourKeys(cmd *Command, args [][]byte) []string {
	var found []string
	cmd.EachKey(args, func(position int, access Access) bool {
		if access&AccessPattern == 0 {
			found = append(found, fmt.Sprintf("%s:%s", args[position], accessText(access)))
		}
		return true
	})
	return sorted(found)
}

func anys(args [][]byte) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		out[i] = arg
	}
	return out
}

// texts reads a list or set of status replies.
func texts(reply any) []string {
	var out []string
	for _, item := range reply.([]any) {
		out = append(out, fmt.Sprint(item))
	}
	return out
}

func without(list []string, unwanted string) []string {
	return slices.DeleteFunc(list, func(item string) bool { return item == unwanted })
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// pairs reads a map in the form of RESP2.
func pairs(reply any) map[string]any {
	list := reply.([]any)
	out := map[string]any{}
	for i := 0; i+1 < len(list); i += 2 {
		out[fmt.Sprint(list[i])] = list[i+1]
	}
	return out
}
