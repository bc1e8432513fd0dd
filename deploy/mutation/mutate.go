package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change of the code. Its name holds no line number, so that it stays the same when others move.
type mutant struct {
	number         int
	file, function string
	what           string
	again          int // of the same name in the same function
	reached        bool
	by             string // the test that noticed it
}

func (m *mutant) String() string {
	s := m.file + ": " + m.function + ": " + m.what
	if m.again > 0 {
		s += fmt.Sprintf(" [%d]", m.again+1)
	}
	return s
}

// source is a file with what the type checker knows of it.
type source struct {
	name  string
	text  []byte
	set   *token.FileSet
	file  *ast.File
	info  *types.Info
	named map[string]int

	function string
	edits    []edit
	mutants  *[]*mutant
}

// edit is text to insert. At the same place, what opens comes in the order of its finding, and what closes in the opposite one.
type edit struct {
	at    int
	text  string
	close bool
}

// load reads and checks the files of a package, without its tests.
func load(folder string) (map[string]*source, error) {
	set := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	sources := map[string]*source{}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		sources[filepath.Base(path)] = &source{name: filepath.Base(path), text: text, set: set, file: f, info: info}
	}
	config := types.Config{Importer: importer.ForCompiler(set, "source", nil)}
	if _, err := config.Check("envgate/"+folder, set, files, info); err != nil {
		return nil, err
	}
	return sources, nil
}

// mutate gives the text of a file with all its mutants, and adds those to a list.
func (s *source) mutate(mutants *[]*mutant) []byte {
	s.mutants, s.named = mutants, map[string]int{}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.function = d.Name.Name
			if d.Recv != nil {
				s.function = s.at(d.Recv.List[0].Type) + "." + s.function
			}
			if d.Body != nil {
				s.walk(d.Body)
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				s.function = "var"
				s.walk(d)
			}
		}
	}
	slices.SortStableFunc(s.edits, func(a, b edit) int { return a.at - b.at })
	var out bytes.Buffer
	done := 0
	for i := 0; i < len(s.edits); {
		at := s.edits[i].at
		out.Write(s.text[done:at])
		done = at
		var open, shut []string
		for ; i < len(s.edits) && s.edits[i].at == at; i++ {
			if s.edits[i].close {
				shut = append(shut, s.edits[i].text)
			} else {
				open = append(open, s.edits[i].text)
			}
		}
		slices.Reverse(shut)
		out.WriteString(strings.Join(shut, "") + strings.Join(open, ""))
	}
	out.Write(s.text[done:])
	return out.Bytes()
}

func (s *source) offset(p token.Pos) int { return s.set.Position(p).Offset }

func (s *source) at(n ast.Node) string { return string(s.text[s.offset(n.Pos()):s.offset(n.End())]) }

// add makes mutants of the node, each by its name.
func (s *source) add(n ast.Node, before, after string, names ...string) {
	first := len(*s.mutants) + 1
	for _, what := range names {
		what = strings.Join(strings.Fields(what), " ")
		m := &mutant{number: len(*s.mutants) + 1, file: s.name, function: s.function, what: what, again: s.named[s.function+what]}
		s.named[s.function+what]++
		*s.mutants = append(*s.mutants, m)
	}
	s.edits = append(s.edits,
		edit{s.offset(n.Pos()), strings.Replace(before, "FIRST", fmt.Sprint(first), 1), false},
		edit{s.offset(n.End()), after, true})
}

// condition puts other conditions in the place of one.
func (s *source) condition(n ast.Expr, others ...string) {
	original := s.at(n)
	var b strings.Builder
	var names []string
	for _, other := range others {
		fmt.Fprintf(&b, ", func() bool { return %s }", other)
		names = append(names, original+" -> "+other)
	}
	s.add(n, "mutantBool(FIRST, func() bool { return ", " }"+b.String()+")", names...)
}

// walk finds what can be mutated. What stands in a mutant is the original text.
func (s *source) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.ArrayType:
			return false
		case *ast.CallExpr:
			return !s.isConstant(n)
		case *ast.BinaryExpr:
			s.binary(n)
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				s.condition(n, s.at(n.X))
			}
		case *ast.IfStmt:
			s.plain(n.Cond)
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				s.plain(result)
			}
		case *ast.BlockStmt:
			for _, statement := range n.List {
				s.statement(statement)
			}
		case *ast.CaseClause:
			for _, statement := range n.Body {
				s.statement(statement)
			}
		}
		return true
	})
}

func (s *source) isConstant(n ast.Expr) bool { return s.info.Types[n].Value != nil }

// plain negates a condition that has no operator.
func (s *source) plain(n ast.Expr) {
	switch e := n.(type) {
	case *ast.Ident, *ast.CallExpr, *ast.SelectorExpr, *ast.IndexExpr:
		t, ok := s.info.Types[n]
		if !ok || t.Type == nil {
			return
		}
		if basic, ok := t.Type.(*types.Basic); !ok || basic.Info()&types.IsBoolean == 0 {
			return
		}
		if id, ok := e.(*ast.Ident); ok && t.Value != nil && id.Name != "true" && id.Name != "false" {
			return
		}
		s.condition(n, "!"+s.at(n))
	}
}

func (s *source) binary(n *ast.BinaryExpr) {
	if s.isConstant(n) {
		return
	}
	x, y := s.at(n.X), s.at(n.Y)
	with := func(operator string) string { return x + " " + operator + " " + y }
	switch n.Op {
	case token.EQL:
		s.condition(n, with("!="))
	case token.NEQ:
		s.condition(n, with("=="))
	case token.LSS:
		s.condition(n, with("<="), with(">="))
	case token.LEQ:
		s.condition(n, with("<"), with(">"))
	case token.GTR:
		s.condition(n, with(">="), with("<="))
	case token.GEQ:
		s.condition(n, with(">"), with("<"))
	case token.LAND, token.LOR:
		s.condition(n, x, y)
	case token.ADD, token.SUB:
		basic, ok := s.info.Types[n].Type.Underlying().(*types.Basic)
		if !ok || basic.Info()&types.IsNumeric == 0 {
			return
		}
		name := types.TypeString(s.info.Types[n].Type, func(p *types.Package) string {
			if p.Name() == s.file.Name.Name {
				return ""
			}
			return p.Name()
		})
		other := with(map[token.Token]string{token.ADD: "-", token.SUB: "+"}[n.Op])
		s.add(n, "mutantValue(FIRST, func() "+name+" { return ", " }, func() "+name+" { return "+other+" })", s.at(n)+" -> "+other)
	}
}

// statement leaves one out.
func (s *source) statement(n ast.Stmt) {
	switch n := n.(type) {
	case *ast.ExprStmt:
		if text := s.at(n); strings.HasSuffix(text, "Lock()") || strings.HasPrefix(text, "panic(") {
			return
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return
		}
	case *ast.IncDecStmt, *ast.BranchStmt:
	default:
		return
	}
	text := s.at(n)
	if b, ok := n.(*ast.BranchStmt); ok && (b.Tok == token.FALLTHROUGH || b.Tok == token.GOTO) {
		return
	}
	s.add(n, "if mutantKeeps(FIRST) { ", " }", text+" -> nothing")
}
