package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/events"
)

var updateDocs = flag.Bool("update", false, "write what the commands of the pages in docs print into them")

// Every command of the page is run, every event published, in the order in which
// they stand there, and what they come to is what the page says.
func TestComingFromDataRobot(t *testing.T) {
	t.Parallel()
	w := &walk{system: startUp(t, map[string]string{"SLIPWAY_SERVER_ID": "local"})}
	w.follow("../../docs/coming-from-datarobot.md")
	if w.commands < 25 || w.sent < 2 {
		t.Errorf("%d commands were run and %d events sent: the page is not read as it was meant", w.commands, w.sent)
	}
}

// follow does what a page says.
func (w *walk) follow(path string) {
	w.tb.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		w.tb.Fatal(err)
	}
	got := sessions.ReplaceAllStringFunc(string(page), func(block string) string {
		part := sessions.FindStringSubmatch(block)
		if part[1] != "console" {
			w.send(part[2], w.here(part[3]))
			return block
		}
		return "```console\n" + w.session(part[3]) + "```\n"
	})
	if *updateDocs {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			w.tb.Fatal(err)
		}
	}
	if diff := cmp.Diff(steady(string(page)), steady(got)); diff != "" {
		w.tb.Errorf("the page differs from what happens (-page +happens); -update writes it:\n%s", diff)
	}
}

// sessions are the fenced blocks that are run: a session, or an event with the
// subject that it is published on.
var sessions = regexp.MustCompile("(?ms)^```(console|json) ?(slipway\\S*)?\n(.*?)^```\n")

// unsteady is what differs from one run to the next.
var unsteady = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`(?m)^  progress .*\n`), ""}, // what takes long says so
	{regexp.MustCompile(`command [a-z2-7]{26}:`), "command ID:"},
	{regexp.MustCompile(`\b([0-9a-f]{40}|[0-9a-f]{7})\b`), "COMMIT"},
	{regexp.MustCompile(`by w-[a-z2-7]{12}`), "by WORKER"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`[a-z,]*,xgboost`), "FORMATS"},
	{regexp.MustCompile(` {2,}`), "  "}, // columns are as wide as the rest
	{regexp.MustCompile(`/slipway/cli/\w+`), "SOURCE"},
}

func steady(text string) string {
	for _, u := range unsteady {
		text = u.pattern.ReplaceAllString(text, u.name)
	}
	return text
}

// walk is a system on which the page is run.
type walk struct {
	*system
	code           int // of the last command
	commands, sent int
	places         []string // what the page calls places that are elsewhere here: name, place, and so on
	push           func()   // what people have committed meanwhile
}

// here is a text of the page with the places that they are here.
func (w *walk) here(text string) string { return strings.NewReplacer(w.places...).Replace(text) }

// there is what is printed here as the page has it.
func (w *walk) there(text string) string {
	var back []string
	for pair := range slices.Chunk(w.places, 2) {
		back = append(back, pair[1], pair[0])
	}
	return strings.NewReplacer(back...).Replace(text)
}

// send publishes an event of the page, twice, as a program does that is run again.
func (w *walk) send(subject, event string) {
	w.tb.Helper()
	w.sent++
	for _, want := range []events.Outcome{events.Completed, events.Duplicate} {
		if e := w.outcomeOf(w.publish(&nats.Msg{Subject: subject, Data: []byte(event)})); e.Outcome != want {
			w.tb.Errorf("%s: got %s: %s, want %s", subject, e.Outcome, e.detail(), want)
		}
	}
}

// session runs the commands of a session and returns it with what they print.
func (w *walk) session(text string) string {
	w.tb.Helper()
	var typed bytes.Buffer
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !ok {
			continue
		}
		fmt.Fprintf(&typed, "$ %s\n", command)
		if command == "echo $?" {
			fmt.Fprintln(&typed, w.code)
			continue
		}
		if command == "git push --quiet" {
			w.push()
			continue
		}
		args := words(w.here(command))
		if args[0] != "slipway" {
			w.tb.Fatalf("%s: expected a slipway", command)
		}
		for i := range args {
			args[i] = strings.TrimPrefix(args[i], "cmd/slipway/") // where this test runs
		}
		w.commands++
		environment := map[string]string{"NATS_URL": w.where.NATS, "USER": "ada"}
		var said bytes.Buffer
		w.code = run(w.tb.Context(), args[1:], environment, strings.NewReader(""), &said, &said)
		typed.WriteString(w.there(elsewhere(said.String())))
	}
	return typed.String()
}

var pathOfFile = regexp.MustCompile(`/\S+/(cmd/slipway/demo/)`)

// elsewhere is what a program has printed as it would have on the machine of ada,
// who follows the page.
func elsewhere(text string) string {
	return pathOfFile.ReplaceAllString(text, "/home/ada/slipway/$1")
}

// words are the words of a command as a shell has them, with single quotes.
func words(command string) (list []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}
