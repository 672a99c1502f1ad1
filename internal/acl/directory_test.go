package acl

import (
	"strings"
	"testing"
	"time"

	"anabranch/translate"
)

func TestDirectoryKeepsWhatHasNotChanged(t *testing.T) {
	v := NewVocabulary(nil)
	lines := []string{"user alice on #" + hashPassword([]byte("pw")) + " ~a &* -@all +get", "user default on nopass ~* &* +@all"}
	first, confused := ReadDirectory(v, lines, nil)
	if len(confused) > 0 {
		t.Fatal(confused)
	}
	if again, _ := ReadDirectory(v, lines, first); again != first {
		t.Error("the same lines make another directory")
	}
	second, _ := ReadDirectory(v, []string{lines[0], "user default off ~* &* +@all"}, first)
	if second.User("alice") != first.User("alice") {
		t.Error("a user that has not changed was read again")
	}
	if second.Default().OpenToAll() || !first.Default().OpenToAll() {
		t.Error("a user that has changed was not read again")
	}
	if fewer, _ := ReadDirectory(v, lines[1:], first); fewer.User("alice") != nil {
		t.Error("a removed user is still there")
	}
	if other, _ := ReadDirectory(NewVocabulary(nil), lines, first); other.User("alice") == first.User("alice") {
		t.Error("a user was kept though words may mean something else")
	}
}

// A user whose rules have a word that nobody knows may do nothing at all.
func TestConfusedUsersMayDoNothing(t *testing.T) {
	directory, confused := ReadDirectory(NewVocabulary(nil), []string{"user u on nopass ~* &* +@all db=0", "user default on nopass ~* &* +@all"}, nil)
	if len(confused) != 1 || !strings.Contains(confused[0].Error(), "user u: ") {
		t.Errorf("confused: %v", confused)
	}
	user := directory.User("u")
	get := [][]byte{[]byte("GET"), []byte("k")}
	if user.Accepts(nil) || user.Unlimited() || user.Check(translate.Lookup(get[0]), get).Reason != DeniedCommand {
		t.Error("it may do something")
	}
	if _, err := user.With([]string{"on", "+get"}); err != nil {
		t.Error(err)
	}
}

func TestPasswords(t *testing.T) {
	user, err := (&User{name: "u", selectors: []*selector{{}}, vocabulary: NewVocabulary(nil)}).With([]string{">one", ">two"})
	if err != nil {
		t.Fatal(err)
	}
	if user.Accepts([]byte("one")) {
		t.Error("a disabled user logs in")
	}
	user, _ = user.With([]string{"on"})
	for password, want := range map[string]bool{"one": true, "two": true, "three": false, "": false} {
		if user.Accepts([]byte(password)) != want {
			t.Errorf("%q: %v", password, !want)
		}
	}
	if user, _ = user.With([]string{"nopass"}); !user.Accepts([]byte("any")) {
		t.Error("nopass wants a password")
	}
	directory, _ := ReadDirectory(NewVocabulary(nil), []string{"user default on nopass ~* &* +@all"}, nil)
	own := directory.WithPassword("own")
	if own.Default().Accepts([]byte("any")) || !own.Default().Accepts([]byte("own")) || !own.OnServer(DefaultUser).OpenToAll() {
		t.Error("the proxy's own password does not take the place of the server's")
	}
	if directory.WithPassword("") != directory {
		t.Error("no password changes something")
	}
}

// CRDT is unknown to servers: it comes with all commands, and goes with the categories that its flags name.
func TestOwnCommandsComeWithAll(t *testing.T) {
	v := NewVocabulary(nil)
	for rules, want := range map[string]bool{
		"+@all": true, "+@all -@admin": false, "+@all -@dangerous": false, "-@all +@slow": true, "-@all +@read": false, "+@all -@read": true,
	} {
		user, err := (&User{name: "u", selectors: []*selector{{}}, vocabulary: v}).With(strings.Fields(rules))
		if err != nil {
			t.Fatal(err)
		}
		args := [][]byte{[]byte("CRDT"), []byte("PAUSE"), []byte("ALL")}
		cmd := translate.Classify(translate.Lookup(args[0]), args).Command
		if got := user.Check(cmd, args).Reason == Allowed; got != want {
			t.Errorf("%s: CRDT PAUSE allowed: %v", rules, got)
		}
	}
}

