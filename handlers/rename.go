package handlers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Rename is the data of a command that gives a version of a deployment a name
// (deeploy.md D22).
type Rename struct {
	Version uint64  `json:"version"`
	Name    *string `json:"name"` // nil: none any more
}

func (Rename) names() deployment.Name    { return "" }
func (Rename) locate(path string) string { return path }
func (Rename) looksBack() bool           { return true }

func (Rename) recalls(*deployment.State, []deployment.Served) deployment.Name { return "" }

func rename() Operation {
	name := "before the sale"
	return define(deployment.KindDeployment, "rename",
		"Gives a version of a deployment a name, or takes it away; what serves stays.",
		Rename{Version: 1, Name: &name}, decideRename)
}

// decideRename leaves the state as it is: names are in the ledger, beside the
// versions that they belong to.
func decideRename(before deployment.Subject, facts deployment.Facts, cmd deployment.Command, data Rename) (deployment.Decision, error) {
	if _, err := existing(before, cmd); err != nil {
		return deployment.Decision{}, err
	}
	version, err := versionOf(cmd.Name, facts.History, data.Version)
	if err != nil {
		return deployment.Decision{}, err
	}
	renamed := deployment.Renamed{Version: data.Version, Name: notEmpty(data.Name)}
	return deployment.Decision{After: before, Changed: renamed.Text() != version.Name, Renamed: &renamed}, nil
}

// versionOf is the version with that number, or the refusal that says which ones
// there are.
func versionOf(name deployment.Name, history []deployment.Served, number uint64) (deployment.Served, error) {
	i := slices.IndexFunc(history, func(s deployment.Served) bool { return s.Version == number })
	if i < 0 {
		return deployment.Served{}, deployment.Reject(deployment.CodeVersionNotFound, "version",
			"deployment %q has no version %d: expected %s", name, number, versions(history))
	}
	return history[i], nil
}

// versions are the numbers of the versions, the newest first.
func versions(history []deployment.Served) string {
	var numbers []string
	for _, s := range slices.Backward(history) {
		numbers = append(numbers, fmt.Sprint(s.Version))
	}
	switch {
	case len(numbers) == 0:
		return "a version, and there is none"
	case len(numbers) > candidatesShown:
		return "one of " + strings.Join(numbers[:candidatesShown], ", ") + ", ..."
	default:
		return "one of " + strings.Join(numbers, ", ")
	}
}
