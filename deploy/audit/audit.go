// Package audit compares the settings of several environments: which pairs can't be told apart by a token, why, and what to
// change. Key material is compared in memory and never shown.
package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"envgate/authz"
)

// Report is what an audit found.
type Report struct {
	Environments []Environment `json:"environments"`
	Pairs        []Pair        `json:"pairs"`
	Separated    bool          `json:"separated"` // all pairs are, as far as can be said
}

// Environment is one of the environments, as its settings say.
type Environment struct {
	Name      string   `json:"name"`
	From      string   `json:"from"` // the file, and the namespace where it holds several
	Issuer    string   `json:"issuer"`
	Audience  string   `json:"audience"`
	Algorithm string   `json:"algorithm"`
	Notes     []string `json:"notes,omitempty"`

	config *authz.Config
	doubt  authz.Doubt // about keys that lie in files that can't be read here, or are said twice, differently
	hidden bool        // so does the policy
	unsure []string    // other settings that matter here, and are said twice, differently
}

// String names the environment as people tell it apart.
func (e Environment) String() string { return e.Name + " (" + e.From + ")" }

// Pair is what becomes of one environment's tokens in another.
type Pair struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Separated bool   `json:"separated"`
	Known     bool   `json:"known"` // false: it depends on a key that can't be read here, or on settings that contradict each other
	Why       string `json:"why"`
	Set       string `json:"set,omitempty"`
}

// Audit compares every environment with every other, in both directions. There must be two at least.
func Audit(all []Environment) (r Report, err error) {
	if len(all) < 2 {
		return r, fmt.Errorf("%d environment: want two at least, each in a file or a namespace of its own", len(all))
	}
	r = Report{Environments: all, Separated: true}
	for i, from := range all {
		for j, to := range all {
			if i == j {
				continue
			}
			p := compare(from, to)
			r.Pairs = append(r.Pairs, p)
			r.Separated = r.Separated && p.Separated && p.Known
		}
	}
	return r, nil
}

func compare(from, to Environment) Pair {
	p := Pair{From: from.String(), To: to.String()}
	c := from.config.Cross(to.config, from.doubt, to.doubt)
	p.Separated, p.Known, p.Why, p.Set = !c.Works, c.Known, c.Why, c.Set
	if contradicted := slices.Concat(from.unsure, to.unsure); p.Separated && len(contradicted) > 0 {
		slices.Sort(contradicted)
		p.Separated, p.Known = false, false
		p.Why = "it depends on what is said twice, differently: " + strings.Join(slices.Compact(contradicted), ", ")
		p.Set = "leave out the objects that are not the gateway's"
	}
	p.also(from.config.CrossIssuers(to.config))
	if trusts := len(to.config.Policy.Issuers) > 0; from.hidden && (to.hidden || trusts) || to.hidden && len(from.config.Policy.Issuers) > 0 {
		p.also(authz.Crossing{
			Works: true, Why: "whether the policies trust one issuer can't be known: the file that ENVGATE_POLICY names can't be read here, or is said twice",
			Set: "run the audit where the policy files are, or compare their issuers by hand",
		})
	}
	return p
}

// also adds what becomes of other tokens, where some work or may work.
func (p *Pair) also(c authz.Crossing) {
	if !c.Works {
		return
	}
	but := "; "
	if p.Separated {
		but = ", but "
	}
	p.Why += but + c.Why
	if p.Set != "" {
		p.Set += "; "
	}
	p.Set += c.Set
	p.Known = c.Known || p.Known && !p.Separated
	p.Separated = false
}

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "ENVIRONMENT\tFROM\tISSUER\tAUDIENCE\tALGORITHM\tNOTES")
	for _, e := range r.Environments {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, e.From, authz.Printable(e.Issuer), authz.Printable(e.Audience), e.Algorithm, strings.Join(e.Notes, "; "))
	}
	_, _ = fmt.Fprintln(t, "\nTOKENS OF\tAT\tSEPARATED\tWHY\tWHAT TO CHANGE")
	for _, p := range r.Pairs {
		separated := map[bool]string{true: "yes", false: "NO"}[p.Separated]
		if !p.Known {
			separated = "unknown"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.From, p.To, separated, p.Why, p.Set)
	}
	return t.Flush()
}

// Problem is the first pair that isn't separated, as an error; nil where all are.
func (r Report) Problem() error {
	bad := 0
	for _, p := range r.Pairs {
		if !p.Separated || !p.Known {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d directions are not known to be separated", bad, len(r.Pairs))
}

var errNothing = errors.New("holds no settings: want lines NAME=VALUE, or Secrets and ConfigMaps")
