// Package problem is errors for people and programs: a stable code, a sentence that says what to do, and the
// fields that are wrong. It travels as application/problem+json (RFC 9457).
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ContentType is the media type of a Problem.
const ContentType = "application/problem+json"

// Code names a kind of problem; programs may rely on it.
type Code string

const (
	BadRequest       Code = "bad_request"        // the request itself cannot be read
	InvalidFields    Code = "invalid_fields"     // a document has wrong fields; Fields names them
	Unauthorized     Code = "unauthorized"       // no key, or one that nobody has
	Forbidden        Code = "forbidden"          // the key, the host or the origin may not do this
	NotFound         Code = "not_found"          // there is no such thing
	MethodNotAllowed Code = "method_not_allowed" //
	Exists           Code = "exists"             // there is one of that name already
	Conflict         Code = "conflict"           // the thing is not in a state for this
	Changed          Code = "changed"            // If-Match names another revision
	TooLarge         Code = "too_large"          // the body is too large
	UnsupportedMedia Code = "unsupported_media"  // the body is of another type than is read here
	Internal         Code = "internal"           // our fault
	Unavailable      Code = "unavailable"        // a part that is needed does not answer; try again
)

var statuses = map[Code]int{
	BadRequest: http.StatusBadRequest, InvalidFields: http.StatusUnprocessableEntity,
	Unauthorized: http.StatusUnauthorized, Forbidden: http.StatusForbidden, NotFound: http.StatusNotFound,
	MethodNotAllowed: http.StatusMethodNotAllowed, Exists: http.StatusConflict, Conflict: http.StatusConflict,
	Changed: http.StatusPreconditionFailed, TooLarge: http.StatusRequestEntityTooLarge,
	UnsupportedMedia: http.StatusUnsupportedMediaType, Internal: http.StatusInternalServerError,
	Unavailable: http.StatusServiceUnavailable,
}

// Field is one wrong field of a document.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Problem is an error that a person can act on.
type Problem struct {
	Code   Code    `json:"code"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail,omitempty"`
	Fields []Field `json:"fields,omitempty"`
}

func (p *Problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, f := range p.Fields {
		text += fmt.Sprintf("\n  %s: %s", f.Field, f.Message)
	}
	return text
}

// Newf makes a problem of a code with a sentence for a person.
func Newf(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Status: statuses[code], Title: fmt.Sprintf(format, args...)}
}

// Write answers a request with err: as the Problem that it wraps, or as an internal error whose text is kept from
// the caller. It returns the problem that was sent.
func Write(w http.ResponseWriter, err error) *Problem {
	var p *Problem
	if !errors.As(err, &p) {
		p = Newf(Internal, "Carillon could not do this; its log says why")
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
	return p
}

// Read makes an error of an answer that is not a success. Its body may be anything.
func Read(status int, body io.Reader) *Problem {
	data, _ := io.ReadAll(io.LimitReader(body, 64<<10))
	p := new(Problem)
	if json.Unmarshal(data, p) == nil && p.Code != "" {
		return p
	}
	return &Problem{Code: Internal, Status: status, Title: fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))}
}
