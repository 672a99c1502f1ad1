package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"

	"anabranch/internal/status"
)

// Config says what the page shows.
type Config struct {
	Source Source
	Ledger Ledger
	Detail Detail // of conflicts
}

// Source is where the figures come from.
type Source interface {
	Document(ctx context.Context) status.Document
}

// sampleTime bounds what one sample may ask of Redis.
const sampleTime = 3 * time.Second

//go:embed web
var web embed.FS

// Dashboard is the page and what it shows.
type Dashboard struct {
	source  Source
	history history
	ledger  ledger
	files   map[string]file
}

// file is one of the page's own.
type file struct {
	body []byte
	kind string
	etag string
}

// New allocates. Nothing is asked before Run.
func New(c Config) (*Dashboard, error) {
	switch c.Detail {
	case Rules, Keys, Values:
	default:
		return nil, fmt.Errorf("dashboard: Detail %q: must be rules, keys or values", c.Detail)
	}
	d := &Dashboard{source: c.Source, ledger: ledger{source: c.Ledger, detail: c.Detail}, files: map[string]file{}}
	err := fs.WalkDir(web, "web", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := web.ReadFile(name)
		sum := sha256.Sum256(body)
		d.files[path.Base(name)] = file{body: body, kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		return err
	})
	return d, err
}

// Run keeps the history until ctx ends, whether somebody looks or not: who opens the page wants to see what was before.
func (d *Dashboard) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, sampleTime)
		document := d.source.Document(asking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		d.history.add(document)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// policy keeps the page to itself: no other host, no code that is not its own, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers the page, its files and its data.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	dir, name := path.Split(r.URL.Path)
	switch {
	case r.URL.Path == "/":
		d.serveFile(w, r, "index.html")
	case r.URL.Path == "/dashboard/data":
		d.serveData(w, r)
	case dir == "/dashboard/":
		d.serveFile(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

func (d *Dashboard) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	found, known := d.files[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", found.kind)
	w.Header().Set("Cache-Control", "no-cache") // but a file that has not changed is not sent again
	w.Header().Set("ETag", found.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.body))
}

// frame is what the page asks for each second.
type frame struct {
	Run       string          `json:"run"`  // of the proxy: with another one, numbers of samples begin anew
	Next      int64           `json:"next"` // number of the sample to ask for next
	Status    status.Document `json:"status"`
	Past      pastColumns     `json:"past"` // samples from the number asked for on
	Detail    Detail          `json:"detail"`
	Conflicts []conflict      `json:"conflicts"` // newest first
}

// serveData answers with the newest document and the samples that the page lacks: those from number "from" of run "run" on.
func (d *Dashboard) serveData(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	if err != nil || r.URL.Query().Get("run") != d.history.run() {
		from = 0
	}
	f := frame{Detail: d.ledger.detail}
	f.Past, f.Next, f.Status = d.history.since(from)
	f.Run = f.Status.RunID
	ctx, cancel := context.WithTimeout(r.Context(), sampleTime)
	defer cancel()
	f.Conflicts = d.ledger.newest(ctx, f.Status)
	if f.Conflicts == nil {
		f.Conflicts = []conflict{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(f) // the client is gone; nobody to tell
}
