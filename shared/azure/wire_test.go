package azure

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// text makes a response.
func text(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

// transaction makes the body of an answer to a transaction, of the parts' responses.
func transaction(responses ...string) string {
	var b strings.Builder
	b.WriteString("--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_2\r\n\r\n")
	for _, r := range responses {
		b.WriteString("--changesetresponse_2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n")
		b.WriteString(r + "\r\n")
	}
	b.WriteString("--changesetresponse_2--\r\n--batchresponse_1--\r\n")
	return b.String()
}

const succeeded = "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\nDataServiceVersion: 1.0;\r\nETag: W/\"datetime'2026-01-01T00%3A00%3A00.1234567Z'\"\r\n\r\n"

// refused makes the response to the operation that was refused.
func refused(status, code, message string) string {
	return "HTTP/1.1 " + status + "\r\nContent-ID: 2\r\nDataServiceVersion: 3.0;\r\n" +
		"Content-Type: application/json;odata=minimalmetadata;streaming=true;charset=utf-8\r\n\r\n" +
		`{"odata.error":{"code":"` + code + `","message":{"lang":"en-US","value":"` + message + `"}}}`
}

func TestReadTransaction(t *testing.T) {
	exists := refused("409 Conflict", "EntityAlreadyExists", `2:The specified entity already exists.\nRequestId:1\nTime:2026-01-01T00:00:00Z`)
	whole := transaction(succeeded, succeeded)
	for _, c := range []struct {
		name, body string
		done       int
		err        error // an *answer, errAnswer, or nil
	}{
		{"done", whole, 2, nil},
		{"unix line ends", strings.ReplaceAll(whole, "\r\n", "\n"), 2, nil},
		{"refused", transaction(exists), 0, &answer{409, "EntityAlreadyExists", "The specified entity already exists.", 2}},
		{"refused after others", transaction(succeeded, exists), 0, &answer{409, "EntityAlreadyExists", "The specified entity already exists.", 2}},
		{"no index", transaction(refused("412 Precondition Failed", "UpdateConditionNotSatisfied", "The update condition: not satisfied.")), 0,
			&answer{412, "UpdateConditionNotSatisfied", "The update condition: not satisfied.", -1}},
		{"negative index", transaction(refused("404 Not Found", "ResourceNotFound", "-1:What?")), 0, &answer{404, "ResourceNotFound", "-1:What?", -1}},
		{"no JSON", transaction("HTTP/1.1 500 Internal Server Error\r\n\r\n<html>"), 0, &answer{500, "", "", -1}},
		{"moved", transaction("HTTP/1.1 302 Found\r\n\r\n"), 0, &answer{302, "", "", -1}},
		{"empty", "", 0, errAnswer},
		{"a line", "\n", 0, errAnswer},
		{"JSON", `{"odata.error":{"code":"InternalError"}}`, 0, errAnswer},
		{"no parts", transaction(), 0, errAnswer},
		{"no status", transaction("HTTP/1.1 undefined\r\n\r\n"), 0, errAnswer},
		{"cut in the second part", whole[:strings.LastIndex(whole, "HTTP/1.1")], 0, errAnswer},
		{"cut after the parts", whole[:strings.Index(whole, "--changesetresponse_2--")], 0, errAnswer},
		{"cut before the end", whole[:strings.Index(whole, "--batchresponse_1--")], 0, errAnswer},
		{"two change sets", strings.TrimSuffix(whole, "--batchresponse_1--\r\n") + whole, 0, errAnswer},
	} {
		n, err := readTransaction([]byte(c.body))
		if n != c.done {
			t.Errorf("%s: %d operations succeeded, want %d", c.name, n, c.done)
		}
		var got, want *answer
		switch {
		case errors.As(c.err, &want):
			if !errors.As(err, &got) || *got != *want {
				t.Errorf("%s: %v, want %v", c.name, err, want)
			}
		case !errors.Is(err, c.err):
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
}

func FuzzReadTransaction(f *testing.F) {
	f.Add(transaction(succeeded, succeeded))
	f.Add(transaction(refused("409 Conflict", "EntityAlreadyExists", "0:It exists.")))
	f.Fuzz(func(t *testing.T, body string) {
		if n, err := readTransaction([]byte(body)); (n > 0) == (err != nil) {
			t.Errorf("%d operations done and %v", n, err)
		}
	})
}
