package reading

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"bolwerk"
)

// The child's limits, set by itself before the first byte of a stranger.
const (
	ChildMemory = 512 << 20 // of writable memory; the worst mail of 25 MiB needs about 250
	ChildHeap   = 384 << 20 // beyond this the garbage collector works harder
	ChildStack  = 64 << 20  // of one goroutine; nothing here recurses, so this is for bugs
	ChildLife   = time.Minute
	childFiles  = 16
)

// maxReply bounds a reply: 2,000 URLs of 16 KiB at the very worst.
const maxReply = 64 << 20

// Task is what a child is asked.
type Task string

// The tasks, one per function of this package.
const (
	ReadMail Task = "mail"
	ReadText Task = "text"
	ReadLink Task = "link"
	// CutPicture is for the program that reads letters; see CutOut.
	CutPicture Task = "cut"
)

// request is the first line of a request's frame; the bytes follow it.
type request struct {
	ID     uint64 `json:"id"`
	Task   Task   `json:"kind"`
	Option Option `json:"options"`
}

// reply is a frame of the child. The first one, with ID 0, says which limits are
// in force. Each request is answered by two: one without a result when it has
// been taken, one with the result.
type reply struct {
	ID     uint64   `json:"id"`
	Result *Result  `json:"result,omitempty"`
	Limits []string `json:"limits,omitempty"`
	Absent []string `json:"absent,omitempty"`
}

// Child is the loop of a reader process: requests in, replies out, one at a
// time, until in ends. It first gives up what the process could do: memory,
// files, and on Linux by a seccomp filter the network, files, programs and other
// processes. It changes the whole process and is called by nothing else than the
// role reader. It returns an error when a limit cannot be set or a frame is
// broken.
//
// looks are further tasks, which others of the house have strangers' bytes for.
func Child(in io.Reader, out io.Writer, looks map[Task]Look) error {
	return serve(in, out, func(task Task, raw []byte, opt Option) Result {
		if look := looks[task]; look != nil {
			return Result{Kind: Looked, URLs: []URL{}, Warnings: []string{}, Answer: look(raw, opt.Ask)}
		}
		return answer(task, raw, opt)
	})
}

// Look is a task of somebody else: bytes of a stranger and a question about them,
// and the answer.
type Look func(raw []byte, ask json.RawMessage) json.RawMessage

// Looked is the kind of a result that is a Look's answer.
const Looked Kind = "looked"

// answer reads one request.
func answer(task Task, raw []byte, opt Option) Result {
	switch task {
	case ReadMail:
		return Mail(raw, opt)
	case ReadText:
		return readText(string(raw), opt)
	case ReadLink:
		return readLink(string(raw), opt)
	case CutPicture:
		var q CutOut
		if json.Unmarshal(raw, &q) == nil {
			return Result{Kind: FreeText, URLs: []URL{}, Warnings: []string{}, Pictures: cut(q)}
		}
	}
	return Result{Kind: Unreadable, URLs: []URL{}, Warnings: []string{"unknown kind of report"}}
}

func serve(in io.Reader, out io.Writer, answer func(Task, []byte, Option) Result) error {
	runtime.GOMAXPROCS(1) // the desk starts as many children as it wants processors used
	debug.SetMaxStack(ChildStack)
	debug.SetMemoryLimit(ChildHeap)
	set, absent, err := limit()
	if err != nil {
		return fmt.Errorf("reader: %w", err)
	}
	if err := writeFrame(out, reply{Limits: set, Absent: absent}); err != nil {
		return err
	}
	for {
		frame, err := readFrame(in, MaxBytes+4096)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reader: %w", err)
		}
		q, raw, err := parseRequest(frame)
		if err != nil {
			return fmt.Errorf("reader: %w", err)
		}
		// "Taken": from here on a death is this report's doing.
		if err := writeFrame(out, reply{ID: q.ID}); err != nil {
			return err
		}
		// The desk kills a late child; this is for the child that lost its desk.
		late := time.AfterFunc(ChildLife, func() { os.Exit(3) })
		r := answer(q.Task, raw, q.Option)
		late.Stop()
		if err := writeFrame(out, reply{ID: q.ID, Result: &r}); err != nil {
			return err
		}
	}
}

// A frame is its length in four octets, most significant first, and that many
// octets.

func writeFrame(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeBytes(w, b)
}

func writeBytes(w io.Writer, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	f := make([]byte, 4, 4+n)
	binary.BigEndian.PutUint32(f, uint32(n))
	for _, p := range parts {
		f = append(f, p...)
	}
	_, err := w.Write(f)
	return err
}

// readFrame reads one frame; io.EOF says that there is none. It takes memory as
// the octets come, so that a length alone costs nothing.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, bolwerk.Invalid("frame: its length is cut off")
		}
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > int64(limit) {
		return nil, bolwerk.Invalid("frame of %d bytes: at most %d are allowed", n, limit)
	}
	var b bytes.Buffer
	if got, err := io.CopyN(&b, r, n); err != nil {
		return nil, bolwerk.Invalid("frame of %d bytes: %d came", n, got)
	}
	return b.Bytes(), nil
}

func requestFrame(w io.Writer, q request, raw []byte) error {
	head, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return writeBytes(w, head, []byte("\n"), raw)
}

func parseRequest(frame []byte) (q request, raw []byte, err error) {
	head, raw, ok := bytes.Cut(frame, []byte("\n"))
	if !ok {
		return q, nil, bolwerk.Invalid("request without a first line")
	}
	if err := json.Unmarshal(head, &q); err != nil {
		return q, nil, bolwerk.Invalid("request: %v", err)
	}
	return q, raw, nil
}
