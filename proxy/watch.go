package proxy

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher notices that one of some files changed. It watches their folders, since Kubernetes and editors replace files
// rather than write to them (a mounted Secret by swapping the link ..data), and compares what the files hold.
type watcher struct {
	notify *fsnotify.Watcher // nil where the kernel can't tell: then only looking helps
	files  []string
	seen   [sha256.Size]byte
}

// maxWatched is how much of a file is compared: more than a full deny-list holds, but not a device's endless bytes.
const maxWatched = 1 << 30

func newWatcher() *watcher {
	w := &watcher{}
	if notify, err := fsnotify.NewWatcher(); err == nil {
		w.notify = notify
	}
	return w
}

// events tells that something happened near the files.
func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

// errors tells that events may have been lost.
func (w *watcher) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close()
	}
}

// follow watches these files from now on. What they hold has been read already.
func (w *watcher) follow(files []string) {
	w.files = files
	if w.notify == nil {
		return
	}
	wanted := map[string]bool{}
	for _, file := range files {
		wanted[filepath.Dir(file)] = true
		if target, err := filepath.EvalSymlinks(file); err == nil {
			wanted[filepath.Dir(target)] = true
		}
	}
	for _, folder := range w.notify.WatchList() {
		if !wanted[folder] {
			_ = w.notify.Remove(folder)
		}
	}
	for folder := range wanted {
		_ = w.notify.Add(folder) // a folder that isn't there is looked at now and then
	}
}

// changed tells whether the files hold something else than when it was last asked.
func (w *watcher) changed() bool {
	now := contents(w.files)
	defer func() { w.seen = now }()
	return now != w.seen
}

// contents is a hash of what files hold. Only regular ones are opened: a pipe would hold up the sidecar.
func contents(files []string) [sha256.Size]byte {
	h := sha256.New()
	for _, file := range files {
		binary.Write(h, binary.BigEndian, int64(-1)) //nolint:errcheck // a hash takes everything
		if is, err := os.Stat(file); err != nil || !is.Mode().IsRegular() {
			continue
		}
		if f, err := os.Open(file); err == nil {
			n, _ := io.Copy(h, io.LimitReader(f, maxWatched))
			binary.Write(h, binary.BigEndian, n) //nolint:errcheck // the same
			_ = f.Close()
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Files must be left alone this long before they are read, since they are often written one after the other; but a folder
// in which something always happens puts it off no longer than that.
const (
	settle     = 200 * time.Millisecond
	settleMost = time.Second
)

// settling waits until files are left alone.
type settling struct {
	timer *time.Timer
	due   time.Time // when the wait is over at the latest; zero while nothing happened
}

func newSettling() *settling { return &settling{timer: time.NewTimer(settle)} }

// postpone says that something happened.
func (s *settling) postpone() {
	now := time.Now()
	if s.due.IsZero() {
		s.due = now.Add(settleMost)
	}
	s.timer.Reset(min(settle, s.due.Sub(now)))
}

// over says that the timer has fired.
func (s *settling) over() { s.due = time.Time{} }
