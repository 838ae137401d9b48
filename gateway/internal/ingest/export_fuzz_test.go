package ingest

import "github.com/plantgate/plantgate/reading"

// ResumeNote takes over the note of a buffer and returns what is told of it, and
// how it is kept again.
func ResumeNote(stream string, text []byte) (events []reading.Event, again []byte, err error) {
	var f refusals
	if err := f.resume(stream, text); err != nil {
		return nil, nil, err
	}
	from := f.reported
	for _, s := range f.pending {
		events = append(events, s.event(from))
		from += s.Count
	}
	again, err = f.unsavedNote()
	return events, again, err
}
