package examples

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestScriptsAreSound(t *testing.T) {
	var scripts []string
	for _, pattern := range []string{"*/*.sh", "../scripts/*.sh"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		scripts = append(scripts, found...)
	}
	for _, script := range scripts {
		if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be run: %v", script, err)
		}
	}
	output(t, nil, "shellcheck", append([]string{"--severity=warning"}, scripts...)...)
}

// What a release has in it works where nothing else is: the binary names no loader and no library.
func TestReleaseIsStatic(t *testing.T) {
	redistest.Slow(t)
	dir := t.TempDir()
	output(t, []string{"REVISION=0123456789ab"}, "../../scripts/release.sh", dir, runtime.GOARCH)
	archives, err := filepath.Glob(filepath.Join(dir, "anabranch-*-linux-"+runtime.GOARCH+".tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("%v, %v", archives, err)
	}
	archive := read(t, archives[0])
	if want := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(archive)), filepath.Base(archives[0])); read(t, filepath.Join(dir, "SHA256SUMS")) != want {
		t.Errorf("SHA256SUMS is %q, want %q", read(t, filepath.Join(dir, "SHA256SUMS")), want)
	}
	files := unpack(t, archive)
	for _, want := range []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/security.md", "examples/systemd/anabranch.service", "scripts/certificates.sh"} {
		if len(files[want]) == 0 {
			t.Errorf("%s is missing", want)
		}
	}

	program, err := elf.NewFile(bytes.NewReader(files["anabranch"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is dynamic: it has a %v", part.Type)
		}
	}
	path := filepath.Join(dir, "anabranch")
	if err := os.WriteFile(path, files["anabranch"], 0o755); err != nil {
		t.Fatal(err)
	}
	if got := output(t, nil, path, "version"); !strings.HasPrefix(got, "anabranch ") || !strings.Contains(got, "+0123456789ab (") {
		t.Errorf("version says %q", got)
	}
}

// unpack reads an archive with one folder in it.
func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for reader := tar.NewReader(plain); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" && header.Uname != "root" {
			t.Errorf("%s belongs to %d:%d %s", header.Name, header.Uid, header.Gid, header.Uname)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if files[name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}
