package store

import "fmt"

// Check refuses, with an error that wraps ErrLimit, what no backend may be asked to write: a partition or key that
// breaks MaxKey, a value above MaxValue, a batch above MaxOps or MaxBatch (the bytes of its sort keys and values),
// one row twice, and operations that make no sense (Replace without a Version, a Version where none is
// expected, a Delete with a value). What is wrong with an operation comes as an *OpError that names it. An empty
// batch is fine: it writes nothing. Every Driver calls Check at the start of Apply.
func Check(part string, ops []Op) error {
	if err := checkKey(part); err != nil {
		return fmt.Errorf("partition %.100q: %w", part, err)
	}
	size := 0
	seen := make(map[string]bool, min(len(ops), MaxOps))
	for i, op := range ops {
		size += len(op.Sort) + len(op.Value)
		err := checkOp(op)
		switch {
		case i >= MaxOps:
			err = limit("more than %d operations", MaxOps)
		case err == nil && size > MaxBatch:
			err = limit("the batch has more than %d bytes", MaxBatch)
		case err == nil && seen[op.Sort]:
			err = limit("the batch names this row twice")
		}
		if err != nil {
			return &OpError{Index: i, Op: op, Err: err}
		}
		seen[op.Sort] = true
	}
	return nil
}

// CheckGet is Check for the arguments of Get.
func CheckGet(part, sort string) error {
	if err := checkKey(part); err != nil {
		return fmt.Errorf("partition %.100q: %w", part, err)
	}
	if err := checkKey(sort); err != nil {
		return fmt.Errorf("row %.100q: %w", sort, err)
	}
	return nil
}

// CheckScan is Check for the arguments of Scan: max must be 1 to MaxScan, the bounds may be empty or longer than
// a key. (A backend that cannot compare long strings may cut a bound after MaxKey+1 bytes: no row lies between.)
func CheckScan(part, from, to string, max int) error {
	if err := checkKey(part); err != nil {
		return fmt.Errorf("partition %.100q: %w", part, err)
	}
	for _, bound := range [...]string{from, to} {
		if err := checkAlphabet(bound); err != nil {
			return fmt.Errorf("bound %.100q: %w", bound, err)
		}
	}
	if max < 1 || max > MaxScan {
		return limit("a scan of %d rows (1 to %d)", max, MaxScan)
	}
	return nil
}

// Met reports whether op may be done to a row that has the version have; "" stands for no row.
func (op Op) Met(have Version) bool {
	switch op.Kind {
	case Create:
		return have == ""
	case Replace:
		return have == op.Version
	case Delete:
		return have != "" && (op.Version == "" || op.Version == have)
	}
	return true
}

func checkOp(op Op) error {
	if err := checkKey(op.Sort); err != nil {
		return err
	}
	switch {
	case len(op.Value) > MaxValue:
		return limit("a value of %d bytes (at most %d)", len(op.Value), MaxValue)
	case op.Kind > Delete:
		return limit("unknown kind of operation %d", op.Kind)
	case op.Kind == Replace && op.Version == "":
		return limit("Replace needs the version that it replaces")
	case (op.Kind == Create || op.Kind == Put) && op.Version != "":
		return limit("only Replace and Delete look at a version")
	case op.Kind == Delete && len(op.Value) > 0:
		return limit("Delete takes no value")
	}
	return nil
}

func checkKey(key string) error {
	if len(key) < 1 || len(key) > MaxKey {
		return limit("a key of %d bytes (1 to %d)", len(key), MaxKey)
	}
	return checkAlphabet(key)
}

func checkAlphabet(s string) error {
	for i := range len(s) {
		if !inAlphabet(s[i]) {
			return limit("byte %q in a key (only A-Z a-z 0-9 . _ | -)", s[i:i+1])
		}
	}
	return nil
}

func inAlphabet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '|'
}

func limit(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrLimit}, args...)...)
}
