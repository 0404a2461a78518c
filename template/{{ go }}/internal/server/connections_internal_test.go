package server

import "testing"

func TestStrayPercentSignsAreEscaped(t *testing.T) {
	for given, want := range map[string]string{
		"GET /%zz HTTP/1.1\r\n":      "GET /%25zz HTTP/1.1\r\n",
		"GET /%%41%4 HTTP/1.1\r\n":   "GET /%25%41%254 HTTP/1.1\r\n",
		"GET /%7E?%zz HTTP/1.1\r\n":  "GET /%7E?%zz HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nX: %\r\n": "GET / HTTP/1.1\r\nX: %\r\n",
		"GET /%":                     "GET /%",
		"%":                          "%",
	} {
		buffer := make([]byte, 64)
		if got := string(buffer[:mend(buffer, copy(buffer, given))]); got != want {
			t.Errorf("%q becomes %q", given, got)
		}
	}
}

func TestThereMustBeRoomToEscape(t *testing.T) {
	buffer := []byte("GET /% HTTP/1.1\r\n ")
	if got := mend(buffer, len(buffer)-1); got != len(buffer)-1 {
		t.Errorf("%q has grown by %d", buffer, got-len(buffer)+1)
	}
}
