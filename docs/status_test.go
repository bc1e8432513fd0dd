package docs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func init() { tables["status fields"] = statusTable }

// field is a part of a JSON Schema, with its properties in the order of the file.
type field struct {
	Type, Description string
	Enum              []string
	Items             *field
	Properties        properties
}

type properties []property

type property struct {
	name string
	field
}

func (p *properties) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		one := property{name: fmt.Sprint(name)}
		if err := d.Decode(&one.field); err != nil {
			return err
		}
		*p = append(*p, one)
	}
	return nil
}

// statusTable lists the fields of docs/status.schema.json, each of which must be described. That answers have these
// fields and no other is tested where the answers are made.
func statusTable(t *testing.T) string {
	var schema field
	if err := json.Unmarshal([]byte(read(t, "status.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	statusRows(t, &b, "", schema.Properties)
	return b.String()
}

func statusRows(t *testing.T, b *strings.Builder, at string, list properties) {
	for _, p := range list {
		if p.Description == "" || p.Type == "" {
			t.Errorf("status.schema.json: %s%s is not described", at, p.name)
		}
		kind, below, inside := p.Type, at+p.name+".", p.Properties
		if p.Items != nil {
			kind, below, inside = "list", at+p.name+"[].", p.Items.Properties
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", code(at+p.name), kind, cell(p.Description))
		for _, v := range p.Enum {
			if !strings.Contains(p.Description, v) {
				t.Errorf("status.schema.json: %s%s: the description leaves %q out", at, p.name, v)
			}
		}
		statusRows(t, b, below, inside)
	}
}
