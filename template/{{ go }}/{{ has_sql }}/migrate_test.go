package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMigrate_MissingDatabase(t *testing.T) {
	p := newProgram(t, "migrate", "DATABASE_NAME=missing_test")
	if got := p.run(); got != 1 || !strings.Contains(p.output.String(), "missing_test") {
		t.Errorf("got exit status %d and %s, want 1 and the database", got, p.output.String())
	}
}

func TestMigrate_WaitsForTheDatabaseUntilASignal(t *testing.T) {
	p := newProgram(t, "migrate", "DATABASE_HOST=127.0.0.1", "DATABASE_PORT=1")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("got %v, want a running program", err)
	}
	_ = p.Wait()
	if got := p.ProcessState.ExitCode(); got != 1 {
		t.Errorf("got exit status %d and %s, want 1", got, p.output.String())
	}
}
