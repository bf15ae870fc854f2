package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving"
	"github.com/slipway-ml/slipway/worker"
)

type predictCmd struct {
	Name  string     `arg:"" help:"Name of the deployment."`
	Row   dashedList `help:"Values of one row, separated by commas, in the order of the features; an empty one is missing. Once for each row." placeholder:"1.5,2,,4"`
	Input string     `help:"File with a request of the Open Inference Protocol; - is standard input." placeholder:"PATH"`
	URL   string     `help:"Prediction server to ask. Default: one that is live." placeholder:"URL"`
}

// inference is the answer of a prediction server.
type inference struct {
	ModelName    string `json:"model_name"`
	ModelVersion string `json:"model_version"`
	Outputs      []struct {
		Name  string    `json:"name"`
		Shape []int     `json:"shape"`
		Data  []float64 `json:"data"`
	} `json:"outputs"`
}

// Run asks for predictions.
func (c *predictCmd) Run(ctx context.Context, p *program) error {
	if _, err := deployment.ParseName(c.Name); err != nil {
		return exitf(exitUsage, "%w", err)
	}
	body, err := c.body(p.stdin)
	if err != nil {
		return err
	}
	url := c.URL
	if url == "" {
		if url, err = p.liveServer(ctx, c.Name); err != nil {
			return err
		}
	}
	answer, err := infer(ctx, url, c.Name, body)
	if err != nil {
		return err
	}
	if p.output == "json" {
		_, err := fmt.Fprintf(p.stdout, "%s\n", bytes.TrimSpace(answer))
		return err
	}
	return p.printInference(answer)
}

func (p *program) printInference(answer []byte) error {
	var i inference
	if err := json.Unmarshal(answer, &i); err != nil {
		return fmt.Errorf("read predictions: %w", err)
	}
	var rows [][]string
	for _, output := range i.Outputs {
		if len(output.Shape) == 0 || output.Shape[0] == 0 {
			continue
		}
		width := len(output.Data) / output.Shape[0]
		for row := range output.Shape[0] {
			values := make([]string, width)
			for j, v := range output.Data[row*width : (row+1)*width] {
				values[j] = strconv.FormatFloat(v, 'g', -1, 32)
			}
			rows = append(rows, []string{i.ModelVersion, strconv.Itoa(row), output.Name, strings.Join(values, " ")})
		}
	}
	return p.printTable("MODEL ROW OUTPUT VALUES", rows)
}

func (c *predictCmd) body(stdin io.Reader) ([]byte, error) {
	if (len(c.Row) == 0) == (c.Input == "") {
		return nil, exitf(exitUsage, "expected either --row or --input")
	}
	if c.Input == "-" {
		return io.ReadAll(stdin)
	}
	if c.Input != "" {
		text, err := os.ReadFile(c.Input)
		if err != nil {
			return nil, exitf(exitUsage, "--input: %w", err)
		}
		return text, nil
	}
	rows := make([][]*float64, len(c.Row))
	for i, text := range c.Row {
		for _, cell := range strings.Split(text, ",") {
			if cell = strings.TrimSpace(cell); cell == "" {
				rows[i] = append(rows[i], nil)
				continue
			}
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				return nil, exitf(exitUsage, "--row %q: expected numbers separated by commas, got %q", text, cell)
			}
			rows[i] = append(rows[i], &v)
		}
		if len(rows[i]) != len(rows[0]) {
			return nil, exitf(exitUsage, "--row %q: expected %d values as in the first row, got %d", text, len(rows[0]), len(rows[i]))
		}
	}
	return inferRequest(rows)
}

// inferRequest is a request of the Open Inference Protocol for rows of equal
// length; nil is a missing value.
func inferRequest(rows [][]*float64) ([]byte, error) {
	return json.Marshal(map[string]any{"inputs": []any{map[string]any{
		"name": "input-0", "datatype": "FP64", "shape": []int{len(rows), len(rows[0])}, "data": rows,
	}}})
}

// liveServer is the url of the prediction server that the deployment is to be
// asked at, or of any.
func (p *program) liveServer(ctx context.Context, name string) (string, error) {
	c, err := p.client(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	servers, err := c.Servers(ctx)
	if err != nil {
		return "", err
	}
	if len(servers) == 0 {
		return "", exitf(exitUnreachable, "no prediction server is live; start one, or name one with --url")
	}
	deployments, err := jetstream.OpenBucket[worker.DeploymentView](ctx, c.JetStream, jetstream.DeploymentsBucket)
	if err != nil {
		return "", err
	}
	d, _, err := deployments.Load(ctx, name)
	if err != nil || d.PredictionServer == "" {
		return servers[0].URL, err
	}
	i := slices.IndexFunc(servers, func(s serving.Server) bool { return s.ID == d.PredictionServer })
	if i < 0 {
		return "", exitf(exitUnreachable, "prediction server %q of deployment %q is not live; \"slipway servers\" shows those that are", d.PredictionServer, name)
	}
	return servers[i].URL, nil
}

// infer asks the prediction server at url for predictions of a deployment.
func infer(ctx context.Context, url, name string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+"/v2/models/"+name+"/infer", bytes.NewReader(body))
	if err != nil {
		return nil, exitf(exitUsage, "--url: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, exitf(exitUnreachable, "predict: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, exitf(exitUnreachable, "predict: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return answer, nil
	}
	var problem struct{ Error string }
	if json.Unmarshal(answer, &problem) != nil || problem.Error == "" {
		problem.Error = response.Status
	}
	codes := map[int]int{http.StatusNotFound: exitNotFound, http.StatusBadRequest: exitUsage, http.StatusForbidden: exitUnauthorised, http.StatusServiceUnavailable: exitUnreachable}
	code, known := codes[response.StatusCode]
	if !known {
		code = exitFailed
	}
	return nil, exitf(code, "predict %s: %s", name, problem.Error)
}
