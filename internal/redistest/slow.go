package redistest

import "testing"

// Slow marks a test that takes seconds or minutes. With -short it says that it was left out; whoever runs everything
// runs without that flag.
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow: left out because of -short")
	}
}
