package predict

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// requestLog writes some of the requests to the log: of those that were answered,
// refused and failed each, the first in every second and one of so many.
type requestLog struct {
	log   *slog.Logger
	every uint64 // 0: none
	kinds [3]struct {
		second atomic.Int64 // of the newest line
		count  atomic.Uint64
	}
}

// write writes a line about the request, or not.
func (l *requestLog) write(ctx context.Context, e *exchange, status int, took time.Duration, err error) {
	if l.every == 0 {
		return
	}
	kind, level := 0, slog.LevelInfo
	if status >= http.StatusBadRequest {
		kind = 1
	}
	if status >= http.StatusInternalServerError {
		kind, level = 2, slog.LevelWarn
	}
	count, second := l.kinds[kind].count.Add(1), e.begin.Unix()
	newest := l.kinds[kind].second.Load()
	first := newest != second && l.kinds[kind].second.CompareAndSwap(newest, second)
	if !first && count%l.every != 0 || !l.log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("deployment", e.deployment), slog.String("model", e.version), slog.Int("status", status),
		slog.Int("rows", e.rows), slog.Duration("took", took), slog.Uint64("count", count),
	}
	if err != nil {
		attributes = append(attributes, slog.Any("err", err))
	}
	l.log.LogAttrs(ctx, level, "prediction request", attributes...)
}
