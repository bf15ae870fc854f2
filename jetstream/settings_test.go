package jetstream

import "testing"

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version string
		older   bool
	}{
		{"2.15.1", false},
		{"2.15.2", false},
		{"2.15.10", false}, // not compared as text
		{"2.16.0", false},
		{"2.100.0", false},
		{"3.0.0", false},
		{"2.15.0", true},
		{"2.14.9", true},
		{"2.9.25", true},
		{"1.99.99", true},
		{"2.15.1-RC.1", false}, // as good as
		{"2.15.0-RC.9", true},
		{"2.16.0-dev", false},
		{"", false}, // who cannot be compared is let be
		{"devel", false},
		{"2.15", false},
	} {
		if got := older(test.version, "2.15.1"); got != test.older {
			t.Errorf("%q: got %t, want %t", test.version, got, test.older)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                                      "",
		"nats://host:4222":                      "nats://host:4222",
		"host:4222":                             "host:4222",
		"nats://user:pass@host":                 "nats://xxxxx@host",
		"tls://token@host:4222":                 "tls://xxxxx@host:4222",
		"user:pass@host":                        "xxxxx@host", // nats:// is understood
		"nats://user:p@ss@host":                 "nats://xxxxx@host",
		"nats://a:b@one,nats://c:d@two,three:1": "nats://xxxxx@one,nats://xxxxx@two,three:1",
	} {
		if got := redact(given); got != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
}
