package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// meter shows how far something is that takes a while: as a bar on a terminal,
// else as a line now and then.
type meter struct {
	w        io.Writer
	what     string
	terminal bool
	now      func() time.Time

	began, shown time.Time
}

// How often a meter shows something.
const (
	meterRedraw = 100 * time.Millisecond // of the bar
	meterLine   = 10 * time.Second       // between lines
	meterWidth  = 30                     // characters of the bar
)

func (p *program) meter(what string) *meter {
	file, ok := p.stderr.(*os.File)
	return &meter{w: p.stderr, what: what, now: time.Now, terminal: ok && term.IsTerminal(int(file.Fd()))} //nolint:gosec // a file descriptor fits
}

// progress is told of bytes that are done, of so many.
func (m *meter) progress(done, total int64) {
	now := m.now()
	switch {
	case m.began.IsZero():
		m.began, m.shown = now, now
		if m.terminal {
			m.draw(done, total, 0)
		} else {
			fmt.Fprintf(m.w, "uploading %s, %d bytes\n", m.what, total)
		}
	case m.terminal && (now.Sub(m.shown) >= meterRedraw || done == total):
		m.shown = now
		m.draw(done, total, now.Sub(m.began))
	case !m.terminal && now.Sub(m.shown) >= meterLine:
		m.shown = now
		fmt.Fprintf(m.w, "  %s\n", reached(done, total, now.Sub(m.began)))
	}
}

// draw draws the bar over the one before.
func (m *meter) draw(done, total int64, took time.Duration) {
	full := int(done * meterWidth / max(total, 1))
	fmt.Fprintf(m.w, "\r\x1b[Kuploading %s [%s%s] %s", m.what, strings.Repeat("=", full), strings.Repeat(" ", meterWidth-full), reached(done, total, took))
}

// end leaves the line of the bar.
func (m *meter) end() {
	if m.terminal && !m.began.IsZero() {
		fmt.Fprintln(m.w)
	}
}

// reached says how far it is, and how fast.
func reached(done, total int64, took time.Duration) string {
	text := fmt.Sprintf("%d%% of %s", done*100/max(total, 1), bytesText(total))
	if took < time.Second {
		return text
	}
	return fmt.Sprintf("%s, %s/s", text, bytesText(int64(float64(done)/took.Seconds())))
}

// bytesText is a number of bytes as people say it.
func bytesText(n int64) string {
	const step = 1000
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/step, 0
	for value >= step && unit < 3 {
		value, unit = value/step, unit+1
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGT"[unit])
}
