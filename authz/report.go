package authz

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is everything that is decided at run time, said beforehand: what `envgate check` prints.
type Report struct {
	Settings    []Origin `json:"settings,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Rule        Rule     `json:"environment_rule,omitempty"`
	Origins     []string `json:"allowed_origins,omitempty"`
	Tokens      []string `json:"tokens,omitempty"`
	Stripped    []string `json:"stripped_headers,omitempty"`
	LoginPage   string   `json:"login_page,omitempty"`
	Routes      []Route  `json:"routes,omitempty"`

	Embedded   []string `json:"embedded,omitempty"`
	Translated string   `json:"translated,omitempty"`

	Denied *Denied `json:"denied,omitempty"`

	Issuers           []TrustedIssuer   `json:"issuers,omitempty"`
	ProtectedResource *ResourceMetadata `json:"protected_resource,omitempty"`

	Certificates []Certificate `json:"certificates,omitempty"`
	AtOnce       *AtOnce       `json:"at_once,omitempty"`

	Warnings []Warning `json:"warnings"`
	Errors   []string  `json:"errors,omitempty"`
}

// AtOnce is what is served at once, at most: the settings and the file descriptors of the process bound it.
type AtOnce struct {
	Connections int `json:"connections"`
	Requests    int `json:"requests"`
}

// Certificate is that of a listener. One that has expired is served all the same.
type Certificate struct {
	Listener string    `json:"listener"` // traffic or admin
	Expires  time.Time `json:"expires"`
	Expired  bool      `json:"expired"`
}

// NewReport reports on a parsed configuration; more are warnings that only the running system shows.
func NewReport(c *Config, more ...Warning) Report {
	r := Report{
		Settings: c.Origins, Environment: c.Environment, Rule: c.Rule, Tokens: c.tokenSources(), Routes: c.Policy.Routes,
		Stripped: append([]string{c.UserHeader}, c.Policy.StripHeaders...),
		Warnings: append(append([]Warning{}, c.Warnings()...), more...),
	}
	for _, t := range c.Policy.Issuers {
		r.Issuers = append(r.Issuers, t.printable())
	}
	r.ProtectedResource = c.resourceReport()
	r.Embedded = c.embedded()
	r.Translated = c.translated()
	r.Denied = c.deniedSize()
	if c.CORS {
		r.Origins = c.AllowedOrigins
	}
	if c.Policy.LoginPage != "" {
		r.LoginPage = c.RootPath + c.Policy.LoginPage
	}
	return r
}

// tokenSources says in words where credentials are looked for.
func (c *Config) tokenSources() (list []string) {
	list = append(list, "header "+c.AuthHeader+" with the Bearer scheme")
	if c.AuthHeader != "Authorization" {
		list = append(list, "header Authorization, where a Bearer token verifies under a key of the gateway: it can only refuse")
	}
	if len(c.Policy.Tokens.Cookies)+len(c.Policy.Tokens.Query) == 0 {
		list = append(list, "no cookie and no query parameter: the policy has no tokens, and a gateway that reads some there gets them unjudged")
	}
	for _, name := range c.Policy.Tokens.Cookies {
		list = append(list, "cookie "+name)
	}
	for _, q := range c.Policy.Tokens.Query {
		list = append(list, "query parameter "+q.Name+" on "+q.Path)
	}
	for _, p := range c.Policy.Basic {
		list = append(list, "a lone Basic header on "+p)
	}
	return list
}

// embedded says in words which tokens get this environment's name.
func (c *Config) embedded() (list []string) {
	if !c.Embed {
		return nil
	}
	for _, name := range c.Policy.Tokens.Cookies {
		list = append(list, "cookie "+name+" of any answer")
	}
	for _, i := range c.Policy.Issuance {
		path := (Route{Path: i.Path, Prefix: i.Prefix}).String()
		list = append(list, strings.Join(i.Methods, " ")+" "+path+" at "+strings.Join(i.Tokens, " "))
	}
	return list
}

// translated says in words what the gateway gets of tokens under the derived key.
func (c *Config) translated() string {
	if c.Translate == TranslateOff {
		return ""
	}
	words := "derived keys are signed with the base secret for the gateway"
	if c.Translate == TranslateIssue {
		words += ", and its tokens with the derived key for clients"
	}
	if c.AcceptBaseKey {
		words += "; tokens under the base secret are accepted, too, which separates nothing yet"
	}
	return words
}

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "SETTING\tVALUE\tFROM\n")
	for _, o := range r.Settings {
		value := Printable(o.Value)
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", o.Name, value, o.From)
	}
	_, _ = fmt.Fprintf(t, "\nIn force:\n")
	for _, line := range [][2]string{
		{"environment", r.Environment}, {"environment rule", string(r.Rule)},
		{"origins that may read a refusal", strings.Join(r.Origins, " ")}, {"login page for browsers", r.LoginPage},
		{"headers that clients may not set", strings.Join(r.Stripped, " ")},
	} {
		if line[1] == "" {
			line[1] = "none"
		}
		_, _ = fmt.Fprintf(t, "  %s:\t%s\n", line[0], line[1])
	}
	if r.AtOnce != nil {
		_, _ = fmt.Fprintf(t, "  at once, with the file descriptors here:\t%d connections, %d requests\n", r.AtOnce.Connections, r.AtOnce.Requests)
	}
	_, _ = fmt.Fprintf(t, "\nTokens are looked for in:\n")
	for _, s := range r.Tokens {
		_, _ = fmt.Fprintf(t, "  %s\n", s)
	}
	if len(r.Embedded) > 0 {
		_, _ = fmt.Fprintf(t, "\nTokens of the gateway get env in:\n")
	}
	for _, s := range r.Embedded {
		_, _ = fmt.Fprintf(t, "  %s\n", s)
	}
	if r.Translated != "" {
		_, _ = fmt.Fprintf(t, "\nTranslation: %s\n", r.Translated)
	}
	if r.Denied != nil {
		_, _ = fmt.Fprintf(t, "\nRevoked by the deny-list: %s\n", r.Denied)
	}
	_, _ = fmt.Fprintf(t, "\nROUTE\tMETHODS\tACCESS\n")
	for _, route := range r.Routes {
		methods := strings.Join(route.Methods, " ")
		if methods == "" {
			methods = "all"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", route, methods, route.Access)
	}
	_, _ = fmt.Fprintf(t, "everything else, what ends in /mcp, and upgrades\tall\tprotected\n")
	if len(r.Issuers) > 0 {
		_, _ = fmt.Fprintf(t, "\nISSUER\tAUDIENCES\tALGORITHMS\tENV CLAIM\tKEYS\n")
	}
	for _, i := range r.Issuers {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", Printable(i.Issuer), Printable(strings.Join(i.Audiences, " ")), strings.Join(i.Algorithms, " "), *i.Environment, i.fetched())
	}
	if p := r.ProtectedResource; p != nil {
		_, _ = fmt.Fprintf(t, "\nChallenges at %s and below name %s, served by %s to anybody\n", p.Path, p.Address, p.ServedBy)
		for _, s := range p.AuthorizationServers {
			_, _ = fmt.Fprintf(t, "  authorization server %s\n", Printable(s))
		}
		for _, s := range p.ScopesSupported {
			_, _ = fmt.Fprintf(t, "  scope %s\n", Printable(s))
		}
	}
	for _, c := range r.Certificates {
		words := "expires"
		if c.Expired {
			words = "has EXPIRED, and clients refuse it:"
		}
		_, _ = fmt.Fprintf(t, "\nThe certificate of the %s listener %s %s\n", c.Listener, words, c.Expires.Format(time.RFC3339))
	}
	_, _ = fmt.Fprintf(t, "\n%d warnings\n", len(r.Warnings))
	for _, warning := range r.Warnings {
		_, _ = fmt.Fprintf(t, "  %s: %s; %s\n", warning.Check, warning.Message, warning.Set)
	}
	return t.Flush()
}

// Text writes the inspection for people, one line a check.
func (in Inspection) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range in.Checks {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", c.Name, c.Result, c.Text)
	}
	if len(in.Claims) > 0 {
		_, _ = fmt.Fprintln(t, "\nClaims:")
		for _, c := range in.Claims {
			_, _ = fmt.Fprintf(t, "  %s\t%s\n", c.Name, c.Value)
		}
	}
	if in.Others != "" {
		_, _ = fmt.Fprintf(t, "  others\t%s\n", in.Others)
	}
	if in.Gateway != "" {
		_, _ = fmt.Fprintf(t, "\nThe gateway gets: %s\n", in.Gateway)
	}
	_, _ = fmt.Fprintf(t, "\nDecision: %s\n", in.Line())
	return t.Flush()
}

// Line is the decision in one line.
func (in Inspection) Line() string {
	if in.Reason == None {
		return string(in.Decision)
	}
	line := string(in.Decision) + ", " + string(in.Reason)
	if in.Detail != "" {
		line += ": " + in.Detail
	}
	return line
}
