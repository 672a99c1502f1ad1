package sentinel

import (
	"slices"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	u, err := ParseURL("redis-sentinel://app:p%40ss@s1:26379,10.0.0.2,[fd00::3]:26380,[fd00::4]/main?sentinel-user=watch&sentinel-password=se%26cret")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"s1:26379", "10.0.0.2:26379", "[fd00::3]:26380", "[fd00::4]:26379"}; !slices.Equal(u.Sentinels, want) {
		t.Errorf("Sentinels %q", u.Sentinels)
	}
	if u.Name != "main" || u.TLS || u.SentinelTLS {
		t.Errorf("%+v", u)
	}
	if got := u.RedisURL(); got != "redis://app:p%40ss@main" {
		t.Errorf("RedisURL %q", got)
	}
	if password, _ := u.Sentinel.Password(); u.Sentinel.Username() != "watch" || password != "se&cret" {
		t.Errorf("Sentinel %v", u.Sentinel)
	}
	var cfg Config
	cfg.Use(u)
	if cfg.Username != "watch" || cfg.Password != "se&cret" || cfg.Name != "main" || len(cfg.Sentinels) != 4 {
		t.Errorf("Config %+v", cfg)
	}
}

func TestURLsAreShownWithoutPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"redis-sentinel://s1:1,s2:2/main":                                 "redis-sentinel://s1:1,s2:2/main",
		"redis-sentinel://:secret@s1/main":                                "redis-sentinel://:***@s1:26379/main",
		"redis-sentinel://u:secret@s1/main?sentinel-password=secret":      "redis-sentinel://u:***@s1:26379/main?sentinel-password=***",
		"rediss-sentinel://s1/m?sentinel-user=u&sentinel-password=secret": "rediss-sentinel://s1:26379/m?sentinel-user=u&sentinel-password=***",
		"rediss-sentinel://s1/m?sentinel-tls=no":                          "rediss-sentinel://s1:26379/m?sentinel-tls=no",
		"redis-sentinel://s1/m?sentinel-tls=yes":                          "redis-sentinel://s1:26379/m?sentinel-tls=yes",
		"redis-sentinel://s1/m?sentinel-tls=no":                           "redis-sentinel://s1:26379/m",
		"rediss-sentinel://u:secret@[::1]:5/a.b-c_d?sentinel-tls=yes":     "rediss-sentinel://u:***@[::1]:5/a.b-c_d",
	} {
		u, err := ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if u.String() != want {
			t.Errorf("%s is shown as %s, want %s", text, u, want)
		}
		again, err := ParseURL(u.String())
		if err != nil || again.String() != want {
			t.Errorf("%s: read again: %v, %v", want, again, err)
		}
	}
}

func TestURLsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"redis://s1/main":                                          "expected redis-sentinel://",
		"redis-sentinel:s1/main":                                   "expected redis-sentinel://",
		"redis-sentinel://s1":                                      "must name the primary",
		"redis-sentinel://s1/":                                     "must name the primary",
		"redis-sentinel://s1/main/0":                               "must name the primary",
		"redis-sentinel://s1/ma in":                                "must name the primary",
		"redis-sentinel:///main":                                   "HOST:PORT",
		"redis-sentinel://s1,,s2/main":                             "HOST:PORT",
		"redis-sentinel://s1:1:2/main":                             "HOST:PORT",
		"redis-sentinel://s1:0/main":                               "1 to 65535",
		"redis-sentinel://s1:70000/main":                           "1 to 65535",
		"redis-sentinel://s1:x/main":                               "1 to 65535",
		"redis-sentinel://s1/main#x":                               "fragment",
		"redis-sentinel://s1/main?db=1":                            "is not known",
		"redis-sentinel://s1/main?sentinel-tls=maybe":              "yes or no",
		"redis-sentinel://s1/main?sentinel-tls=no&sentinel-tls=no": "twice",
		"redis-sentinel://s1/main?sentinel-user=u":                 "sentinel-password",
		"redis-sentinel://u:hidden%zz@s1/main":                     "is no URL",
		"redis-sentinel://u:hidden/x@s1/main":                      "must name the primary",
		"redis-sentinel://u:x?hidden@s1/main":                      "must name the primary",
		"redis-sentinel://u:x,hidden:y@s1:x/main":                  "1 to 65535",
		"redis-sentinel://s1/main?sentinel-password=x&hidden=1":    "is not known",
		"redis-sentinel://u:[hidden@s1,[hidden/main":               "is no URL",
	} {
		_, err := ParseURL(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis-sentinel://app:pass@s1:26379,[fd00::3]:26380/main?sentinel-user=u&sentinel-password=p&sentinel-tls=yes")
	f.Add("rediss-sentinel://:@,:/?#")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			return
		}
		if len(u.Sentinels) == 0 || u.Name == "" {
			t.Errorf("%q: %+v", text, u)
		}
		if again, err := ParseURL(u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q is shown as %q, which cannot be read: %v", text, u, err)
		}
	})
}
