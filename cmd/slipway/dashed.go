package main

import (
	"errors"

	"github.com/alecthomas/kong"
)

// dashed is the value of a flag that may begin with a dash, such as -label. As the
// argument after the flag, kong takes that for another flag.
type dashed string

// Decode implements kong.MapperValue.
func (d *dashed) Decode(ctx *kong.DecodeContext) error {
	text, err := popDashed(ctx.Scan)
	*d = dashed(text)
	return err
}

// dashedList are the values of a flag that may be given more than once, such as
// rows of numbers, the first of which may be negative.
type dashedList []string

// Decode implements kong.MapperValue.
func (d *dashedList) Decode(ctx *kong.DecodeContext) error {
	text, err := popDashed(ctx.Scan)
	*d = append(*d, text)
	return err
}

// popDashed takes the next argument, unless it is a flag with two dashes.
func popDashed(scan *kong.Scanner) (string, error) {
	token := scan.Pop()
	text, isText := token.Value.(string)
	if !isText || token.InferredType() == kong.FlagToken {
		return "", errors.New("missing value")
	}
	return text, nil
}
