// Package dashboard serves a page that shows one region, as this proxy sees it, from second to second: the links to the other
// regions, throughput, lag, conflicts as they are resolved, and what somebody should look at.
//
//	status.Source ──each second──► history (a ring of 15 minutes) ─┐
//	ledger of conflicts ──while somebody looks, once a second──────┼──► /dashboard/data ──► page, which asks each second
//	files (go:embed) ──────────────────────────────────────────────┴──► /, /dashboard/…
//
// The page is plain HTML, CSS and JavaScript without a build step. It asks this proxy alone and nobody else, so it works without
// the internet, and a Content-Security-Policy keeps it so. It knows what its region knows: its own figures, what comes over the
// links, and what the other regions say with their heartbeats; it says which is which.
//
// Nothing here changes anything, and nobody has to log in. So keys and values of conflicts are left out unless the configuration
// asks for them (Detail).
package dashboard
