package server

import (
	"net"
	"net/http"
	"sync"
)

// silent are the connections that have not asked for anything yet.
type silent struct {
	mutex       sync.Mutex
	connections map[net.Conn]struct{}
}

// note is told of every change of a connection's state.
func (s *silent) note(changed net.Conn, state http.ConnState) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if state == http.StateNew {
		s.connections[changed] = struct{}{}
	} else {
		delete(s.connections, changed)
	}
}

// close closes them all: net/http would wait five seconds for a request.
func (s *silent) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for connection := range s.connections {
		_ = connection.Close()
	}
}
