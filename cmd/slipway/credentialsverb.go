package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"golang.org/x/term"

	"github.com/slipway-ml/slipway/artifacts/bucket"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// credentialsCmd is about the secrets in the bucket, and about no others.
type credentialsCmd struct {
	Put    credentialsPutCmd    `cmd:"" help:"Keep a secret under an id, in place of what there was. It is read from standard input, or a file."`
	List   credentialsListCmd   `cmd:"" help:"List the ids, and what they are of use for; nothing of the secrets."`
	Delete credentialsDeleteCmd `cmd:"" help:"Keep nothing under an id any more."`
}

type credentialsPutCmd struct {
	ID   string `arg:"" help:"Id: letters, digits, dots, dashes and underscores."`
	File string `help:"File with the secret. Default: standard input." type:"existingfile"`
	User string `help:"User of a password."`
	Host string `help:"The only server that it is for, such as git.example.com."`
}

// Run keeps a secret that is right. It never prints anything of it.
func (c *credentialsPutCmd) Run(ctx context.Context, p *program) error {
	if err := credentials.CheckID(c.ID); err != nil {
		return usage(err)
	}
	text, err := c.read(p)
	if err != nil {
		return err
	}
	secret, err := keeper().Parse(c.ID, text)
	if err != nil {
		return usage(err)
	}
	for _, flag := range []struct {
		name, value string
		into        *string
	}{{"user", c.User, &secret.User}, {"host", c.Host, &secret.Host}} {
		if flag.value != "" && *flag.into != "" && flag.value != *flag.into {
			return exitf(exitUsage, "the secret names a %s already, another one: expected no --%s", flag.name, flag.name)
		}
		*flag.into = cmp.Or(flag.value, *flag.into)
	}
	document, err := secret.Document()
	if err == nil {
		_, err = keeper().Parse(c.ID, document) // with what the flags say
	}
	switch {
	case err != nil:
		return usage(err)
	case len(document) > jetstream.MaxSecret:
		return exitf(exitUsage, "the secret is too large: expected %d bytes at most", jetstream.MaxSecret)
	}
	conn, secrets, err := p.secrets(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := secrets.Put(ctx, c.ID, document); err != nil {
		return err
	}
	return p.printSecrets([]keptSecret{{c.ID, secret.Kinds()}})
}

// read is the text of the secret; somebody at a terminal types it unseen.
func (c *credentialsPutCmd) read(p *program) ([]byte, error) {
	in := p.stdin
	if c.File != "" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, exitf(exitUsage, "%w", err)
		}
		defer file.Close()
		in = file
	} else if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) { //nolint:gosec // a file descriptor fits
		fmt.Fprint(p.stderr, "Secret: ")
		defer fmt.Fprintln(p.stderr)
		return term.ReadPassword(int(file.Fd())) //nolint:gosec // a file descriptor fits
	}
	text, err := io.ReadAll(io.LimitReader(in, jetstream.MaxSecret+1))
	if len(text) > jetstream.MaxSecret {
		return nil, exitf(exitUsage, "the secret is too large: expected %d bytes at most", jetstream.MaxSecret)
	}
	return text, err
}

// keeper reads what is to be kept in the bucket.
func keeper() *credentials.Finder { return &credentials.Finder{Settings: bucket.Members()} }

// keptSecret is what is shown of a secret.
type keptSecret struct {
	ID    string   `json:"id"`
	Kinds []string `json:"kinds"` // of credentials.Secret.Kinds; invalid: workers refuse it
}

type credentialsListCmd struct{}

// Run lists what is kept.
func (credentialsListCmd) Run(ctx context.Context, p *program) error {
	conn, secrets, err := p.secrets(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ids, err := secrets.IDs(ctx)
	if err != nil {
		return err
	}
	list := []keptSecret{}
	for _, id := range ids {
		text, err := secrets.Get(ctx, id)
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			continue
		}
		if err != nil {
			return err
		}
		kept := keptSecret{id, []string{"invalid"}}
		if secret, err := keeper().Parse(id, text); err == nil {
			kept.Kinds = secret.Kinds()
		}
		list = append(list, kept)
	}
	return p.printSecrets(list)
}

func (p *program) printSecrets(list []keptSecret) error {
	if p.output == "json" {
		return p.printJSON(list)
	}
	rows := make([][]string, len(list))
	for i, kept := range list {
		rows[i] = []string{kept.ID, strings.Join(kept.Kinds, ",")}
	}
	return p.printTable("ID KINDS", rows)
}

type credentialsDeleteCmd struct {
	ID string `arg:"" help:"Id of the secret."`
}

// Run deletes a secret.
func (c *credentialsDeleteCmd) Run(ctx context.Context, p *program) error {
	if err := credentials.CheckID(c.ID); err != nil {
		return usage(err)
	}
	conn, secrets, err := p.secrets(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = secrets.Delete(ctx, c.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return exitf(exitNotFound, "there are no credentials %q in the bucket %s", c.ID, jetstream.CredentialsBucket)
	}
	return err
}

// secrets are the bucket of secrets, and the connection that it needs.
func (p *program) secrets(ctx context.Context) (*nats.Conn, *jetstream.Secrets, error) {
	conn, js, err := p.connect(ctx, "slipway credentials")
	if err != nil {
		return nil, nil, err
	}
	secrets, err := jetstream.OpenSecrets(ctx, js)
	if errors.Is(err, fs.ErrNotExist) {
		err = exitf(exitNotFound, "there is no bucket %s: workers make it that are started with SLIPWAY_CREDENTIALS_BUCKET=true", jetstream.CredentialsBucket)
	}
	if err != nil {
		conn.Close()
	}
	return conn, secrets, err
}

// usage is a refusal of what somebody has typed.
func usage(err error) error {
	if r, ok := errors.AsType[*deployment.Rejection](err); ok {
		return exitf(exitUsage, "%s", r.Message)
	}
	return err
}
