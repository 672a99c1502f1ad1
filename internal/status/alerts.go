package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"anabranch/syncer"
)

// Alert is something that somebody should look at, in plain words. docs/operations.md has the same, at more length, and
// examples/observability the rules for Prometheus.
type Alert struct {
	Severity string `json:"severity"` // "critical", "warning" or "info"
	About    string `json:"about"`    // stays the same while it lasts: "peer-down B"
	Title    string `json:"title"`
	Meaning  string `json:"meaning"`
	Advice   string `json:"advice"`
}

// The severities. Critical: clients or other regions are hurt now. Warning: they will be, if nobody looks. Info: somebody wanted
// it so, or it passes by itself.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// From when on something is worth an alert: links come and go, and lag a little.
const (
	downAfter    = 10 * time.Second
	lagLimit     = 10 * time.Second
	lacksAfter   = time.Minute
	shortBacklog = 30.0 // minutes
	fullMemory   = 0.9

	certificateEnds = 7 * 24 * time.Hour
)

// alertList gathers them.
type alertList []Alert

func (l *alertList) add(severity, about, title, meaning, advice string) {
	*l = append(*l, Alert{Severity: severity, About: about, Title: title, Meaning: meaning, Advice: advice})
}

// alerts lists what is wrong, the worst first.
func (d Document) alerts(own syncer.RegionStatus) []Alert {
	var l alertList
	d.regionAlerts(&l)
	d.certificateAlerts(&l)
	if d.Error == "" {
		for _, p := range d.Peers {
			d.peerAlerts(&l, p)
		}
		d.slowAlerts(&l, own)
	}
	order := []string{Critical, Warning, Info}
	slices.SortStableFunc(l, func(a, b Alert) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	return l
}

// regionAlerts are about this region's own Redis and proxies.
func (d Document) regionAlerts(l *alertList) {
	switch {
	case !d.Ready:
		l.add(Critical, "redis-down", "This region's Redis does not answer",
			"Clients of this proxy get errors. Other regions go on; nothing that was confirmed and saved is lost."+because(d.Why),
			"Look whether Redis runs and is a primary. The proxy goes on by itself when it is back.")
		return
	case d.Error != "":
		l.add(Critical, "unknown", "The state of replication is not known",
			"This proxy could not ask its Redis: "+d.Error, "Look at the proxy's log and at Redis.")
		return
	}
	if d.Sentinel != nil && d.Sentinel.Trouble != "" {
		l.add(Warning, "sentinel", "No majority of the Sentinels confirms the primary",
			"Clients are served, but a fail-over would not be seen, and should a replica go too, this proxy would stop."+because(d.Sentinel.Trouble),
			"Look whether the Sentinels run, and whether this proxy reaches them.")
	}
	if d.WritesRefused != "" {
		code, _, _ := strings.Cut(d.WritesRefused, " ")
		l.add(Critical, "writes-refused", "Redis refuses writes: "+code,
			"Redis says: "+d.WritesRefused+". Clients get the same error; what other regions write waits there.", refusedAdvice(code))
	}
	if d.WritesHeld != "" {
		l.add(Critical, "writes-held", "This region takes no writes",
			"It was away for so long that the others went on without it, or nobody has confirmed yet that it has missed nothing. Reads are served. "+sentence(d.WritesHeld),
			"Make sure that it reaches another region: it merges what it lacks and goes on by itself.")
	}
	if d.MissingEffects > 0 {
		l.add(Warning, "missing", fmt.Sprintf("%d effects of this region are missing", d.MissingEffects),
			"A fail-over of its Redis took them. Other regions may have them, and have not said so yet: "+strings.Join(d.MissingAwaits, ", ")+".",
			"Bring these regions back. What they have comes back by itself; the rest is counted as lost.")
	}
	if d.Leader == "" && len(d.Peers) > 0 {
		l.add(Critical, "no-leader", "No proxy leads this region",
			"Clients are served, but nothing is taken from other regions and nothing is cleaned up.",
			"It passes within seconds when a proxy was replaced. If not, look at the logs of this region's proxies.")
	}
}

// certificateAlerts are about this proxy's files.
func (d Document) certificateAlerts(l *alertList) {
	for _, of := range slices.Sorted(maps.Keys(d.Certificates)) {
		left := d.Certificates[of].Sub(d.Time)
		advice := "Write a new certificate and its key over the old ones: they are used at once, without a restart."
		switch {
		case left <= 0:
			l.add(Critical, "certificate "+of, "The certificate for "+of+" has expired", "It is refused wherever this proxy shows it: new connections fail.", advice)
		case left < certificateEnds:
			l.add(Warning, "certificate "+of, "The certificate for "+of+" expires in "+roughly(left), "From then on it is refused wherever this proxy shows it.", advice)
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " The reason: " + reason + "."
}

func refusedAdvice(code string) string {
	switch code {
	case "OOM":
		return "Give Redis more memory, or remove data. Deleting works; everything goes on by itself afterwards."
	case "MISCONF":
		return "Redis cannot save to its disk. Make room, or mend the disk."
	case "NOREPLICAS":
		return "Redis has fewer replicas than min-replicas-to-write wants. Bring them back."
	case "READONLY":
		return "Redis has become a replica. Point the proxy to the primary."
	}
	return "Look at Redis's own log."
}

// peerAlerts are about the link to another region.
func (d Document) peerAlerts(l *alertList, p Peer) {
	about := func(what string) string { return what + " " + p.Name }
	lasts := time.Duration(0)
	if p.Since != nil {
		lasts = d.Time.Sub(*p.Since)
	}
	switch p.State {
	case "probe":
		if d.Leader == "" || lasts < downAfter {
			break
		}
		l.add(Warning, about("peer-down"), "No link to region "+p.Name,
			"What "+p.Name+" writes has not arrived here for "+roughly(lasts)+". "+d.room(p.Name)+ended(p),
			"Look whether that region and the network between are up. It catches up by itself.")
	case "refused":
		l.add(Critical, about("peer-refused"), "Region "+p.Name+" and this one do not take each other",
			"Nothing of it arrives here."+ended(p), "Compare names, ids and peer addresses of the two regions, and their versions.")
	case "stalled":
		l.add(Critical, about("peer-stalled"), "Effects of region "+p.Name+" cannot be applied here",
			"They wait at their source, and nothing of them is lost."+ended(p), "The reason is this region's Redis: look at its memory and its disk.")
	case "paused":
		l.add(Info, about("peer-paused"), "Effects of region "+p.Name+" are paused",
			"Somebody said CRDT PAUSE. They wait in that region's log; should it become full, this region will have to merge.", "CRDT RESUME "+p.Name+" takes them again.")
	case "merge-needed", "merge":
		l.add(Info, about("peer-merge"), "The state of region "+p.Name+" is being merged",
			"This region missed more than the log holds, or is new. "+progress(p.Merge), "It goes on by itself, also after a broken link. Until then reads can miss what others have written.")
	}
	if p.Quarantined || p.State == "quarantined" {
		l.add(Warning, about("peer-quarantined"), "Region "+p.Name+" is in quarantine",
			"It was away for too long: metadata is collected without it. When it comes back it takes no writes until it has merged everything.",
			"Bring it back, or remove it: anabranch members remove "+p.Name+".")
	}
	if lag := time.Duration(p.LagMillis) * time.Millisecond; lag >= lagLimit && (p.State == "stream" || p.State == "waiting") {
		l.add(Warning, about("peer-lag"), "Region "+p.Name+" is "+roughly(lag)+" ahead",
			fmt.Sprintf("%d of its effects have not arrived here yet.%s", p.LagEffects, waits(p)),
			"Look at the network, and at the load of this region's Redis.")
	}
}

// room says for how long the log can wait.
func (d Document) room(name string) string {
	switch minutes := d.Log.BacklogMinutes; {
	case minutes < 0:
		return "Our own writes wait for it in the log."
	case minutes == 0:
		return "The log has no room left: it will have to merge."
	default:
		return "The log has room for " + roughly(time.Duration(minutes*float64(time.Minute))) + " of our writes; after that " + name + " will have to merge."
	}
}

func ended(p Peer) string { return because(p.LastError) }

func waits(p Peer) string {
	if p.WaitsFor == "" {
		return ""
	}
	return " The next one depends on what another region wrote (" + p.WaitsFor + ")."
}

func progress(m *Merge) string {
	if m == nil {
		return "It is about to begin."
	}
	return fmt.Sprintf("%d of about %d keys so far.", m.KeysDone, m.KeysExpected)
}

// slowAlerts are about what grows, or was set wrongly.
func (d Document) slowAlerts(l *alertList, own syncer.RegionStatus) {
	for i, text := range d.Alarms {
		about := ""
		if i < len(own.Abouts) {
			about = own.Abouts[i]
		}
		topic, _, _ := strings.Cut(about, " ")
		l.add(Warning, "alarm "+about, sentence(text), alarmMeaning(topic), alarmAdvice(topic))
	}
	for _, name := range slices.Sorted(maps.Keys(d.HeldBackBy)) {
		l.add(Warning, "held-back "+name, "Region "+name+" holds collection back",
			"It has not seen everything for "+roughly(d.Time.Sub(d.HeldBackBy[name]))+", so metadata of all regions is kept, and takes memory.",
			"Bring it back. One that will not come back is removed: anabranch members remove "+name+".")
	}
	away := slices.ContainsFunc(d.Peers, func(p Peer) bool { return !p.Healthy() || d.lacksOurs(p) })
	if minutes := d.Log.BacklogMinutes; away && minutes >= 0 && minutes < shortBacklog {
		l.add(Warning, "backlog", "The log is nearly full",
			"There is room for "+roughly(time.Duration(minutes*float64(time.Minute)))+" of writes at the present rate. A region that misses more merges the state of changed keys instead, which takes longer.",
			"Bring the missing region back in time, or give the log more room: --backlog-size.")
	}
	if m := d.Memory; m.LimitBytes > 0 && float64(m.UsedBytes) > fullMemory*float64(m.LimitBytes) {
		l.add(Warning, "memory", fmt.Sprintf("Redis uses %d %% of its memory", 100*m.UsedBytes/m.LimitBytes),
			"At the limit it refuses writes, those of other regions too.", "Raise maxmemory, or find out what grows: keys, metadata or the log.")
	}
}

// lacksOurs says whether a region has not taken our effects for a while: it may have paused them.
func (d Document) lacksOurs(p Peer) bool {
	return p.UnackedEffects > 0 && p.AckedUntil != nil && d.Time.Sub(*p.AckedUntil) > lacksAfter
}

func alarmMeaning(topic string) string {
	switch topic {
	case syncer.TopicClock:
		return "Clocks decide between concurrent writes, and when keys expire. Nothing is lost, and all regions stay equal."
	case syncer.TopicStamps:
		return "Until the clock has come so far, writes get times from the future. It does no harm by itself, but shows that a clock was wrong."
	case syncer.TopicPolicy:
		return "When memory runs out, Redis would evict what merging needs, and regions would differ."
	case syncer.TopicLink:
		return "The engine refuses what that region has sent, and will again. Nothing of it is lost there."
	}
	return "Replication goes on."
}

func alarmAdvice(topic string) string {
	switch topic {
	case syncer.TopicClock, syncer.TopicStamps:
		return "Keep the clocks of all Redis servers by NTP. They may be set at any time."
	case syncer.TopicPolicy:
		return "CONFIG SET maxmemory-policy noeviction, or one that begins with volatile-."
	}
	return "docs/operations.md (Where to look) says more."
}

// sentence begins a text as a sentence does.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// roughly is a time for people: "40 s", "12 min", "3 h".
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
