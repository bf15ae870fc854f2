// Package gittest is a git server for tests: in Go, over smart HTTP and ssh, on bare
// repositories in a directory. It fails where a test tells it to.
package gittest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Server is a git server over smart HTTP with basic authentication, and over
// ssh (StartSSH), on bare repositories in a directory. It does what a
// server of git does: shallow clones, commits that no name stands for where
// that is allowed, compare-and-set of branches, and hooks that decline.
type Server struct {
	Dir      string
	User     string // who may read and write; "": anybody may
	Password string
	Reader   string // whose password is password too, and who may only read

	NoShallow bool                                         // cannot do without the history
	NoAny     bool                                         // gives only what names stand for
	Filters   bool                                         // leaves out large files when asked (not over ssh)
	Deltas    bool                                         // sends what is similar as deltas, by the names of their bases
	Decline   string                                       // what a hook says to every push
	Received  func(s *Server, name plumbing.ReferenceName) // runs before a branch is moved
	Answered  func(w http.ResponseWriter) bool             // runs before a push is answered; true: it has answered

	mu       sync.Mutex // one at a time
	requests []string   // of the http server
	left     int        // files that were left out of packs
}

// filterLine is how a client asks for less, which go-git's decoder of requests
// does not know.
var filterLine = regexp.MustCompile(`[0-9a-f]{4}filter blob:limit=([0-9]+)\n`)

// filtered is a request without its filter, and how large files may be; -1 when
// it does not say.
func filtered(in io.Reader) (io.Reader, int64, error) {
	request, err := io.ReadAll(in)
	if err != nil {
		return nil, 0, err
	}
	m := filterLine.FindSubmatchIndex(request)
	if m == nil {
		return bytes.NewReader(request), -1, nil
	}
	most, err := strconv.ParseInt(string(request[m[2]:m[3]]), 10, 64)
	return bytes.NewReader(slices.Delete(request, m[0], m[1])), most, err
}

// without leaves large files out.
func (s *Server) without(st *filesystem.Storage, hashes []plumbing.Hash, most int64) []plumbing.Hash {
	return slices.DeleteFunc(hashes, func(h plumbing.Hash) bool {
		o, err := st.EncodedObject(plumbing.BlobObject, h)
		large := err == nil && o.Size() >= most
		if large {
			s.left++
		}
		return large
	})
}

// Bare makes an empty repository.
func (s *Server) Bare(tb testing.TB, name string) *filesystem.Storage {
	tb.Helper()
	st := s.Storage(name)
	if err := st.Init(); err != nil {
		tb.Fatal(err)
	}
	if err := st.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, "refs/heads/main")); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, name, "config"), []byte("[core]\n\trepositoryformatversion = 0\n\tbare = true\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return st
}

// Storage is the repository of that name.
func (s *Server) Storage(name string) *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(filepath.Join(s.Dir, name)), cache.NewObjectLRUDefault())
}

var errNoRepository = errors.New("no such repository")

func (s *Server) open(name string) (*filesystem.Storage, error) {
	name = strings.Trim(name, "/")
	if _, err := os.Stat(filepath.Join(s.Dir, name, "HEAD")); err != nil {
		return nil, errNoRepository
	}
	return s.Storage(name), nil
}

// advertise lists the refs for one of the two services.
func (s *Server) advertise(st *filesystem.Storage, service string) (*packp.AdvRefs, error) {
	ar := packp.NewAdvRefs()
	caps := []capability.Capability{capability.OFSDelta}
	if service == "git-upload-pack" {
		if !s.NoShallow {
			caps = append(caps, capability.Shallow)
		}
		if !s.NoAny {
			caps = append(caps, capability.AllowReachableSHA1InWant)
		}
		if s.Filters {
			caps = append(caps, capability.Filter)
		}
	} else {
		caps = append(caps, capability.ReportStatus, capability.DeleteRefs)
	}
	for _, c := range caps {
		if err := ar.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	refs, err := st.IterReferences()
	if err != nil {
		return nil, err
	}
	if err := refs.ForEach(func(ref *plumbing.Reference) error { return ar.AddReference(ref) }); err != nil {
		return nil, err
	}
	return ar, nil
}

// upload answers what git-upload-pack is asked.
func (s *Server) upload(st *filesystem.Storage, in io.Reader, out io.Writer) error {
	most := int64(-1)
	if s.Filters {
		var err error
		if in, most, err = filtered(in); err != nil {
			return err
		}
	}
	request := packp.NewUploadPackRequest()
	if err := request.Decode(in); err != nil {
		return err
	}
	for _, want := range request.Wants {
		if !s.gives(st, want) {
			return pktline.NewEncoder(out).Encodef("ERR upload-pack: not our ref %s\n", want)
		}
	}
	hashes, shallow, err := objectsFor(st, request)
	if err != nil {
		return err
	}
	if most >= 0 {
		hashes = s.without(st, hashes, most)
	}
	var pack bytes.Buffer
	window := map[bool]uint{true: 10}[s.Deltas]
	if _, err := packfile.NewEncoder(&pack, st, s.Deltas).Encode(hashes, window); err != nil {
		return err
	}
	response := packp.NewUploadPackResponseWithPackfile(request, io.NopCloser(&pack))
	response.Shallows = shallow
	return response.Encode(out)
}

func (s *Server) gives(st *filesystem.Storage, want plumbing.Hash) bool {
	refs, err := st.IterReferences()
	if err != nil {
		return false
	}
	tips := []plumbing.Hash{}
	_ = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference {
			tips = append(tips, ref.Hash())
		}
		return nil
	})
	if !s.NoAny {
		reachable, err := revlist.Objects(st, tips, nil)
		if err != nil {
			return false
		}
		tips = reachable
	}
	for _, h := range tips {
		if h == want {
			return true
		}
	}
	return false
}

