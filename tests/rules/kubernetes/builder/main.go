// The builder builds folders with Kustomize, in memory, and validates the result with kubeconform.
//
// It reads a request a line and writes an answer a line, in the order in which they are done. A content stands in the
// first request that names it, and a resource in the first answer that has it; then a number stands for them, because
// most trees have most files in common.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

type request struct {
	Number   int            `json:"number"`
	Folder   string         `json:"folder"`
	Files    map[string]int `json:"files"`
	Contents map[int][]byte `json:"contents"`
}

type answer struct {
	Number    int             `json:"number"`
	Error     string          `json:"error"`
	Resources []int           `json:"resources"`
	New       map[int]*judged `json:"new"`
}

type judged struct {
	Resource json.RawMessage `json:"resource"`
	Errors   []schemaError   `json:"errors"`
	once     sync.Once
	number   int
}

type schemaError struct {
	Minor   string `json:"minor"`
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}

func (j *judged) judge(minors []string, validators []validator.Validator) {
	j.Errors = []schemaError{}
	for i, minor := range minors {
		result := validators[i].ValidateResource(resource.Resource{Bytes: j.Resource})
		if result.Status == validator.Valid {
			continue
		}
		before := len(j.Errors)
		// Only the text of the error has the causes within causes: "… - at '/spec/type': value must be one of …".
		for _, cause := range strings.Split(result.Err.Error(), " - at '")[1:] {
			pointer, message, _ := strings.Cut(strings.TrimSpace(cause), "': ")
			if !strings.HasSuffix(message, "failed") && !strings.HasSuffix(message, "none matched") {
				j.Errors = append(j.Errors, schemaError{minor, pointer, message})
			}
		}
		if len(j.Errors) == before {
			j.Errors = append(j.Errors, schemaError{minor, "", result.Err.Error()})
		}
	}
}

// build returns what Kustomize makes of a folder, each resource as JSON.
func build(folder string, files map[string][]byte) ([]string, error) {
	system := filesys.MakeFsInMemory()
	for name, content := range files {
		if err := system.WriteFile(path.Join("/", name), content); err != nil {
			return nil, err
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(system, path.Join("/", folder))
	if err != nil {
		return nil, err
	}
	var resources []string
	for _, one := range built.Resources() {
		text, err := one.MarshalJSON()
		if err != nil {
			return nil, err
		}
		resources = append(resources, string(text))
	}
	return resources, nil
}

func serve(schemas string, minors []string) error {
	var validators []validator.Validator
	for _, minor := range minors {
		one, err := validator.New([]string{schemas}, validator.Opts{KubernetesVersion: minor + ".0", Strict: true})
		if err != nil {
			return err
		}
		validators = append(validators, one)
	}
	var (
		contents = map[int][]byte{}
		workers  sync.WaitGroup
		free     = make(chan struct{}, runtime.GOMAXPROCS(0))
		lock     sync.Mutex // of what follows
		known    = map[string]*judged{}
		written  int
		output   = json.NewEncoder(os.Stdout)
	)
	answerTo := func(asked request, files map[string][]byte) {
		texts, err := build(asked.Folder, files)
		given := answer{Number: asked.Number, Resources: []int{}, New: map[int]*judged{}}
		if err != nil {
			given.Error = err.Error()
		}
		found := make([]*judged, len(texts))
		for i, text := range texts {
			lock.Lock()
			if known[text] == nil {
				known[text] = &judged{Resource: json.RawMessage(text)}
			}
			found[i] = known[text]
			lock.Unlock()
			found[i].once.Do(func() { found[i].judge(minors, validators) })
		}
		lock.Lock()
		defer lock.Unlock()
		for _, one := range found {
			if one.number == 0 {
				written++
				one.number = written
				given.New[one.number] = one
			}
			given.Resources = append(given.Resources, one.number)
		}
		if err := output.Encode(given); err != nil {
			panic(err)
		}
	}
	for input := json.NewDecoder(os.Stdin); input.More(); {
		var asked request
		if err := input.Decode(&asked); err != nil {
			return err
		}
		for number, content := range asked.Contents {
			contents[number] = content
		}
		files := map[string][]byte{}
		for name, number := range asked.Files {
			files[name] = contents[number]
		}
		free <- struct{}{}
		workers.Go(func() {
			answerTo(asked, files)
			<-free
		})
	}
	workers.Wait()
	return nil
}

func main() {
	debug.SetGCPercent(400) // nearly all that a build allocates is garbage after it
	if err := serve(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
