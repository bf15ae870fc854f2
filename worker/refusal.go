package worker

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/schemas"
)

// headKept is how much is kept of a message that could not be read.
const headKept = 1024

func newRaw(body []byte) *Raw {
	sum := sha256.Sum256(body)
	return &Raw{Digest: deployment.DigestOf(sum[:]), Size: len(body), Head: body[:min(len(body), headKept)]}
}

// An event must fit into a message, whatever a command says: texts that quote a
// command are cut, and of many findings the first ones are kept.
const (
	maxText     = 1000 // bytes
	maxFindings = 50
)

// Refusal is a rejection as events say it.
func Refusal(r *deployment.Rejection) *Failure {
	f := &Failure{Code: r.Code, Class: r.Class, Message: clip(r.Message)}
	for i, finding := range r.Findings {
		if i == maxFindings {
			f.Message = fmt.Sprintf("%s (the first %d of %d findings)", f.Message, maxFindings, len(r.Findings))
			break
		}
		finding.Path, finding.Message = clip(finding.Path), clip(finding.Message)
		f.Findings = append(f.Findings, finding)
		if finding.Path == "" {
			continue
		}
		if f.Errors == nil {
			f.Errors = make(map[string]string)
		}
		if _, said := f.Errors[finding.Path]; !said {
			f.Errors[finding.Path] = unnamed(finding)
		}
	}
	return f
}

// unnamed is what a finding says, without the name of the field if it starts
// with that: errors have it as their key. So they read as DataRobot's do:
// {"label": "is required"} (datarobot.md section 6).
func unnamed(f deployment.Finding) string {
	text := strings.TrimPrefix(f.Message, f.Path+": ")
	if rest, named := strings.CutPrefix(text, f.Path+" "); named && strings.HasPrefix(rest, "is ") {
		return rest
	}
	return text
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}

// clipChecks is checks with messages that fit: checks itself when all do.
func clipChecks(checks deployment.Checks) deployment.Checks {
	clipped, copied := checks, false
	for name, check := range checks {
		if len(check.Message) <= maxText {
			continue
		}
		if !copied {
			clipped, copied = maps.Clone(checks), true
		}
		check.Message = clip(check.Message)
		clipped[name] = check
	}
	return clipped
}

// rejectInvalid is the rejection of a message that is no command.
func rejectInvalid(err error) error {
	var invalid *events.InvalidError
	if !errors.As(err, &invalid) {
		return deployment.Reject(deployment.CodeNotCloudEvent, "", "%v", err)
	}
	findings := make([]deployment.Finding, len(invalid.Problems))
	for i, p := range invalid.Problems {
		findings[i] = deployment.Finding{Code: deployment.CodeInvalidEvent, Path: p.Attribute, Message: p.Message}
		switch p.Attribute {
		case "":
			findings[i].Code = deployment.CodeNotCloudEvent
		case "type":
			findings[i].Code = deployment.CodeTypeMismatch
		}
	}
	return deployment.RejectAll("the message is not a command: "+invalid.Error(), findings)
}

// rejectAddress refuses a command whose event and NATS subject disagree about
// what it is about, or whose name is none (DESIGN section 2).
func rejectAddress(who Address, op string, cmd events.Command) error {
	var findings []deployment.Finding
	add := func(code deployment.Code, path, format string, args ...any) {
		findings = append(findings, deployment.Finding{Code: code, Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if who.Kind == kindInvalid {
		add(deployment.CodeUnknownOperation, "", "NATS subject %s: expected slipway.commands.<deployment|model>.<name>.<operation>", who.Filter)
		return deployment.RejectAll("the command is addressed to nothing", findings)
	}
	if _, err := deployment.ParseName(who.Name); err != nil {
		add(deployment.CodeInvalidName, "subject", "%v", err)
	}
	if cmd.Subject != who.Name {
		add(deployment.CodeSubjectMismatch, "subject", "attribute subject: expected %q as in the NATS subject, got %q", who.Name, cmd.Subject)
	}
	if want := (events.Type{Kind: string(who.Kind), Op: op, Outcome: events.Requested}); cmd.Type != want {
		add(deployment.CodeTypeMismatch, "type", "attribute type: expected %q as in the NATS subject, got %q", want, cmd.Type)
	}
	if r := deployment.RejectAll("the event and its NATS subject do not fit", findings); r != nil {
		return r
	}
	return nil
}

// rejectData is the rejection of data that does not fit its schema.
func rejectData(found []schemas.Finding) error {
	findings := make([]deployment.Finding, len(found))
	for i, f := range found {
		findings[i] = deployment.Finding{Code: schemaCode(f), Path: f.Path, Message: f.Message}
	}
	if r := deployment.RejectAll(deployment.InvalidData, findings); r != nil {
		return r
	}
	return nil
}

func schemaCode(f schemas.Finding) deployment.Code {
	switch f.Keyword {
	case "required":
		return deployment.CodeMissingField
	case "additionalProperties", "unevaluatedProperties":
		return deployment.CodeUnknownField
	case "enum", "const":
		return deployment.CodeUnknownEnum
	case "anyOf": // of members none of which is required
		if f.Path != "" {
			return deployment.CodeMissingField
		}
		return deployment.CodeEmptyUpdate
	default:
		return deployment.CodeInvalidField
	}
}
