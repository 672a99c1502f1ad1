package dashboard

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// screen is what somebody looks at.
type screen struct {
	name          string
	width, height int64
	mobile, dark  bool
}

var (
	laptop = screen{name: "laptop", width: 1366, height: 768}
	phone  = screen{name: "phone", width: 390, height: 844, mobile: true}
)

// patience bounds everything that a test waits for.
const patience = 60 * time.Second

// page is one tab of Chromium.
type page struct {
	t      *testing.T
	ctx    context.Context
	screen screen

	mu       sync.Mutex
	problems []string // what the page has written to the console, and what could not be loaded
	hosts    map[string]bool
}

// open starts a browser and opens an address. The browser ends with the test.
func open(t *testing.T, s screen, address string) *page {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is missing: %v", err)
	}
	p := &page{t: t, screen: s, hosts: map[string]bool{}}
	allocator, end := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(program), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(int(s.width), int(s.height)))
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(p.note))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the browser is gone
		cancel()
		end()
	})
	p.ctx = ctx
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	// The browser lives as long as the context of the first call, so that one has no limit of its own.
	call(p, ctx, network.Enable, network.EnableParams{})
	call(p, ctx, log.Enable, cdp.Empty{})
	call(p, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.mobile,
	})
	call(p, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	run(p, chromedp.Navigate(address))
	return p
}

// call sends a command to the browser.
func call[P, R any](p *page, ctx context.Context, command cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		p.t.Fatal(err)
	}
}

// run carries out an action.
func run[T any](p *page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// note keeps whatever is wrong with the page.
func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		p.problems = append(p.problems, fmt.Sprintf("console.%s %v", e.Type, e.Args))
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		p.problems = append(p.problems, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *network.EventLoadingFailed:
		if !e.Canceled {
			p.problems = append(p.problems, "not loaded: "+e.ErrorText)
		}
	case *network.EventRequestWillBeSent:
		if rest, found := strings.CutPrefix(e.Request.URL, "http://"); found {
			host, _, _ := strings.Cut(rest, "/")
			p.hosts[host] = true
		} else if !strings.HasPrefix(e.Request.URL, "data:") {
			p.hosts[e.Request.URL] = true
		}
	}
}

// value is what an expression comes to in the page.
func value[T any](p *page, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression))
}

// text is what somebody reads in an element.
func (p *page) text(selector string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf("[...document.querySelectorAll(%q)].map((e) => e.textContent).join(' | ')", selector))
}

// shows waits until an element contains words.
func (p *page) shows(selector, words string) {
	p.t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if last = p.text(selector); strings.Contains(last, words) {
			return
		}
	}
	p.picture("failed")
	p.t.Fatalf("%s does not show %q but %q", selector, words, last)
}

// loaded waits until figures are on the page.
func (p *page) loaded() {
	p.t.Helper()
	p.shows("#footer", "/metrics")
}

// clean fails the test when the page has complained about anything, or asked anybody but its proxy.
func (p *page) clean(host string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		p.t.Errorf("the browser says: %s", problem)
	}
	if len(p.hosts) != 1 || !p.hosts[host] {
		p.t.Errorf("the page asked %v", p.hosts)
	}
}

// picture leaves a screenshot of the whole page, if somebody wants them.
func (p *page) picture(name string) {
	p.t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	whole, visible := run(p, chromedp.FullScreenshot(100)), run(p, chromedp.CaptureScreenshot())
	base := filepath.Join(folder, strings.ReplaceAll(p.t.Name()+"-"+p.screen.name+"-"+name, "/", "-"))
	for end, png := range map[string][]byte{".png": whole, "-screen.png": visible} {
		if err := os.WriteFile(base+end, png, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}
