package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// code is what the module declares: folder.Name and folder.Type.Member, and what
// its tests are.
type code struct {
	folders map[string]bool
	symbols map[string]bool // of code and tests
	tests   map[string]bool // folder.Name
}

// readCode reads every Go file of the module.
func readCode(tb testing.TB) code {
	tb.Helper()
	c := code{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && path != root
		if entry.IsDir() && (hidden || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		c.add(filepath.ToSlash(folder), strings.HasSuffix(path, "_test.go"), file)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c code) add(folder string, isTest bool, file *ast.File) {
	c.folders[folder] = true
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			name := decl.Name.Name
			if decl.Recv == nil && isTest && testName.MatchString(name) {
				c.tests[folder+"."+name] = true
			}
			if decl.Recv != nil {
				name = receiver(decl.Recv.List[0].Type) + "." + name
			}
			c.symbols[folder+"."+name] = true
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						c.symbols[folder+"."+name.Name] = true
					}
				case *ast.TypeSpec:
					c.symbols[folder+"."+spec.Name.Name] = true
					for _, name := range memberNames(spec.Type) {
						c.symbols[folder+"."+spec.Name.Name+"."+name] = true
					}
				}
			}
		}
	}
}

// receiver is the name of the type of a method's receiver.
func receiver(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return receiver(expr.X)
	case *ast.IndexExpr:
		return receiver(expr.X)
	case *ast.Ident:
		return expr.Name
	}
	return ""
}

// memberNames are the fields or methods of a type.
func memberNames(expr ast.Expr) (names []string) {
	var fields *ast.FieldList
	switch expr := expr.(type) {
	case *ast.StructType:
		fields = expr.Fields
	case *ast.InterfaceType:
		fields = expr.Methods
	default:
		return nil
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	testName = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z_0-9]?\w*$`)
	symbol   = regexp.MustCompile(`^\*?([a-z]+(?:/[a-z]+)*)\.(\w+(?:\.\w+)?)$`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// unknownNames are the tests that text names, alone or behind their folder, and
// the symbols that it names behind their folder, of which there are none.
func (c code) unknownNames(text string) (unknown []string) {
	bare := map[string]bool{}
	for name := range c.tests {
		bare[name[strings.LastIndex(name, ".")+1:]] = true
	}
	for _, match := range quoted.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := match[1]
		parts := symbol.FindStringSubmatch(name)
		switch {
		case testName.MatchString(name):
			if !bare[name] {
				unknown = append(unknown, "test "+name)
			}
		case parts == nil || !c.folders[parts[1]]:
		case testName.MatchString(parts[2]):
			if !c.tests[parts[1]+"."+parts[2]] {
				unknown = append(unknown, "test "+name)
			}
		case !c.symbols[parts[1]+"."+parts[2]]:
			unknown = append(unknown, "symbol "+name)
		}
	}
	return unknown
}

// documents are the texts for people, by path from the root of the module.
func documents(tb testing.TB) map[string]string {
	tb.Helper()
	texts := map[string]string{}
	read := func(path string) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			tb.Fatal(err)
		}
		texts[path] = string(text)
	}
	for _, path := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		read(path)
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			path, err = filepath.Rel(root, path)
			read(path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return texts
}

// A document that names a test or a symbol names one that there is.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	c := readCode(t)
	for path, text := range documents(t) {
		for _, name := range c.unknownNames(text) {
			t.Errorf("%s: there is no %s", path, name)
		}
	}
}

// Every promise names a test that shows it.
func TestEveryPromiseIsShown(t *testing.T) {
	t.Parallel()
	c := readCode(t)
	promises := 0
	for line := range strings.Lines(documents(t)["docs/guarantees.md"]) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 || strings.TrimSpace(cells[0]) == "promise" {
			continue
		}
		promises++
		if !slices.ContainsFunc(quoted.FindAllStringSubmatch(cells[2], -1), func(match []string) bool { return c.tests[match[1]] }) {
			t.Errorf("nothing shows: %s", strings.TrimSpace(cells[0]))
		}
	}
	if promises == 0 {
		t.Error("docs/guarantees.md has no table of promises that this test understands")
	}
}

// linkFaults are the relative links in the text of which the file, or the heading
// in it, is not there.
func linkFaults(path, text string, texts map[string]string) (faults []string) {
	text = quoted.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
	for _, match := range links.FindAllStringSubmatch(text, -1) {
		target, anchor, _ := strings.Cut(match[1], "#")
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		file := path
		if target != "" {
			file = filepath.Join(filepath.Dir(path), target)
		}
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			faults = append(faults, fmt.Sprintf("%s: link %s leads nowhere", path, match[1]))
			continue
		}
		if other, isText := texts[file]; isText && anchor != "" && !anchors(other)[anchor] {
			faults = append(faults, fmt.Sprintf("%s: link %s: no such heading", path, match[1]))
		}
	}
	return faults
}

// anchors are what the headings of a text can be linked to by.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', 'a' <= r && r <= 'z', '0' <= r && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(match[1]))
		found[kept] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		for _, fault := range linkFaults(path, texts[path], texts) {
			t.Error(fault)
		}
	}
}

// The rules above are worth nothing if they cannot fail.
func TestFaultsOfDocumentsAreFound(t *testing.T) {
	t.Parallel()
	c := code{
		folders: map[string]bool{"worker": true},
		symbols: map[string]bool{"worker.Worker": true, "worker.Worker.Advance": true},
		tests:   map[string]bool{"worker.TestOrder": true},
	}
	text := "`worker.Worker.Advance`, `TestOrder` and `worker.TestOrder` are; `events.Nobody` is of no folder.\n" +
		"`worker.Worker.Retreat`, `*worker.Nothing`, `TestDisorder` and `worker.TestDisorder` are not.\n```\n`worker.Sample`\n```\n"
	want := []string{"symbol worker.Worker.Retreat", "symbol *worker.Nothing", "test TestDisorder", "test worker.TestDisorder"}
	if got := c.unknownNames(text); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	texts := map[string]string{"docs/events.md": "# Events\n\n## A b, c\n"}
	text = "[a](events.md#a-b-c) [b](https://example.com/x) [c](events.md#none) [d](none.md) [e](../go.mod)"
	want = []string{"docs/x.md: link events.md#none: no such heading", "docs/x.md: link none.md leads nowhere"}
	if got := linkFaults("docs/x.md", text, texts); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
