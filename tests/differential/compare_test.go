package differential

import (
	"fmt"
	"sort"
	"strings"

	"anabranch/internal/redistest"
)

// compare returns what is wrong with the reply that came through Anabranch, or nothing.
func compare(l line, reference, subject redistest.Reply) string {
	if l.exec && len(reference.Items) == 1 && len(subject.Items) == 1 {
		reference, subject = reference.Items[0], subject.Items[0]
	}
	var same bool
	switch l.mode {
	case exact:
		same = reference.Raw == subject.Raw
	case unordered:
		same = canonical(reference) == canonical(subject)
	case shape:
		same = outline(reference) == outline(subject)
	case near:
		same = closeTo(reference, subject, l.slack)
	case differs:
		if reference.Raw == subject.Raw {
			return fmt.Sprintf("both answer %s: the difference is gone, take the directive out", reference)
		}
		return ""
	}
	if same {
		return ""
	}
	want, got := reference.String(), subject.String()
	if want == got {
		want, got = fmt.Sprintf("%q", reference.Raw), fmt.Sprintf("%q", subject.Raw)
	}
	return fmt.Sprintf("redis %s, anabranch %s", aroundDifference(want, got), aroundDifference(got, want))
}

// aroundDifference shows the part of a long text where it begins to differ from the other.
func aroundDifference(text, other string) string {
	const most = 240
	if len(text) <= most {
		return text
	}
	at := 0
	for at < len(text) && at < len(other) && text[at] == other[at] {
		at++
	}
	from := max(0, at-most/3)
	return fmt.Sprintf("(%d bytes) …%s…", len(text), text[from:min(len(text), from+most)])
}

// canonical is the reply with the elements of every array in one order; those of a map stay in pairs.
func canonical(r redistest.Reply) string {
	if len(r.Items) == 0 {
		return r.Raw
	}
	width := 1
	if r.Kind == '%' {
		width = 2
	}
	var parts []string
	for i := 0; i+width <= len(r.Items); i += width {
		part := canonical(r.Items[i])
		if width == 2 {
			part += canonical(r.Items[i+1])
		}
		parts = append(parts, part)
	}
	sort.Strings(parts)
	return fmt.Sprintf("%c%d[%s]", r.Kind, len(r.Items), strings.Join(parts, " "))
}

// outline is the kinds and lengths of a reply without its content.
func outline(r redistest.Reply) string {
	if r.Null {
		return string(r.Kind) + "nil"
	}
	if r.IsError() {
		return r.Raw
	}
	parts := make([]string, 0, len(r.Items))
	for _, item := range r.Items {
		parts = append(parts, outline(item))
	}
	return fmt.Sprintf("%c%d[%s]", r.Kind, len(r.Items), strings.Join(parts, " "))
}

// closeTo accepts two replies whose integers differ by no more than slack, and that are equal in everything else.
func closeTo(a, b redistest.Reply, slack int64) bool {
	if a.Kind != b.Kind || len(a.Items) != len(b.Items) {
		return false
	}
	for i := range a.Items {
		if !closeTo(a.Items[i], b.Items[i], slack) {
			return false
		}
	}
	if a.Kind != ':' || a.Int() < 0 || b.Int() < 0 {
		return len(a.Items) > 0 || a.Raw == b.Raw
	}
	return a.Int()-b.Int() <= slack && b.Int()-a.Int() <= slack
}