func objectsFor(st *filesystem.Storage, request *packp.UploadPackRequest) (hashes, shallow []plumbing.Hash, err error) {
	if request.Depth.IsZero() {
		hashes, err = revlist.Objects(st, request.Wants, nil)
		return hashes, nil, err
	}
	for _, want := range request.Wants {
		if tag, err := object.GetTag(st, want); err == nil {
			hashes = append(hashes, want)
			want = tag.Target
		}
		commit, err := object.GetCommit(st, want)
		if err != nil { // a tag may name a tree
			below, err := revlist.Objects(st, []plumbing.Hash{want}, nil)
			return append(hashes, below...), nil, err
		}
		below, err := revlist.Objects(st, []plumbing.Hash{commit.TreeHash}, nil)
		if err != nil {
			return nil, nil, err
		}
		hashes = append(append(hashes, want), below...)
		if commit.NumParents() > 0 {
			shallow = append(shallow, want)
		}
	}
	return hashes, shallow, nil
}

// receive takes a push.
func (s *Server) receive(st *filesystem.Storage, in io.Reader) (*packp.ReportStatus, error) {
	request := packp.NewReferenceUpdateRequest()
	if err := request.Decode(in); err != nil {
		return nil, err
	}
	if err := packfile.UpdateObjectStorage(st, request.Packfile); err != nil {
		return nil, err
	}
	report := packp.NewReportStatus()
	report.UnpackStatus = "ok"
	for _, command := range request.Commands {
		report.CommandStatuses = append(report.CommandStatuses, &packp.CommandStatus{ReferenceName: command.Name, Status: s.move(st, command)})
	}
	return report, nil
}

// move makes a branch point elsewhere, if it points to where the command says
// and what it is to point to is whole.
func (s *Server) move(st *filesystem.Storage, command *packp.Command) string {
	if s.Decline != "" {
		return s.Decline
	}
	if s.Received != nil {
		s.Received(s, command.Name)
	}
	now := plumbing.ZeroHash
	if ref, err := st.Reference(command.Name); err == nil {
		now = ref.Hash()
	}
	if now != command.Old {
		return "failed to update ref"
	}
	if _, err := revlist.Objects(s.Fresh(st), []plumbing.Hash{command.New}, nil); err != nil {
		return "missing necessary objects"
	}
	if err := st.SetReference(plumbing.NewHashReference(command.Name, command.New)); err != nil {
		return err.Error()
	}
	return "ok"
}

// Fresh reads the same repository without what was cached of it.
func (s *Server) Fresh(st *filesystem.Storage) *filesystem.Storage {
	return filesystem.NewStorage(st.Filesystem(), cache.NewObjectLRUDefault())
}

// ServeHTTP is git's smart protocol over HTTP.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	service := r.URL.Query().Get("service")
	name, isRefs := strings.CutSuffix(r.URL.Path, "/info/refs")
	if !isRefs {
		name, service = r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')], r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	}
	if !s.allowed(w, r, service) {
		return
	}
	st, err := s.open(name)
	if err != nil {
		http.Error(w, "no such repository", http.StatusNotFound)
		return
	}
	defer st.Close()
	w.Header().Set("Content-Type", "application/x-"+service+"-result")
	switch {
	case isRefs:
		err = s.listRefs(w, st, service)
	case service == "git-upload-pack":
		err = s.upload(st, r.Body, w)
	default:
		err = s.answerPush(w, r, st)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *Server) listRefs(w http.ResponseWriter, st *filesystem.Storage, service string) error {
	ar, err := s.advertise(st, service)
	if err != nil {
		return err
	}
	ar.Prefix = [][]byte{fmt.Appendf(nil, "# service=%s", service), pktline.Flush}
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	return ar.Encode(w)
}

func (s *Server) answerPush(w http.ResponseWriter, r *http.Request, st *filesystem.Storage) error {
	report, err := s.receive(st, r.Body)
	if err != nil {
		return err
	}
	if s.Answered != nil && s.Answered(w) {
		return nil
	}
	return report.Encode(w)
}

func (s *Server) allowed(w http.ResponseWriter, r *http.Request, service string) bool {
	if s.User == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	switch {
	case password != s.Password || user != s.User && user != s.Reader:
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case user == s.Reader && service == "git-receive-pack":
		http.Error(w, "you may not push", http.StatusForbidden)
	default:
		return true
	}
	return false
}

// Start serves the repositories over https, and returns the url and a transport
// that trusts it.
func (s *Server) Start(tb testing.TB) (string, *http.Transport) {
	tb.Helper()
	web := httptest.NewTLSServer(backend(tb, s))
	tb.Cleanup(web.Close)
	return web.URL, web.Client().Transport.(*http.Transport)
}

// Left is how many files were left out of what was sent.
func (s *Server) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// Requests are the requests that the http server was sent, as "GET /path".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Refuse takes no pushes from then on, and says why.
func (s *Server) Refuse(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Decline = why
}

// Accept takes pushes from then on.
func (s *Server) Accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Decline = ""
}
