package handlers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/schemas"
)

var update = flag.Bool("update", false, "write then.json and rejected.json as they are; read every one of them before you commit it")

// What every command of the cases has in common.
const (
	token = "abcdefghijklmnopqrstuvwxyz"
	by    = "/pipeline/spring"
)

var at = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// decideCase is one file of testdata/decide:
//
//	given.json            the deployment or model before; absent: there is none
//	facts.json            the model that the command names, and what its file says;
//	                      how the command that it names has ended
//	when <type>.json      the data of the command
//	name                  what the command is about; absent: churn
//	then.json             what is decided, or
//	rejected.json         why the command is refused
type decideCase struct {
	given     deployment.Subject
	facts     deployment.Facts
	operation handlers.Operation
	cmd       deployment.Command
	eventType string
	data      json.RawMessage
}

func TestDecide(t *testing.T) {
	t.Parallel()
	set, err := schemas.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := readCase(t, archive)
			// Except for the cases about it, data is what the schema lets pass.
			if found := set.Check(c.eventType, c.data); len(found) > 0 && !bytes.Contains(archive.Comment, []byte("not by the schema")) {
				t.Errorf("the data is not by the schema: %v", found)
			}
			section, got := decide(t, c)
			if *update {
				write(t, file, archive, section, got)
				return
			}
			last := archive.Files[len(archive.Files)-1]
			if diff := gocmp.Diff(last.Name+"\n"+string(last.Data), section+"\n"+got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// read is the decision on the data of the command; of data that cannot be read,
// that it is rejected.
func (c decideCase) read() func(deployment.Subject, deployment.Facts, deployment.Command) (deployment.Decision, error) {
	asked, err := c.operation.Read(c.data)
	if err != nil {
		return func(deployment.Subject, deployment.Facts, deployment.Command) (deployment.Decision, error) {
			return deployment.Decision{}, err
		}
	}
	return asked.Decide
}

// decide decides twice, looks at what must hold of every decision, and shows the decision.
func decide(tb testing.TB, c decideCase) (section, text string) {
	tb.Helper()
	before := show(tb, []any{c.given, c.facts, c.cmd, string(c.data)})
	decide := c.read()
	decision, err := decide(c.given, c.facts, c.cmd)
	again, errAgain := decide(c.given, c.facts, c.cmd)
	if diff := gocmp.Diff(before, show(tb, []any{c.given, c.facts, c.cmd, string(c.data)})); diff != "" {
		tb.Errorf("the input changed (-before +after):\n%s", diff)
	}
	if diff := gocmp.Diff(decision, again); diff != "" {
		tb.Errorf("decided twice (-first +second):\n%s", diff)
	}
	if diff := gocmp.Diff(err, errAgain); diff != "" {
		tb.Errorf("rejected twice (-first +second):\n%s", diff)
	}
	if err != nil {
		return "rejected.json", show(tb, rejected(tb, decision, err))
	}
	checkDecision(tb, c, decision)
	return "then.json", show(tb, accepted(decision))
}

// tierOne are the checks that every verdict on a replacement has (R15).
var tierOne = []deployment.CheckName{
	"target", "targetType", "targetClasses", "features", "featureDataTypes", "permission",
	"notCurrentModel", "supported", "modelCanBeDeployed", "modelStatus", "seriesType",
}

// checkValidation holds for every verdict on a model that is to replace another.
func checkValidation(tb testing.TB, d deployment.Decision) {
	tb.Helper()
	if d.Validation == nil {
		return
	}
	for _, name := range tierOne {
		if d.Checks[name].Message == "" {
			tb.Errorf("check %s is missing, or says nothing", name)
		}
	}
	if d.Validation.Status != d.Checks.Status() || d.Validation.Message == "" {
		tb.Errorf("got verdict %+v of checks that are %s", d.Validation, d.Checks.Status())
	}
}

// thenJSON is a decision as the cases show it.
type thenJSON struct {
	Read        *deployment.Reading        `json:"read,omitempty"`    // the contract that is to be read, or planned
	Inspect     deployment.Name            `json:"inspect,omitempty"` // the model whose file is to be looked at
	Write       *deployment.Writing        `json:"write,omitempty"`   // the contract that is to be written
	Shown       *shownJSON                 `json:"shown,omitempty"`   // while effects run
	Changed     bool                       `json:"changed"`
	After       *afterJSON                 `json:"after,omitempty"`
	Checks      map[string]string          `json:"checks,omitempty"`
	Effects     []map[string]any           `json:"effects,omitempty"`
	Contract    *deployment.ContractChange `json:"contract,omitempty"`
	Registered  deployment.Name            `json:"registered,omitempty"`
	Replacement *deployment.Replacement    `json:"replacement,omitempty"`
	Drift       *deployment.DriftChange    `json:"driftTracking,omitempty"`
	Validation  *deployment.Validation     `json:"validation,omitempty"`
	Renamed     *deployment.Renamed        `json:"renamed,omitempty"`
}

type shownJSON struct {
	Status   deployment.Status `json:"status"`
	Serves   deployment.Name   `json:"serves,omitempty"`
	Target   deployment.Name   `json:"target,omitempty"`
	Revision uint64            `json:"revision"`
}

type afterJSON struct {
	Deployment *deployment.State `json:"deployment,omitempty"`
	Model      *deployment.Model `json:"model,omitempty"`
}

func accepted(d deployment.Decision) thenJSON {
	then := thenJSON{Read: d.Read, Write: d.Write, Contract: d.Contract, Changed: d.Changed, Checks: verdicts(d.Checks), Replacement: d.Replacement, Drift: d.Drift, Validation: d.Validation, Renamed: d.Renamed}
	if d.Inspect != nil {
		then.Inspect = d.Inspect.ID
	}
	if s := d.Shown; s != nil {
		then.Shown = &shownJSON{Status: s.Status, Revision: s.Revision}
		if s.Model != nil {
			then.Shown.Serves = s.Model.ID
		}
		if s.Target != nil {
			then.Shown.Target = s.Target.ID
		}
	}
	if d.After != (deployment.Subject{}) {
		then.After = &afterJSON{d.After.Deployment, d.After.Model}
	}
	for _, effect := range d.Effects {
		switch effect := effect.(type) {
		case deployment.Serve:
			then.Effects = append(then.Effects, map[string]any{"serve": effect.Model.ID})
		case deployment.Stop:
			then.Effects = append(then.Effects, map[string]any{"stop": map[string]any{"inactive": effect.Inactive}})
		}
	}
	if d.Registered != nil {
		then.Registered = d.Registered.ID
	}
	return then
}

// rejectedJSON is a refusal as the cases show it.
type rejectedJSON struct {
	Code     deployment.Code      `json:"code"`
	Class    deployment.Class     `json:"class"`
	Message  string               `json:"message"`
	Findings []deployment.Finding `json:"findings"`
	Checks   map[string]string    `json:"checks,omitempty"`

	Validation *deployment.Validation `json:"validation,omitempty"`
}

func rejected(tb testing.TB, d deployment.Decision, err error) rejectedJSON {
	tb.Helper()
	var r *deployment.Rejection
	if !errors.As(err, &r) {
		tb.Fatalf("got error %T %v, want a *deployment.Rejection", err, err)
	}
	if diff := gocmp.Diff(deployment.Decision{Checks: d.Checks, Validation: d.Validation}, d); diff != "" {
		tb.Errorf("refused, and yet something is decided (-want +got):\n%s", diff)
	}
	checkValidation(tb, d)
	if r.Class != r.Code.Class() || r.Message == "" || len(r.Findings) == 0 {
		tb.Errorf("got rejection %+v, want the class of its code, a message and findings", r)
	}
	return rejectedJSON{r.Code, r.Class, r.Message, r.Findings, verdicts(d.Checks), d.Validation}
}

func verdicts(checks deployment.Checks) map[string]string {
	shown := make(map[string]string, len(checks))
	for name, check := range checks {
		shown[string(name)] = string(check.Status) + ": " + check.Message
	}
	return shown
}

func show(tb testing.TB, value any) string {
	tb.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		tb.Fatal(err)
	}
	return text.String()
}

func readCase(tb testing.TB, archive *txtar.Archive) decideCase {
	tb.Helper()
	c := decideCase{cmd: deployment.Command{Name: "churn", Token: token, By: by, At: at}}
	var outcome string
	for _, file := range archive.Files {
		eventType, isCommand := strings.CutPrefix(file.Name, "when ")
		switch {
		case file.Name == "given.json":
			strict(tb, file, &c.given)
		case file.Name == "facts.json":
			strict(tb, file, &c.facts)
		case file.Name == "name":
			c.cmd.Name = deployment.Name(bytes.TrimSpace(file.Data))
		case isCommand:
			c.eventType, c.data = strings.TrimSuffix(eventType, ".json"), file.Data
			typ, err := events.ParseType(c.eventType)
			if err != nil || typ.Outcome != events.Requested {
				tb.Fatalf("%s: %v, want the type of a command", file.Name, err)
			}
			c.cmd.Kind, c.cmd.Op = deployment.Kind(typ.Kind), typ.Op
			if c.operation, err = handlers.Find(handlers.All(), c.cmd.Kind, c.cmd.Op); err != nil {
				tb.Fatal(err)
			}
		case file.Name == "then.json" || file.Name == "rejected.json":
			outcome = file.Name
		default:
			tb.Fatalf("section %q: expected given.json, facts.json, name, when <type>.json, then.json or rejected.json", file.Name)
		}
	}
	if c.eventType == "" {
		tb.Fatal("no command")
	}
	if last := archive.Files[len(archive.Files)-1].Name; !*update && (outcome == "" || last != outcome) {
		tb.Fatalf("the last section is %q: want then.json or rejected.json, one of them", last)
	}
	return c
}

// strict reads a section and refuses a member that the type does not have.
func strict(tb testing.TB, file txtar.File, into any) {
	tb.Helper()
	decoder := json.NewDecoder(bytes.NewReader(file.Data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		tb.Fatalf("%s: %v", file.Name, err)
	}
}

func write(tb testing.TB, path string, archive *txtar.Archive, section, text string) {
	tb.Helper()
	files := slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "then.json" || f.Name == "rejected.json" })
	archive.Files = append(files, txtar.File{Name: section, Data: []byte(text)})
	if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Every operation has a case in which it changes something and one in which it is refused.
func TestDecideCasesCoverEveryOperation(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := readCase(t, archive)
		last := archive.Files[len(archive.Files)-1]
		seen[c.eventType+" "+last.Name] = true
		if bytes.Contains(last.Data, []byte(`"changed": true`)) {
			seen[c.eventType+" changed"] = true
		}
		if op := c.cmd.Op; !strings.HasPrefix(filepath.Base(file), op+"-") {
			t.Errorf("%s: is about %s, and should be named so", file, op)
		}
	}
	for _, operation := range handlers.All() {
		typ := events.Type{Kind: string(operation.Kind), Op: operation.Op, Outcome: events.Requested}.String()
		for _, want := range []string{"then.json", "changed", "rejected.json"} {
			if want == "changed" && operation.Op == handlers.OpValidate {
				continue // it never does
			}
			if !seen[typ+" "+want] {
				t.Errorf("no case of %s with %s", typ, want)
			}
		}
	}
}
