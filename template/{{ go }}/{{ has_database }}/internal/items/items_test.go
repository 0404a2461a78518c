package items_test

import (
	"encoding/json/v2"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/app/internal/apitest"
)

type item struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	CreatedAt string `json:"created_at"`
}

type page struct {
	Items []item `json:"items"`
	Next  *int64 `json:"next"`
}

func post(t *testing.T, service *apitest.Service, body io.Reader) apitest.Response {
	t.Helper()
	return service.Do(t, http.MethodPost, "/items", body, "Content-Type", "application/json")
}

func create(t *testing.T, service *apitest.Service, name string) item {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	resp := post(t, service, strings.NewReader(string(body)))
	if resp.Status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", resp.Status, resp.Body)
	}
	var created item
	resp.Decode(t, &created)
	if got, want := resp.Header.Get("Location"), fmt.Sprintf("/items/%d", created.ID); got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	return created
}

func list(t *testing.T, service *apitest.Service, query string) page {
	t.Helper()
	resp := service.Get(t, "/items?"+query)
	if resp.Status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", resp.Status, resp.Body)
	}
	var got page
	resp.Decode(t, &got)
	return got
}

func TestCreate(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct{ name, value string }{
		{"Unicode", "Zoë's 🎈"},
		{"200 characters", strings.Repeat("🎈", 200)},
		{"HTML", "<a & b>\u2028"},
		{"byte order mark", "\ufeff"},
		{"backslash", `\ud800`},
		{"space", " "},
	} {
		t.Run(test.name, func(t *testing.T) {
			created := create(t, service, test.value)
			if created.Name != test.value {
				t.Errorf("got name %q, want %q", created.Name, test.value)
			}
			when, err := time.Parse(time.RFC3339, created.CreatedAt)
			if err != nil || !strings.HasSuffix(created.CreatedAt, "Z") || time.Since(when).Abs() > time.Minute {
				t.Errorf("got created_at %q, want now in UTC", created.CreatedAt)
			}
			var got item
			service.Get(t, fmt.Sprintf("/items/%d", created.ID)).Decode(t, &got)
			if got != created {
				t.Errorf("got %v, want %v", got, created)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	service := apitest.New(t)
	path := fmt.Sprintf("/items/%d", create(t, service, "An item").ID)
	resp := service.Do(t, http.MethodDelete, path, strings.NewReader("ignored"), "Content-Type", "text/plain")
	if resp.Status != http.StatusNoContent || resp.Body != "" {
		t.Errorf("got %d %q, want 204 and no body", resp.Status, resp.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			service.Do(t, method, path, http.NoBody).Problem(t, http.StatusNotFound)
		})
	}
}

func TestList_Pages(t *testing.T) {
	service := apitest.New(t)
	want := make([]int64, 5)
	for i := range want {
		want[i] = create(t, service, fmt.Sprintf("Item %d", i)).ID
	}
	var got []int64
	for after := want[0] - 1; len(got) < 100; {
		query := "limit=2"
		if after > 0 {
			query += fmt.Sprintf("&after=%d", after)
		}
		page := list(t, service, query)
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		if page.Next == nil {
			break
		}
		if last := got[len(got)-1]; len(page.Items) != 2 || *page.Next != last {
			t.Fatalf("got %d items and next %d, want 2 and %d", len(page.Items), *page.Next, last)
		}
		after = *page.Next
	}
	if !slices.IsSorted(got) {
		t.Errorf("got %v, want them in order", got)
	}
	for _, id := range want {
		if !slices.Contains(got, id) {
			t.Errorf("got %v, want %d, too", got, id)
		}
	}
	if after := list(t, service, fmt.Sprintf("after=%d", math.MaxInt64)); after.Items == nil || len(after.Items) != 0 {
		t.Errorf("got %v, want an empty list", after)
	}
}

func TestList_InvalidQuery(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		query string
		want  []string
	}{
		{"limit=0", []string{"query.limit"}},
		{"limit=101", []string{"query.limit"}},
		{"limit=ten", []string{"query.limit"}},
		{"limit=", []string{"query.limit"}},
		{"limit=+5", []string{"query.limit"}},
		{"limit=05", []string{"query.limit"}},
		{"limit=1_0", []string{"query.limit"}},
		{"after=0", []string{"query.after"}},
		{"after=-1", []string{"query.after"}},
		{"after=9223372036854775808", []string{"query.after"}},
		{"limit=1.5&after=x", []string{"query.after", "query.limit"}},
		{"limit=%zz", []string{"query"}},
	} {
		t.Run(test.query, func(t *testing.T) {
			got := service.Get(t, "/items?"+test.query).Problem(t, http.StatusUnprocessableEntity)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestInvalidID(t *testing.T) {
	service := apitest.New(t)
	for _, id := range []string{"0", "-1", "+1", "01", "1_0", "1.0", "%201", "first", "9223372036854775808"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			t.Run(method+" "+id, func(t *testing.T) {
				service.Do(t, method, "/items/"+id, http.NoBody).Problem(t, http.StatusNotFound)
			})
		}
	}
	service.Get(t, fmt.Sprintf("/items/%d", math.MaxInt64)).Problem(t, http.StatusNotFound)
}

func TestCreate_InvalidBody(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"missing", `{}`, []string{"body.name"}},
		{"empty", `{"name": ""}`, []string{"body.name"}},
		{"201 characters", `{"name": "` + strings.Repeat("x", 201) + `"}`, []string{"body.name"}},
		{"NUL", `{"name": "a\u0000b"}`, []string{"body.name"}},
		{"number", `{"name": 1}`, []string{"body.name"}},
		{"null", `{"name": null}`, []string{"body.name"}},
		{"list", `{"name": ["x"]}`, []string{"body.name"}},
		{"other case", `{"Name": "x"}`, []string{"body.Name", "body.name"}},
		{"unknown field", `{"name": "x", "size": 1}`, []string{"body.size"}},
		{"several errors", `{"name": 1, "size": 1, "more": {}}`, []string{"body.name", "body.more", "body.size"}},
		{"field twice", `{"name": "x", "name": "y"}`, []string{"body"}},
		{"lone surrogate", `{"name": "\ud800"}`, []string{"body"}},
		{"swapped surrogates", `{"name": "\udf88\ud83c"}`, []string{"body"}},
		{"not an object", `[]`, []string{"body"}},
		{"null body", `null`, []string{"body"}},
		{"empty body", ``, []string{"body"}},
		{"truncated", `{`, []string{"body"}},
		{"trailing text", `{"name": "x"} x`, []string{"body"}},
		{"not UTF-8", "{\"name\": \"\xff\"}", []string{"body"}},
		{"byte order mark", "\ufeff{\"name\": \"x\"}", []string{"body"}},
		{"deep", strings.Repeat("[", 60_000), []string{"body"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := post(t, service, strings.NewReader(test.body)).Problem(t, http.StatusUnprocessableEntity)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCreate_MediaType(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		mediaType string
		want      int
	}{
		{"application/json", http.StatusCreated},
		{"Application/JSON; charset=utf-8", http.StatusCreated},
		{"text/plain", http.StatusUnsupportedMediaType},
		{"application/problem+json", http.StatusUnsupportedMediaType},
		{"", http.StatusUnsupportedMediaType},
	} {
		t.Run(test.mediaType, func(t *testing.T) {
			body := strings.NewReader(`{"name": "x"}`)
			got := service.Do(t, http.MethodPost, "/items", body, "Content-Type", test.mediaType)
			if got.Status != test.want {
				t.Errorf("got %d %s, want %d", got.Status, got.Body, test.want)
			}
		})
	}
}
