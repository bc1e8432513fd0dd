package chart

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is the part of JSON Schema (draft 7) that values.schema.json uses; check fails on any other keyword, so that
// none is overlooked.
type schema map[string]any

var understood = strings.Fields("$schema title description type additionalProperties properties propertyNames required enum pattern minLength minimum maximum items minItems uniqueItems minProperties")

// check says what is wrong with a value, each with its place.
func (s schema) check(at string, v any) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	}
	for keyword := range s {
		if !slices.Contains(understood, keyword) {
			bad("the schema's keyword %s is unknown to this test", keyword)
		}
	}
	if allowed, ok := s["enum"].([]any); ok && !slices.ContainsFunc(allowed, func(a any) bool { return reflect.DeepEqual(a, v) }) {
		bad("%v: want one of %v", v, allowed)
	}
	if types := s.types(); len(types) > 0 && !slices.Contains(types, typeOf(v)) && (typeOf(v) != "integer" || !slices.Contains(types, "number")) {
		bad("%v is a %s: want %v", v, typeOf(v), types)
		return problems
	}
	switch v := v.(type) {
	case string:
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			bad("%q does not match %s", v, p)
		}
		if n, ok := s["minLength"].(float64); ok && len(v) < int(n) {
			bad("%q is shorter than %v", v, n)
		}
	case float64:
		if n, ok := s["minimum"].(float64); ok && v < n {
			bad("%v is less than %v", v, n)
		}
		if n, ok := s["maximum"].(float64); ok && v > n {
			bad("%v is more than %v", v, n)
		}
	case []any:
		if n, ok := s["minItems"].(float64); ok && len(v) < int(n) {
			bad("%d items: want %v or more", len(v), n)
		}
		for i, item := range v {
			problems = append(problems, s.below("items").check(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case map[string]any:
		problems = append(problems, s.checkObject(at, v)...)
	}
	return problems
}

func (s schema) checkObject(at string, v map[string]any) (problems []string) {
	for _, name := range list(s["required"]) {
		if _, present := v[name.(string)]; !present {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	if n, ok := s["minProperties"].(float64); ok && len(v) < int(n) {
		problems = append(problems, fmt.Sprintf("%s: %d keys: want %v or more", at, len(v), n))
	}
	properties, _ := s["properties"].(map[string]any)
	for name, value := range v {
		problems = append(problems, s.below("propertyNames").check(at+": key", name)...)
		if property, known := properties[name].(map[string]any); known {
			problems = append(problems, schema(property).check(at+"."+name, value)...)
		} else if s["additionalProperties"] == false {
			problems = append(problems, fmt.Sprintf("%s: unknown key %s", at, name))
		} else {
			problems = append(problems, s.below("additionalProperties").check(at+"."+name, value)...)
		}
	}
	return problems
}

func (s schema) below(keyword string) schema { below, _ := s[keyword].(map[string]any); return below }

func (s schema) types() (types []string) {
	if one, ok := s["type"].(string); ok {
		return []string{one}
	}
	for _, t := range list(s["type"]) {
		types = append(types, t.(string))
	}
	return types
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	}
	return fmt.Sprintf("%T", v)
}

func list(v any) []any { l, _ := v.([]any); return l }

func TestTheSchemaAllowsTheDefaultsAndTheExamples(t *testing.T) {
	s := readSchema(t)
	defaults := readYAML(t, "envgate/values.yaml")
	for _, name := range []string{"values.yaml", "values-staging.yaml", "values-production.yaml"} {
		for _, problem := range s.check(name, merged(defaults, readYAML(t, "envgate/"+name))) {
			t.Error(problem)
		}
	}
}

// The keys of the schema are those of values.yaml: a key without default has no comment either.
func TestTheSchemaAndTheDefaultsHaveTheSameKeys(t *testing.T) {
	var compare func(at string, s schema, v map[string]any)
	compare = func(at string, s schema, v map[string]any) {
		for name, property := range s.below("properties") {
			value, present := v[name]
			if !present {
				t.Errorf("values.yaml has no %s%s, which the schema knows", at, name)
			}
			if below, ok := value.(map[string]any); ok && len(below) > 0 && len(schema(property.(map[string]any)).below("properties")) > 0 {
				compare(at+name+".", property.(map[string]any), below)
			}
		}
	}
	compare("", readSchema(t), readYAML(t, "envgate/values.yaml"))
}

func TestTheSchemaRefusesWhatIsWrong(t *testing.T) {
	s := readSchema(t)
	for _, row := range []struct{ name, yaml, want string }{
		{"a misspelt key", "webhok: {}", "unknown key webhok"},
		{"a misspelt key further down", "webhook: {replica: 2}", "unknown key replica"},
		{"another mode", "webhook: {mode: observe}", "want one of [report enforce]"},
		{"no replica", "webhook: {replicas: 0}", "less than 1"},
		{"a failure policy", "webhook: {failurePolicy: Ignore}", "unknown key failurePolicy"},
		{"a caBundle", "certificates: {caBundle: AAAA}", "unknown key caBundle"},
		{"a secret among the settings", "settings: {gateway-staging: {JWT_SECRET_KEY: x}}", "unknown key JWT_SECRET_KEY"},
		{"an empty issuer", `settings: {gateway-staging: {JWT_ISSUER: ""}}`, "shorter than 1"},
		{"a namespace that can't exist", "policies: {Gateway: x}", "does not match"},
		{"a pattern that would leave its quotes", `webhook: {gatewayImages: ["x')||('"]}`, "does not match"},
		{"a repository with a tag", `guard: {repositories: ["registry.example.com/envgate@sha256:0"]}`, "does not match"},
		{"an unknown action", "guard: {validationActions: [Refuse]}", "want one of [Deny Audit Warn]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			problems := strings.Join(s.check("values", parseYAML(t, []byte(row.yaml))), "\n")
			if !strings.Contains(problems, row.want) {
				t.Errorf("%q: want %q", problems, row.want)
			}
		})
	}
	if problems := s.check("values", parseYAML(t, []byte("global: {anything: {goes: [1]}}"))); len(problems) > 0 {
		t.Errorf("global: %v", problems)
	}
}
