package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// constant is a string constant of a named type, with what its file says of it.
type constant struct {
	value string
	group string // comment above it, or above those before it
	note  string // comment behind it
}

// constants are the constants of the type that a file of the deployment package
// declares, in its order.
func constants(root, file, typeName string) ([]constant, error) {
	path := filepath.Join(root, "deployment", file)
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("constants of %s: %w", typeName, err)
	}
	var found []constant
	for _, decl := range parsed.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		group := ""
		for _, spec := range general.Specs {
			values, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if values.Doc != nil {
				group = line(values.Doc)
			}
			if name, ok := values.Type.(*ast.Ident); !ok || name.Name != typeName || len(values.Values) != 1 {
				continue
			}
			literal, ok := values.Values[0].(*ast.BasicLit)
			if !ok {
				return nil, fmt.Errorf("constants of %s: %s is not a literal", typeName, values.Names[0])
			}
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				return nil, fmt.Errorf("constants of %s: %w", typeName, err)
			}
			found = append(found, constant{value: value, group: group, note: line(values.Comment)})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("constants of %s: there are none in %s", typeName, file)
	}
	return found, nil
}

func line(comment *ast.CommentGroup) string {
	if comment == nil {
		return ""
	}
	return strings.Join(strings.Fields(comment.Text()), " ")
}
