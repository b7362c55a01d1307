package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Writer writes what is saved, in rising order of partitions. It is for the goroutine that Write calls.
type Writer struct {
	to    *bufio.Writer
	table *crc32.Table
	body  []byte
	err   error

	last  int
	parts uint64
	info  Info

	was  *reader // what was saved before; nil for nothing
	peek Part    // its next part
	more bool    // there is one
}

// Write saves what save gives it, under a head whose node and label are those of d, in the place of what was saved before, which
// stays where this fails. It blocks until that is on the disk. One Write runs at a time.
func (d *Dir) Write(h Head, save func(w *Writer) error) (Info, error) {
	d.mu.Lock()
	from := d.from
	d.mu.Unlock()
	h.Node, h.Label = d.node, d.label
	path := filepath.Join(d.path, nameNew)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return Info{}, err
	}
	w := &Writer{to: bufio.NewWriterSize(f, 1<<17), table: table(), last: -1, info: Info{Head: h}}
	if from != "" {
		before, err := os.Open(from)
		if err == nil {
			defer before.Close()
			w.open(before)
		}
	}
	if err = w.write(&h, save); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.adopt(path)
	}
	if err != nil {
		return Info{}, errors.Join(err, ignoreMissing(os.Remove(path)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.from, d.info = filepath.Join(d.path, nameNow), w.info
	return w.info, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// adopt makes the file at path the one that counts.
func (d *Dir) adopt(path string) error {
	now := filepath.Join(d.path, nameNow)
	if err := ignoreMissing(os.Rename(now, filepath.Join(d.path, nameOld))); err != nil {
		return err
	}
	if err := os.Rename(path, now); err != nil {
		return err
	}
	return syncDir(d.path)
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (w *Writer) write(h *Head, save func(w *Writer) error) error {
	if _, err := w.to.WriteString(magic + string(rune(version))); err != nil {
		return err
	}
	w.info.Bytes = int64(len(magic) + 1)
	w.body = h.append(w.body[:0])
	w.frame(w.body)
	if err := save(w); err != nil {
		return err
	}
	w.body = binary.AppendUvarint(append(w.body[:0], isEnd), w.parts)
	w.frame(w.body)
	if w.err != nil {
		return w.err
	}
	return w.to.Flush()
}

// frame writes a frame with body.
func (w *Writer) frame(body []byte) {
	if w.err != nil {
		return
	}
	if len(body) > bodyMost {
		w.err = fmt.Errorf("a frame of %d bytes, want at most %d", len(body), bodyMost)
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:4], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(body, w.table))
	_, w.err = w.to.Write(head[:])
	if w.err == nil {
		_, w.err = w.to.Write(body)
	}
	w.info.Bytes += int64(len(head) + len(body))
}

// Add saves message, of package core, of a partition as it was at saved.
func (w *Writer) Add(partition int, saved time.Time, message []byte) error {
	if partition < w.last && w.err == nil {
		w.err = fmt.Errorf("partition %d after %d", partition, w.last)
	}
	if partition != w.last {
		w.info.Partitions++
	}
	w.last = partition
	w.parts++
	w.body = binary.AppendUvarint(append(w.body[:0], isPart), uint64(partition))
	w.body = binary.AppendVarint(w.body, saved.UnixNano())
	w.body = append(w.body, message...)
	w.frame(w.body)
	return w.err
}

// open makes what was saved before known to w, for Keep.
func (w *Writer) open(f io.Reader) {
	r, err := newReader(f)
	if err != nil {
		return // it was whole when it was written or opened: somebody else has been here
	}
	w.was = r
	w.step()
}

func (w *Writer) step() {
	p, err := w.was.next()
	w.peek, w.more = p, err == nil
}

// Keep saves of a partition what was saved of it before, with its time, if anything was.
func (w *Writer) Keep(partition int) error {
	for w.more && w.peek.Partition <= partition && w.err == nil {
		if w.peek.Partition == partition {
			_ = w.Add(partition, w.peek.Saved, w.peek.Message) // the error stays in w
		}
		w.step()
	}
	return w.err
}
