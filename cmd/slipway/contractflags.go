package main

import (
	"encoding/json"
	"strconv"

	"github.com/slipway-ml/slipway/deployment"
)

// contractFlags are the flags that say where a contract is.
type contractFlags struct {
	Repository      string `help:"Url of a git repository with a contract that describes the model." placeholder:"URL"`
	Branch          string `help:"Branch whose newest commit is meant. Default: the main one."`
	Tag             string `help:"Tag whose commit is meant."`
	Commit          string `help:"Commit that is meant: 40 hexadecimal digits."`
	ContractPath    string `help:"Folder of the contract. Default: the root of the repository."`
	Credentials     string `help:"Id of the credentials for the repository; the worker has them." placeholder:"ID"`
	ModelType       string `help:"Type of the model, e.g. XGBOOST. Default: what its file says." placeholder:"TYPE"`
	ExplainerType   string `help:"Type of the explainer; NO_EXPLAINER leaves that of the contract alone." placeholder:"TYPE"`
	TransformerType string `help:"Type of the transformer; NO_TRANSFORMER leaves that of the contract alone." placeholder:"TYPE"`
}

func (f contractFlags) source(target string) *deployment.Source {
	return &deployment.Source{
		Route: deployment.RouteExisting, URL: f.Repository, Branch: f.Branch, Tag: f.Tag, Commit: f.Commit,
		ContractPath: f.ContractPath, CredentialsID: f.Credentials, Target: target,
		ModelType: typeText(f.ModelType), ExplainerType: typeText(f.ExplainerType), TransformerType: typeText(f.TransformerType),
	}
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
