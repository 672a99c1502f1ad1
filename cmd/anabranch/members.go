package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"github.com/tidwall/resp"
)

// runMembers is `anabranch members [list] | add NAME=HOST:PORT… | remove NAME`: it asks one region, which tells the others.
func runMembers(ctx context.Context, args []string, stdout, _ io.Writer) error {
	flags := pflag.NewFlagSet("members", pflag.ContinueOnError)
	flags.SortFlags = false
	redisAddr := flags.String("redis", "127.0.0.1:6380", "client port of a proxy: HOST:PORT or redis://[user:password@]host:port; rediss:// for TLS")
	var port clientPort
	port.addTLSOptions(flags)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, `usage: anabranch members [list] [flags]
       anabranch members add NAME=HOST:PORT [HOST:PORT …] [flags]
       anabranch members remove NAME [flags]

Shows the other regions of the one that is asked, or changes who they are, while all goes on.
The region that is asked tells the others. An address is one for peers (--peer-listen). A
region that was removed is refused until it is added again, and merges everything then.

`)
		writeFlags(stdout, flags, false)
	}
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return err
	} else if err != nil {
		return &usageError{err}
	}
	command, err := membersCommand(flags.Args())
	if err != nil {
		return &usageError{fmt.Errorf("members: %w", err)}
	}
	if err := port.check(*redisAddr); err != nil {
		return err
	}
	client, err := port.dial(ctx, *redisAddr)
	if err != nil {
		return err
	}
	defer client.close()
	reply, err := client.do(ctx, statusLimit, command...)
	if err != nil {
		return err
	}
	if reply.Type() == resp.Error {
		return errors.New(reply.String())
	}
	if len(command) > 2 {
		fmt.Fprintln(stdout, reply.String())
		return nil
	}
	for _, m := range rowsOf(reply) {
		fmt.Fprintf(stdout, "%-16s id %-3s %-8s %s\n", m["name"], m["id"], m["state"], m["addrs"])
	}
	return nil
}

// membersCommand is what the proxy is asked.
func membersCommand(args []string) ([]string, error) {
	switch {
	case len(args) == 0, len(args) == 1 && args[0] == "list":
		return []string{"CRDT", "MEMBERS"}, nil
	case args[0] == "add" && len(args) >= 2:
		name, addr, found := strings.Cut(args[1], "=")
		if !found || name == "" || addr == "" {
			return nil, fmt.Errorf("%q is not NAME=HOST:PORT", args[1])
		}
		return append([]string{"CRDT", "MEMBERS", "ADD", name, addr}, args[2:]...), nil
	case args[0] == "remove" && len(args) == 2:
		return []string{"CRDT", "MEMBERS", "REMOVE", args[1]}, nil
	}
	return nil, fmt.Errorf("what is %q? There are list, add NAME=HOST:PORT and remove NAME", strings.Join(args, " "))
}
