package webhook

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeAPI is as much of a Kubernetes API server as the webhook speaks to, over real HTTPS: objects with versions,
// optimistic locking, lists with pages, watches with bookmarks and 410 Gone, and two kinds of patches.
type fakeAPI struct {
	*httptest.Server
	dir string // ca.crt, token

	mutex     sync.Mutex
	moved     chan struct{} // closed at each change
	version   int
	compacted int // watches from before are gone
	objects   map[string]map[string]any
	history   []change
	token     string
	minor     string
	fail      map[string]int // a path to the status it is answered with
	asked     map[string]int // METHOD path
	watching  chan struct{}  // closed to end all watches
	conflicts int
	intrude   map[string]func() // METHOD path to what happens just before, once
}

type change struct {
	version     int
	path        string
	before, now map[string]any // nil: not there
}

func newFakeAPI(t testing.TB) *fakeAPI {
	t.Helper()
	f := &fakeAPI{
		dir: t.TempDir(), moved: make(chan struct{}), watching: make(chan struct{}), version: 100, objects: map[string]map[string]any{},
		token: "first-token", minor: "34", fail: map[string]int{}, asked: map[string]int{}, intrude: map[string]func(){},
	}
	f.Server = httptest.NewUnstartedServer(f)
	f.EnableHTTP2 = true
	f.StartTLS()
	t.Cleanup(func() { f.cutWatches(); f.Close() })
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	for name, text := range map[string][]byte{"ca.crt": ca, "token": []byte(f.token + "\n")} {
		if err := os.WriteFile(filepath.Join(f.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.put(configurationsPath+"/envgate", `{"webhooks": [{"name": "pods.inject.envgate", "clientConfig": {}}, {"name": "more.inject.envgate", "clientConfig": {"caBundle": "bm90aGluZw=="}}]}`)
	return f
}

// put writes an object, without asking anybody.
func (f *fakeAPI) put(path, text string) {
	var it map[string]any
	if err := json.Unmarshal([]byte(text), &it); err != nil {
		panic(err)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.store(path, it)
}

func (f *fakeAPI) namespace(name, labels, annotations string) {
	f.put(namespacesPath+"/"+name, `{"metadata": {"labels": {`+labels+`}, "annotations": {`+annotations+`}}}`)
}

func (f *fakeAPI) remove(path string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.store(path, nil)
}

// store is called with the mutex held; nil deletes.
func (f *fakeAPI) store(name string, it map[string]any) {
	f.version++
	before := f.objects[name]
	delete(f.objects, name)
	if it != nil {
		metadata, _ := it["metadata"].(map[string]any)
		metadata = maps.Clone(metadata)
		if metadata == nil {
			metadata = map[string]any{}
		}
		metadata["name"], metadata["resourceVersion"] = path.Base(name), strconv.Itoa(f.version)
		it["metadata"] = metadata
		f.objects[name] = it
	}
	f.history = append(f.history, change{f.version, name, before, it})
	close(f.moved)
	f.moved = make(chan struct{})
}

// read decodes what is stored now.
func (f *fakeAPI) read(t testing.TB, path string, into any) {
	t.Helper()
	f.mutex.Lock()
	text, err := json.Marshal(f.objects[path])
	f.mutex.Unlock()
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bundle is what the API server would verify the webhook's first entry with.
func (f *fakeAPI) bundle(t testing.TB) []byte {
	t.Helper()
	var c configurationObject
	f.read(t, configurationsPath+"/envgate", &c)
	return c.Webhooks[0].ClientConfig.CABundle
}

func (f *fakeAPI) count(question string) int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.asked[question]
}

func (f *fakeAPI) answerWith(path string, code int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.fail[path] = code
}

// cutWatches ends every watch, as a restart of the server would.
func (f *fakeAPI) cutWatches() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	close(f.watching)
	f.watching = make(chan struct{})
}

// compact forgets the past: a watch from before is 410 Gone.
func (f *fakeAPI) compact() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.compacted, f.history = f.version, nil
}

func refuse(w http.ResponseWriter, code int) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind": "Status", "code": %d, "message": "refused with %d"}`, code, code)
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked[r.Method+" "+r.URL.Path]++
	if intrude := f.intrude[r.Method+" "+r.URL.Path]; intrude != nil {
		delete(f.intrude, r.Method+" "+r.URL.Path)
		intrude()
	}
	it, there := f.objects[r.URL.Path]
	collection := strings.HasSuffix(r.URL.Path, "s") && (path.Base(r.URL.Path) == "namespaces" || path.Base(r.URL.Path) == "secrets" || r.URL.Path == configurationsPath)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+f.token:
		refuse(w, http.StatusUnauthorized)
	case f.fail[r.URL.Path] != 0:
		refuse(w, f.fail[r.URL.Path])
	case r.URL.Path == "/version":
		fmt.Fprintf(w, `{"major": "1", "minor": %q}`, f.minor)
	case r.Method == http.MethodPost:
		f.create(w, r)
	case collection && r.URL.Query().Get("watch") == "true":
		f.watch(w, r)
	case collection:
		f.list(w, r)
	case !there:
		refuse(w, http.StatusNotFound)
	case r.Method == http.MethodPatch:
		f.patch(w, r, it)
	default:
		_ = json.NewEncoder(w).Encode(it)
	}
}

