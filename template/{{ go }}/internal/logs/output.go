package logs

import (
	"io"
	"sync"
	"time"
)

const (
	delay = 100 * time.Millisecond
	limit = 64 * 1024
)

// output writes lines a moment later, many at once: to wake whoever reads them for each is a fifth of what a small
// request costs. Loggers that came of one another share it.
type output struct {
	mutex   sync.Mutex
	writer  io.Writer
	waiting []byte
}

// write keeps a line back, unless it is one for which nobody should have to wait.
func (o *output) write(line []byte, now bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.waiting) == 0 && !now {
		time.AfterFunc(delay, o.flush)
	}
	o.waiting = append(o.waiting, line...)
	if now || len(o.waiting) > limit {
		o.writeWaiting()
	}
}

func (o *output) flush() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.writeWaiting()
}

func (o *output) writeWaiting() {
	if len(o.waiting) > 0 {
		_, _ = o.writer.Write(o.waiting) // where else could one tell?
		o.waiting = o.waiting[:0]
	}
}
