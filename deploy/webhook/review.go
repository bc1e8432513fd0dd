package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// review is an AdmissionReview of admission.k8s.io/v1, as far as it is read or written here.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID         string                `json:"uid"`
	Kind        struct{ Kind string } `json:"kind"`
	SubResource string                `json:"subResource"`
	Namespace   string                `json:"namespace"`
	Operation   string                `json:"operation"`
	DryRun      bool                  `json:"dryRun"`
	Object      json.RawMessage       `json:"object"`
}

type response struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	Status    *status  `json:"status,omitempty"`
	PatchType string   `json:"patchType,omitempty"`
	Patch     []byte   `json:"patch,omitempty"` // base64 in JSON
	Warnings  []string `json:"warnings,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

const (
	mostReviewBytes = 3 << 20 // what the API server itself accepts of an object
	reviewVersion   = "admission.k8s.io/v1"
	reviewKind      = "AdmissionReview"
)

// questionError is what is wrong with a question that can't be answered by a review.
type questionError struct {
	code    int
	message string
}

func (e *questionError) Error() string { return e.message }

// ServeHTTP answers one AdmissionReview.
func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := a.read(w, r)
	if err != nil {
		code := http.StatusInternalServerError
		var q *questionError
		if errors.As(err, &q) {
			code = q.code
		}
		a.metrics.Decided(metrics.Failed)
		a.log.Warn("not a question for this webhook", "error", err.Error(), "code", code)
		plainText(w, code, err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", plainJSON)
	_, _ = w.Write(answer)
}

func (a *admission) read(w http.ResponseWriter, r *http.Request) (answer []byte, err error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != plainJSON {
		return nil, &questionError{http.StatusUnsupportedMediaType, fmt.Sprintf("content type %q: want %s", authz.Printable(r.Header.Get("Content-Type")), plainJSON)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostReviewBytes))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &questionError{http.StatusRequestEntityTooLarge, fmt.Sprintf("body: longer than %d bytes", large.Limit)}
	} else if err != nil {
		return nil, &questionError{http.StatusBadRequest, "body: incomplete"}
	}
	return a.answer(r.Context(), body)
}

// answer decides about the Pod in an AdmissionReview, counts and logs what it decided, and returns the answer.
func (a *admission) answer(ctx context.Context, body []byte) ([]byte, error) {
	var asked review
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, &questionError{http.StatusBadRequest, "body: not an AdmissionReview: " + authz.Printable(err.Error())}
	}
	if asked.APIVersion != reviewVersion || asked.Kind != reviewKind || asked.Request == nil || asked.Request.UID == "" {
		return nil, &questionError{http.StatusBadRequest, fmt.Sprintf("body: %q of %q: want %s of %s, with a request and its uid",
			authz.Printable(asked.Kind), authz.Printable(asked.APIVersion), reviewKind, reviewVersion)}
	}
	started := time.Now()
	d := a.safely(ctx, asked.Request)
	answer := response{UID: asked.Request.UID, Allowed: true, Warnings: d.warnings}
	switch d.result {
	case metrics.Injected:
		patch, err := json.Marshal(d.operations)
		if err != nil {
			d = failure(fmt.Errorf("patch: %w", err))
			break
		}
		answer.PatchType, answer.Patch = "JSONPatch", patch
	}
	switch d.result {
	case metrics.Denied:
		answer.Allowed, answer.Status = false, &status{http.StatusForbidden, d.reason}
	case metrics.Failed:
		answer.Allowed, answer.Status = false, &status{http.StatusInternalServerError, "envgate: " + d.reason}
	}
	a.metrics.Decided(d.result)
	a.log.Info("decision", "namespace", authz.Printable(asked.Request.Namespace), "pod", authz.Printable(d.pod), "result", d.result, "reason", d.reason,
		"dry_run", asked.Request.DryRun, "took", time.Since(started).String())
	return json.Marshal(review{APIVersion: reviewVersion, Kind: reviewKind, Response: &answer})
}

// safely turns a panic into a denial: a mistake must neither let a Pod pass nor end the process.
func (a *admission) safely(ctx context.Context, r *request) (d decision) {
	defer func() {
		if caught := recover(); caught != nil {
			a.log.Error("a decision failed", "error", authz.Printable(fmt.Sprint(caught)), "stack", string(debug.Stack()))
			d = failure(errors.New("a mistake inside, see the webhook's log"))
		}
	}()
	return a.decide(ctx, r)
}

// decoded reads a Pod. Numbers stay as they are written.
func decoded(text []byte) (pod map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&pod); err != nil || pod == nil {
		return nil, errors.New("object: missing, or not a Pod")
	}
	return pod, nil
}
