// Package dashboard opens the dashboard of real regions in a real browser, on the screens of a laptop and of a phone, and
// looks at what a person would: is everything there, does nothing overlap, does it show what happens.
//
// With SCREENSHOTS set to a folder, it leaves pictures there.
package dashboard

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
