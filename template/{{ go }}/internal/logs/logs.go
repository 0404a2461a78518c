// Package logs writes one JSON object a line.
package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

type requestID struct{}

// WithRequestID returns a context in which every line carries the id of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestID{}, id)
}

// New returns a logger that writes what is at least of the level, as LOG_LEVEL spells it, and what to call at the end.
func New(w io.Writer, level string) (logger *slog.Logger, flush func()) {
	least := slog.LevelDebug
	for name(least) != level {
		least++
	}
	output := &output{writer: w}
	return slog.New(&handler{level: least, output: output}), output.flush
}

// name spells a level as LOG_LEVEL does.
func name(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warning"
	default:
		return "error"
	}
}

// handler writes what slog's own would, with the names and the order of fields that every service has. Renaming them is
// what that would spend half of its time on, and there is a line for each request.
type handler struct {
	level  slog.Level
	output *output
	fields []byte // those of With
	group  string // what the names of the others begin with
}

var lines = sync.Pool{New: func() any { return new([]byte) }}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	buffer, _ := lines.Get().(*[]byte)
	defer lines.Put(buffer)
	line := (*buffer)[:0]
	line = append(line, `{"time":"`...)
	line = record.Time.UTC().AppendFormat(line, time.RFC3339Nano)
	line = append(line, `","level":"`...)
	line = append(line, name(record.Level)...)
	line = append(line, `","message":`...)
	line = appendString(line, record.Message)
	if id, ok := ctx.Value(requestID{}).(string); ok {
		line = appendField(line, "", slog.String("request_id", id))
	}
	line = append(line, h.fields...)
	record.Attrs(func(field slog.Attr) bool {
		line = appendField(line, h.group, field)
		return true
	})
	line = append(line, '}', '\n')
	*buffer = line

	h.output.write(line, record.Level >= slog.LevelWarn)
	return nil
}

func (h *handler) WithAttrs(fields []slog.Attr) slog.Handler {
	with := *h
	with.fields = append([]byte(nil), h.fields...)
	for _, field := range fields {
		with.fields = appendField(with.fields, h.group, field)
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.group += name + "."
	return &with
}

func appendField(line []byte, group string, field slog.Attr) []byte {
	value := field.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, member := range value.Group() {
			line = appendField(line, group+field.Key+".", member)
		}
		return line
	}
	line = append(line, ',')
	line = appendString(line, group+field.Key)
	line = append(line, ':')
	switch value.Kind() {
	case slog.KindString:
		return appendString(line, value.String())
	case slog.KindInt64:
		return strconv.AppendInt(line, value.Int64(), 10)
	case slog.KindDuration:
		return strconv.AppendFloat(line, value.Duration().Seconds(), 'f', -1, 64)
	default:
		return appendAny(line, value.Any())
	}
}

func appendAny(line []byte, value any) []byte {
	if err, ok := value.(error); ok {
		return appendString(line, err.Error())
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return appendString(line, fmt.Sprintf("%+v", value))
	}
	return append(line, encoded...)
}

// appendString quotes a text, by itself when there is nothing to escape.
func appendString(line []byte, text string) []byte {
	for i := range len(text) {
		if character := text[i]; character < ' ' || character > '~' || character == '"' || character == '\\' {
			encoded, _ := json.Marshal(text) // a string is always JSON
			return append(line, encoded...)
		}
	}
	line = append(line, '"')
	line = append(line, text...)
	return append(line, '"')
}
