package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
)

// source is the source of a command whose model a contract describes. What --from
// names is uploaded.
func (m *modelChoice) source(ctx context.Context, p *program, c *client.Client) (*deployment.Source, error) {
	if err := m.alone(); err != nil {
		return nil, err
	}
	source, err := m.Source.source(m.Inline.Target)
	if err != nil || m.Source.From == "" {
		return source, err
	}
	info, err := os.Stat(m.Source.From)
	if err != nil {
		return nil, exitf(exitUsage, "--from: %w", err)
	}
	name := ""
	if !info.IsDir() {
		if name, err = modelName(m.Source.From, m.Source.ModelType); err != nil {
			return nil, err
		}
	}
	files, err := p.uploadPath(ctx, c, m.Source.From, "")
	if err != nil {
		return nil, err
	}
	if name != "" {
		files[0].Path = name
	}
	source.Artifact = &deployment.Upload{Bucket: deployment.UploadBucket, Files: files}
	return source, nil
}

// alone refuses flags that say in another way what the model is.
func (m *modelChoice) alone() error {
	inline := m.Inline
	switch {
	case m.Source.From != "" && m.Source.ModelURL != "":
		return exitf(exitUsage, "expected --from or --model-url, got both")
	case m.Model != "" || inline.File != "" || inline.Facts != "":
		return exitf(exitUsage, "expected --from, --repository or --model-url alone, without --model, --file and --facts: the contract says what the model is")
	case inline.Format != "" || inline.Type != "" || inline.TargetType != "" || inline.Golden != "" || len(inline.Class)+len(inline.Feature) > 0:
		return exitf(exitUsage, "expected none of --format, --type, --target-type, --class, --feature and --golden: they describe the model of --file, that of a contract is described by --model-type and --metadata")
	}
	return nil
}

// modelName is how the file of a model is called in a contract. What it is has to
// be said where the ending leaves it open; better now than after the upload.
func modelName(path, modelType string) (string, error) {
	const stem = "model"
	ending := strings.ToLower(filepath.Ext(path))
	expected := map[string]string{
		".txt": "LIGHTGBM, of a text file that LightGBM has saved",
		".bst": "XGBOOST or LIGHTGBM, of which there are files that end in .bst",
		"":     "the type of the model, which a file without an ending does not say",
	}[ending]
	switch {
	case modelType == "" && expected != "":
		return "", exitf(exitUsage, "--model-type: expected %s", expected)
	case ending == ".txt" && isLightGBM(modelType):
		return stem + ".bst", nil // as contracts have it; the text says what it is
	}
	return stem + ending, nil
}

// isLightGBM reports whether a type, a name or an integer (deeploy.md D28), is that
// of LightGBM.
func isLightGBM(modelType string) bool {
	return strings.EqualFold(modelType, "LIGHTGBM") || modelType == "7"
}
