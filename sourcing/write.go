package sourcing

import (
	"context"
	"strconv"
	"strings"
	"unicode"

	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// Write makes the contract say what was planned, as one commit, or without a
// repository as objects that never change. It says so already after the first
// time: nothing is written again. A contract that would come to anything else by
// now, because somebody else has changed it, is git.ErrChanged. What is not
// allowed is a *deployment.Rejection; every other error may pass. hold is asked
// before each push, and its error ends the write.
func (c *Contracts) Write(ctx context.Context, wr deployment.Writing, hold func(context.Context) error, progress func(string)) (out deployment.ContractChange, err error) {
	w := parse(wr.Reading)
	if err := w.rejection(); err != nil {
		return out, err
	}
	progress("writing the contract")
	var result git.Result
	if wr.Reading.Source.URL == "" {
		if result, err = c.planObjects(ctx, wr.Reading, w); err == nil {
			err = c.writeObjects(ctx, result)
		}
	} else {
		result, err = c.push(ctx, wr, w, hold)
	}
	if err != nil {
		return out, relocate(err, w.locate)
	}
	out = *change(wr.Reading.Source, result).Brief()
	out.Commit = result.Commit
	return out, nil
}

// push writes the contract into its repository.
func (c *Contracts) push(ctx context.Context, wr deployment.Writing, w wanted, hold func(context.Context) error) (git.Result, error) {
	source, err := c.source(ctx, wr.Reading.Source)
	if err != nil {
		return git.Result{}, err
	}
	return c.Repositories.Write(ctx, source, git.Commit{
		At: w.at, Change: w.change, Digest: wr.Digest,
		Message: wr.Reading.Source.CommitMessage, Trailers: trailers(wr.Command),
		Author: c.author(wr.Command), By: c.Author, When: wr.Command.At, Hold: hold,
	})
}

// trailers say for which command a commit was made (deeploy.md D8).
func trailers(cmd deployment.Command) []string {
	return []string{
		"Slipway-Deployment: " + line(string(cmd.Name)),
		"Slipway-Command-Source: " + line(cmd.Source),
		"Slipway-Command-Id: " + line(cmd.ID),
		"Slipway-Command-Digest: " + line(cmd.Digest),
	}
}

// line is text on one line of a commit.
func line(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return strconv.Quote(text)
	}
	return text
}

// maxName is how long the name of an author may be, in bytes.
const maxName = 200

// author is for whom the command was sent or, if it does not say so, who commits.
// docs/actors.md says when that was checked.
func (c *Contracts) author(cmd deployment.Command) git.Person {
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '<' || r == '>' || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, cmd.Actor))
	if len(name) > maxName {
		name = strings.TrimSpace(strings.ToValidUTF8(name[:maxName], ""))
	}
	if name == "" {
		return c.Author
	}
	if _, domain, ok := strings.Cut(name, "@"); ok && domain != "" && !strings.ContainsAny(name, " /") {
		return git.Person{Name: name, Email: name}
	}
	return git.Person{Name: name, Email: c.Author.Email}
}
