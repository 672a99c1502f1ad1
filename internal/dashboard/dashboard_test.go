package dashboard

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"anabranch/internal/status"
	"anabranch/syncer"
)

// told is what a test says that the proxy knows.
type told struct {
	document  status.Document
	conflicts []syncer.Conflict
	asked     int
}

func (s *told) Document(context.Context) status.Document { return s.document }

func (s *told) Conflicts(context.Context, int) ([]syncer.Conflict, error) {
	s.asked++
	return s.conflicts, nil
}

func newDashboard(t *testing.T, s *told, detail Detail) *Dashboard {
	t.Helper()
	d, err := New(Config{Source: s, Ledger: s, Detail: detail})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ask gets an address as a browser would.
func ask(d *Dashboard, address string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, httptest.NewRequest("GET", address, nil))
	return answer
}

func frameOf(t *testing.T, d *Dashboard, address string) (f struct {
	Run    string
	Next   int64
	Status status.Document
	Past   struct {
		Times, Reads, Writes, Failures []*float64
		Peers                          map[string]struct {
			Lag     []*float64 `json:"lag_ms"`
			Applied []*float64
		}
	}
	Conflicts []map[string]any
}) {
	t.Helper()
	answer := ask(d, address)
	if err := json.Unmarshal(answer.Body.Bytes(), &f); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	return f
}

func TestEverythingThePageNeedsIsItsOwn(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	page := ask(d, "/")
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("/: %d %v", page.Code, page.Header())
	}
	for name, file := range d.files {
		got := ask(d, "/dashboard/"+name)
		if got.Code != 200 || got.Body.Len() == 0 || got.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name, got.Code, got.Header())
		}
		if policy := got.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "connect-src 'self'") {
			t.Errorf("%s: policy %q", name, policy)
		}
		for _, scheme := range []string{"http://", "https://", "//cdn"} {
			if text := strings.ReplaceAll(string(file.body), "http://www.w3.org/2000/svg", ""); strings.Contains(text, scheme) {
				t.Errorf("%s names another host", name)
			}
		}
		if strings.Contains(string(file.body), "innerHTML") {
			t.Errorf("%s reads text as HTML", name)
		}
	}
	for _, name := range []string{"/index.html", "/dashboard/", "/dashboard/none.js", "/dashboard/../dashboard.go", "/favicon.ico", "/x"} {
		if got := ask(d, name); got.Code != 404 {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}

func TestFilesThatHaveNotChangedAreNotSentAgain(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	first := ask(d, "/dashboard/app.js")
	request := httptest.NewRequest("GET", "/dashboard/app.js", nil)
	request.Header.Set("If-None-Match", first.Header().Get("ETag"))
	again := httptest.NewRecorder()
	d.ServeHTTP(again, request)
	if again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("%d, %d bytes", again.Code, again.Body.Len())
	}
}