func (f *fakeAPI) create(w http.ResponseWriter, r *http.Request) {
	var it map[string]any
	if json.NewDecoder(r.Body).Decode(&it) != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	name := r.URL.Path + "/" + it["metadata"].(map[string]any)["name"].(string)
	if f.objects[name] != nil {
		f.conflicts++
		refuse(w, http.StatusConflict)
		return
	}
	f.store(name, it)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(it)
}

// patch knows merge patches with a resourceVersion, and the operations test and add.
func (f *fakeAPI) patch(w http.ResponseWriter, r *http.Request, it map[string]any) {
	text, _ := json.Marshal(it)
	var after map[string]any
	_ = json.Unmarshal(text, &after)
	version := it["metadata"].(map[string]any)["resourceVersion"]
	if r.Header.Get("Content-Type") == mergePatch {
		var patch map[string]any
		if json.NewDecoder(r.Body).Decode(&patch) != nil {
			refuse(w, http.StatusBadRequest)
			return
		}
		if patch["metadata"].(map[string]any)["resourceVersion"] != version {
			f.conflicts++
			refuse(w, http.StatusConflict)
			return
		}
		merge(after, patch)
	} else {
		var operations []struct {
			Op, Path string
			Value    any
		}
		if r.Header.Get("Content-Type") != jsonPatch || json.NewDecoder(r.Body).Decode(&operations) != nil {
			refuse(w, http.StatusUnsupportedMediaType)
			return
		}
		for _, o := range operations {
			keys := strings.Split(o.Path, "/")[1:]
			var at any = after
			for _, key := range keys[:len(keys)-1] {
				if list, ok := at.([]any); ok {
					i, _ := strconv.Atoi(key)
					at = list[i]
				} else {
					at = at.(map[string]any)[key]
				}
			}
			last := keys[len(keys)-1]
			if o.Op == "test" && at.(map[string]any)[last] != o.Value {
				f.conflicts++
				refuse(w, http.StatusUnprocessableEntity)
				return
			}
			at.(map[string]any)[last] = o.Value
		}
	}
	f.store(r.URL.Path, after)
	_ = json.NewEncoder(w).Encode(after)
}

func merge(into, patch map[string]any) {
	for key, value := range patch {
		below, nested := value.(map[string]any)
		had, _ := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case nested && had != nil:
			merge(had, below)
		case nested:
			into[key] = map[string]any{}
			merge(into[key].(map[string]any), below)
		default:
			into[key] = value
		}
	}
}

// selected tells whether an object is in the collection that was asked for.
func selected(r *http.Request, name string, it map[string]any) bool {
	if it == nil || path.Dir(name) != r.URL.Path {
		return false
	}
	if field := r.URL.Query().Get("fieldSelector"); field != "" && field != "metadata.name="+path.Base(name) {
		return false
	}
	key, value, given := strings.Cut(r.URL.Query().Get("labelSelector"), "=")
	labels, _ := it["metadata"].(map[string]any)["labels"].(map[string]any)
	return !given || labels[key] == value
}

// list has pages of two.
func (f *fakeAPI) list(w http.ResponseWriter, r *http.Request) {
	from := r.URL.Query().Get("continue")
	var items []any
	more, last := "", ""
	for {
		next := ""
		for name, it := range f.objects { // in order of names
			if selected(r, name, it) && name > from && name > last && (next == "" || name < next) {
				next = name
			}
		}
		if next == "" {
			break
		}
		if len(items) == 2 {
			more = last
			break
		}
		last = next
		items = append(items, f.objects[next])
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": strconv.Itoa(f.version), "continue": more}, "items": items})
}

// watch is called with the mutex held, and lets go of it while it waits.
func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	out := json.NewEncoder(w)
	send := func(kind string, it any) {
		_ = out.Encode(map[string]any{"type": kind, "object": it})
		w.(http.Flusher).Flush()
	}
	if from < f.compacted {
		send("ERROR", map[string]any{"kind": "Status", "code": http.StatusGone, "message": "too old resource version"})
		return
	}
	end := f.watching
	send("BOOKMARK", map[string]any{"metadata": map[string]any{"resourceVersion": strconv.Itoa(from)}})
	for {
		for _, c := range f.history {
			if c.version <= from {
				continue
			}
			from = c.version
			switch before, now := selected(r, c.path, c.before), selected(r, c.path, c.now); {
			case before && now:
				send("MODIFIED", c.now)
			case now:
				send("ADDED", c.now)
			case before:
				gone := maps.Clone(c.before)
				metadata := maps.Clone(gone["metadata"].(map[string]any))
				metadata["resourceVersion"] = strconv.Itoa(c.version)
				gone["metadata"] = metadata
				send("DELETED", gone)
			}
		}
		moved := f.moved
		f.mutex.Unlock()
		ended := false
		select {
		case <-moved:
		case <-end:
			ended = true
		case <-r.Context().Done():
			ended = true
		}
		f.mutex.Lock()
		if ended {
			return
		}
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
