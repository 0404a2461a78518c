package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the program itself if a test has started it.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is a command of the service in a separate process.
type program struct {
	*exec.Cmd
	output output
}

// output is what a running program has printed.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

func newProgram(t *testing.T, command string, env ...string) *program {
	t.Helper()
	if name := os.Getenv("DATABASE_NAME"); name != "" && !strings.HasSuffix(name, "test") {
		t.Fatalf("tests write to their database, and DATABASE_NAME %q does not end in test", name)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cmd: exec.CommandContext(t.Context(), executable, command)}
	p.Env = append(append(os.Environ(), "RUN_PROGRAM=1"), env...)
	p.Stdout, p.Stderr = &p.output, &p.output
	return p
}

// run returns the exit status.
func (p *program) run() int {
	_ = p.Run()
	return p.ProcessState.ExitCode()
}

// service is a running `serve`.
type service struct {
	*program
	address, metricsAddress string
	ports                   []string
}

func start(t *testing.T, env ...string) *service {
	t.Helper()
	for {
		port, metricsPort := freePorts(t)
		s := &service{
			address:        net.JoinHostPort("127.0.0.1", port),
			metricsAddress: net.JoinHostPort("127.0.0.1", metricsPort),
			ports:          []string{"PORT=" + port, "METRICS_PORT=" + metricsPort},
		}
		s.program = newProgram(t, "serve", append(env, s.ports...)...)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if s.isReady(t) {
			return s
		}
		// Another process may have taken a port meanwhile.
		if !strings.Contains(s.output.String(), syscall.EADDRINUSE.Error()) {
			t.Fatalf("not ready: %s", s.output.String())
		}
	}
}

