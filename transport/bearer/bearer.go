// Package bearer knows who may ask a node, by tokens that callers show.
package bearer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/noriahq/noria/transport/watch"
)

// ErrConfig is wrapped by errors about a file of tokens.
var ErrConfig = errors.New("bad tokens")

// Tokens are those of a file, as it last had good ones. New makes them. They are safe for concurrent use.
type Tokens struct {
	logger  *slog.Logger
	files   *watch.Files
	current atomic.Pointer[[]Token]
}

// New reads the tokens of the file at path; see Parse. Errors wrap ErrConfig and tell no token. A nil logger logs nowhere.
func New(path string, logger *slog.Logger) (*Tokens, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Tokens{logger: logger}
	t.files = watch.New(MaxFile, func(contents [][]byte) error {
		all, err := Parse(contents[0])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		t.current.Store(&all)
		return nil
	}, path)
	if err := t.files.Read(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return t, nil
}

// Run reads the file again when it changes, until ctx ends. A bad one leaves the tokens as they were, and the log says so.
// It returns nil.
func (t *Tokens) Run(ctx context.Context) error {
	return t.files.Run(ctx, func(err error) {
		if err != nil {
			t.logger.Error("changed tokens refused, the old ones stay", "err", err)
			return
		}
		t.logger.Info("changed tokens read")
	})
}

// Name returns the name of the token that was shown, and whether it is one of t. It takes as long for any that is not. A
// nil t has no tokens.
func (t *Tokens) Name(shown string) (name string, ok bool) {
	if t == nil || len(shown) < MinToken || len(shown) > MaxToken {
		return "", false
	}
	sum := sha256.Sum256([]byte(shown))
	for _, one := range *t.current.Load() {
		if subtle.ConstantTimeCompare(one.Sum[:], sum[:]) == 1 {
			name, ok = one.Name, true
		}
	}
	return name, ok
}

// Header is where a token may stand where Authorization is for somebody else, as in sub-requests on behalf of a client. In
// gRPC it is the metadata x-noria-token. Where it is there, Authorization is not looked at.
const Header = "X-Noria-Token"

// fromAuthorization returns the token in the value of an Authorization header: Bearer, in whatever case, and the token.
func fromAuthorization(value string) string {
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
