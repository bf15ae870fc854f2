package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

func scriptHTTP(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var body []byte
	if len(args) > 3 && args[3] != "" {
		body = []byte(ts.ReadFile(args[3]))
	}
	request, err := http.NewRequest(args[1], ts.Getenv("GATEWAY")+args[2], bytes.NewReader(body)) //nolint:noctx // as long as the test
	ts.Check(err)
	for i := 4; i < len(args); i++ {
		name, value, _ := strings.Cut(args[i], ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != want {
		ts.Fatalf("%s %s: got %s %s, want %d", args[1], args[2], response.Status, text, want)
	}
	var header bytes.Buffer
	ts.Check(response.Header.Write(&header))
	ts.Check(os.WriteFile(ts.MkAbs("answer"), text, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("answer.header"), header.Bytes(), 0o600))
	ts.Setenv("LOCATION", response.Header.Get("Location"))
}
