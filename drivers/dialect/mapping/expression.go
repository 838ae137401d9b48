package mapping

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
	"github.com/plantgate/plantgate/drivers/dialect"
)

const (
	maxNodes  = 500    // of an expression
	maxMemory = 10_000 // elements that one run may make
)

// functions are what an expression may call. None of them loops, reads the
// clock or takes 0x1F or nan for a number; and of the language's own names none
// is left that hides a key of a message, such as values or date.
var functions = []string{"float", "int", "string", "abs", "round", "floor", "ceil", "split", "trim", "lower", "upper", "replace", "hasPrefix", "hasSuffix"}

// An expression computes something from a message.
type expression struct {
	text    string
	program *vm.Program
	uses    []string // the names it needs of the message

	// What most questions are is answered without the machine.
	equals     bool
	left, word string
}

func compile(text string) (*expression, error) {
	options := []expr.Option{
		expr.AllowUndefinedVariables(), expr.DisableAllBuiltins(), expr.MaxNodes(maxNodes),
		expr.Function("float", toFloat), expr.Function("int", toInt),
	}
	for _, name := range functions[2:] {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(text, options...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(shown(first))
	}
	n := new(names)
	node := program.Node()
	ast.Walk(&node, n)
	if n.err != nil {
		return nil, n.err
	}
	e := &expression{text: text, program: program, uses: n.found}
	e.simplify(node)
	return e, nil
}

// simplify recognises name == "text".
func (e *expression) simplify(node ast.Node) {
	equal, ok := node.(*ast.BinaryNode)
	if !ok || equal.Operator != "==" {
		return
	}
	left, named := equal.Left.(*ast.IdentifierNode)
	right, text := equal.Right.(*ast.StringNode)
	if named && text {
		e.equals, e.left, e.word = true, left.Value, right.Value
	}
}

// names collects what an expression takes from the message, and what it calls.
type names struct {
	found []string
	err   error
}

// Visit looks at one node.
func (n *names) Visit(node *ast.Node) {
	switch node := (*node).(type) {
	case *ast.IdentifierNode:
		if node.Value == "$env" {
			n.err = errors.New("$env is not known: name the key that is meant")
		} else if !slices.Contains(functions, node.Value) && !slices.Contains(n.found, node.Value) {
			n.found = append(n.found, node.Value)
		}
	case *ast.CallNode:
		if callee, ok := node.Callee.(*ast.IdentifierNode); ok {
			n.call(callee.Value)
		}
	case *ast.BuiltinNode: // map, all and the like loop
		n.call(node.Name)
	}
}

func (n *names) call(function string) {
	if !slices.Contains(functions, function) {
		n.err = fmt.Errorf("there is no function %s; %s", shown(function), meant(function, functions))
	}
}

func (e *expression) run(m *message) (any, error) {
	machine := vm.VM{MemoryBudget: maxMemory}
	result, err := machine.Run(e.program, m.variables())
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(shown(first))
	}
	return result, nil
}

// holds answers a question; one that cannot be answered is not true.
func (e *expression) holds(m *message) (bool, error) {
	if e.equals {
		text, ok := m.text(e.left)
		return ok && text == e.word, nil
	}
	result, err := e.run(m)
	if err != nil {
		return false, err
	}
	yes, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("it is %T and neither true nor false", result)
	}
	return yes, nil
}

func (e *expression) number(m *message) (float64, outcome) {
	result, err := e.run(m)
	if err != nil {
		return 0, failed
	}
	switch n := result.(type) {
	case float64:
		return n, good
	case int:
		return float64(n), good
	case nil:
		return 0, absent
	default:
		return 0, notNumber
	}
}

var errConvert = errors.New("float and int take a number, or a text that is one")

func toFloat(args ...any) (any, error) {
	if len(args) != 1 {
		return nil, errConvert
	}
	switch v := args[0].(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case string:
		return dialect.Number(strings.TrimSpace(v))
	default:
		return nil, errConvert
	}
}

func toInt(args ...any) (any, error) {
	v, err := toFloat(args...)
	if err != nil {
		return nil, err
	}
	whole := math.Trunc(v.(float64))
	if math.Abs(whole) > math.MaxInt32 { // what an int holds on every board
		return nil, errors.New("the number is too large for int")
	}
	return int(whole), nil
}
