package web_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/app/internal/apitest"
	"example.com/app/internal/settings"
)

func TestRoot(t *testing.T) {
	resp := apitest.New(t).Get(t, "/")
	var got map[string]string
	resp.Decode(t, &got)
	if got["name"] != settings.Name || got["version"] != apitest.Version || len(got) != 2 {
		t.Errorf("got %v, want name %s and version %s", got, settings.Name, apitest.Version)
	}
	if got, want := resp.Header.Get("Content-Type"), "application/json"; got != want {
		t.Errorf("got Content-Type %q, want %q", got, want)
	}
}

func TestUnknownPath(t *testing.T) {
	service := apitest.New(t)
	for _, path := range []string{"/nowhere", "/livez/", "/livez%2f", "/%00", "/LIVEZ"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			t.Run(method+" "+path, func(t *testing.T) {
				service.Do(t, method, path, http.NoBody).Problem(t, http.StatusNotFound)
			})
		}
	}
}

func TestMethodNotAllowed(t *testing.T) {
	resp := apitest.New(t).Do(t, http.MethodPost, "/livez", http.NoBody)
	resp.Problem(t, http.StatusMethodNotAllowed)
	if got, want := resp.Header.Get("Allow"), "GET, HEAD"; got != want {
		t.Errorf("got Allow %q, want %q", got, want)
	}
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	service := apitest.New(t)
	for _, path := range []string{"/", "/openapi.json", "/nowhere"} {
		t.Run(path, func(t *testing.T) {
			get, head := service.Get(t, path), service.Do(t, http.MethodHead, path, http.NoBody)
			if head.Status != get.Status || head.Body != "" {
				t.Errorf("got %d %q, want %d and no body", head.Status, head.Body, get.Status)
			}
			for _, name := range []string{"Content-Type", "Content-Length"} {
				if got, want := head.Header.Get(name), get.Header.Get(name); got != want {
					t.Errorf("got %s %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		name, id string
		kept     bool
	}{
		{"valid", "one.2_three-4", true},
		{"128 characters", strings.Repeat("x", 128), true},
		{"129 characters", strings.Repeat("x", 129), false},
		{"empty", "", false},
		{"space", "a b", false},
		{"slash", "a/b", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := service.Get(t, "/", "X-Request-ID", test.id).Header.Values("X-Request-ID")
			if len(got) != 1 || got[0] == "" || (got[0] == test.id) != test.kept {
				t.Errorf("got %q for %q, want kept %v", got, test.id, test.kept)
			}
		})
	}
}

func TestBodyLimitOfEveryRoute(t *testing.T) {
	service := apitest.New(t)
	body := strings.Repeat(" ", 64*1024)
	if got := service.Do(t, http.MethodGet, "/", strings.NewReader(body)).Status; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	service.Do(t, http.MethodGet, "/", strings.NewReader(body+" ")).Problem(t, http.StatusRequestEntityTooLarge)
	unknownLength := struct{ *strings.Reader }{strings.NewReader(body + " ")}
	service.Do(t, http.MethodGet, "/", unknownLength).Problem(t, http.StatusRequestEntityTooLarge)
}

func TestOpenAPIDescribesRoutes(t *testing.T) {
	service := apitest.New(t)
	var document struct {
		Info struct {
			Title   string `json:"title"`
			Version string `json:"version"`
		} `json:"info"`
		Paths map[string]map[string]any `json:"paths"`
	}
	service.Get(t, "/openapi.json").Decode(t, &document)
	if got, want := document.Info.Version, apitest.Version; document.Info.Title != settings.Name || got != want {
		t.Errorf("got %v, want %s %s", document.Info, settings.Name, want)
	}
	for path, operations := range document.Paths {
		for method := range operations {
			if method == "parameters" {
				continue
			}
			t.Run(method+path, func(t *testing.T) {
				path := strings.ReplaceAll(path, "{id}", "0")
				resp := service.Do(t, strings.ToUpper(method), path, http.NoBody)
				if resp.Status == http.StatusMethodNotAllowed {
					t.Errorf("got status %d, want another", resp.Status)
				}
			})
		}
	}
}
