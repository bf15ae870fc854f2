package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// printJSON writes value as indented JSON.
func (p *program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printTable writes rows below a header line, in columns.
func (p *program) printTable(header string, rows [][]string) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(strings.Fields(header), "\t"))
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printFields writes names and values in two columns, leaving out empty values.
func (p *program) printFields(fields [][2]string) error {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, field := range fields {
		if field[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", field[0], field[1])
		}
	}
	return table.Flush()
}

// printOutcome writes the outcome of a command and returns, as an error, how the
// program is to end.
func (p *program) printOutcome(e entry) error {
	if p.output == "json" {
		if err := p.printEvent(e); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "%s %s: %s\n", e.Subject, e.Outcome, e.detail())
		if err := p.printVerdict(e); err != nil {
			return err
		}
		p.printContract(e)
		if e.Failure != nil {
			p.printFindings(e)
		}
	}
	code := outcomeCode(e)
	if code == exitOK {
		return nil
	}
	return &exitError{code, errSaid}
}

// printContract writes what was, or in a dry run would be, written.
func (p *program) printContract(e entry) {
	c := e.Contract
	if c == nil {
		return
	}
	where, verb := "the artifacts object store", "wrote"
	if c.Repository != "" {
		where = c.Repository + " " + c.Branch
	}
	if c.Commit != "" {
		where += " " + c.Commit
	}
	if e.dryRun() {
		verb = "would write"
	}
	if c.Empty() {
		fmt.Fprintf(p.stdout, "  the contract in %s says so already\n", where)
	}
	for _, f := range c.Files {
		fmt.Fprintf(p.stdout, "  %s %s in %s\n", verb, f.Path, where)
		if f.Content != "" {
			fmt.Fprintf(p.stdout, "    %s\n", strings.TrimSuffix(f.Content, "\n"))
		}
	}
	for _, name := range c.Removed {
		fmt.Fprintf(p.stdout, "  %s without %s\n", verb, name)
	}
	for _, name := range c.Kept {
		fmt.Fprintf(p.stdout, "  kept %s, which says something else (--overwrite-metadata)\n", name)
	}
}

// printVerdict writes each check of a validation, or of a dry run.
func (p *program) printVerdict(e entry) error {
	if e.Op != handlers.OpValidate && !e.dryRun() || e.Outcome != events.Completed {
		return nil
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(e.Checks)) {
		rows = append(rows, []string{string(name), string(e.Checks[name].Status), e.Checks[name].Message})
	}
	return p.printTable("CHECK STATUS MESSAGE", rows)
}

// printFindings writes each thing that was wrong, and what to do next.
func (p *program) printFindings(e entry) {
	for _, finding := range e.Failure.Findings {
		switch {
		case strings.ContainsAny(finding.Path, "/#") || strings.HasPrefix(finding.Path, "source.") && !strings.HasPrefix(finding.Message, finding.Path):
			// a place in a repository, or in what is to be written there, which its message does not name
			fmt.Fprintf(p.stdout, "  %s  %s: %s\n", finding.Code, finding.Path, finding.Message)
		case finding.Message != e.Failure.Message:
			fmt.Fprintf(p.stdout, "  %s  %s\n", finding.Code, finding.Message)
		}
	}
	if e.Outcome == events.Rejected {
		fmt.Fprintln(p.stderr, "Nothing was changed. Correct the command and publish it again under a new id.")
	} else {
		fmt.Fprintf(p.stderr, "What served before still does. See \"slipway events %s\".\n", e.Subject)
	}
}

// printEvent writes the event as it is stored, in one line.
func (p *program) printEvent(e entry) error {
	_, err := fmt.Fprintf(p.stdout, "%s\n", e.Stored.Body)
	return err
}

// outcomeCode is the exit code that says how a command ended.
func outcomeCode(e entry) int {
	outcome := e.Outcome
	if outcome == events.Duplicate {
		outcome = e.Original.Outcome
	}
	switch outcome {
	case events.Completed:
		if e.Validation != nil && e.Validation.Status == deployment.Failing {
			return exitRejected
		}
		return exitOK
	case events.Cancelled, events.Expired:
		return exitEnded
	case events.Rejected:
		if e.Failure == nil {
			return exitRejected
		}
		return classCode(e.Failure.Class)
	default:
		return exitFailed
	}
}

// classCode is the exit code of a rejection.
func classCode(c deployment.Class) int {
	switch c {
	case deployment.ClassNotFound:
		return exitNotFound
	case deployment.ClassConflict:
		return exitConflict
	case deployment.ClassForbidden:
		return exitUnauthorised
	case deployment.ClassInvalid, deployment.ClassInternal:
	}
	return exitRejected
}
