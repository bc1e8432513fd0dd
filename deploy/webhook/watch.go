package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// object is what is read of any Kubernetes object.
type object struct {
	Metadata struct {
		Name            string            `json:"name"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// watcher follows a collection: it lists it, watches it from there, and lists it again when the watch is lost.
type watcher struct {
	client *client
	log    *slog.Logger
	path   string
	query  url.Values                   // the selector
	listed func([]object)               // all that there are
	event  func(kind string, it object) // ADDED, MODIFIED or DELETED
}

const (
	pageSize     = 500
	watchSeconds = 300 // a watch is renewed after so long, in case it was lost in silence
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
)

// run follows the collection until ctx ends.
func (w *watcher) run(ctx context.Context) {
	pause := firstPause
	version := "" // empty: to be listed
	for ctx.Err() == nil {
		var err error
		started, moved := time.Now(), false
		if version == "" {
			version, err = w.list(ctx)
		}
		if err == nil {
			version, moved, err = w.watch(ctx, version)
		}
		if moved || time.Since(started) > 10*time.Second {
			pause = firstPause
			if err == nil {
				continue // the watch came to its ordinary end
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			version = "" // 410 Gone among them
			w.log.Warn("a watch was lost", "path", w.path, "error", err.Error(), "pause", pause.String())
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, longestPause)
	}
}

// list reads all pages and returns the version to watch from.
func (w *watcher) list(ctx context.Context) (version string, err error) {
	query := maps.Clone(w.query)
	query.Set("limit", strconv.Itoa(pageSize))
	var all []object
	for {
		var page struct {
			Metadata struct{ ResourceVersion, Continue string }
			Items    []object
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		err := w.client.ask(ctx, http.MethodGet, w.path, query, "", nil, &page)
		cancel()
		if err != nil {
			return "", err
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			w.listed(all)
			return page.Metadata.ResourceVersion, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// watch reads events until the server or ctx ends the stream. It returns the version to go on from, and whether
// anything came.
func (w *watcher) watch(ctx context.Context, version string) (_ string, moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, (watchSeconds+15)*time.Second)
	defer cancel()
	query := maps.Clone(w.query)
	query.Set("watch", "true")
	query.Set("allowWatchBookmarks", "true")
	query.Set("timeoutSeconds", strconv.Itoa(watchSeconds))
	query.Set("resourceVersion", version)
	response, err := w.client.send(ctx, http.MethodGet, w.path, query, "", nil)
	if err != nil {
		return version, false, err
	}
	defer func() { _ = response.Body.Close() }()
	events := json.NewDecoder(response.Body)
	for {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			return version, moved, nil
		} else if err != nil {
			return version, moved, err
		}
		if e.Type == "ERROR" {
			var status struct {
				Code    int
				Message string
			}
			_ = json.Unmarshal(e.Object, &status) // it is an error, whatever it says
			return version, moved, &apiError{status.Code, status.Message}
		}
		var it object
		if err := json.Unmarshal(e.Object, &it); err != nil {
			return version, moved, err
		}
		version, moved = it.Metadata.ResourceVersion, true
		if e.Type != "BOOKMARK" {
			w.event(e.Type, it)
		}
	}
}
