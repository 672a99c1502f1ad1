package crdtmeta

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTimeAndStreamIDAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := Time(rapid.Int64Range(0, maxTime).Draw(t, "t"))
		if back, err := ParseID(at.ID()); err != nil || back != at {
			t.Fatalf("%d is %s is %d (%v)", at, at.ID(), back, err)
		}
		if back, err := ParseTime(at.String()); err != nil || back != at {
			t.Fatalf("%d is %s is %d (%v)", at, at.String(), back, err)
		}
		if TimeAt(at.Millis()) > at {
			t.Fatalf("%d begins its millisecond at %d", at, TimeAt(at.Millis()))
		}
	})
	for _, bad := range []string{"", "1", "-1-0", "1-", "1-2048", "1--1", "x-1", "99999999999999999-0", "4398046511104-0"} {
		if at, err := ParseID(bad); err == nil {
			t.Errorf("%q was read as %d", bad, at)
		}
	}
	for _, bad := range []string{"", "-1", "1.5", "9007199254740992", "x"} {
		if at, err := ParseTime(bad); err == nil {
			t.Errorf("%q was read as %d", bad, at)
		}
	}
}

func TestParseOrigin(t *testing.T) {
	o, err := ParseOrigin("63.0.12-9f2c1a")
	if err != nil || o.Region != 63 || o.Shard != 0 || o.Counter() != 12 || o.String() != "63.0.12-9f2c1a" {
		t.Errorf("%+v %v", o, err)
	}
	for _, bad := range []string{
		"", "1", "1.0", "0.0.1-aaaaaa", "64.0.1-aaaaaa", "01.0.1-aaaaaa", "1.00.1-aaaaaa", "+1.0.1-aaaaaa", "1.0.1", "1.0.1-",
		"1.0.-aaaaaa", "1.0.01-aaaaaa", "1.0.1-AAAAAA", "1.0.1-aa.aa", "1.-1.1-aaaaaa", "1.70000.1-aaaaaa", "1.0.1-zz",
		"1.0.1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " 1.0.1-aaaaaa",
	} {
		if o, err := ParseOrigin(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, o)
		}
	}
	if (Origin{}).String() != "" || !(Origin{}).IsZero() {
		t.Error("the zero origin has a name")
	}
}

func FuzzParseOrigin(f *testing.F) {
	f.Add("1.0.3-9f2c1a")
	f.Add("63.65535.9223372036854775807-f")
	f.Fuzz(func(t *testing.T, text string) {
		if o, err := ParseOrigin(text); err == nil && o.String() != text {
			t.Fatalf("%q became %q", text, o.String())
		}
		if at, err := ParseID(text); err == nil {
			if back, err := ParseID(at.ID()); err != nil || back != at {
				t.Fatalf("%q is %d is %d", text, at, back)
			}
		}
	})
}

func TestStampsHaveOneOrder(t *testing.T) {
	low := Stamp{Origin{1, 0, "1-aaaaaa"}, 10, 1}
	for name, high := range map[string]Stamp{
		"time":   {Origin{1, 0, "1-aaaaaa"}, 11, 1},
		"op":     {Origin{1, 0, "1-aaaaaa"}, 10, 2},
		"region": {Origin{2, 0, "1-aaaaaa"}, 10, 1},
		"epoch":  {Origin{1, 0, "1-aaaaab"}, 10, 1},
	} {
		if high.Compare(low) <= 0 || low.Compare(high) >= 0 || low.Compare(low) != 0 {
			t.Errorf("order by %s", name)
		}
	}
	if (Stamp{Origin{1, 0, "1-a"}, 10, 9}).Compare(Stamp{Origin{9, 0, "9-f"}, 9, 99}) <= 0 {
		t.Error("time does not come first")
	}
}
