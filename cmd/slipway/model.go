package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/serving/predict"
)

// modelFile are the flags that describe a model.
type modelFile struct {
	File       string   `help:"Model file; it is put into the artifacts object store." type:"existingfile" placeholder:"PATH"`
	Facts      string   `help:"File with the model's facts as JSON (schemas/common.v1.json, modelFacts); with --file, without the artifact." type:"existingfile" placeholder:"PATH"`
	Format     string   `help:"Format of the file: lightgbm (text), onnx or xgboost (JSON, UBJSON). Default: xgboost."`
	Type       string   `help:"What people call this kind of model, e.g. XGBoost Classifier."`
	Target     string   `help:"What the model predicts, e.g. churned."`
	TargetType string   `help:"Binary, Regression or Multiclass."`
	Class      []string `help:"Name of a class, in output order; once for each." sep:"none"`
	Golden     string   `help:"File with golden rows as JSON (schemas/common.v1.json, golden): rows whose answers are known." type:"existingfile" placeholder:"PATH"`
	Feature    []string `help:"NAME or NAME:TYPE of an input, in row order; once for each. Default: those that the file names." sep:"none"`
}

// facts are the facts that the flags describe, nil when there are none. The
// file, if there is one, is uploaded.
func (m *modelFile) facts(ctx context.Context, p *program, c *client.Client) (*handlers.ModelFacts, error) {
	if m.File == "" && m.Facts == "" {
		return nil, nil //nolint:nilnil // no flags, no facts
	}
	facts := handlers.ModelFacts{Format: m.format(), Type: m.Type}
	if m.Facts != "" {
		if err := readJSON("--facts", m.Facts, &facts); err != nil {
			return nil, err
		}
	}
	if m.Golden != "" {
		if err := readJSON("--golden", m.Golden, &facts.Golden); err != nil {
			return nil, err
		}
	}
	if m.Target != "" {
		facts.Target.Name = m.Target
	}
	if m.TargetType != "" {
		facts.Target.Type = deployment.TargetType(m.TargetType)
	}
	if len(m.Class) > 0 {
		facts.Target.Classes = m.Class
	}
	if m.File == "" {
		return &facts, nil
	}
	if err := m.features(&facts); err != nil {
		return nil, err
	}
	var err error
	facts.Artifact, err = upload(ctx, p, c, m.File)
	return &facts, err
}

// readJSON reads the file that a flag names.
func readJSON(flag, path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return exitf(exitUsage, "%s: %w", flag, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return exitf(exitUsage, "%s %s: %w", flag, path, err)
	}
	return nil
}

// format is the format that the flags say, or mean by saying none.
func (m *modelFile) format() deployment.Format {
	return deployment.Format(cmp.Or(m.Format, string(deployment.FormatXGBoost)))
}

// features fills in the features from the flags or, without those, from the file.
func (m *modelFile) features(facts *handlers.ModelFacts) error {
	if len(m.Feature) > 0 {
		facts.Features = nil
		for _, text := range m.Feature {
			name, kind, typed := strings.Cut(text, ":")
			if !typed {
				kind = string(deployment.FeatureNumeric)
			}
			facts.Features = append(facts.Features, deployment.Feature{Name: name, Type: deployment.FeatureType(kind)})
		}
	}
	if len(facts.Features) > 0 {
		return nil
	}
	file, err := predict.Inspect(m.File, deployment.Model{Format: facts.Format})
	if err != nil {
		return exitf(exitUsage, "--file %s: %w", m.File, err)
	}
	for i := range file.Features {
		name := fmt.Sprintf("f%d", i)
		if i < len(file.FeatureNames) {
			name = file.FeatureNames[i]
		}
		facts.Features = append(facts.Features, deployment.Feature{Name: name, Type: deployment.FeatureNumeric})
	}
	return nil
}

// upload puts a file into the artifacts object store.
func upload(ctx context.Context, p *program, c *client.Client, path string) (deployment.Artifact, error) {
	file, err := os.Open(path)
	if err != nil {
		return deployment.Artifact{}, exitf(exitUsage, "--file: %w", err)
	}
	defer file.Close()
	show := p.meter(path)
	defer show.end()
	return c.Upload(ctx, file, show.progress)
}
