// Package logs writes one JSON object a line.
package logs

import (
	"context"
	"io"
	"log/slog"
)

type requestID struct{}

// WithRequestID returns a context in which every line carries the id of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestID{}, id)
}

// levels are those of LOG_LEVEL.
var levels = map[string]slog.Level{
	"debug":   slog.LevelDebug,
	"info":    slog.LevelInfo,
	"warning": slog.LevelWarn,
	"error":   slog.LevelError,
}

// New returns a logger that writes what is at least of the level, as LOG_LEVEL spells it.
func New(w io.Writer, level string) *slog.Logger {
	options := &slog.HandlerOptions{Level: levels[level], ReplaceAttr: rename}
	return slog.New(handler{slog.NewJSONHandler(w, options)})
}

// rename gives the fields that every line has their names, and levels theirs.
func rename(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attribute
	}
	switch attribute.Key {
	case slog.MessageKey:
		attribute.Key = "message"
	case slog.LevelKey:
		for name, level := range levels {
			if attribute.Value.Any() == level {
				attribute.Value = slog.StringValue(name)
			}
		}
	}
	return attribute
}

// handler adds the id of the request at hand.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	first := slog.NewRecord(record.Time.UTC(), record.Level, record.Message, record.PC)
	if id, ok := ctx.Value(requestID{}).(string); ok {
		first.AddAttrs(slog.String("request_id", id))
	}
	record.Attrs(func(attribute slog.Attr) bool {
		first.AddAttrs(attribute)
		return true
	})
	return h.Handler.Handle(ctx, first)
}

func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attributes)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name)}
}
