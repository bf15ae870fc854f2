package contract

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
)

// Path is the folder of a contract from the root of its repository, with
// slashes: "" is the root itself (deeploy.md D5).
type Path string

// What a path may have at most.
const (
	maxPathBytes    = 1024
	maxElementBytes = 255
	maxDepth        = 16
)

// ParsePath returns s as a Path, or an error that says what one looks like.
func ParsePath(s string) (Path, error) {
	if s == "" {
		return "", nil
	}
	refuse := func(format string, args ...any) (Path, error) {
		return "", fmt.Errorf("contract path %s: "+format, append([]any{quote(s)}, args...)...)
	}
	switch {
	case len(s) > maxPathBytes:
		return refuse("expected %d bytes at most, got %d", maxPathBytes, len(s))
	case s == "." || !fs.ValidPath(s):
		return refuse(`expected a folder of the repository such as "models/churn", without a slash at either end, "." or ".."; nothing for its root`)
	case strings.Count(s, "/") >= maxDepth:
		return refuse("expected %d folders in one another at most", maxDepth)
	}
	for element := range strings.SplitSeq(s, "/") {
		if err := checkElement(element); err != nil {
			return refuse("%w", err)
		}
	}
	return Path(s), nil
}

// checkElement refuses names that mean something else to git or to another
// operating system.
func checkElement(name string) error {
	lower := strings.ToLower(name)
	switch {
	case len(name) > maxElementBytes:
		return fmt.Errorf("a name has %d bytes, expected %d at most", len(name), maxElementBytes)
	case lower == ".git" || strings.HasPrefix(lower, "git~"):
		return fmt.Errorf("%q belongs to git", name)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return fmt.Errorf("name %q ends with a dot or a space", name)
	}
	for _, r := range name {
		if r == '\\' || r == ':' || !unicode.IsPrint(r) {
			return fmt.Errorf("name %q holds the character %q", name, r)
		}
	}
	return nil
}

// join is a file or folder below the contract folder, from the root of the repository.
func (p Path) join(names ...string) string {
	return path.Join(append([]string{string(p)}, names...)...)
}

// String names the folder for people.
func (p Path) String() string {
	if p == "" {
		return "the root of the repository"
	}
	return string(p)
}

func base(name string) string { return path.Base(name) }
