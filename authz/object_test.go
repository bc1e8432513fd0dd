package authz

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Each text is read as encoding/json reads it, or refused as there. The property test and FuzzObject draw others.
func TestObjectsAreReadAsEncodingJSONReadsThem(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `}`, `{}`, ` {} `, "\t\r\n{\t\r\n}\t\r\n", `{}}`, `{} x`, `{},`, `[]`, `"a"`, `1`, `null`, "{}\x00", "\v{}", `["a":1}`, `x"a":1}`, `"a":1}`, "\xef\xbb\xbf{}",
		`{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{,"a":1}`, `{"a":1,,"b":2}`, `{"a":1;"b":2}`, `{"a":1 "b":2}`, `{"a" 1}`, `{"a"=1}`, `{"a"::1}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`,
		`{"a":1}x`, `{"a":1}}`, `{"a":1} `, `{ "a" : 1 , "b" : 2 }`, "{\n\"a\"\n:\n1\n,\n\"b\"\n:\n2\n}", `{"":1}`, `{"a":}`, `{:1}`, `{"a":1,"b"}`, `{"a":1,b:2}`, `{"a":1,"b":2,"c":3}`,
		`{"a":true,"b":false,"c":null}`, `{"a":tru}`, `{"a":truex}`, `{"a":true x}`, `{"a":True}`, `{"a":fals}`, `{"a":falsE}`, `{"a":nul}`, `{"a":nulll}`, `{"a":n}`, `{"a":t`, `{"a":nan}`, `{"a":Infinity}`,
		`{"a":0}`, `{"a":-0}`, `{"a":00}`, `{"a":01}`, `{"a":-01}`, `{"a":10}`, `{"a":9876543210}`, `{"a":-}`, `{"a":--1}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1.5}`, `{"a":1.05}`, `{"a":1.5.5}`, `{"a":0.0}`, `{"a":-1.5e3}`,
		`{"a":1e}`, `{"a":1e5}`, `{"a":1E5}`, `{"a":1e+5}`, `{"a":1e-5}`, `{"a":1e+}`, `{"a":1e-}`, `{"a":1e+-5}`, `{"a":1e5.5}`, `{"a":1.e5}`, `{"a":1e05}`, `{"a":e5}`, `{"a":0x1}`, `{"a":1_0}`, `{"a":1a}`, `{"a":1/2}`, `{"a":1:}`,
		`{"a":"b"}`, `{"a":"b}`, `{"a":"b\"}`, `{"a":"b\\"}`, `{"a":"\"\\\/\b\f\n\r\t"}`, `{"a":"\a"}`, `{"a":"\v"}`, `{"a":"\x41"}`, `{"a":"\"}`, `{"a":"\`, `{"a":"\u`, `{"a":"\u0`, `{"a":"\u0041"}`, `{"a":"\u004"}`, `{"a":"\u004g"}`,
		`{"a":"\u00Af\uFa09"}`, `{"a":"\u00/0"}`, `{"a":"\u00:0"}`, `{"a":"\u00@0"}`, `{"a":"\u00G0"}`, `{"a":"\u00` + "`" + `0"}`, `{"a":"\ud800"}`, `{"a":"\U0041"}`, "{\"a\":\"\x1f\"}", "{\"a\":\" \"}", "{\"a\":\"\x7f\"}", "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\xff\"}", "{\"a\x00\":1}",
		`{"\u0061":1}`, `{"\u0061":1,"a":2}`, `{"a":1,"A":2}`, `{"\":1}`, `{"\q":1}`, `{"a":1,"a":1}`, `{"é":"é"}`,
		`{"a":[]}`, `{"a":[ ]}`, `{"a":[1]}`, `{"a":[1,2]}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[,]}`, `{"a":[1 2]}`, `{"a":[1:2]}`, `{"a":["b":1]}`, `{"a":[}`, `{"a":[1}`, `{"a":[1}]}`, `{"a":[)}`, `{"a":[1`, `{"a":[1,`, `{"a":[`, `{"a":]}`,
		`{"a":{}}`, `{"a":{ }}`, `{"a":{"b":1}}`, `{"a":{"b":1,"c":2}}`, `{"a":{"b":1,}}`, `{"a":{,}}`, `{"a":{"b"}}`, `{"a":{"b":}}`, `{"a":{"b" 1}}`, `{"a":{"b":1 "c":2}}`, `{"a":{"b":1,"c"}}`, `{"a":{"b":1,2}}`, `{"a":{"b":1]}`, `{"a":{]}`, `{"a":{1}}`, `{"a":{"b":1`, `{"a":{`, `{"a":}}`,
		`{"a":[[],{},[{}],{"b":[]}]}`, `{"a":[{"b":[1,{"c":null}]} , "x"] , "d":{"e":{"f":[]}}}`, `{"a":[{]}}`, `{"a":[{}}]`, `{"a":{"b":[}]}`, `{"a":[[1],[2]]}`, `{"a":[[1][2]]}`, `{"a":{"b":{}"c":1}}`, `{"a":[1]2}`, `{"a":[1],2}`, `{"a":"b" "c"}`,
	} {
		agree(t, []byte(text))
	}
	// Objects and arrays in turns, deeper than one word of the bits that tell them apart, with right and wrong ends.
	for depth := range 140 {
		for _, first := range []string{"[", `{"a":`} {
			open, shut := "", ""
			for i := range depth {
				if (i%2 == 0) == (first == "[") {
					open, shut = open+"[", "]"+shut
				} else {
					open, shut = open+`{"a":`, "}"+shut
				}
			}
			agree(t, []byte(`{"a":`+open+"1"+shut+"}"))
			if depth > 0 {
				wrong := map[byte]string{']': "}", '}': "]"}[shut[0]] + shut[1:]
				agree(t, []byte(`{"a":`+open+"1"+wrong+"}"))
				agree(t, []byte(`{"a":`+open+"1"+shut[1:]+"}"))
				agree(t, []byte(`{"a":`+open+"1,"+shut+"}"))
			}
		}
	}
}

// The time that many names take doesn't grow with their square: an answer's body may be 1 MiB long.
func TestManyNamesTakeLittleTime(t *testing.T) {
	var text strings.Builder
	for i := range 90_000 {
		fmt.Fprintf(&text, `,"%x":0`, i)
	}
	started := time.Now()
	if o, err := parseObject([]byte("{"+text.String()[1:]+"}"), nil); err != nil || len(o) != 90_000 {
		t.Error(err)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// A token can't make the parser, or the gateway's, go deeper than this.
func TestNestingIsBounded(t *testing.T) {
	for _, tt := range []struct {
		depth int
		ok    bool
	}{
		{1, true}, {63, true}, {64, true}, {65, true}, {maxNesting, true}, {maxNesting + 1, false}, {1 << 16, false},
	} {
		for _, pair := range []string{"[]", "{}"} {
			text := strings.Repeat("[", tt.depth-1) + pair + strings.Repeat("]", tt.depth-1)
			if o, err := parseObject([]byte(`{"a":`+text+`}`), nil); (err == nil) != tt.ok || tt.ok && string(o.get("a")) != text {
				t.Errorf("%d deep: %v", tt.depth, err)
			}
		}
	}
}
