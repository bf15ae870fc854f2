package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

// hiddenValues are settings of object stores, or secrets, by variable. Whatever prints them prints nothing of them.
type hiddenValues map[string]string

// String hides the settings.
func (hiddenValues) String() string { return "(hidden)" }

// GoString hides the settings.
func (hiddenValues) GoString() string { return "(hidden)" }

// LogValue hides the settings.
func (hiddenValues) LogValue() slog.Value { return slog.StringValue("(hidden)") }

// MarshalText hides the settings, in JSON too.
func (hiddenValues) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil } //nolint:unparam // of encoding.TextMarshaler

// deadlines are how long commands may take, by operation: "deploy:30m,replace:1h".
type deadlines map[string]time.Duration

// EnvDecode implements envconfig.DecoderCtx.
func (d *deadlines) EnvDecode(_ context.Context, text string) error {
	*d = make(deadlines)
	for entry := range strings.SplitSeq(text, ",") {
		if entry == "" {
			continue
		}
		op, limit, _ := strings.Cut(entry, ":")
		duration, err := time.ParseDuration(limit)
		known := slices.ContainsFunc(handlers.All(), func(o handlers.Operation) bool { return o.Op == op })
		if err != nil || duration <= 0 || !known {
			return fmt.Errorf("SLIPWAY_DEADLINES: expected operations with durations above 0, such as deploy:30m,replace:1h, got %q", entry)
		}
		(*d)[op] = duration
	}
	return nil
}

// deadline is how long a command for op may take, from its first claim on, but for its wait for a slot.
func (c Config) deadline(op string) time.Duration {
	if limit, ok := c.Deadlines[op]; ok {
		return limit
	}
	return c.Deadline
}

// permissions are who may change which deployments: "churn=/pipelines/churn,*=/people/ada".
type permissions deployment.Permissions

// EnvDecode implements envconfig.DecoderCtx.
func (p *permissions) EnvDecode(_ context.Context, text string) error {
	parsed, err := deployment.ParsePermissions(text)
	if err != nil {
		return fmt.Errorf("SLIPWAY_PERMISSIONS: %w", err)
	}
	*p = permissions(parsed)
	return nil
}

// drift is what is computed for new deployments.
type drift deployment.DriftTracking

// EnvDecode implements envconfig.DecoderCtx.
func (d *drift) EnvDecode(_ context.Context, text string) error {
	switch text {
	case "none", "target", "feature", "both":
	default:
		return fmt.Errorf("SLIPWAY_DRIFT_TRACKING: expected none, target, feature or both, got %q", text)
	}
	d.TargetDrift.Enabled = text == "target" || text == "both"
	d.FeatureDrift.Enabled = text == "feature" || text == "both"
	return nil
}

// policy is what workers hold commands to.
func (c Config) policy() deployment.Policy {
	return deployment.Policy{
		Strict: c.StrictValidation, Installation: c.Installation, Permissions: deployment.Permissions(c.Permissions),
		DriftTracking: deployment.DriftTracking(c.DriftTracking),
	}
}
