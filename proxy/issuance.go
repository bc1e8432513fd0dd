package proxy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"envgate/authz"
)

const (
	// issuanceLimit is how long an answer that hands out tokens may be, in bytes; longer ones pass as they are.
	issuanceLimit = 1 << 20
	// cookieLimit is how long name and value of a cookie may be together: browsers drop longer ones (RFC 6265bis, section 5.6).
	cookieLimit = 4096
)

var errTooLong = errors.New("the answer is too long")

// embed gives the tokens that an answer hands out this environment's name: those in cookies of any answer, and those in the
// body of answers that the policy lists. Nothing else is touched, a Location least of all; and nothing on 307 and 308, which
// have the request sent again. What can't be embedded passes unchanged, and is counted.
func (e *exchange) embed(res *http.Response) {
	if !e.rules.config.Embed || res.StatusCode < 200 || res.StatusCode >= 400 ||
		res.StatusCode == http.StatusTemporaryRedirect || res.StatusCode == http.StatusPermanentRedirect {
		return
	}
	e.embedCookies(res.Header)
	whole := res.StatusCode < 300 && res.StatusCode != http.StatusPartialContent && e.r.Method != http.MethodHead
	if pointers := e.rules.guard.Issuance(e.r.Method, e.r.URL.Path); pointers != nil && whole && isJSON(res.Header) {
		e.embedBody(res, pointers)
	}
}

// embedToken is what becomes of one token, counted. One that would become longer than most bytes stays as it is.
func (e *exchange) embedToken(token string, most int) (string, authz.Embedding) {
	again, what := e.rules.guard.Embed(token, e.decision.Bound)
	if what == authz.Embedded && len(again) > most {
		again, what = token, authz.TooLong
	}
	e.p.metrics.Embedded(what)
	switch {
	case what == authz.TooLong:
		e.p.log.unembedded(what, e.r)
	case what == authz.Embedded && e.rules.config.Translate == authz.TranslateIssue:
		e.p.metrics.Translated(false)
	}
	return again, what
}

// embedCookies changes the values of token cookies (RFC 6265, section 4.1.1); their attributes stay.
func (e *exchange) embedCookies(h http.Header) {
	for i, line := range h["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		name, value, isPair := strings.Cut(pair, "=")
		if !isPair || !slices.Contains(e.rules.config.Policy.Tokens.Cookies, strings.Trim(name, " \t")) {
			continue
		}
		token := strings.Trim(value, " \t")
		if token == "" || token == `""` { // a cookie that is taken away
			continue
		}
		if again, what := e.embedToken(token, cookieLimit-len(name)); what == authz.Embedded {
			h["Set-Cookie"][i] = name + "=" + again + line[len(pair):]
		}
	}
}

func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// embedBody reads the whole answer, and puts it back with its tokens embedded, or as it was.
func (e *exchange) embedBody(res *http.Response, pointers []string) {
	began := time.Now()
	raw, err := io.ReadAll(io.LimitReader(res.Body, issuanceLimit+1))
	e.received = e.received.Add(time.Since(began)) // the upstream's time, not ours
	rest := res.Body
	putBack := func(what authz.Embedding) {
		res.Body = &wholeBody{io.MultiReader(bytes.NewReader(raw), failed(err), rest), rest}
		if what != "" {
			e.p.metrics.Embedded(what)
			e.p.log.unembedded(what, e.r)
		}
	}
	if err != nil {
		putBack("") // the upstream broke off: so does the answer
		return
	}
	plain, err2 := decoded(raw, res.Header)
	switch {
	case len(raw) > issuanceLimit || errors.Is(err2, errTooLong):
		putBack(authz.TooLong)
		return
	case err2 != nil:
		putBack(authz.Unreadable)
		return
	}
	body, found, err2 := authz.EmbedBody(plain, pointers, func(token string) (string, authz.Embedding) {
		return e.embedToken(token, e.rules.config.MaxTokenBytes)
	})
	switch {
	case err2 != nil:
		putBack(authz.Unreadable)
	case !slices.Contains(found, authz.Embedded):
		putBack("")
	default:
		res.Body = &wholeBody{bytes.NewReader(body), rest}
		rewritten(res, len(body))
	}
}

// wholeBody is a body that was read already; closing it closes the upstream's.
type wholeBody struct {
	io.Reader
	io.Closer
}

// failed is a reader that ends as the upstream's did.
func failed(err error) io.Reader {
	if err == nil {
		return bytes.NewReader(nil)
	}
	return brokenOff{err}
}

type brokenOff struct{ err error }

func (b brokenOff) Read([]byte) (int, error) { return 0, b.err }

// decoded is an answer's content without its coding (RFC 9110, section 8.4). Answers that hand out tokens were asked for
// without any; a gateway that compresses all the same is understood where Go's library does.
func decoded(raw []byte, h http.Header) (plain []byte, err error) {
	var r io.Reader
	switch coding := strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ","))); coding {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(raw))
	default:
		return nil, errors.New("unknown content coding")
	}
	if err != nil {
		return nil, err
	}
	if plain, err = io.ReadAll(io.LimitReader(r, issuanceLimit+1)); err == nil && len(plain) > issuanceLimit {
		err = errTooLong
	}
	return plain, err
}

// rewritten makes the headers true of a body of another length: it has no coding any more, and what was computed over the
// former bytes is gone.
func rewritten(res *http.Response, length int) {
	for _, name := range []string{"Content-Encoding", "Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges"} {
		delete(res.Header, name)
	}
	if res.ContentLength >= 0 || len(res.Trailer) == 0 {
		res.ContentLength, res.TransferEncoding = int64(length), nil
		res.Header["Content-Length"] = []string{strconv.Itoa(length)}
	}
}
