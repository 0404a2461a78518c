// Pod is what runs in the small pods of the tests: a web server that says its name, or its client. Without arguments it
// waits, and stands in for Kubernetes' pause, which holds a pod's network.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 1:
	case os.Args[1] == "serve":
		go serve()
	default:
		get(os.Args[1])
		return
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}

func serve() {
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("This is", name)
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, name) })
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func get(address string) {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(address)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
}
