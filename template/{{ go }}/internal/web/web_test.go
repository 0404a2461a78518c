package web_test

import (
	"net/http"
	"strings"
	"testing"

	"app/internal/settings"
	"app/internal/webtest"
)

func TestTheRootTellsNameAndVersion(t *testing.T) {
	answer := webtest.New(t).Get(t, "/")
	var got map[string]string
	answer.Decode(t, &got)
	if got["name"] != settings.Name || got["version"] != webtest.Version || len(got) != 2 {
		t.Errorf("got %s", answer.Body)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
}

func TestAnUnknownPathIsAProblem(t *testing.T) {
	service := webtest.New(t)
	for _, path := range []string{"/nowhere", "//", "//livez", "/livez/", "/x/../livez", "/livez%2f", "/%00", "/LIVEZ"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			detail, _ := service.Do(t, method, path, http.NoBody).Problem(t, http.StatusNotFound)
			if detail != "There is nothing at this path." {
				t.Errorf("%s %s: %s", method, path, detail)
			}
		}
	}
}

func TestAWrongMethodIsAnsweredWithTheRightOnes(t *testing.T) {
	answer := webtest.New(t).Do(t, http.MethodPost, "/livez", http.NoBody)
	answer.Problem(t, http.StatusMethodNotAllowed)
	if got := answer.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
}

func TestHeadIsAnsweredLikeGet(t *testing.T) {
	service := webtest.New(t)
	for _, path := range []string{"/", "/nowhere"} {
		got, head := service.Get(t, path), service.Do(t, http.MethodHead, path, http.NoBody)
		if head.Status != got.Status || head.Body != "" {
			t.Errorf("%s: %d %q", path, head.Status, head.Body)
		}
		for _, header := range []string{"Content-Type", "Content-Length"} {
			if head.Header.Get(header) != got.Header.Get(header) {
				t.Errorf("%s: %s is %q", path, header, head.Header.Get(header))
			}
		}
	}
}

func TestARequestKeepsAGoodID(t *testing.T) {
	answer := webtest.New(t).Get(t, "/", "X-Request-ID", "one.2_three-4")
	if got := answer.Header.Get("X-Request-ID"); got != "one.2_three-4" {
		t.Errorf("got %q", got)
	}
}

func TestABadRequestIDIsReplaced(t *testing.T) {
	service := webtest.New(t)
	for _, bad := range []string{"", "a b", "a/b", strings.Repeat("x", 129)} {
		got := service.Get(t, "/", "X-Request-ID", bad).Header.Values("X-Request-ID")
		if len(got) != 1 || got[0] == bad || got[0] == "" {
			t.Errorf("%q is replaced by %q", bad, got)
		}
	}
}

func TestTheDocumentKnowsEveryRoute(t *testing.T) {
	service := webtest.New(t)
	var document struct {
		Info  struct{ Title, Version string }
		Paths map[string]map[string]struct{ Responses map[string]any }
	}
	service.Get(t, "/openapi.json").Decode(t, &document)
	if document.Info.Title != settings.Name || document.Info.Version != webtest.Version {
		t.Errorf("it is about %v", document.Info)
	}
	for path, operations := range document.Paths {
		for method, operation := range operations {
			answer := service.Do(t, strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "0"), http.NoBody)
			if answer.Status == http.StatusMethodNotAllowed {
				t.Errorf("there is no %s %s", method, path)
			}
			if operation.Responses["default"] == nil {
				t.Errorf("%s %s has no problem", method, path)
			}
		}
	}
}
