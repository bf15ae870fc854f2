package events_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/events"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	want := map[events.Outcome]bool{
		events.Started: false, events.Validated: false, events.Progress: false, events.Retrying: false,
		events.Completed: true, events.Rejected: true, events.Failed: true, events.Cancelled: true, events.Expired: true, events.Duplicate: true,
	}
	for _, outcome := range events.Outcomes() {
		terminal, known := want[outcome]
		if !known {
			t.Errorf("outcome %s: say in this test whether it is terminal", outcome)
		}
		if got := outcome.Terminal(); got != terminal {
			t.Errorf("outcome %s: Terminal got %t, want %t", outcome, got, terminal)
		}
	}
	if len(want) != len(events.Outcomes()) {
		t.Errorf("got %d outcomes, want %d", len(events.Outcomes()), len(want))
	}
	for _, outcome := range []events.Outcome{events.Requested, "", "of the future"} {
		if outcome.Terminal() || slices.Contains(events.Outcomes(), outcome) {
			t.Errorf("%q is an outcome, or even terminal", outcome)
		}
	}
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := events.Type{Kind: "deployment", Op: "replace", Outcome: events.Requested}
	if got, want := typ.String(), "dev.slipway.deployment.replace.requested.v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := typ.With(events.Rejected).String(), "dev.slipway.deployment.replace.rejected.v1"; got != want {
		t.Errorf("With(Rejected): got %s, want %s", got, want)
	}
	if typ.Outcome != events.Requested {
		t.Error("With changed the type that it was called on")
	}
}

func TestTypeReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[a-z]+`)
		want := events.Type{
			Kind: token.Draw(t, "kind"), Op: token.Draw(t, "op"),
			Outcome: rapid.SampledFrom(append(events.Outcomes(), events.Requested)).Draw(t, "outcome"),
		}
		got, err := events.ParseType(want.String())
		if err != nil || got != want {
			t.Fatalf("%s: got %+v, %v, want %+v", want, got, err, want)
		}
	})
}

func TestParseTypeRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ".", "...", "dev.slipway.", "dev.slipway.v1", "dev.slipway..v1", "dev.slipway...v1", "dev.slipway....v1",
		"deployment.deploy.requested", "dev.slipway.deployment.deploy.requested", "dev.slipway.deployment.deploy.requested.v2",
		"dev.slipway.deployment.deploy.requested.v1 ", " dev.slipway.deployment.deploy.requested.v1",
		"dev.slipway.deployment.deploy.v1", "dev.slipway.deployment.deploy.requested.now.v1", "dev.slipway.deployment..requested.v1",
		"dev.slipway..deploy.requested.v1", "dev.slipway.deployment.deploy..v1", "Dev.Slipway.deployment.deploy.requested.v1",
		"com.example.deployment.deploy.requested.v1", "dev.slipway.deployment.deploy.requested.v1.v1",
	} {
		got, err := events.ParseType(text)
		if err == nil {
			t.Errorf("ParseType(%q): got %+v, want an error", text, got)
		}
		if got != (events.Type{}) {
			t.Errorf("ParseType(%q): got %+v besides the error", text, got)
		}
	}
}
