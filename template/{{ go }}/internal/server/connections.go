package server

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync"
)

// connections are a listener that knows which of its connections have not asked for anything yet.
type connections struct {
	net.Listener

	mutex  sync.Mutex
	silent map[*connection]struct{}
}

func newConnections(listener net.Listener) *connections {
	return &connections{Listener: listener, silent: map[*connection]struct{}{}}
}

// Accept waits for the next connection.
func (c *connections) Accept() (net.Conn, error) {
	accepted, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &connection{Conn: accepted, next: true}, nil
}

// note is told of every change of a connection's state.
func (c *connections) note(changed net.Conn, state http.ConnState) {
	noted, ok := changed.(*connection)
	if !ok {
		return
	}
	noted.next = noted.next || state == http.StateIdle
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if state == http.StateNew {
		c.silent[noted] = struct{}{}
	} else {
		delete(c.silent, noted)
	}
}

// closeSilent closes connections on which no request has come: net/http would wait five seconds for one.
func (c *connections) closeSilent() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for silent := range c.silent {
		_ = silent.Close()
	}
}

// connection mends the path of each request, in which net/http takes no percent sign that begins no escape: it would
// answer such a request itself, when all that is wrong is that nothing has this path.
type connection struct {
	net.Conn

	next bool // what is read next is the beginning of a request
}

func (c *connection) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if c.next && n > 0 {
		c.next = false
		n = mend(buffer, n)
	}
	return n, err
}

// mend escapes stray percent signs in the path of the request that begins the buffer, as far as there is room for it.
func mend(buffer []byte, n int) int {
	line, _, _ := bytes.Cut(buffer[:n], []byte("\n"))
	if bytes.IndexByte(line, '%') < 0 {
		return n
	}
	start := bytes.IndexByte(line, ' ') + 1
	length := bytes.IndexAny(line[start:], " ?")
	for i := start; i < start+length && n+2 <= len(buffer); i++ {
		if buffer[i] == '%' && (i+2 >= n || !isHex(buffer[i+1]) || !isHex(buffer[i+2])) {
			copy(buffer[i+3:n+2], buffer[i+1:n])
			copy(buffer[i+1:], "25")
			n, length = n+2, length+2
		}
	}
	return n
}

func isHex(character byte) bool {
	return strings.IndexByte("0123456789ABCDEFabcdef", character) >= 0
}
