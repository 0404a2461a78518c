// Writes a database of vulnerabilities in the form of trivy-db's second schema: https://github.com/aquasecurity/trivy-db
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// vulnerability is one of a Debian package: Fixed is the version that fixes it, if there is one.
type vulnerability struct {
	Id, Package, Fixed string
	Severity           int
}

// main reads a JSON list of vulnerabilities from standard input, and writes the database into the cache folder that is named.
func main() {
	var given []vulnerability
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	if err := write(filepath.Join(os.Args[1], "db"), given); err != nil {
		log.Fatal(err)
	}
}

func write(folder string, given []vulnerability) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	db, err := bbolt.Open(filepath.Join(folder, "trivy.db"), 0o644, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, v := range given {
			if err := put(tx, map[string]string{"FixedVersion": v.Fixed}, "debian 13", v.Package, v.Id); err != nil {
				return err
			}
			details := map[string]any{"Title": "A test", "VendorSeverity": map[string]int{"debian": v.Severity, "nvd": v.Severity}}
			if err := put(tx, details, "vulnerability", v.Id); err != nil {
				return err
			}
		}
		source := map[string]string{"ID": "debian", "Name": "Debian Security Tracker", "URL": "https://example.com"}
		return put(tx, source, "data-source", "debian 13")
	})
	if err != nil {
		return err
	}
	now := time.Now()
	metadata := map[string]any{"Version": 2, "NextUpdate": now.Add(24 * time.Hour), "UpdatedAt": now, "DownloadedAt": now}
	content, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "metadata.json"), content, 0o644)
}

// put stores a value as JSON under the last of the names, in the buckets of the others.
func put(tx *bbolt.Tx, value any, names ...string) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	bucket, err := tx.CreateBucketIfNotExists([]byte(names[0]))
	if err != nil {
		return err
	}
	last := len(names) - 1
	for _, name := range names[1:last] {
		if bucket, err = bucket.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return bucket.Put([]byte(names[last]), content)
}
