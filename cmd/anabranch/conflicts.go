package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/tidwall/resp"
)

const (
	conflictsPoll = time.Second
	conflictsMost = 1000 // CRDT CONFLICTS answers no more
)

// runConflicts is `anabranch conflicts tail`: the ledger of this region, oldest first, and what comes to it.
func runConflicts(ctx context.Context, args []string, stdout, _ io.Writer) error {
	flags := pflag.NewFlagSet("conflicts", pflag.ContinueOnError)
	flags.SortFlags = false
	redisAddr := flags.String("redis", "127.0.0.1:6380", "client port of a proxy: HOST:PORT or redis://[user:password@]host:port; rediss:// for TLS")
	count := flags.IntP("lines", "n", 10, "how many of the newest to begin with, up to 1000")
	follow := flags.BoolP("follow", "f", false, "go on with new ones until it is stopped")
	asJSON := flags.Bool("json", false, "one JSON object a line")
	var port clientPort
	port.addTLSOptions(flags)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, "usage: anabranch conflicts tail [flags]\n\nShows conflicts that were resolved in this region, oldest first: the key, the rule, which\n"+
			"write won and which one lost.\n\n")
		writeFlags(stdout, flags, false)
	}
	if len(args) > 0 && args[0] == "tail" {
		args = args[1:]
	} else if !slices.Contains(args, "--help") && !slices.Contains(args, "-h") {
		return &usageError{errors.New("conflicts: which of them? The only subcommand is tail")}
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if *count < 0 || *count > conflictsMost {
		return &usageError{fmt.Errorf("--lines: %d is not from 0 to %d", *count, conflictsMost)}
	}
	if err := port.check(*redisAddr); err != nil {
		return err
	}
	client, err := port.dial(ctx, *redisAddr)
	if err != nil {
		return err
	}
	defer client.close()
	write := writeConflict
	if *asJSON {
		write = writeConflictJSON
	}
	for ask, last := *count, "0-0"; ; ask = conflictsMost {
		reply, err := client.do(ctx, statusLimit, "CRDT", "CONFLICTS", strconv.Itoa(max(ask, 1)))
		if err != nil {
			return err
		}
		if reply.Type() == resp.Error {
			return errors.New(reply.String())
		}
		conflicts := rowsOf(reply)
		slices.Reverse(conflicts)
		for _, c := range conflicts {
			if !laterID(c["id"], last) {
				continue
			}
			last = c["id"]
			if ask == 0 {
				continue // only what comes from now on
			}
			if err := write(stdout, c); err != nil {
				return err
			}
		}
		if !*follow {
			return nil
		}
		select {
		case <-time.After(conflictsPoll):
		case <-ctx.Done():
			return nil
		}
	}
}

// laterID compares ids of a stream.
func laterID(a, b string) bool {
	aMillis, aSeq, _ := strings.Cut(a, "-")
	bMillis, bSeq, _ := strings.Cut(b, "-")
	if aMillis != bMillis {
		return number(aMillis) > number(bMillis)
	}
	return number(aSeq) > number(bSeq)
}

func writeConflict(out io.Writer, c map[string]string) error {
	name := fmt.Sprintf("db%s %q", c["db"], c["key"])
	if c["element"] != "" {
		name += fmt.Sprintf(" %q", c["element"])
	}
	_, err := fmt.Fprintf(out, "%s  %s (%s): %s\n    won   %s\n    lost  %s\n", clock(c["at"]), name, c["type"], c["rule"],
		sideText(c, "winner"), sideText(c, "loser"))
	return err
}

func sideText(c map[string]string, side string) string {
	text := clock(c[side+"-at"]) + "  " + c[side+"-origin"]
	if value := c[side+"-value"]; value != "" {
		text += fmt.Sprintf("  %q", value)
	}
	return text
}

// clock shows Unix milliseconds.
func clock(millis string) string {
	return time.UnixMilli(number(millis)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func writeConflictJSON(out io.Writer, c map[string]string) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}
