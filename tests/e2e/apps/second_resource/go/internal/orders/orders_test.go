package orders_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"example.com/app/internal/apitest"
)

type order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Email    string `json:"email"`
	Status   string `json:"status"`
	Gift     bool   `json:"gift"`
}

type page struct {
	Orders []order `json:"orders"`
}

func post(t *testing.T, service *apitest.Service, body string) apitest.Response {
	t.Helper()
	return service.Do(t, http.MethodPost, "/orders", strings.NewReader(body), "Content-Type", "application/json")
}

func TestCreate(t *testing.T) {
	service := apitest.New(t)
	resp := post(t, service, `{"customer": "Zoë", "email": "zoe@example.com", "gift": true}`)
	if resp.Status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", resp.Status, resp.Body)
	}
	var created, got order
	resp.Decode(t, &created)
	want := order{ID: created.ID, Customer: "Zoë", Email: "zoe@example.com", Status: "new", Gift: true}
	if created != want {
		t.Errorf("got %v, want %v", created, want)
	}
	path := resp.Header.Get("Location")
	service.Get(t, path).Decode(t, &got)
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := service.Do(t, http.MethodDelete, path, http.NoBody).Status; got != http.StatusNoContent {
		t.Errorf("got %d, want 204", got)
	}
	service.Get(t, path).Problem(t, http.StatusNotFound)
	service.Do(t, http.MethodDelete, path, http.NoBody).Problem(t, http.StatusNotFound)
}

func TestList(t *testing.T) {
	service := apitest.New(t)
	for _, status := range []string{"new", "paid", "shipped"} {
		post(t, service, `{"customer": "List", "email": "a@example.com", "status": "`+status+`"}`)
	}
	var got page
	service.Get(t, "/orders?customer=List&status=paid&status=shipped&gift=false&sort=newest").Decode(t, &got)
	if len(got.Orders) < 2 || got.Orders[0].Status != "shipped" || got.Orders[1].Status != "paid" {
		t.Errorf("got %v, want shipped before paid", got.Orders)
	}
}

func TestCreate_InvalidBody(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		body string
		want []string
	}{
		{`{}`, []string{"body.customer", "body.email"}},
		{`{"customer": "x", "email": "x", "status": "lost", "gift": 1}`, []string{"body.gift", "body.status", "body.email"}},
	} {
		t.Run(test.body, func(t *testing.T) {
			got := post(t, service, test.body).Problem(t, http.StatusUnprocessableEntity)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
