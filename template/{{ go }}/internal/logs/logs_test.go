package logs_test

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"app/internal/logs"
)

func TestALineIsAnObject(t *testing.T) {
	var output strings.Builder
	ctx := logs.WithRequestID(t.Context(), "one")
	logger, flush := logs.New(&output, "info")
	logger.With("legs", 4).WithGroup("mouth").InfoContext(ctx, "Beware of the\n\"dog\"", "teeth", 42,
		"word", "wüff", "sleeps", 1500*time.Millisecond, "error", io.EOF, "of", []string{"Zoë"},
		slog.Group("tail", "wags", true))
	flush()

	var line map[string]any
	if err := json.Unmarshal([]byte(output.String()), &line); err != nil {
		t.Fatal(err, output.String())
	}
	text, _ := line["time"].(string)
	if when, err := time.Parse(time.RFC3339, text); err != nil || when.Location() != time.UTC {
		t.Errorf("the time is %v", line["time"])
	}
	delete(line, "time")
	want := map[string]any{
		"level": "info", "message": "Beware of the\n\"dog\"", "request_id": "one", "legs": 4.0, "mouth.teeth": 42.0,
		"mouth.word": "wüff", "mouth.sleeps": 1.5, "mouth.error": "EOF", "mouth.of": []any{"Zoë"}, "mouth.tail.wags": true,
	}
	if !reflect.DeepEqual(line, want) {
		t.Errorf("got %v", line)
	}
}

func TestTheLevelLeavesOutWhatIsLess(t *testing.T) {
	for level, want := range map[string]string{
		"debug":   "debug info warning error ",
		"info":    "info warning error ",
		"warning": "warning error ",
		"error":   "error ",
	} {
		var output strings.Builder
		logger, _ := logs.New(&output, level)
		logger.Debug("One.")
		logger.Info("Two.")
		logger.Warn("Three.")
		logger.Error("Four.")
		var got strings.Builder
		for text := range strings.Lines(output.String()) {
			var line struct{ Level string }
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			got.WriteString(line.Level + " ")
		}
		if got.String() != want {
			t.Errorf("%s: got %s", level, got.String())
		}
	}
}

func TestLinesAreWrittenAMomentLater(t *testing.T) {
	reader, writer := io.Pipe()
	logger, _ := logs.New(writer, "info")
	logger.Info("One.")
	logger.Info("Two.")
	lines := bufio.NewScanner(reader)
	for range 2 {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
	}
}
