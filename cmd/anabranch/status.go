package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"github.com/tidwall/resp"

	"anabranch/internal/status"
)

const statusLimit = 5 * time.Second

// runStatus prints the links of one region, and fails when the region or a link is unhealthy, so that it can be a check
// of a monitoring system.
func runStatus(ctx context.Context, args []string, stdout, _ io.Writer) error {
	flags := pflag.NewFlagSet("status", pflag.ContinueOnError)
	flags.SortFlags = false
	adminAddr := flags.String("admin", "127.0.0.1:6580", "HOST:PORT of a proxy's admin port")
	redisAddr := flags.String("redis", "", "ask over the client port instead: HOST:PORT or redis://[user:password@]host:port; rediss:// for TLS")
	asJSON := flags.Bool("json", false, "print the document of /status")
	onlyReady := flags.Bool("ready", false, "ask the admin port whether clients can be served, and nothing else: the health check of a container")
	var port clientPort
	port.addTLSOptions(flags)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, "usage: anabranch status [flags]\n\nPrints what this region's links to the other regions do. The exit code is 0 when all are\n"+
			"healthy or paused, 1 when one is not, the region takes no writes, a clock or the eviction\n"+
			"policy alarms, or the proxy does not answer. With --ready it is 0 when /readyz says so, whatever\n"+
			"the links do.\n\n")
		writeFlags(stdout, flags, false)
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	var (
		document status.Document
		err      error
	)
	if err := port.check(*redisAddr); err != nil {
		return err
	}
	if *onlyReady {
		if *redisAddr != "" || *asJSON {
			return &usageError{errors.New("--ready: asks the admin port for one word; it goes with neither --redis nor --json")}
		}
		return readyOverHTTP(ctx, *adminAddr, stdout)
	}
	if *redisAddr != "" {
		document, err = statusOverRedis(ctx, port, *redisAddr)
	} else {
		document, err = statusOverHTTP(ctx, *adminAddr)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(document)
	} else {
		err = writeStatus(stdout, document)
	}
	if err == nil && !document.Healthy() {
		err = errSilent
	}
	return err
}

func statusOverHTTP(ctx context.Context, addr string) (document status.Document, err error) {
	code, body, err := askAdmin(ctx, addr, "/status")
	if err != nil {
		return document, err
	}
	if code != http.StatusOK {
		return document, fmt.Errorf("%s: /status: %s", addr, http.StatusText(code))
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return document, fmt.Errorf("%s does not answer /status as Anabranch does: %w", addr, err)
	}
	return document, nil
}

// readyOverHTTP prints what /readyz says, and fails unless clients can be served. A link to another region that is down is no reason to
// take this proxy out of service.
func readyOverHTTP(ctx context.Context, addr string, stdout io.Writer) error {
	code, body, err := askAdmin(ctx, addr, "/readyz")
	if err != nil {
		return err
	}
	if _, err := stdout.Write(body); err != nil {
		return err
	}
	if code != http.StatusOK {
		return errSilent
	}
	return nil
}

// askAdmin is one request to the admin port.
func askAdmin(ctx context.Context, addr, path string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: addr, Path: path}).String(), nil)
	if err != nil {
		return 0, nil, &usageError{fmt.Errorf("--admin: %q: expected HOST:PORT", addr)}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // one request, and no proxy in between
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

// statusOverRedis asks with CRDT PEERS, where the admin port is out of reach. It cannot tell the region's own name.
func statusOverRedis(ctx context.Context, port clientPort, text string) (document status.Document, err error) {
	client, err := port.dial(ctx, text)
	if err != nil {
		return document, err
	}
	defer client.close()
	for _, command := range [][]string{{"PING"}, {"CRDT", "PEERS"}} {
		reply, err := client.do(ctx, statusLimit, command...)
		if err != nil {
			return document, err
		}
		if reply.Type() == resp.Error {
			return document, errors.New(reply.String())
		}
		document.Peers = peersOf(reply)
	}
	document.Ready = true // PING is answered with an error otherwise
	return document, nil
}

// peersOf reads the rows of CRDT PEERS.
func peersOf(reply resp.Value) []status.Peer {
	var peers []status.Peer
	for _, row := range rowsOf(reply) {
		peers = append(peers, status.Peer{
			Name: row["name"], ID: int(number(row["id"])), Addr: row["addr"], State: row["state"],
			LagMillis: number(row["lag-ms"]), LagEffects: number(row["lag-effects"]), DriftMillis: number(row["drift-ms"]), LastError: row["last-error"],
		})
	}
	return peers
}

func writeStatus(out io.Writer, document status.Document) error {
	if document.Region != "" {
		fmt.Fprintf(out, "region %s (id %d), anabranch %s: %s\n", document.Region, document.RegionID, document.Version, readyWord(document))
	}
	if s := document.Sentinel; s != nil {
		fmt.Fprintf(out, "primary according to %d Sentinels: %s\n", len(s.Sentinels), orDash(s.Primary))
		if s.Trouble != "" {
			fmt.Fprintf(out, "alarm: a fail-over would not be seen: %s\n", s.Trouble)
		}
	}
	if document.Error != "" {
		fmt.Fprintf(out, "the state of the links is unknown: %s\n", document.Error)
		return nil
	}
	if document.WritesRefused != "" {
		fmt.Fprintf(out, "Redis refuses writes: %s\n", document.WritesRefused)
	}
	if document.WritesHeld != "" {
		fmt.Fprintf(out, "this region takes no writes: %s\n", document.WritesHeld)
	}
	for _, alarm := range document.Alarms {
		fmt.Fprintf(out, "alarm: %s\n", alarm)
	}
	if document.LostEffects > 0 {
		fmt.Fprintf(out, "lost on fail-over: %d effects that no region has\n", document.LostEffects)
	}
	if document.MissingEffects > 0 {
		fmt.Fprintf(out, "missing after fail-over: %d effects, until these have said what they have: %s\n", document.MissingEffects, strings.Join(document.MissingAwaits, ", "))
	}
	if len(document.Peers) == 0 {
		_, err := fmt.Fprintln(out, "no peers are configured")
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(document.HeldBackBy)) {
		fmt.Fprintf(out, "collection of metadata held back by %s for %s, about %d bytes wait\n", name, time.Since(document.HeldBackBy[name]).Round(time.Second), document.HeldBackBytes)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tPEER\tID\tSTATE\tLAG MS\tLAG EFFECTS\tADDRESS\tLAST ERROR")
	for _, peer := range document.Peers {
		mark := "✓"
		if !peer.Healthy() {
			mark = "✗"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", mark, peer.Name, orDash(peer.ID), peer.State,
			peer.LagMillis, peer.LagEffects, orDash(peer.Addr), orDash(peer.LastError))
	}
	return table.Flush()
}

func readyWord(document status.Document) string {
	switch {
	case document.Ready:
		return "ready"
	case document.Why != "":
		return "not ready: " + document.Why
	}
	return "not ready: its Redis does not answer, or is no primary"
}

// orDash shows what is not known as "-".
func orDash[T int | string](value T) string {
	switch value := any(value).(type) {
	case int:
		if value != 0 {
			return strconv.Itoa(value)
		}
	case string:
		if value != "" {
			return value
		}
	}
	return "-"
}
