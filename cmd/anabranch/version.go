package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"anabranch/crdtmeta"
)

// version is the release. A build from a repository adds its commit.
const version = "0.1.0"

// revision is the commit where the build does not see the repository, as in an image: scripts/build-static.sh sets it.
var revision string

func runVersion(_ context.Context, _ []string, stdout, _ io.Writer) error {
	fmt.Fprintf(stdout, "anabranch %s%s (%s, %s/%s, engine %s)\n",
		version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH, crdtmeta.LibraryName)
	return nil
}

// commit is "+" and the short hash, or nothing when the build does not know it.
func commit() string {
	if revision != "" {
		return "+" + revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "+" + setting.Value[:12]
		}
	}
	return ""
}
