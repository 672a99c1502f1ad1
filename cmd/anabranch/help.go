package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

func runHelp(_ context.Context, _ []string, stdout, _ io.Writer) error {
	writeHelp(stdout)
	return nil
}

func writeHelp(out io.Writer) {
	fmt.Fprint(out, `Anabranch makes stock Redis active-active across regions: a proxy in front of each
region's Redis, which merges concurrent writes by the rules of CRDTs.

usage: anabranch COMMAND [flags]

`)
	for _, sub := range subcommands() {
		fmt.Fprintf(out, "  %-14s %s\n", sub.name, sub.summary)
	}
	fmt.Fprint(out, "\n\"anabranch COMMAND --help\" lists a command's flags. \"anabranch demo\" needs redis-server, and nothing else.\n")
}

func writeServeHelp(out io.Writer, flags *pflag.FlagSet) {
	fmt.Fprint(out, `usage: anabranch serve --region NAME --region-id N [flags]

Runs the proxy in front of this region's Redis. Each flag is also an environment variable,
and a key of the file that --config names. A flag wins over the variable, that over the
file, that over the default. SIGTERM drains and ends with status 0.

`)
	writeFlags(out, flags, true)
}

// writeFlags lists flags in the order in which they were declared.
func writeFlags(out io.Writer, flags *pflag.FlagSet, withEnv bool) {
	flags.VisitAll(func(flag *pflag.Flag) {
		name := "--" + flag.Name
		if flag.NoOptDefVal == "" {
			name += " " + strings.ToUpper(flag.Value.Type())
		}
		fmt.Fprintf(out, "  %s\n", name)
		fmt.Fprintf(out, "        %s\n", flag.Usage)
		var notes []string
		if flag.DefValue != "" && flag.NoOptDefVal == "" && flag.DefValue != "0" {
			notes = append(notes, "default "+flag.DefValue)
		}
		if withEnv {
			notes = append(notes, envName(flag.Name))
		}
		if len(notes) > 0 {
			fmt.Fprintf(out, "        (%s)\n", strings.Join(notes, "; "))
		}
	})
}
