package main

// sent says which tokens a scenario's requests carry.
type sent string

const (
	seen   sent = "seen"   // one good token again and again
	fresh  sent = "new"    // good ones, each only once
	forged sent = "forged" // with a wrong signature, each only once
	none   sent = "none"
)

// scenario is one kind of traffic, before which every proxy stands in turn.
type scenario struct {
	name        string // for -only
	title       string // for tables
	algorithm   string
	tokens      sent
	connections int
	path        string
	upload      bool
	unix        bool
}

// refuses says whether a guard must answer 401 to all of it.
func (s scenario) refuses() bool { return s.tokens == forged || s.tokens == none }

// The scenarios, in the order of tables. seen-32 is what PRODUCT figures speak of.
var scenarios = []scenario{
	{"seen-1", "token seen before, 1 connection", "HS256", seen, 1, "/tools", false, false},
	{"seen-32", "token seen before, 32 connections", "HS256", seen, 32, "/tools", false, false},
	{"seen-512", "token seen before, 512 connections", "HS256", seen, 512, "/tools", false, false},
	{"new-32", "every token new, 32 connections", "HS256", fresh, 32, "/tools", false, false},
	{"new-512", "every token new, 512 connections", "HS256", fresh, 512, "/tools", false, false},
	{"forged-32", "every token forged, 32 connections", "HS256", forged, 32, "/tools", false, false},
	{"forged-512", "every token forged, 512 connections", "HS256", forged, 512, "/tools", false, false},
	{"none-32", "no token, 32 connections", "HS256", none, 32, "/tools", false, false},
	{"none-512", "no token, 512 connections", "HS256", none, 512, "/tools", false, false},
	{"rs256-seen-32", "RS256 token seen before, 32 connections", "RS256", seen, 32, "/tools", false, false},
	{"rs256-new-32", "every RS256 token new, 32 connections", "RS256", fresh, 32, "/tools", false, false},
	{"unix-32", "token seen before, 32 connections, upstream on a Unix socket", "HS256", seen, 32, "/tools", false, true},
	{"download-4", "10 MiB from the upstream, 4 connections", "HS256", seen, 4, "/large", false, false},
	{"upload-4", "10 MiB to the upstream, 4 connections", "HS256", seen, 4, "/sink", true, false},
}
