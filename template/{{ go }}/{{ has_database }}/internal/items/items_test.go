package items_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"app/internal/settings"
	"app/internal/webtest"
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

// TestMain refuses a database that tests may not empty.
func TestMain(m *testing.M) {
	loaded, err := settings.Load(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if name := loaded.Database.Name; !strings.HasSuffix(name, "test") {
		fmt.Fprintf(os.Stderr, "The tests empty their database: %s does not end in test.\n", name)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// service begins with no items.
func service(t *testing.T) *webtest.Service {
	t.Helper()
	started := webtest.New(t)
	empty(t, started.Database)
	return started
}

func post(t *testing.T, service *webtest.Service, body io.Reader) webtest.Answer {
	t.Helper()
	return service.Do(t, http.MethodPost, "/items", body, "Content-Type", "application/json")
}

func create(t *testing.T, service *webtest.Service, name string) item {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	answer := post(t, service, strings.NewReader(string(body)))
	if answer.Status != http.StatusCreated {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	var created item
	answer.Decode(t, &created)
	if got, want := answer.Header.Get("Location"), fmt.Sprintf("/items/%d", created.ID); got != want {
		t.Errorf("Location is %q, not %q", got, want)
	}
	return created
}

func list(t *testing.T, service *webtest.Service, query string) page {
	t.Helper()
	answer := service.Get(t, "/items"+query)
	if answer.Status != http.StatusOK {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	var listed page
	answer.Decode(t, &listed)
	return listed
}

func TestACreatedItemCanBeFetched(t *testing.T) {
	service := service(t)
	for _, name := range []string{"Zoë's 🎈", strings.Repeat("🎈", 200), "<a & b>\u2028", "\ufeff", `\ud800`} {
		created := create(t, service, name)
		if created.Name != name {
			t.Errorf("%q becomes %q", name, created.Name)
		}
		when, err := time.Parse(time.RFC3339, created.CreatedAt)
		if err != nil || !strings.HasSuffix(created.CreatedAt, "Z") || time.Since(when).Abs() > time.Minute {
			t.Errorf("it is of %s", created.CreatedAt)
		}
		var fetched item
		service.Get(t, fmt.Sprintf("/items/%d", created.ID)).Decode(t, &fetched)
		if fetched != created {
			t.Errorf("%v becomes %v", created, fetched)
		}
	}
}

func TestADeletedItemIsGone(t *testing.T) {
	service := service(t)
	path := fmt.Sprintf("/items/%d", create(t, service, "An item").ID)
	answer := service.Do(t, http.MethodDelete, path, http.NoBody)
	if answer.Status != http.StatusNoContent || answer.Body != "" || answer.Header.Get("Content-Type") != "" {
		t.Errorf("got %v", answer)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		detail, _ := service.Do(t, method, path, http.NoBody).Problem(t, http.StatusNotFound)
		if detail != "There is no such item." {
			t.Errorf("%s: %s", method, detail)
		}
	}
}

func TestIDsAreNotUsedAgain(t *testing.T) {
	service := service(t)
	first := create(t, service, "An item")
	service.Do(t, http.MethodDelete, fmt.Sprintf("/items/%d", first.ID), http.NoBody)
	if second := create(t, service, "An item"); second.ID <= first.ID {
		t.Errorf("%d comes after %d", second.ID, first.ID)
	}
}

func TestItemsComeInPages(t *testing.T) {
	service := service(t)
	if got := list(t, service, ""); got.Items == nil || len(got.Items) != 0 || got.Next != nil {
		t.Errorf("at first there is %v", got)
	}
	items := make([]item, 21)
	for i := range items {
		items[i] = create(t, service, fmt.Sprintf("Item %d", i))
	}
	for _, test := range []struct {
		query       string
		first, last int
		more        bool
	}{
		{"", 0, 20, true},
		{"?limit=21", 0, 21, false},
		{"?limit=100", 0, 21, false},
		{"?limit=3", 0, 3, true},
		{fmt.Sprintf("?limit=3&after=%d", items[2].ID), 3, 6, true},
		{fmt.Sprintf("?after=%d", items[19].ID), 20, 21, false},
		{fmt.Sprintf("?after=%d", items[20].ID), 21, 21, false},
		{fmt.Sprintf("?after=%d", math.MaxInt64), 21, 21, false},
	} {
		got := list(t, service, test.query)
		if !slices.Equal(got.Items, items[test.first:test.last]) {
			t.Errorf("%s: got %v", test.query, got.Items)
		}
		if more := got.Next != nil; more != test.more || more && *got.Next != items[test.last-1].ID {
			t.Errorf("%s: next is %v", test.query, got.Next)
		}
	}
}

func TestABadPageIsRefused(t *testing.T) {
	service := service(t)
	for query, want := range map[string]string{
		"limit=0":                   "query.limit",
		"limit=101":                 "query.limit",
		"limit=ten":                 "query.limit",
		"limit=":                    "query.limit",
		"after=first":               "query.after",
		"after=0":                   "query.after",
		"after=-1":                  "query.after",
		"after=9223372036854775808": "query.after",
		"limit=1.5&after=x":         "query.after query.limit",
		"limit=%zz":                 "query",
	} {
		_, locations := service.Get(t, "/items?"+query).Problem(t, http.StatusUnprocessableEntity)
		if got := strings.Join(locations, " "); got != want {
			t.Errorf("%s: it is %s", query, got)
		}
	}
}

func TestWhatIsNoIDIsNotFound(t *testing.T) {
	service := service(t)
	for _, id := range []string{"0", "-1", "+1", "first", "1.5", "9223372036854775808"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			detail, _ := service.Do(t, method, "/items/"+id, http.NoBody).Problem(t, http.StatusNotFound)
			if detail != "There is nothing at this path." {
				t.Errorf("%s %s: %s", method, id, detail)
			}
		}
	}
	service.Get(t, fmt.Sprintf("/items/%d", math.MaxInt64)).Problem(t, http.StatusNotFound)
}

func TestABadItemIsRefused(t *testing.T) {
	service := service(t)
	for body, want := range map[string]string{
		`{}`:                                    "body.name",
		`{"name": ""}`:                          "body.name",
		`{"name": " \t\n\u2003\u0085"}`:         "body.name",
		`{"name": "` + strings.Repeat("x", 201): "body",
		`{"name": "` + strings.Repeat("x", 201) + `"}`: "body.name",
		`{"name": "a\u0000b"}`:                         "body.name",
		`{"name": 1}`:                                  "body.name",
		`{"name": null}`:                               "body.name",
		`{"name": ["x"]}`:                              "body.name",
		`{"Name": "x"}`:                                "body.name body.Name",
		`{"name": "x", "size": 1}`:                     "body.size",
		`{"name": " ", "size": 1, "more": {}}`:         "body.name body.more body.size",
		`{"name": "\ud800"}`:                           "body",
		`{"name": "\ud83d\ud83c\udf88"}`:               "body",
		`{"name": "\udf88\ud83c"}`:                     "body",
		`[]`:                                           "body",
		`"x"`:                                          "body",
		`null`:                                         "body",
		``:                                             "body",
		`{`:                                            "body",
		`{"name": "x"} x`:                              "body",
		"{\"name\": \"\xff\"}":                         "body",
		strings.Repeat("[", 60_000):                    "body",
		strings.Repeat("1", 60_000):                    "body",
	} {
		_, locations := post(t, service, strings.NewReader(body)).Problem(t, http.StatusUnprocessableEntity)
		if got := strings.Join(locations, " "); got != want {
			t.Errorf("%.80s: it is %s", body, got)
		}
	}
	if got := list(t, service, "").Items; len(got) != 0 {
		t.Errorf("there is %v", got)
	}
}

func TestOtherMediaTypesAreRefused(t *testing.T) {
	service := service(t)
	for mediaType, want := range map[string]int{
		"application/json":                http.StatusCreated,
		"Application/JSON; charset=utf-8": http.StatusCreated,
		"text/plain":                      http.StatusUnsupportedMediaType,
		"application/problem+json":        http.StatusUnsupportedMediaType,
		"":                                http.StatusUnsupportedMediaType,
	} {
		body := strings.NewReader(`{"name": "x"}`)
		answer := service.Do(t, http.MethodPost, "/items", body, "Content-Type", mediaType)
		if answer.Status != want {
			t.Errorf("%s: %d %s", mediaType, answer.Status, answer.Body)
		}
	}
}

func TestABodyMayHave64KiB(t *testing.T) {
	service := service(t)
	body := `{"name": "x"}` + strings.Repeat(" ", 64*1024-13)
	if answer := post(t, service, strings.NewReader(body)); answer.Status != http.StatusCreated {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}
	post(t, service, strings.NewReader(body+" ")).Problem(t, http.StatusRequestEntityTooLarge)
	// A body of unknown length comes in chunks.
	if answer := post(t, service, io.MultiReader(strings.NewReader(body))); answer.Status != http.StatusCreated {
		t.Errorf("%d %s", answer.Status, answer.Body)
	}
	post(t, service, io.MultiReader(strings.NewReader(body+" "))).Problem(t, http.StatusRequestEntityTooLarge)
}

func TestTheMethodsOfAPathAreAllAllowed(t *testing.T) {
	service := service(t)
	for path, want := range map[string]string{"/items": "GET, HEAD, POST", "/items/1": "DELETE, GET, HEAD"} {
		answer := service.Do(t, http.MethodPut, path, http.NoBody)
		answer.Problem(t, http.StatusMethodNotAllowed)
		if got := answer.Header.Get("Allow"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