// CRDT DIGEST reads keys and belongs to administrators, so it needs the right to both.
func TestDigestsNeedTheRightToTheirKeys(t *testing.T) {
	v := NewVocabulary(nil)
	for rules, want := range map[string]bool{
		"+@all ~*": true, "+@all": false, "+@all ~a*": false, "+@all ~k* ~l": true, "+@all -@admin ~*": false, "+@all -@read ~*": false, "+@all %W~*": false,
	} {
		user, err := (&User{name: "u", selectors: []*selector{{}}, vocabulary: v}).With(strings.Fields(rules))
		if err != nil {
			t.Fatal(err)
		}
		args := [][]byte{[]byte("CRDT"), []byte("DIGEST"), []byte("KEYS"), []byte("k"), []byte("l")}
		cmd := translate.Classify(translate.Lookup(args[0]), args).Command
		if got := user.Check(cmd, args).Reason == Allowed; got != want {
			t.Errorf("%s: CRDT DIGEST allowed: %v", rules, got)
		}
	}
}

// CRDT REPAIR writes keys and belongs to administrators.
func TestRepairsNeedTheRightToTheirKeys(t *testing.T) {
	v := NewVocabulary(nil)
	for rules, want := range map[string]bool{
		"+@all ~*": true, "+@all ~k": false, "+@all ~k* ~l": true, "+@all -@admin ~*": false, "+@all -@write ~*": false, "+@all %R~*": false, "+@all %W~*": false,
	} {
		user, err := (&User{name: "u", selectors: []*selector{{}}, vocabulary: v}).With(strings.Fields(rules))
		if err != nil {
			t.Fatal(err)
		}
		args := [][]byte{[]byte("CRDT"), []byte("REPAIR"), []byte("k"), []byte("l")}
		cmd := translate.Classify(translate.Lookup(args[0]), args).Command
		if got := user.Check(cmd, args).Reason == Allowed; got != want {
			t.Errorf("%s: CRDT REPAIR allowed: %v", rules, got)
		}
	}
}

func TestLogCountsSimilarDenials(t *testing.T) {
	var log Log
	now := time.Unix(1000, 0)
	add := func(object string, after time.Duration) {
		now = now.Add(after)
		log.Add(Denial{Reason: DeniedCommand, Context: "toplevel", Object: object, Username: "u", At: now}, 12)
	}
	add("get", 0)
	add("set", time.Second)
	add("get", time.Second)
	if got := log.Newest(10); len(got) != 2 || got[0].Object != "get" || got[0].Count != 2 || got[1].Count != 1 {
		t.Errorf("%+v", got)
	}
	add("get", 61*time.Second)
	if got := log.Newest(1); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("an old entry was counted again: %+v", got)
	}
	for _, object := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		add(object, 0)
	}
	add("get", 0)
	if got := log.Newest(1); got[0].Count != 1 {
		t.Errorf("an entry too far down was counted again: %+v", got)
	}
	if got := log.Newest(100); len(got) != 12 {
		t.Errorf("%d entries, want 12", len(got))
	}
	log.Reset()
	if got := log.Newest(100); len(got) != 0 {
		t.Errorf("%d entries after Reset", len(got))
	}
}

// FuzzRules feeds what a client may send as rules. A user that comes out can be asked anything.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"+get|a\n%RW~a*", "(+@read ~[\n&x)", "(\n)", "+\n-\n%\n~\n&\n#\n>\n<\n!\n+@\n-@\n()", "%R", "+config|get|x", "reset\nclearselectors", "+|"} {
		f.Add(seed, "GET\na", "[^a-")
	}
	v := NewVocabulary(nil)
	f.Fuzz(func(t *testing.T, rules, command, name string) {
		if match(rules, name) && rules == "" && name != "" || !strings.ContainsAny(name, `*?[\`) && !match(name, name) {
			t.Errorf("%q, %q: wrong match", rules, name)
		}
		user, err := (&User{name: "u", selectors: []*selector{{}}, vocabulary: v}).With(strings.Split(rules, "\n"))
		if err != nil {
			return
		}
		var args [][]byte
		for word := range strings.SplitSeq(command, "\n") {
			args = append(args, []byte(word))
		}
		plan := translate.Classify(translate.Lookup(args[0]), args)
		if plan.Malformed {
			return
		}
		verdict := user.Check(plan.Command, args)
		if user.Unlimited() && verdict.Reason != Allowed || verdict.Position >= len(args) {
			t.Errorf("%q: %+v", args, verdict)
		}
		user.SortRefusal(plan.Command, args)
		if !user.LosesChannels(user) && user.enabled && !user.Covers(user) {
			t.Errorf("%q: does not cover itself", rules)
		}
	})
}
