package embedded

import (
	"fmt"
	"log/slog"
)

// logger hands what the server logs to slog. The server's notices are details
// to us; a fatal error ends Start.
type logger struct {
	log   *slog.Logger
	fatal chan string
}

func (l *logger) write(level slog.Level, format string, args []any) {
	l.log.Log(nil, level, "nats-server", "text", fmt.Sprintf(format, args...)) //nolint:staticcheck // there is no context here
}

func (l *logger) Noticef(format string, args ...any) { l.write(slog.LevelDebug, format, args) }
func (l *logger) Warnf(format string, args ...any)   { l.write(slog.LevelWarn, format, args) }
func (l *logger) Errorf(format string, args ...any)  { l.write(slog.LevelError, format, args) }
func (l *logger) Debugf(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }
func (l *logger) Tracef(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }

func (l *logger) Fatalf(format string, args ...any) {
	l.write(slog.LevelError, format, args)
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}
