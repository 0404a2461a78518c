package settings_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"example.com/app/internal/settings"
)

// lines returns the lines of an error, without those about the database.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "DATABASE_")
	})
}

func load(variables map[string]string) (settings.Settings, error) {
	return settings.Load(func(name string) string { return variables[name] })
}

func TestLoad_Defaults(t *testing.T) {
	got, err := load(map[string]string{"PORT": "", "LOG_LEVEL": ""})
	if lines := lines(err); len(lines) > 0 {
		t.Fatal(lines)
	}
	if got.Port != settings.DefaultPort || got.LogLevel != slog.LevelInfo || got.ServiceVersion != "dev" || got.Tracing {
		t.Errorf("got %+v, want the defaults", got)
	}
}

func TestLoad_AllErrors(t *testing.T) {
	_, err := load(map[string]string{"PORT": "80", "METRICS_PORT": "many", "LOG_LEVEL": "loud"})
	want := []string{
		"PORT: must be a number from 1024 to 65535",
		"METRICS_PORT: must be a number from 1024 to 65535",
		"LOG_LEVEL: must be debug, info, warning or error",
	}
	if got := lines(err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoad_Port(t *testing.T) {
	for _, test := range []struct {
		value string
		valid bool
	}{
		{"1024", true},
		{"65535", true},
		{"1023", false},
		{"65536", false},
		{"-8080", false},
		{"8e3", false},
		{"0x1f90", false},
		{"8_080", false},
	} {
		t.Run(test.value, func(t *testing.T) {
			_, err := load(map[string]string{"PORT": test.value})
			if got := lines(err) == nil || len(lines(err)) == 0; got != test.valid {
				t.Errorf("got %v, want valid %v", err, test.valid)
			}
		})
	}
}

func TestLoad_SamePorts(t *testing.T) {
	_, err := load(map[string]string{"PORT": "9999", "METRICS_PORT": "9999"})
	if got, want := lines(err), []string{"METRICS_PORT: must be different from PORT"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoad_Tracing(t *testing.T) {
	for _, test := range []struct {
		name      string
		variables map[string]string
		want      bool
	}{
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, true},
		{"endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector"}, true},
		{"no endpoint", map[string]string{"OTEL_SERVICE_NAME": "shop"}, false},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}, false},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := load(test.variables)
			if got.Tracing != test.want {
				t.Errorf("got %v, want %v", got.Tracing, test.want)
			}
		})
	}
}

func TestUsage_ListsDefaults(t *testing.T) {
	if got := settings.Usage(); !strings.Contains(got, "LOG_LEVEL") || !strings.Contains(got, "default info") {
		t.Errorf("got %s, want LOG_LEVEL and its default", got)
	}
}
