package main

import (
	"bytes"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the tests start the program: it is the program itself that they start.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is the service with other settings, and what it says.
func program(t *testing.T, command string, variables map[string]string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	started := exec.CommandContext(t.Context(), executable, command)
	started.Env = append(os.Environ(), "BE_THE_PROGRAM=yes")
	for name, value := range variables {
		started.Env = append(started.Env, name+"="+value)
	}
	output := &bytes.Buffer{}
	started.Stdout, started.Stderr = output, output
	return started, output
}

func TestWrongSettingsEndIt(t *testing.T) {
	started, output := program(t, "serve", map[string]string{"PORT": "80"})
	_ = started.Run()
	want := "PORT: must be a number from 1024 to 65535\n"
	if got := output.String(); started.ProcessState.ExitCode() != 2 || got != want {
		t.Errorf("exit %d: %s", started.ProcessState.ExitCode(), got)
	}
}

func TestAnUnknownCommandEndsIt(t *testing.T) {
	started, output := program(t, "dance", nil)
	_ = started.Run()
	if got := output.String(); started.ProcessState.ExitCode() != 2 || !strings.HasPrefix(got, "dance: ") {
		t.Errorf("exit %d: %s", started.ProcessState.ExitCode(), got)
	}
}

func TestTheHealthCheckFailsWhenNothingServes(t *testing.T) {
	started, output := program(t, "healthcheck", ports(t))
	_ = started.Run()
	if got := started.ProcessState.ExitCode(); got != 1 {
		t.Errorf("exit %d: %s", got, output)
	}
}

func TestASignalStopsIt(t *testing.T) {
	variables := ports(t)
	started, output := program(t, "serve", variables)
	if err := started.Start(); err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", variables["PORT"])
	for range 100 {
		if answer, err := http.Get("http://" + address + "/livez"); err == nil { //nolint:noctx // it answers at once
			answer.Body.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err, output)
	}
	defer silent.Close()

	check, checked := program(t, "healthcheck", variables)
	if err := check.Run(); err != nil {
		t.Errorf("the health check: %v %s", err, checked)
	}
	if err := started.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := started.Wait(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a connection that says nothing delays the end by %s", took)
	}
}

// ports are two on which nothing listens.
func ports(t *testing.T) map[string]string {
	t.Helper()
	free := map[string]string{"PORT": "", "METRICS_PORT": ""}
	for name := range maps.Clone(free) {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			t.Fatal(listener.Addr())
		}
		free[name] = strconv.Itoa(address.Port)
	}
	return free
}
