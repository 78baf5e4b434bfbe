package azblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"carillon/shared/source"
)

// refused says what an error of List Blobs means; nil: there is no such folder. resumed: it went on from a marker.
func (c *Container) refused(err error, resumed bool) error {
	var answer *azcore.ResponseError
	switch {
	case !errors.As(err, &answer):
	case answer.StatusCode == http.StatusNotFound && answer.ErrorCode == "PathNotFound": // of a hierarchical account
		return nil
	case answer.StatusCode == http.StatusNotFound:
		return c.missing(answer)
	case answer.StatusCode == http.StatusBadRequest && resumed:
		return fmt.Errorf("container %s: %w: the service does not know its token (%s)", c.name, source.ErrToken, said(answer))
	}
	return c.failed(err)
}

// notFound says what an error of Get Blob Properties means.
func (c *Container) notFound(path string, err error) error {
	var answer *azcore.ResponseError
	switch {
	case !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound:
		return c.failed(err)
	case bloberror.HasCode(err, bloberror.ContainerNotFound):
		return c.missing(answer)
	}
	return fmt.Errorf("%q in container %s: %w", path, c.name, source.ErrNotFound)
}

func (c *Container) missing(answer *azcore.ResponseError) error {
	return fmt.Errorf("container %s: %w (%s): create it, or correct its name in the datastore's settings",
		c.name, source.ErrMissing, said(answer))
}

// failed gives an error of the SDK without what is not for the reader: a URL may hold a signature, and an answer's full
// text has many lines. What the network or the context said is still wrapped.
func (c *Container) failed(err error) error {
	var answer *azcore.ResponseError
	var token interface{ NonRetriable() } // the SDK's mark on the errors of credentials
	var at *url.Error
	switch {
	case errors.As(err, &answer):
		return c.answered(answer)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &token):
		return fmt.Errorf("container %s: %w: Carillon's identity gets no token: %s", c.name, source.ErrDenied, line(err.Error()))
	}
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("container %s: %w", c.name, err)
}

func (c *Container) answered(answer *azcore.ResponseError) error {
	switch {
	case answer.ErrorCode == string(bloberror.ContainerBeingDeleted):
		return c.missing(answer)
	case answer.ErrorCode == string(bloberror.AuthorizationFailure):
		return fmt.Errorf("container %s: %w (%s): %s. Or the account's network rules do not let Carillon in",
			c.name, source.ErrDenied, said(answer), c.advice)
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("container %s: %w (%s): %s. Or there is no such container", c.name, source.ErrDenied, said(answer), c.advice)
	}
	return fmt.Errorf("container %s: the service answered %s", c.name, said(answer))
}

// said is an answer's status and code.
func said(answer *azcore.ResponseError) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", answer.StatusCode, answer.ErrorCode))
}

// line is a text of many lines on one.
func line(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	return strings.TrimSpace(strings.ReplaceAll(text, strings.Repeat("-", 80), ""))
}
