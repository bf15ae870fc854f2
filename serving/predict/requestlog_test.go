package predict

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestRequestLogIsSampled(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	l := &requestLog{log: slog.New(slog.NewTextHandler(&text, nil)), every: 10}
	second := time.Unix(1_700_000_000, 0)
	write := func(at time.Time, status int, err error) {
		l.write(t.Context(), &exchange{begin: at, deployment: "churn", version: "m-1", rows: 3}, status, time.Millisecond, err)
	}
	for range 25 {
		write(second, 200, nil)
	}
	write(second, 400, errors.New("inputs: missing"))
	write(second, 413, errors.New("too large")) // not the first refusal of its second
	write(second, 500, errors.New("broken"))
	write(second.Add(time.Second), 200, nil)
	var lines []string
	for line := range strings.Lines(text.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ") // without the time
		lines = append(lines, line)
	}
	about := ` msg="prediction request" deployment=churn model=m-1 status=`
	want := []string{
		"level=INFO" + about + "200 rows=3 took=1ms count=1",
		"level=INFO" + about + "200 rows=3 took=1ms count=10",
		"level=INFO" + about + "200 rows=3 took=1ms count=20",
		"level=INFO" + about + `400 rows=3 took=1ms count=1 err="inputs: missing"`,
		"level=WARN" + about + "500 rows=3 took=1ms count=1 err=broken",
		"level=INFO" + about + "200 rows=3 took=1ms count=26",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	text.Reset()
	none := &requestLog{log: l.log}
	none.write(t.Context(), &exchange{begin: second}, 500, 0, errors.New("broken"))
	if text.Len() > 0 {
		t.Errorf("got %s, want no log", &text)
	}
}
