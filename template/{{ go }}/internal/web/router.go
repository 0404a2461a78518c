package web

import (
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"app/internal/problems"
)

// methods are the handlers of a path.
type methods map[string]func(http.ResponseWriter, *http.Request) error

// router takes paths as they are, and answers what it does not know with a problem.
type router struct {
	logger *slog.Logger
	mux    *http.ServeMux
}

func newRouter(logger *slog.Logger) *router {
	r := &router{logger, http.NewServeMux()}
	r.mux.Handle(unmatched, problems.Handle(logger, notFound))
	return r
}

// handle adds a path. Where there is GET, the mux takes HEAD for it too.
func (r *router) handle(pattern string, handlers methods) {
	allowed := slices.Collect(maps.Keys(handlers))
	if handlers[http.MethodGet] != nil {
		allowed = append(allowed, http.MethodHead)
	}
	allow := strings.Join(slices.Sorted(slices.Values(allowed)), ", ")
	r.mux.Handle(pattern, problems.Handle(r.logger, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return problems.New(http.StatusMethodNotAllowed, "The path does not have this method.")
	}))
	for method, handler := range handlers {
		r.mux.Handle(method+" "+pattern, problems.Handle(r.logger, handler))
	}
}

// ServeHTTP looks before the mux does: that would tidy the path up and redirect to it.
func (r *router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if escaped := request.URL.EscapedPath(); path.Clean(escaped) != escaped || escaped[0] != '/' {
		problems.NotFound().Answer(w)
		return
	}
	r.mux.ServeHTTP(w, request)
}

func notFound(http.ResponseWriter, *http.Request) error { return problems.NotFound() }

// unmatched is the pattern of every path that has no other.
const unmatched = "/"

// routeOf names the path of a request by its template.
func routeOf(pattern string) string {
	switch template := pattern[strings.IndexByte(pattern, ' ')+1:]; template {
	case "", unmatched:
		return "unmatched"
	case "/{$}":
		return "/"
	default:
		return template
	}
}
