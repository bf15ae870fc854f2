package main

import (
	"encoding/json"
	"strconv"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// contractFlags are the flags that say where a contract is.
type contractFlags struct {
	Repository      string `help:"Url of a git repository, a directory or a prefix of an object store, with a contract that describes the model." placeholder:"URL"`
	Branch          string `help:"Branch whose newest commit is meant. Default: the main one."`
	Tag             string `help:"Tag whose commit is meant."`
	Commit          string `help:"Commit that is meant: 40 hexadecimal digits."`
	ContractPath    string `help:"Folder of the contract. Default: the root of the repository."`
	Credentials     string `help:"Id of the credentials for the repository; the worker has them." placeholder:"ID"`
	ModelType       string `help:"Type of the model, e.g. XGBOOST. Default: what its file says; with --from, a file that ends in .bst or .txt does not." placeholder:"TYPE"`
	ExplainerType   string `help:"Type of the explainer; NO_EXPLAINER leaves that of the contract alone." placeholder:"TYPE"`
	TransformerType string `help:"Type of the transformer; NO_TRANSFORMER leaves that of the contract alone." placeholder:"TYPE"`

	From              string `help:"Model file, or folder of one: it is uploaded, and the contract is written with it, as with --model-url." placeholder:"PATH"`
	ModelURL          string `name:"model-url" help:"Url of the model: the contract is written with it, into the repository or, without one, into the artifacts object store." placeholder:"URL"`
	ModelRegion       string `help:"Region of the model's bucket." placeholder:"REGION"`
	ModelCredentials  string `help:"Id of the credentials for the model's bucket; the worker has them." placeholder:"ID"`
	Metadata          string `help:"File with what metadata.json is to say: it is written into the contract." type:"existingfile" placeholder:"PATH"`
	Overwrite         bool   `help:"Replace the model that the contract has."`
	OverwriteMetadata bool   `help:"Replace a metadata.json that says something else."`
	Message           string `help:"Message of the commit. Default: one that says what changes."`
}

// given reports whether the flags name a contract, or say what to write into one.
func (f contractFlags) given() bool { return f.Repository != "" || f.writes() }

// writes reports whether a contract is to be written.
func (f contractFlags) writes() bool { return f.From != "" || f.ModelURL != "" || f.Metadata != "" }

// check refuses flags of writing where nothing is written, so that none is passed
// over.
func (f contractFlags) check() error {
	if f.writes() {
		return nil
	}
	for flag, set := range map[string]bool{
		"--model-region": f.ModelRegion != "", "--model-credentials": f.ModelCredentials != "", "--overwrite": f.Overwrite,
		"--overwrite-metadata": f.OverwriteMetadata, "--message": f.Message != "",
	} {
		if set {
			return exitf(exitUsage, "%s is for a contract that is written: expected --from, --model-url or --metadata too", flag)
		}
	}
	return nil
}

func (f contractFlags) source(target string) (*deployment.Source, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	source := &deployment.Source{
		Route: deployment.RouteExisting, URL: f.Repository, Branch: f.Branch, Tag: f.Tag, Commit: f.Commit,
		ContractPath: f.ContractPath, CredentialsID: f.Credentials, Target: target,
		ModelType: typeText(f.ModelType), ExplainerType: typeText(f.ExplainerType), TransformerType: typeText(f.TransformerType),
		OverwriteContract: f.Overwrite, OverwriteMetadata: f.OverwriteMetadata, CommitMessage: f.Message,
	}
	if !f.writes() {
		return source, nil
	}
	if source.Route = deployment.RouteReference; f.From != "" {
		source.Route = deployment.RouteArtifact
	}
	if f.ModelURL != "" {
		reference := contract.Reference{Blob: &contract.Blob{URL: f.ModelURL, Region: f.ModelRegion, CredentialsID: f.ModelCredentials}}
		text, err := json.Marshal(reference)
		if err != nil {
			return nil, err
		}
		source.Model = text
	}
	if f.Metadata != "" {
		if err := readJSON("--metadata", f.Metadata, &source.Metadata); err != nil {
			return nil, err
		}
	}
	return source, nil
}

// typeText is a type as a command has it: a number, or a name.
func typeText(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 8); err == nil {
		return strconv.AppendUint(nil, n, 10)
	}
	quoted, err := json.Marshal(text)
	if err != nil { // a string can always be said
		panic(err)
	}
	return quoted
}
