package logs_test

import (
	"encoding/json/v2"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/app/internal/logs"
	"go.opentelemetry.io/otel/trace"
)

func TestLine(t *testing.T) {
	ctx := trace.ContextWithSpanContext(
		logs.WithRequestID(t.Context(), "one"),
		trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}),
	)
	var output strings.Builder
	logger := logs.New(&output, slog.LevelInfo)
	logger.With("legs", 4).InfoContext(ctx, "Beware of the\n\"dog\"", "error", io.EOF)

	var got map[string]any
	if err := json.Unmarshal([]byte(output.String()), &got); err != nil {
		t.Fatalf("decode %q: %v", output.String(), err)
	}
	text, _ := got["time"].(string)
	if when, err := time.Parse(time.RFC3339, text); err != nil || when.Location() != time.UTC {
		t.Errorf("got time %q, want RFC 3339 in UTC", text)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "info", "message": "Beware of the\n\"dog\"", "legs": 4.0, "error": "EOF", "request_id": "one",
		"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLevels(t *testing.T) {
	for _, test := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelDebug, "debug info warning error "},
		{slog.LevelInfo, "info warning error "},
		{slog.LevelWarn, "warning error "},
		{slog.LevelError, "error "},
	} {
		t.Run(test.level.String(), func(t *testing.T) {
			var output, got strings.Builder
			logger := logs.New(&output, test.level)
			logger.Debug("one")
			logger.Info("two")
			logger.Warn("three")
			logger.Error("four")
			for text := range strings.Lines(output.String()) {
				var line struct {
					Level string `json:"level"`
				}
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatalf("decode %q: %v", text, err)
				}
				got.WriteString(line.Level + " ")
			}
			if got.String() != test.want {
				t.Errorf("got %q, want %q", got.String(), test.want)
			}
		})
	}
}
