package logs_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"app/internal/logs"
)

func TestALineIsAnObject(t *testing.T) {
	var output strings.Builder
	ctx := logs.WithRequestID(t.Context(), "one")
	logs.New(&output, "info").With("legs", 4).WarnContext(ctx, "Beware of the\ndog", "teeth", 42)

	var line map[string]any
	if err := json.Unmarshal([]byte(output.String()), &line); err != nil {
		t.Fatal(err)
	}
	text, ok := line["time"].(string)
	if when, err := time.Parse(time.RFC3339, text); !ok || err != nil || when.Location() != time.UTC {
		t.Errorf("the time is %v", line["time"])
	}
	delete(line, "time")
	want := map[string]any{
		"level": "warning", "message": "Beware of the\ndog", "request_id": "one", "legs": 4.0, "teeth": 42.0,
	}
	if !reflect.DeepEqual(line, want) {
		t.Errorf("got %v", line)
	}
}

func TestTheLevelLeavesOutWhatIsLess(t *testing.T) {
	for level, lines := range map[string]int{"debug": 4, "info": 3, "warning": 2, "error": 1} {
		var output strings.Builder
		logger := logs.New(&output, level)
		logger.Debug("One.")
		logger.Info("Two.")
		logger.Warn("Three.")
		logger.Error("Four.")
		if got := strings.Count(output.String(), "\n"); got != lines {
			t.Errorf("%s: %d lines", level, got)
		}
		if !strings.Contains(output.String(), `"level":"`+level+`"`) {
			t.Errorf("%s is not among %s", level, output.String())
		}
	}
}
