package settings_test

import (
	"strings"
	"testing"

	"app/internal/settings"
)

// told returns what the settings are told to be wrong in, apart from those of a database.
func told(err error) []string {
	var lines []string
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "DATABASE_") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func load(variables map[string]string) (settings.Settings, error) {
	return settings.Load(func(name string) string { return variables[name] })
}

func TestEverythingHasADefault(t *testing.T) {
	loaded, err := load(map[string]string{"PORT": "", "LOG_LEVEL": ""})
	if lines := told(err); lines != nil {
		t.Fatal(lines)
	}
	if loaded.Port != settings.DefaultPort || loaded.LogLevel != "info" || loaded.ServiceVersion != "dev" {
		t.Errorf("got %+v", loaded)
	}
}

func TestWhatIsWrongIsToldAllAtOnce(t *testing.T) {
	_, err := load(map[string]string{"PORT": "80", "METRICS_PORT": "many", "LOG_LEVEL": "loud"})
	want := `PORT: must be a number from 1024 to 65535
METRICS_PORT: must be a number from 1024 to 65535 other than PORT
LOG_LEVEL: must be debug, info, warning or error`
	if got := strings.Join(told(err), "\n"); got != want {
		t.Errorf("got %s", got)
	}
}

func TestAPortIsOne(t *testing.T) {
	for value, good := range map[string]bool{
		"1024": true, "65535": true, "1023": false, "65536": false, "-8080": false, "8e3": false, "0x1f90": false,
	} {
		if _, err := load(map[string]string{"PORT": value}); (told(err) == nil) != good {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestThePortsDiffer(t *testing.T) {
	_, err := load(map[string]string{"PORT": "9999", "METRICS_PORT": "9999"})
	if got := told(err); len(got) != 1 || got[0] != "METRICS_PORT: must be a number from 1024 to 65535 other than PORT" {
		t.Errorf("got %v", got)
	}
}
