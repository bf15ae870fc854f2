package jetstream_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// Whoever asks whether there is a command gets no answer that is older than the
// question, however many ask at a time.
func TestNoneMeansNone(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	commands, err := jetstream.OpenCommands(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	var together errgroup.Group
	for i := range 32 {
		subject := jetstream.CommandSubject("deployment", fmt.Sprint("d", i), "cancel")
		together.Go(func() error {
			if !commands.None(t.Context(), subject+"led", 1) {
				// because of another's: it has to look, and finds none
				if msg, err := commands.Next(t.Context(), subject+"led", 1); err != nil || msg.Sequence > 0 {
					return fmt.Errorf("%sled: got %d %w, want none", subject, msg.Sequence, err)
				}
			}
			for n := range 20 {
				sequence, err := commands.Publish(t.Context(), subject, fmt.Sprint(i, "-", n), nil, []byte("{}"))
				if err != nil {
					return err
				}
				if commands.None(t.Context(), subject, sequence) {
					return fmt.Errorf("%s: none from %d on, want that one", subject, sequence)
				}
			}
			return nil
		})
	}
	if err := together.Wait(); err != nil {
		t.Fatal(err)
	}
	last, err := commands.Last(t.Context(), jetstream.AllCommands)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		subject string
		from    uint64
		want    bool
	}{
		{last.Subject, last.Sequence, false},
		{last.Subject, last.Sequence + 1, true},
		{last.Subject + "led", 1, true},
		{"slipway.commands.deployment.*.cancel", last.Sequence + 1, false}, // a name, to us: not certain
	} {
		if got := commands.None(t.Context(), c.subject, c.from); got != c.want {
			t.Errorf("%s from %d: got %t, want %t", c.subject, c.from, got, c.want)
		}
	}
}
