package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"anabranch/verify"
)

const (
	watchRate  = 5000            // keys a second, unless --rate says otherwise
	watchPause = time.Second     // between two comparisons
	watchRetry = 5 * time.Second // after a region could not be asked
)

// runVerify is `anabranch verify`.
func runVerify(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := pflag.NewFlagSet("verify", pflag.ContinueOnError)
	flags.SortFlags = false
	regions := flags.StringArray("region", nil, "NAME=HOST:PORT or NAME=redis://[user:password@]host:port (rediss:// for TLS): client port of a proxy; once for each region")
	asJSON := flags.Bool("json", false, "one JSON object a line: differences and undecided keys, then a summary")
	watch := flags.Bool("watch", false, "compare again and again until it is stopped, and name each difference once")
	rate := flags.Int("rate", 0, fmt.Sprintf("keys a second at most; 0 for as many as possible, with --watch %d", watchRate))
	repair := flags.Bool("repair", false, "have the region that is right write keys that differ anew")
	prefer := flags.String("prefer", "", "with --repair: NAME of the region that is right where neither the reason nor a majority tells")
	patience := flags.Duration("patience", verify.DefaultPatience, "how long a key that keeps changing, or whose effects do not arrive, or that was repaired, is looked at")
	var port clientPort
	port.addTLSOptions(flags)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprint(stdout, "usage: anabranch verify --region NAME=ADDRESS --region NAME=ADDRESS [flags]\n\n"+
			"Compares the keys of all regions, under traffic as well, and names those that differ with the\n"+
			"reason. Effects that are on their way make no difference. The exit code is 0 when all keys are\n"+
			"equal, 1 when some differ, and 2 when the comparison is not complete: a region does not answer,\n"+
			"or keys could not be decided. The users need CRDT, SCAN, EXISTS and INFO.\n\n"+
			"Nothing is changed without --repair. With it, one region writes each key that differs anew, which\n"+
			"goes to the others as any write does: the regions that nobody has written to past Anabranch are\n"+
			"right if they agree, else most regions are, else the one of --prefer. The exit code is 0 when all\n"+
			"differences were repaired. The users need the right to write all keys.\n\n")
		writeFlags(stdout, flags, false)
	}
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	cfg := verify.Config{Rate: *rate, Patience: *patience, Repair: *repair, Prefer: *prefer}
	if *watch && *rate == 0 {
		cfg.Rate = watchRate
	}
	var addrs []string
	for _, text := range *regions {
		region, addr, err := regionOf(port, text)
		if err != nil {
			return &usageError{err}
		}
		addrs = append(addrs, addr)
		cfg.Regions = append(cfg.Regions, region)
	}
	if err := port.check(addrs...); err != nil {
		return err
	}
	verifier, err := verify.New(cfg)
	if err != nil {
		return &usageError{err}
	}
	defer verifier.Close()
	var report verifyReport = &verifyText{out: stdout}
	if *asJSON {
		report = &verifyJSON{out: stdout}
	}
	if *watch {
		return watchRegions(ctx, verifier, report, stderr)
	}
	summary, err := verifier.Run(ctx, report)
	if err == nil {
		err = report.finish(summary, len(cfg.Regions))
	}
	switch {
	case err != nil:
		return &incompleteError{err}
	case summary.Differences() > summary.Repaired:
		return errSilent
	case summary.Undecided > 0:
		return &incompleteError{fmt.Errorf("%d keys could not be decided", summary.Undecided)}
	}
	return nil
}

// verifyReport shows what is found, and at the end what it came to.
type verifyReport interface {
	verify.Report
	finish(summary verify.Summary, regions int) error
}

// watchRegions compares until ctx ends. A region that does not answer is said and tried again.
func watchRegions(ctx context.Context, verifier *verify.Verifier, report verifyReport, stderr io.Writer) error {
	differ := false
	for {
		pause := watchPause
		summary, err := verifier.Run(ctx, report)
		differ = differ || summary.Differences() > summary.Repaired
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(stderr, "anabranch verify: %v; the comparison begins anew in %v\n", err, watchRetry)
			pause = watchRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if differ {
				return errSilent
			}
			return nil
		}
	}
}

// regionOf reads NAME=ADDRESS.
func regionOf(port clientPort, text string) (region verify.Region, addr string, err error) {
	name, addr, found := strings.Cut(text, "=")
	if !found || name == "" || addr == "" {
		return region, "", errors.New("--region: expected NAME=HOST:PORT or NAME=redis://[user:password@]host:port")
	}
	return verify.Region{Name: name, Dial: func(ctx context.Context) (net.Conn, error) {
		client, err := port.dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return client.conn, nil
	}}, addr, nil
}
