package acl

import "testing"

func TestRulesForScripts(t *testing.T) {
	blank := &User{name: "u", selectors: []*selector{{}}, vocabulary: NewVocabulary(nil)}
	type rules []string
	for _, test := range []struct {
		rules rules
		want  string
	}{
		{nil, "-@all"},
		{rules{"+get"}, "-@all +get"},
		{rules{"+GET", "+config|get", "+select|0", "+select|A"}, "-@all +config|get +get +select|0 +select|a"},
		{rules{"+pubsub", "-pubsub|help", "-pubsub|numpat"}, "-@all +pubsub +pubsub|channels +pubsub|numsub +pubsub|shardchannels +pubsub|shardnumsub"},
		{rules{"+@all"}, "+@all"},
		{rules{"+@all", "-memory", "+memory|usage", "-select", "+select|0"},
			"+@all -memory -memory|doctor -memory|help -memory|malloc-stats -memory|purge -memory|stats -select +select|0"},
		{rules{"+@all", "-get", "-@all"}, "-@all"},
		{rules{"+get", "~a*", "%R~B", "%W~c", "%WR~d", "~"}, "-@all +get %RW~a* %R~B %W~c %RW~d %RW~"},
		{rules{"~*", "&*"}, "-@all ~* &*"},
		{rules{"%R~*", "&a*", "&"}, "-@all %R~* &a* &"},
		{rules{"+get", "~a", "(+@all -set ~b &c)", "(+set)"}, "-@all +get %RW~a\n+@all -set %RW~b &c\n-@all +set"},
	} {
		user, err := blank.With(test.rules)
		if err != nil {
			t.Fatal(err)
		}
		if got := user.Rules(); got != test.want {
			t.Errorf("%q: got %q, want %q", test.rules, got, test.want)
		}
	}
}

// A user whose rules are not understood has rules, too: none.
func TestRulesOfConfusedUsers(t *testing.T) {
	d, confused := ReadDirectory(NewVocabulary(nil), []string{"user default on nopass ~* +@all what"}, nil)
	if len(confused) != 1 || d.Default().Rules() != "-@all" {
		t.Errorf("%v, %q", confused, d.Default().Rules())
	}
}
