package deployment

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what the configuration says about changes. All workers of one
// installation are to have the same. Its zero value lets everybody change
// everything, is not strict, and is that of an installation on premises.
type Policy struct {
	Strict       bool         `json:"strict,omitempty"` // a warning of a check stops what it is about
	Installation Installation `json:"installation,omitempty"`
	Permissions  Permissions  `json:"permissions,omitempty"`

	DriftTracking DriftTracking `json:"driftTracking,omitzero"` // of new deployments (datarobot.md R18)
}

// Installation is the mode in which prediction servers are chosen (datarobot.md R2).
type Installation string

// The installation modes.
const (
	OnPremises Installation = "onprem" // the servers there are serve everything; a command names none
	Cloud      Installation = "cloud"  // a command that deploys names a registered server
)

// Permissions say who may change which deployments. Without any, everybody may
// change every one; with some, only what one of them allows is allowed.
type Permissions []Permission

// Permission lets an actor change a deployment. Both are patterns: the text
// itself or, with * as its last character, what the text before that begins.
type Permission struct {
	Deployment string `json:"deployment"`
	Actor      string `json:"actor"`
}

// ParsePermissions reads permissions of the form DEPLOYMENT=ACTOR, separated by
// commas, e.g. "churn=/pipelines/churn,fraud-*=/teams/fraud/*".
func ParsePermissions(text string) (p Permissions, err error) {
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, actor, ok := strings.Cut(entry, "=")
		if !ok || name == "" || actor == "" || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
			return nil, fmt.Errorf("permission %q: expected DEPLOYMENT=ACTOR, each a text that may end in *, such as churn=/pipelines/churn", entry)
		}
		if _, invalid := ParseName(name); invalid != nil && !strings.HasSuffix(name, "*") {
			return nil, fmt.Errorf("permission %q: %w", entry, invalid)
		}
		p = append(p, Permission{Deployment: name, Actor: actor})
	}
	return p, nil
}

// Allow reports whether the sender of the command, or the actor for whom it
// says that it was sent, may change the deployment that the command is about.
func (p Permissions) Allow(cmd Command) bool {
	return len(p) == 0 || slices.ContainsFunc(p.of(cmd.Name), func(actor string) bool {
		return matches(actor, cmd.By) || cmd.Actor != "" && matches(actor, cmd.Actor)
	})
}

// of are the patterns of those who may change the deployment.
func (p Permissions) of(name Name) (actors []string) {
	for _, permission := range p {
		if matches(permission.Deployment, string(name)) {
			actors = append(actors, permission.Actor)
		}
	}
	return actors
}

// Permit is the rejection of a command of somebody who may not change the
// deployment that it is about, or nil.
func (p Policy) Permit(cmd Command) *Rejection {
	if check := checkPermission(p, cmd); check.Status == Failing {
		return Reject(CodeNotPermitted, "", "%s", check.Message)
	}
	return nil
}

func checkPermission(p Policy, cmd Command) Check {
	if p.Permissions.Allow(cmd) {
		return Check{Passing, "User has permission to replace model."}
	}
	allowed := "nobody"
	if actors := p.Permissions.of(cmd.Name); len(actors) > 0 {
		allowed = strings.Join(actors, " or ")
	}
	return Check{Failing, fmt.Sprintf("expected a command from %s, who may change deployment %q, got one from %q", allowed, cmd.Name, cmd.Who())}
}

// matches reports whether text is what the pattern says.
func matches(pattern, text string) bool {
	if prefix, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(text, prefix)
	}
	return pattern == text
}

// Choose is the prediction server that a command which deploys is to use: the
// one it names, in an installation where commands name one, and none elsewhere.
// live are the ids of the registered servers (datarobot.md R2).
func (i Installation) Choose(id string, live []string) (string, *Rejection) {
	const path = "defaultPredictionServerId"
	switch {
	case i != Cloud && id != "":
		return "", RejectField(CodeInvalidField, path, "Specifying default prediction server ID is not supported in current DataRobot installation.")
	case i != Cloud:
		return "", nil
	case id == "":
		return "", RejectField(CodeMissingField, path, "Specifying default prediction server ID is required in DataRobot Cloud.")
	case !slices.Contains(live, id):
		there := "there is none"
		if len(live) > 0 {
			there = "registered are " + strings.Join(slices.Sorted(slices.Values(live)), ", ")
		}
		return "", RejectField(CodeUnknownServer, path, "prediction server %q is not registered: %s", id, there)
	default:
		return id, nil
	}
}