func TestPageGetsThePastOnceAndThenWhatIsNew(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	began := time.UnixMilli(1_700_000_000_000)
	moment := func(n int) status.Document {
		return status.Document{
			RunID: "one", Time: began.Add(time.Duration(n) * time.Second), Peers: []status.Peer{{Name: "B", State: "stream", LagMillis: int64(10 * n), EntriesApplied: int64(7 * n)}},
			Commands: status.Commands{"read": {OK: int64(100 * n)}, "write": {OK: int64(50 * n), Error: int64(n)}},
		}
	}
	for n := range 5 {
		d.history.add(moment(n))
	}
	f := frameOf(t, d, "/dashboard/data")
	if len(f.Past.Times) != 5 || f.Next != 5 || f.Run != "one" {
		t.Fatalf("%d samples, next %d of %q", len(f.Past.Times), f.Next, f.Run)
	}
	if f.Past.Reads[0] != nil || *f.Past.Reads[4] != 100 || *f.Past.Writes[4] != 51 || *f.Past.Failures[4] != 1 {
		t.Errorf("rates: %+v", f.Past)
	}
	if b := f.Past.Peers["B"]; *b.Lag[4] != 40 || *b.Applied[4] != 7 || b.Applied[0] != nil {
		t.Errorf("B: %+v", b)
	}
	d.history.add(moment(5))
	for address, want := range map[string]int{
		"/dashboard/data?run=one&from=5": 1, "/dashboard/data?run=one&from=6": 0, "/dashboard/data?run=two&from=5": 6,
		"/dashboard/data?run=one&from=99": 6, "/dashboard/data?run=one&from=-1": 6, "/dashboard/data?run=one&from=x": 6,
	} {
		if f := frameOf(t, d, address); len(f.Past.Times) != want || f.Next != 6 {
			t.Errorf("%s: %d samples, next %d", address, len(f.Past.Times), f.Next)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	for n := range samples + 10 {
		d.history.add(status.Document{RunID: "one", Time: time.UnixMilli(int64(n) * 1000)})
	}
	f := frameOf(t, d, "/dashboard/data")
	if len(f.Past.Times) != samples || *f.Past.Times[0] != 10_000 || f.Next != samples+10 {
		t.Errorf("%d samples from %v on, next %d", len(f.Past.Times), *f.Past.Times[0], f.Next)
	}
}

func TestCountersThatBeginAnewAreNoNegativeRates(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	for n, total := range []int64{100, 200, 5, 6} {
		d.history.add(status.Document{RunID: "one", Time: time.UnixMilli(int64(n) * 1000), Commands: status.Commands{"read": {OK: total}}})
	}
	f := frameOf(t, d, "/dashboard/data")
	if f.Past.Reads[2] != nil || *f.Past.Reads[1] != 100 || *f.Past.Reads[3] != 1 {
		t.Errorf("%v %v %v", f.Past.Reads[1], f.Past.Reads[2], f.Past.Reads[3])
	}
}

func TestRegionsStayWhileNothingIsKnownOfThem(t *testing.T) {
	d := newDashboard(t, &told{}, Rules)
	d.history.add(status.Document{RunID: "one", Time: time.UnixMilli(0), Peers: []status.Peer{{Name: "B", ID: 2, State: "stream"}}})
	for n := range 2 {
		d.history.add(status.Document{RunID: "one", Time: time.UnixMilli(int64(n+1) * 1000), Error: "no Redis", Peers: []status.Peer{}})
	}
	f := frameOf(t, d, "/dashboard/data")
	if len(f.Status.Peers) != 1 || f.Status.Peers[0].State != "unknown" || f.Past.Peers["B"].Lag[2] != nil {
		t.Errorf("%+v", f.Status.Peers)
	}
}

// conflictOf has everything that could be told of one.
func conflictOf() syncer.Conflict {
	return syncer.Conflict{
		ID: "1-1", DB: 3, Key: "secret key", Element: "secret field", Type: "hash", Rule: "the last write wins", At: time.UnixMilli(5),
		Winner: syncer.ConflictSide{Origin: "1.0.1-abcdef", Value: "secret \x00 one"}, Loser: syncer.ConflictSide{Origin: "2.0.1-abcdef", Value: "secret two"},
	}
}

func TestKeysAndValuesAreToldOnlyWhenAsked(t *testing.T) {
	for detail, want := range map[Detail][]string{
		Rules:  {},
		Keys:   {"secret key", "secret field"},
		Values: {"secret key", "secret field", `secret \\x00 one`, "secret two"},
	} {
		s := &told{conflicts: []syncer.Conflict{conflictOf()}}
		d := newDashboard(t, s, detail)
		d.history.add(status.Document{Region: "A", RegionID: 1, Peers: []status.Peer{{Name: "B", ID: 2}}})
		body := ask(d, "/dashboard/data").Body.String()
		if got := strings.Count(body, "secret"); got != len(want) {
			t.Errorf("%s: %d secrets in %s", detail, got, body)
		}
		for _, text := range append(want, `"region":"A"`, `"region":"B"`, "the last write wins", `"type":"hash"`) {
			if !strings.Contains(body, text) {
				t.Errorf("%s: no %s in %s", detail, text, body)
			}
		}
	}
	if _, err := New(Config{Detail: "everything"}); err == nil {
		t.Error("a detail that does not exist")
	}
}

func TestLedgerIsReadOnceHoweverManyLook(t *testing.T) {
	s := &told{conflicts: []syncer.Conflict{conflictOf()}}
	d := newDashboard(t, s, Rules)
	for range 50 {
		if f := frameOf(t, d, "/dashboard/data"); len(f.Conflicts) != 1 {
			t.Fatalf("%d conflicts", len(f.Conflicts))
		}
	}
	if s.asked > 3 { // more only if this took seconds
		t.Errorf("asked %d times", s.asked)
	}
}

func TestRegionsOfConflictsHaveNames(t *testing.T) {
	d := status.Document{Region: "A", RegionID: 1, Peers: []status.Peer{{Name: "B", ID: 2}}}
	for origin, want := range map[string]string{"1.0.4-ab": "A", "2.0.1-ab": "B", "9.0.1-ab": "region 9", "": "all", "nonsense": "all"} {
		if got := regionOf(origin, d); got != want {
			t.Errorf("%q: %s", origin, got)
		}
	}
}

func TestRunAsksUntilItIsStopped(t *testing.T) {
	s := &told{document: status.Document{RunID: "one", Time: time.UnixMilli(1)}}
	d := newDashboard(t, s, Rules)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.Run(ctx); close(ended) }()
	for deadline := time.Now().Add(20 * time.Second); frameOf(t, d, "/dashboard/data").Next == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was asked")
		}
	}
	cancel()
	<-ended
}
