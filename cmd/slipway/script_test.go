package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary be slipway, or a NATS server, when it is called by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": main, chaosNATS: runNATS})
}

// TestScripts runs testdata/script: slipway as processes of their own, as people
// and scripts use it. Besides the commands of testscript there are:
//
//	repository DIR          serve a git repository with the files of DIR at
//	                        $REPOSITORY, to ann with the password $GIT_PASSWORD;
//	                        again: commit them in place of what is there
//	exits CODE ARGS...      run slipway, which must end with that code
//	up [VARIABLE=VALUE...]  start "slipway up" on free ports, wait until it is
//	                        ready, and set NATS_URL and PREDICT
//	start NAME ARGS...      start slipway in the background
//	await NAME TEXT         wait until NAME has written TEXT
//	signal NAME TERM        send a signal
//	ended NAME CODE         wait until NAME ends, with that code; what it wrote
//	                        is in NAME.stdout and NAME.stderr
//	http CODE METHOD PATH [FILE [HEADER...]]  ask the gateway, which must answer
//	                        with that code; the answer is in answer and answer.header
//	field FILE PATH VALUE   compare a member of a JSON document
//	lines FILE COUNT        count lines
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("USER", "tester")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each program takes a second longer to end
			env.Setenv("SLIPWAY_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("SLIPWAY_NATS_PORT", "0")
			env.Setenv("SLIPWAY_PREDICT_ADDR", "127.0.0.1:0")
			env.Setenv("SLIPWAY_HEALTH_ADDR", "127.0.0.1:0")
			env.Setenv("SLIPWAY_LOG_FORMAT", "text")
			env.Values[processesKey{}] = make(processes)
			env.Values[repositoryKey{}] = &scripted{}
			env.Setenv("GIT_PASSWORD", gitSecret)
			for _, file := range []string{
				"demo/churn-v1.ubj", "demo/churn-v2.ubj", "../../serving/predict/lightgbm/testdata/4.7.0/binary.txt",
				"../../serving/predict/onnx/testdata/sklearn/forest-zipmap.onnx", "../../serving/predict/onnx/testdata/sklearn/columns-logistic.onnx",
			} {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(env.WorkDir, filepath.Base(file)), text, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": positive(1, scriptExits), "up": positive(0, scriptUp), "start": positive(2, scriptStart),
			"await": positive(2, scriptAwait), "signal": positive(2, scriptSignal), "ended": positive(2, scriptEnded),
			"repository": positive(1, scriptRepository), "http": positive(3, scriptHTTP),
			"field": positive(3, scriptField), "lines": positive(2, scriptLines),
		},
	})
}

// positive is a command that takes no "!" and at least that many arguments.
func positive(least int, run func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("not like this: see TestScripts")
		}
		run(ts, args)
	}
}

// processes are those in the background, by name.
type (
	processes    map[string]*process
	processesKey struct{}
)

type process struct {
	*exec.Cmd
	stdout, stderr *console
	both           *console
	ended          chan struct{}
}

func scriptExits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("slipway", args[1:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("slipway %s: got exit code %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}

func scriptUp(ts *testscript.TestScript, args []string) {
	begin(ts, "up", []string{"up"}, args...)
	scriptAwait(ts, []string{"up", "Slipway is ready"})
	where, err := readEndpoints(ts.Getenv("SLIPWAY_DATA_DIR"))
	ts.Check(err)
	reach(ts, where)
}

// reach has the commands of the script go there.
func reach(ts *testscript.TestScript, where endpoints) {
	ts.Setenv("NATS_URL", where.NATS)
	ts.Setenv("PREDICT", where.Predict)
	ts.Setenv("GATEWAY", where.Gateway)
}

func scriptStart(ts *testscript.TestScript, args []string) { begin(ts, args[0], args[1:]) }

// begin starts slipway in the background with the variables of the script and more.
func begin(ts *testscript.TestScript, name string, args []string, more ...string) {
	path, err := exec.LookPath("slipway")
	ts.Check(err)
	p := &process{Cmd: exec.Command(path, args...), stdout: newConsole(), stderr: newConsole(), both: newConsole(), ended: make(chan struct{})}
	p.Dir, p.Stdout, p.Stderr = ts.MkAbs("."), io.MultiWriter(p.stdout, p.both), io.MultiWriter(p.stderr, p.both)
	for _, variable := range append(slices.Collect(maps.Keys(variables(reflect.TypeFor[Config]()))), "PATH", "HOME", "USER", "TMPDIR", "GORACE") {
		if value := ts.Getenv(variable); value != "" {
			p.Env = append(p.Env, variable+"="+value)
		}
	}
	p.Env = append(p.Env, more...)
	running := ts.Value(processesKey{}).(processes)
	if old := running[name]; old != nil {
		select {
		case <-old.ended:
		default:
			ts.Fatalf("%s is still running", name)
		}
	}
	ts.Check(p.Start())
	running[name] = p
	go func() {
		defer close(p.ended)
		_ = p.Wait() // how it ended is in its state
	}()
	ts.Defer(func() {
		_ = p.Process.Kill() // most have ended by now
		<-p.ended
		ts.Logf("%s wrote:\n%s", name, p.both)
	})
}

func find(ts *testscript.TestScript, name string) *process {
	p := ts.Value(processesKey{}).(processes)[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

func scriptAwait(ts *testscript.TestScript, args []string) {
	p := find(ts, args[0])
	if err := p.both.await(args[1], p.ended); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func scriptSignal(ts *testscript.TestScript, args []string) {
	known := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	ts.Check(find(ts, args[0]).Process.Signal(known[args[1]]))
}

// scriptEnded also sees to it that nothing is reached where up was: another
// script's processes may have its ports by now.
func scriptEnded(ts *testscript.TestScript, args []string) {
	p := find(ts, args[0])
	if args[0] == "up" {
		reach(ts, endpoints{NATS: "nats://127.0.0.1:1", Predict: "http://127.0.0.1:1", Gateway: "http://127.0.0.1:1"})
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s%s", args[0], p.stdout, p.stderr)
	}
	if got := fmt.Sprint(p.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s: got exit code %s, want %s:\n%s%s", args[0], got, args[1], p.stdout, p.stderr)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".stdout"), []byte(p.stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".stderr"), []byte(p.stderr.String()), 0o600))
}

// scriptField walks down the members and elements that the path names.
func scriptField(ts *testscript.TestScript, args []string) {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	for _, name := range strings.FieldsFunc(args[1], func(r rune) bool { return r == '.' }) {
		switch container := value.(type) {
		case map[string]any:
			value = container[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			if i >= len(container) {
				ts.Fatalf("%s: %d elements", args[1], len(container))
			}
			value = container[i]
		default:
			ts.Fatalf("%s: %v has no member %s", args[1], value, name)
		}
	}
	if got := fmt.Sprint(value); got != args[2] {
		ts.Fatalf("%s: got %s, want %s", args[1], got, args[2])
	}
}

func scriptLines(ts *testscript.TestScript, args []string) {
	if got := fmt.Sprint(strings.Count(ts.ReadFile(args[0]), "\n")); got != args[1] {
		ts.Fatalf("got %s lines, want %s", got, args[1])
	}
}