// isReady waits until the service is ready, or ends it.
func (s *service) isReady(t *testing.T) bool {
	t.Helper()
	for range 600 {
		printed := s.output.String()
		if strings.Contains(printed, syscall.EADDRINUSE.Error()) {
			break
		}
		// Before it listens, another process may answer on its port.
		if strings.Contains(printed, `"listening"`) {
			if status, _ := s.get(t, s.address, "/readyz"); status == http.StatusOK {
				return true
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = s.Process.Kill()
	_ = s.Wait()
	return false
}

func (s *service) get(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	content, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content)
}

// client is a connection to the service.
type client struct {
	net.Conn
	reader *bufio.Reader
}

func (s *service) dial(t *testing.T) *client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{conn, bufio.NewReader(conn)}
}

func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// response returns the status, and whether the connection closes.
func (c *client) response(t *testing.T) (status int, closes bool) {
	t.Helper()
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

func (s *service) stop(t *testing.T) {
	t.Helper()
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range 3000 { // until the listening socket is closed
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("still listening")
}

// freePorts returns two different ports on which nothing listens.
func freePorts(t *testing.T) (port, metricsPort string) {
	t.Helper()
	service, metrics := httptest.NewServer(nil), httptest.NewServer(nil)
	defer service.Close()
	defer metrics.Close()
	const address = "http://127.0.0.1:"
	return strings.TrimPrefix(service.URL, address), strings.TrimPrefix(metrics.URL, address)
}

func TestInvalidSettings(t *testing.T) {
	p := newProgram(t, "serve", "PORT=80")
	got := p.run()
	if want := "PORT: must be a number from 1024 to 65535\n"; got != 2 || p.output.String() != want {
		t.Errorf("got exit status %d and %s, want 2 and %s", got, p.output.String(), want)
	}
}

func TestUnknownCommand(t *testing.T) {
	if got := newProgram(t, "dance").run(); got != 2 {
		t.Errorf("got exit status %d, want 2", got)
	}
}

func TestHelp(t *testing.T) {
	p := newProgram(t, "--help")
	if got := p.run(); got != 0 || !strings.Contains(p.output.String(), "METRICS_PORT") {
		t.Errorf("got exit status %d and %s, want 0 and every setting", got, p.output.String())
	}
}

func TestHealthcheck(t *testing.T) {
	s := start(t)
	p := newProgram(t, "healthcheck", s.ports...)
	if got := p.run(); got != 0 {
		t.Errorf("got exit status %d and %s, want 0", got, p.output.String())
	}
	s.stop(t)
	p = newProgram(t, "healthcheck", s.ports...)
	if got := p.run(); got != 1 || p.output.String() == "" {
		t.Errorf("got exit status %d and %q, want 1 and a reason", got, p.output.String())
	}
	_ = s.Wait()
}

func TestMigrateTwice(t *testing.T) {
	for i := range 2 {
		p := newProgram(t, "migrate", "DATABASE_POOL_SIZE=1")
		if got := p.run(); got != 0 {
			t.Errorf("got exit status %d and %s in run %d, want 0", got, p.output.String(), i)
		}
	}
}

func TestServe_Metrics(t *testing.T) {
	s := start(t)
	status, body := s.get(t, s.metricsAddress, "/metrics")
	if want := `http_request_duration_seconds_count{method="GET",route="/readyz",status="200"}`; status != http.StatusOK ||
		!strings.Contains(body, want) {
		t.Errorf("got %d %s, want 200 and %s", status, body, want)
	}
	s.stop(t)
	_ = s.Wait()
}

func TestServe_Traces(t *testing.T) {
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	var spans []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		spans = append(spans, body...)
	}))
	s := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
	c := s.dial(t)
	c.send(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\ntraceparent: 00-"+traceID+"-b7ad6b7169203331-01\r\n\r\n")
	c.response(t)
	s.stop(t)
	if err := s.Wait(); err != nil {
		t.Errorf("got %v and %s, want exit status 0", err, s.output.String())
	}
	collector.Close()
	id, _ := hex.DecodeString(traceID)
	if !bytes.Contains(spans, id) || !bytes.Contains(spans, []byte("GET /")) || bytes.Contains(spans, []byte("readyz")) {
		t.Errorf("got spans %q, want one of GET / in trace %s", spans, traceID)
	}
	if want := `"trace_id":"` + traceID; !strings.Contains(s.output.String(), want) {
		t.Errorf("got log %s, want %s", s.output.String(), want)
	}
}

func TestServe_StopsWithoutConnections(t *testing.T) {
	s := start(t)
	begin := time.Now()
	s.stop(t)
	if err := s.Wait(); err != nil {
		t.Errorf("got %v and %s, want exit status 0", err, s.output.String())
	}
	if got := time.Since(begin); got > 1800*time.Millisecond { // the race detector sleeps for a second at exit
		t.Errorf("got %s, want less than the 2 s of idle connections", got)
	}
}

func TestServe_StopAnswersRunningAndKeptAliveRequests(t *testing.T) {
	s := start(t)
	running, keptAlive, idle := s.dial(t), s.dial(t), s.dial(t)
	running.send(t, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha")
	for _, c := range []*client{keptAlive, idle} {
		c.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if status, closes := c.response(t); status != http.StatusOK || closes {
			t.Errorf("got status %d and close %v, want 200 and an open connection", status, closes)
		}
	}

	s.stop(t)
	keptAlive.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if status, closes := keptAlive.response(t); status != http.StatusOK || !closes {
		t.Errorf("got status %d and close %v, want 200 and Connection: close", status, closes)
	}
	begin := time.Now()
	if _, err := idle.reader.ReadByte(); err == nil || time.Since(begin) > 4*time.Second {
		t.Errorf("got %v after %s, want the idle connection to close after 2 s", err, time.Since(begin))
	}
	running.send(t, "lf")
	if got, _ := running.response(t); got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("got %v and %s, want exit status 0", err, s.output.String())
	}
}

func TestServe_SecondSignalExits1(t *testing.T) {
	s := start(t)
	running := s.dial(t)
	running.send(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	running.response(t) // the connection is accepted
	running.send(t, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha")
	s.stop(t)
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = s.Wait()
	if got := s.ProcessState.ExitCode(); got != 1 {
		t.Errorf("got exit status %d and %s, want 1", got, s.output.String())
	}
}

func TestServe_PortInUse(t *testing.T) {
	s := start(t)
	for _, taken := range s.ports {
		name, _, _ := strings.Cut(taken, "=")
		t.Run(name, func(t *testing.T) {
			port, metricsPort := freePorts(t)
			p := newProgram(t, "serve", "PORT="+port, "METRICS_PORT="+metricsPort, taken)
			if got := p.run(); got != 1 || !strings.Contains(p.output.String(), `"`+name+": ") {
				t.Errorf("got exit status %d and %s, want 1 and the setting", got, p.output.String())
			}
		})
	}
	s.stop(t)
	_ = s.Wait()
}
