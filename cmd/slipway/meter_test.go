package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	const total = 2_500_000_000
	show := func(terminal bool) string {
		var out strings.Builder
		at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
		m := &meter{w: &out, what: "model.onnx", terminal: terminal, now: func() time.Time { return at }}
		for _, step := range []struct {
			after time.Duration
			done  int64
		}{{0, 1000}, {time.Millisecond, 2000}, {5 * time.Second, total / 2}, {6 * time.Second, total * 3 / 4}, {time.Millisecond, total}} {
			at = at.Add(step.after)
			m.progress(step.done, total)
		}
		m.end()
		return out.String()
	}
	bar := func(n int, text string) string {
		return "\r\x1b[Kuploading model.onnx [" + strings.Repeat("=", n) + strings.Repeat(" ", 30-n) + "] " + text
	}
	want := bar(0, "0% of 2.5 GB") + bar(15, "50% of 2.5 GB, 250.0 MB/s") + bar(22, "75% of 2.5 GB, 170.4 MB/s") + bar(30, "100% of 2.5 GB, 227.2 MB/s") + "\n"
	if diff := cmp.Diff(want, show(true)); diff != "" {
		t.Errorf("on a terminal (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("uploading model.onnx, 2500000000 bytes\n  75% of 2.5 GB, 170.4 MB/s\n", show(false)); diff != "" {
		t.Errorf("elsewhere (-want +got):\n%s", diff)
	}
	nothing := &meter{w: &strings.Builder{}, terminal: true}
	nothing.end()
	if said := nothing.w.(*strings.Builder).String(); said != "" {
		t.Errorf("nothing to send: got %q", said)
	}
}

func TestBytesText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 12366: "12.4 kB", 5_000_000: "5.0 MB", 7_000_000_000_000_000: "7000.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
